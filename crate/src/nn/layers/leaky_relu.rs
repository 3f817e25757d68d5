//! Leaky rectification.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::{Kind, Output, Pass, PiecewiseLinear, Traced};
use crate::nn::Sequential;
use crate::nn::export::{Module, Node};
use crate::nn::formula::Formula;
use crate::ops::elementwise::{bias_and_slope_back, update};
use crate::ops::{At, Backward, Buffer, Builder, Forward, Kept, Shared, Step};

/// `x` where positive, `slope * x` elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeakyRelu {
    /// At least 0.
    pub slope: f64,
}

impl Sequential {
    /// `x` where positive, `slope * x` elsewhere.
    pub fn leaky_relu(self, slope: f64) -> Self {
        self.layer(LeakyRelu { slope })
    }
}

impl Kind for LeakyRelu {
    fn name(&self) -> &'static str {
        "leaky_relu"
    }

    fn summary(&self) -> String {
        format!("leaky_relu {}", self.slope)
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        match self.slope {
            slope if slope >= 0. => Ok(input.to_vec()),
            slope => Err(format!("slope {slope} must not be negative")),
        }
    }

    fn reference(&self, x: &Tensor, _: &[Tensor], _: &Pass) -> candle_core::Result<Output> {
        Ok(candle_nn::ops::leaky_relu(x, self.slope)?.into())
    }

    fn piecewise_linear(&self) -> Result<&dyn PiecewiseLinear, &'static str> {
        Ok(self)
    }

    fn in_pytorch(&self, _: &[usize], _: &[Tensor]) -> candle_core::Result<Vec<Module>> {
        Ok(vec![Module::new(format!("LeakyReLU({:?})", self.slope))])
    }

    fn in_onnx(&self, _: &[usize], _: &[Tensor]) -> candle_core::Result<Vec<Node>> {
        Ok(vec![Node::new("LeakyRelu").float("alpha", self.slope)])
    }

    fn formula(&self) -> Formula {
        Formula::LeakyRelu { slope: self.slope }
    }

    fn compile(&self, plan: &mut Builder, _: &[usize], output: &[usize]) {
        let slope = self.slope as f32;
        if !plan.fuse(slope) {
            plan.push(Slope(slope), output);
        }
    }
}

impl PiecewiseLinear for LeakyRelu {
    fn input_gradient(&self, at: &Traced, d: &Tensor) -> candle_core::Result<Tensor> {
        let ones = at.x.ones_like()?;
        d * at.x.gt(0.)?.where_cond(&ones, &(&ones * self.slope)?)?
    }
}

/// An activation that no step before it could take in.
struct Slope(f32);

impl Step for Slope {
    fn forward(&self, _: &mut Forward, x: &[f32], y: &mut [f32]) -> Kept {
        update(y, x, |_, x| if x > 0. { x } else { self.0 * x });
        None
    }

    fn backward(&self, pass: &mut Backward, at: At, mut d: Buffer) -> Option<Buffer> {
        bias_and_slope_back(&mut d, at.y, self.0, None, pass.n);
        Some(d)
    }

    fn tangent(&self, pass: &mut Backward, at: At, _: Option<&Shared>, mut t: Buffer) -> Buffer {
        bias_and_slope_back(&mut t, at.y, self.0, None, pass.n);
        t
    }
}
