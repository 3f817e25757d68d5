//! The same values in one row.

use candle_core::Tensor;

use super::reshape::SameValues;
use super::{Kind, Layer, Output, Pass, PiecewiseLinear};
use crate::nn::Sequential;
use crate::nn::export::{Module, Node};
use crate::nn::formula::Formula;
use crate::ops::Builder;

/// The same values in one row.
pub(super) struct Flatten;

impl Sequential {
    /// The same values in one row.
    pub fn flatten(self) -> Self {
        self.layer(Layer::Flatten)
    }
}

impl Kind for Flatten {
    fn name(&self) -> &'static str {
        "flatten"
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        Ok(vec![input.iter().product()])
    }

    fn reference(&self, x: &Tensor, _: &[Tensor], _: &Pass) -> candle_core::Result<Output> {
        Ok(x.flatten_from(1)?.into())
    }

    fn piecewise_linear(&self) -> Result<&dyn PiecewiseLinear, &'static str> {
        Ok(&SameValues)
    }

    fn in_pytorch(&self, _: &[usize], _: &[Tensor]) -> candle_core::Result<Vec<Module>> {
        Ok(vec![Module::new("Flatten()")])
    }

    fn in_onnx(&self, _: &[usize], _: &[Tensor]) -> candle_core::Result<Vec<Node>> {
        Ok(vec![Node::new("Flatten")])
    }

    fn formula(&self) -> Formula {
        Formula::Same
    }

    fn compile(&self, plan: &mut Builder, _: &[usize], output: &[usize]) {
        plan.reshape(output);
    }
}
