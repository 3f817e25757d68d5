//! What dense layers and convolutions have in common: weights, a bias, and the step that computes them fast.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::variables::{Init, Spec};
use crate::ops::elementwise::{bias_and_slope, bias_and_slope_back};
use crate::ops::{At, Backward, Buffer, Context, Conv, Forward, Kept, Pending, Shared, Step};
use crate::profile::Part;

/// Weights of this shape, and a bias for each of the `units`, if there is one.
pub(super) fn variables(shape: &[usize], fans: [usize; 2], bias: Option<usize>) -> Vec<Spec> {
    let [fan_in, fan_out] = fans;
    let weight = Spec::new("weight", shape, Init::Glorot { fan_in, fan_out });
    let bias = bias.map(|units| Spec::new("bias", &[units], Init::Zeros));
    std::iter::once(weight).chain(bias).collect()
}

pub(super) fn add_bias(y: Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    match bias {
        Some(bias) => y.broadcast_add(&bias.reshape(per_channel(&y)?)?),
        None => Ok(y),
    }
}

/// (1, channels, 1, ...) with as many dimensions as `x`.
pub(super) fn per_channel(x: &Tensor) -> Result<Vec<usize>> {
    let mut shape = vec![1; x.rank()];
    shape[1] = x.dim(1)?;
    Ok(shape)
}

pub(super) fn without(bias: bool) -> &'static str {
    if bias { "" } else { ", no bias" }
}

/// PyTorch's argument.
pub(super) fn bias_keyword(bias: bool) -> &'static str {
    if bias { "" } else { ", bias=False" }
}

/// A dense layer (images of one pixel), a convolution, or with `up` a transposed one, with the activation behind it.
pub(super) struct Weighted {
    conv: Conv,
    up: bool,
    weight: usize,
    bias: Option<usize>,
    /// 1 is no activation.
    slope: f32,
}

impl Weighted {
    /// `offsets`: of the weights, and of the bias, if there is one.
    pub(super) fn new(conv: Conv, up: bool, offsets: &[usize]) -> Self {
        Weighted {
            conv,
            up,
            weight: offsets[0],
            bias: offsets.get(1).copied(),
            slope: 1.,
        }
    }

    /// Output channels.
    fn channels(&self) -> usize {
        if self.up {
            self.conv.big.c
        } else {
            self.conv.small.c
        }
    }

    /// Adds the gradient of the weights, from what belongs to the input and to the output.
    fn add_weights(&self, pass: &mut Backward, x: &Shared, d: &Shared) {
        let Context { factors, pool } = pass.context();
        let images = if self.up { [d, x] } else { [x, d] };
        if let Some(gradient) = &mut pass.gradient {
            let of_weights = Pending {
                conv: self.conv,
                at: self.weight,
                images: images.map(Arc::clone),
                add: gradient.add,
                n: pass.n,
                factors,
                pool: pool.clone(),
            };
            of_weights.add(gradient);
        }
    }
}

impl Step for Weighted {
    fn slope(&mut self) -> Option<&mut f32> {
        Some(&mut self.slope)
    }

    fn part(&self) -> Part {
        Part::Products
    }

    fn forward(&self, pass: &mut Forward, x: &[f32], y: &mut [f32]) -> Kept {
        let weights = &pass.parameters[self.weight..];
        self.conv
            .pass(self.up, weights, x, y, pass.n, pass.context());
        let bias = self
            .bias
            .map(|bias| &pass.parameters[bias..][..self.channels()]);
        if bias.is_some() || self.slope != 1. {
            bias_and_slope(y, bias, self.slope, pass.n);
        }
        None
    }

    fn backward(&self, pass: &mut Backward, at: At, mut d: Buffer) -> Option<Buffer> {
        let of_bias = pass.gradient.as_mut().zip(self.bias);
        let of_bias = of_bias.map(|(g, at)| (&mut g.row[at..][..self.channels()], g.add));
        bias_and_slope_back(&mut d, at.y, self.slope, of_bias, pass.n);
        let d = Arc::new(d);
        self.add_weights(pass, at.x, &d);
        if !pass.wants_dx {
            return None;
        }
        let mut dx = pass.pool.get(at.x.len());
        let weights = &pass.parameters[self.weight..];
        self.conv
            .pass(!self.up, weights, &d, &mut dx, pass.n, pass.context());
        pass.delta = Some(d);
        Some(dx)
    }

    fn tangent(&self, pass: &mut Backward, at: At, delta: Option<&Shared>, t: Buffer) -> Buffer {
        let t = Arc::new(t);
        self.add_weights(pass, &t, delta.expect("left by `backward`"));
        let mut y = pass.pool.get(at.y.len());
        let weights = &pass.parameters[self.weight..];
        self.conv
            .pass(self.up, weights, &t, &mut y, pass.n, pass.context());
        bias_and_slope_back(&mut y, at.y, self.slope, None, pass.n);
        y
    }
}
