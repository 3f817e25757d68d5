//! Dropout (Srivastava et al. 2014, <https://jmlr.org/papers/v15/srivastava14a.html>).

use candle_core::Tensor;
use rand::RngCore;
use serde::{Deserialize, Serialize};

use super::{Kind, Output, Pass, PiecewiseLinear, Traced};
use crate::nn::Sequential;
use crate::nn::export::{Module, Node};
use crate::nn::formula::Formula;
use crate::ops::elementwise::{CHUNK, map, update, vectorised};
use crate::ops::{At, Backward, Buffer, Builder, Forward, Kept, Shared, Statistics, Step};
use crate::rng::Rng;
use crate::team::for_each;

/// While training, sets each value to 0 with probability `rate` and scales the others by 1 / (1 - rate).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// At least 0 and below 1.
    pub rate: f64,
}

impl Sequential {
    /// While training, sets each value to 0 with probability `rate` and scales the others by 1 / (1 - rate).
    pub fn dropout(self, rate: f64) -> Self {
        self.layer(Dropout { rate })
    }
}

impl Kind for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn summary(&self) -> String {
        format!("dropout {}", self.rate)
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        match self.rate {
            rate if (0. ..1.).contains(&rate) => Ok(input.to_vec()),
            rate => Err(format!("rate {rate} must be at least 0 and below 1")),
        }
    }

    fn reference(&self, x: &Tensor, _: &[Tensor], pass: &Pass) -> candle_core::Result<Output> {
        if pass.statistics == Statistics::Running {
            return Ok(x.clone().into());
        }
        let drawn = pass.rng.uniform(x.shape(), 0., 1.)?.to_device(x.device())?;
        let mask = (drawn.ge(self.rate)?.to_dtype(x.dtype())? / (1. - self.rate))?;
        Ok(Output {
            mask: Some(mask.clone()),
            ..(x * mask)?.into()
        })
    }

    fn piecewise_linear(&self) -> Result<&dyn PiecewiseLinear, &'static str> {
        Ok(self)
    }

    fn in_pytorch(&self, _: &[usize], _: &[Tensor]) -> candle_core::Result<Vec<Module>> {
        Ok(vec![Module::new(format!("Dropout({:?})", self.rate))])
    }

    /// The file is one of a finished network, in which it does nothing.
    fn in_onnx(&self, _: &[usize], _: &[Tensor]) -> candle_core::Result<Vec<Node>> {
        Ok(Vec::new())
    }

    fn formula(&self) -> Formula {
        Formula::Same
    }

    fn compile(&self, plan: &mut Builder, _: &[usize], output: &[usize]) {
        plan.push(self.clone(), output);
    }
}

impl PiecewiseLinear for Dropout {
    fn input_gradient(&self, at: &Traced, d: &Tensor) -> candle_core::Result<Tensor> {
        match &at.mask {
            Some(mask) => d * mask,
            None => Ok(d.clone()),
        }
    }
}

impl Step for Dropout {
    fn forward(&self, pass: &mut Forward, x: &[f32], y: &mut [f32]) -> Kept {
        if pass.statistics == Statistics::Running {
            y.copy_from_slice(x);
            return None;
        }
        let mut mask = pass.pool.get(x.len());
        drop(x, self.rate, pass.rng, &mut mask, y);
        Some(Box::new(mask))
    }

    fn backward(&self, _: &mut Backward, at: At, mut d: Buffer) -> Option<Buffer> {
        if let Some(mask) = at.kept::<Buffer>() {
            update(&mut d, mask, |d, mask| d * mask);
        }
        Some(d)
    }

    fn tangent(&self, pass: &mut Backward, at: At, _: Option<&Shared>, t: Buffer) -> Buffer {
        self.backward(pass, at, t)
            .expect("a mask is its own transpose")
    }
}

/// y = mask * x, the mask 0 with probability `rate`, drawn in 1/65536ths, and otherwise what keeps the mean. Each chunk
/// draws from a stream of its own, whichever thread it is on.
fn drop(x: &[f32], rate: f64, rng: &Rng, mask: &mut [f32], y: &mut [f32]) {
    let drawn = rng.own();
    let threshold = (rate * 65536.).round() as u32;
    let kept = (1. / (1. - threshold as f64 / 65536.)) as f32;
    let chunks = mask.chunks_mut(CHUNK).zip(y.chunks_mut(CHUNK));
    let chunks = chunks.zip(x.chunks(CHUNK)).enumerate();
    for_each(chunks, |(chunk, ((mask, y), x))| {
        let mut drawn = drawn.clone();
        drawn.set_stream(chunk as u64);
        let mut bytes = vec![0; 2 * mask.len()];
        drawn.fill_bytes(&mut bytes);
        vectorised(|| {
            for (mask, bytes) in mask.iter_mut().zip(bytes.chunks_exact(2)) {
                let drawn = u16::from_le_bytes([bytes[0], bytes[1]]) as u32;
                *mask = if drawn < threshold { 0. } else { kept };
            }
        });
        y.copy_from_slice(x);
        map(y, mask, |y, mask| y * mask);
    });
}
