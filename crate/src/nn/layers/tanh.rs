//! The hyperbolic tangent.

use candle_core::Tensor;

use super::{Kind, Layer, Output, Pass, PiecewiseLinear};
use crate::nn::Sequential;
use crate::nn::export::{Module, Node};
use crate::nn::formula::Formula;
use crate::ops::elementwise::update;
use crate::ops::{At, Backward, Buffer, Builder, Forward, Kept, Shared, Step};

/// The hyperbolic tangent.
pub(super) struct Tanh;

impl Sequential {
    /// The hyperbolic tangent: values in (-1, 1), as the images have them.
    pub fn tanh(self) -> Self {
        self.layer(Layer::Tanh)
    }
}

impl Kind for Tanh {
    fn name(&self) -> &'static str {
        "tanh"
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        Ok(input.to_vec())
    }

    fn reference(&self, x: &Tensor, _: &[Tensor], _: &Pass) -> candle_core::Result<Output> {
        Ok(x.tanh()?.into())
    }

    fn piecewise_linear(&self) -> Result<&dyn PiecewiseLinear, &'static str> {
        Err(
            "tanh is curved, and input gradients are exact for piecewise linear networks: use \
             leaky_relu, and let the last layer give the logit itself",
        )
    }

    fn in_pytorch(&self, _: &[usize], _: &[Tensor]) -> candle_core::Result<Vec<Module>> {
        Ok(vec![Module::new("Tanh()")])
    }

    fn in_onnx(&self, _: &[usize], _: &[Tensor]) -> candle_core::Result<Vec<Node>> {
        Ok(vec![Node::new("Tanh")])
    }

    fn formula(&self) -> Formula {
        Formula::Tanh
    }

    fn compile(&self, plan: &mut Builder, _: &[usize], output: &[usize]) {
        plan.push(Tanh, output);
    }
}

impl Step for Tanh {
    fn forward(&self, _: &mut Forward, x: &[f32], y: &mut [f32]) -> Kept {
        update(y, x, |_, x| tanh(x));
        None
    }

    fn backward(&self, _: &mut Backward, at: At, mut d: Buffer) -> Option<Buffer> {
        update(&mut d, at.y, |d, y| d * (1. - y * y));
        Some(d)
    }

    fn tangent(&self, _: &mut Backward, _: At, _: Option<&Shared>, _: Buffer) -> Buffer {
        unreachable!("not piecewise linear")
    }
}

/// tanh to within 4 units in the last place, without calls, so that the loop around it becomes vector code: the
/// rational approximation of Eigen (`generic_fast_tanh_float`), exact to f32 beyond ±7.9.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let x = x.clamp(-7.905_311, 7.905_311);
    let x2 = x * x;
    let p = [
        -2.760_768_5e-16,
        2.000_188e-13,
        -8.604_672e-11,
        5.122_297e-8,
        1.485_722_4e-5,
        6.372_619_3e-4,
        4.893_524_6e-3,
    ];
    let q = [1.198_258_4e-6, 1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3];
    let p = p.iter().fold(0., |sum, c| sum * x2 + c);
    let q = q.iter().fold(0., |sum, c| sum * x2 + c);
    x * p / q
}

#[cfg(test)]
mod tests {
    use super::tanh;

    #[test]
    fn tanh_is_right_everywhere() {
        for i in -200_000..=200_000 {
            let x = i as f32 * 1e-4;
            let (ours, exact) = (tanh(x), (x as f64).tanh());
            assert!(
                (ours as f64 - exact).abs() <= 4e-7 * exact.abs().max(1e-3),
                "{x}: {ours} {exact}"
            );
            assert!(ours.abs() <= 1.);
        }
        assert!(tanh(f32::NAN).is_nan());
        assert_eq!(
            (tanh(f32::INFINITY), tanh(f32::NEG_INFINITY)),
            (tanh(9.), tanh(-9.))
        );
    }
}
