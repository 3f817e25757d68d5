//! Rectification.

use candle_core::Tensor;

use super::{Kind, Layer, LeakyRelu, Output, Pass, PiecewiseLinear};
use crate::nn::Sequential;
use crate::nn::export::{Module, Node};
use crate::nn::formula::Formula;
use crate::ops::Builder;

/// `x` where positive, 0 elsewhere.
pub(super) struct Relu;

/// What it computes fast as.
const LEAKY: LeakyRelu = LeakyRelu { slope: 0. };

impl Sequential {
    /// `x` where positive, 0 elsewhere.
    pub fn relu(self) -> Self {
        self.layer(Layer::Relu)
    }
}

impl Kind for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        Ok(input.to_vec())
    }

    fn reference(&self, x: &Tensor, _: &[Tensor], _: &Pass) -> candle_core::Result<Output> {
        // A product with a constant, because candle's relu has the slope 1 at 0, where values behind dead units often stand.
        let positive = x.detach().gt(0.)?.to_dtype(x.dtype())?;
        Ok((x * positive)?.into())
    }

    fn piecewise_linear(&self) -> Result<&dyn PiecewiseLinear, &'static str> {
        Ok(&LEAKY)
    }

    fn in_pytorch(&self, _: &[usize], _: &[Tensor]) -> candle_core::Result<Vec<Module>> {
        Ok(vec![Module::new("ReLU()")])
    }

    fn in_onnx(&self, _: &[usize], _: &[Tensor]) -> candle_core::Result<Vec<Node>> {
        Ok(vec![Node::new("Relu")])
    }

    fn formula(&self) -> Formula {
        Formula::LeakyRelu { slope: 0. }
    }

    fn compile(&self, plan: &mut Builder, offsets: &[usize], output: &[usize]) {
        LEAKY.compile(plan, offsets, output);
    }
}
