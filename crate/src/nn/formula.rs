//! A finished network in a form that programs in other languages can follow: what each layer computes, and its numbers.

use candle_core::Tensor;
use serde::Serialize;

use super::Network;
use crate::Result;

/// What a layer computes for one sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Formula {
    /// The values as they are.
    Same,
    /// The inputs times weights (inputs, units), plus a bias if there is one.
    Dense,
    /// With weights (channels, input channels, kernel, kernel); `padding` is above and to the left of the input.
    Conv2d {
        kernel: usize,
        stride: usize,
        padding: [usize; 2],
    },
    /// With weights (input channels, channels, kernel, kernel); `padding` is cut off above and to the left.
    ConvTranspose2d {
        kernel: usize,
        stride: usize,
        padding: [usize; 2],
    },
    /// In each channel gamma (x - mean) / sqrt(variance + epsilon) + beta.
    BatchNorm { epsilon: f64 },
    /// x where positive, slope x elsewhere.
    LeakyRelu { slope: f64 },
    /// The hyperbolic tangent.
    Tanh,
    /// The largest of each square of `size` pixels along a side.
    MaxPool2d { size: usize },
    /// Each pixel `size` times along both sides.
    Upsample2d { size: usize },
}

/// A layer with all that it takes to compute it.
pub(crate) struct Stage {
    pub formula: Formula,
    /// The shape of one input.
    pub input: Vec<usize>,
    /// The shape of one output.
    pub output: Vec<usize>,
    pub variables: Vec<Tensor>,
}

impl Network {
    /// The layers, first to last, without those that leave all values as they are.
    pub(crate) fn stages(&self) -> Result<Vec<Stage>> {
        let parameters = self.parameters.as_detached_tensor();
        let inputs = std::iter::once(&self.config.input).chain(&self.outputs);
        let shapes = inputs.zip(&self.outputs);
        let layers = self.config.layers.iter().zip(shapes).enumerate();
        let stages = layers.map(|(i, (layer, (input, output)))| {
            Ok(Stage {
                formula: layer.kind().formula(),
                input: input.clone(),
                output: output.clone(),
                variables: self.of_layer(i, &parameters)?,
            })
        });
        let stages: Vec<Stage> = stages.collect::<Result<_>>()?;
        let computes = |stage: &Stage| stage.formula != Formula::Same;
        Ok(stages.into_iter().filter(computes).collect())
    }
}
