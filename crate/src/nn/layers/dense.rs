//! Fully connected layers.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::weighted::{self, Weighted, add_bias, bias_keyword, without};
use super::{Kind, Layer, Output, Pass, PiecewiseLinear, Spec, Traced, size};
use crate::nn::Sequential;
use crate::nn::export::{Module, Node};
use crate::nn::formula::Formula;
use crate::ops::{Builder, Conv, Size};

/// A fully connected layer: (inputs,) to (units,).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dense {
    /// Values of one output.
    pub units: usize,
    /// Whether a value is added to each.
    pub bias: bool,
}

impl Sequential {
    /// A fully connected layer: (inputs,) to (units,).
    pub fn dense(self, units: usize) -> Self {
        self.layer(Dense { units, bias: true })
    }
}

impl Kind for Dense {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn summary(&self) -> String {
        format!("dense {}{}", self.units, without(self.bias))
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let units = size("units", self.units)?;
        match input {
            [_] => Ok(vec![units]),
            _ => Err("needs one row of inputs: put .flatten() before it".into()),
        }
    }

    fn variables(&self, input: &[usize]) -> Vec<Spec> {
        let shape = [input[0], self.units];
        weighted::variables(&shape, shape, self.bias.then_some(self.units))
    }

    fn without_bias(&self) -> Option<Layer> {
        let bias = false;
        Some(Dense { bias, ..*self }.into())
    }

    fn reference(&self, x: &Tensor, vars: &[Tensor], _: &Pass) -> candle_core::Result<Output> {
        Ok(add_bias(x.matmul(&vars[0])?, vars.get(1))?.into())
    }

    fn piecewise_linear(&self) -> Result<&dyn PiecewiseLinear, &'static str> {
        Ok(self)
    }

    fn in_pytorch(&self, input: &[usize], vars: &[Tensor]) -> candle_core::Result<Vec<Module>> {
        let bias = bias_keyword(self.bias);
        let module = Module::new(format!("Linear({}, {}{bias})", input[0], self.units));
        Ok(vec![module.with_weight(vars[0].t()?, vars.get(1))])
    }

    fn in_onnx(&self, _: &[usize], vars: &[Tensor]) -> candle_core::Result<Vec<Node>> {
        Ok(vec![Node::new("Gemm").weights(vars)])
    }

    fn formula(&self) -> Formula {
        Formula::Dense
    }

    fn with_bias(&self) -> Option<(Layer, usize)> {
        let layer = Dense {
            bias: true,
            ..*self
        };
        Some((layer.into(), 1))
    }

    fn compile(&self, plan: &mut Builder, offsets: &[usize], output: &[usize]) {
        let one = |c| Size { h: 1, w: 1, c };
        let conv = Conv {
            big: one(plan.shape()[0]),
            small: one(output[0]),
            kernel: 1,
            stride: 1,
            padding: [0, 0],
        };
        plan.push(Weighted::new(conv, false, offsets), output);
    }
}

impl PiecewiseLinear for Dense {
    fn input_gradient(&self, at: &Traced, d: &Tensor) -> candle_core::Result<Tensor> {
        d.matmul(&at.vars[0].t()?)
    }
}
