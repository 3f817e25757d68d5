//! The same values in another shape.

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Kind, Output, Pass, PiecewiseLinear, Traced, values};
use crate::nn::Sequential;
use crate::nn::export::{Module, Node};
use crate::nn::formula::Formula;
use crate::ops::Builder;

/// The same values in another shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reshape {
    /// The shape of one sample, without the batch.
    pub shape: Vec<usize>,
}

impl Sequential {
    /// The same values in another shape, which is that of one sample, without the batch.
    pub fn reshape(self, shape: impl Into<Vec<usize>>) -> Self {
        let shape = shape.into();
        self.layer(Reshape { shape })
    }
}

impl Kind for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let (shape, have) = (&self.shape, input.iter().product::<usize>());
        if shape.is_empty() {
            return Err("the shape [] has no dimension: one value is [1]".into());
        }
        match values(shape) {
            Some(want) if want == have => Ok(shape.clone()),
            Some(want) => Err(format!(
                "{have} values do not make {shape:?}, which has {want}"
            )),
            None => Err(format!(
                "{have} values do not make {shape:?}, which has more"
            )),
        }
    }

    fn reference(&self, x: &Tensor, _: &[Tensor], _: &Pass) -> candle_core::Result<Output> {
        Ok(x.reshape([&x.dims()[..1], &self.shape].concat())?.into())
    }

    fn piecewise_linear(&self) -> Result<&dyn PiecewiseLinear, &'static str> {
        Ok(&SameValues)
    }

    /// PyTorch unfolds one dimension, so that others are flattened first.
    fn in_pytorch(&self, input: &[usize], _: &[Tensor]) -> candle_core::Result<Vec<Module>> {
        let sizes: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        let unflatten =
            (sizes.len() > 1).then(|| Module::new(format!("Unflatten(1, ({}))", sizes.join(", "))));
        let flatten = (input.len() > 1 || unflatten.is_none()).then(|| Module::new("Flatten()"));
        Ok(flatten.into_iter().chain(unflatten).collect())
    }

    fn in_onnx(&self, _: &[usize], _: &[Tensor]) -> candle_core::Result<Vec<Node>> {
        // 0 is the batch, as it comes.
        let sizes = self.shape.iter().map(|&size| size as i64);
        let sizes: Vec<i64> = std::iter::once(0).chain(sizes).collect();
        let shape = Tensor::new(sizes, &Device::Cpu)?;
        Ok(vec![Node::new("Reshape").input("shape", shape)])
    }

    fn formula(&self) -> Formula {
        Formula::Same
    }

    fn compile(&self, plan: &mut Builder, _: &[usize], output: &[usize]) {
        plan.reshape(output);
    }
}

/// The gradient of every layer that changes the shape alone.
pub(super) struct SameValues;

impl PiecewiseLinear for SameValues {
    fn input_gradient(&self, at: &Traced, d: &Tensor) -> candle_core::Result<Tensor> {
        d.reshape(at.x.shape())
    }
}
