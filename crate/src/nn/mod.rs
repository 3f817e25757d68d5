//! Networks built layer by layer.
//!
//! [`Sequential`] describes one (its layers and shapes, as Keras's `Sequential` does), [`Sequential::build`]
//! turns the description into a [`Network`] with weights, and [`Network::save`] writes both into one file.
//!
//! ```
//! use digit_gan::{nn::Sequential, rng::Rng};
//! let rng = Rng::seed(42);
//! let generator = Sequential::new("generator", [100])
//!     .dense(256).leaky_relu(0.2).batch_norm(0.8)
//!     .dense(28 * 28).tanh().reshape([1, 28, 28])
//!     .build(&rng)?;
//! let images = generator.forward(&rng.normal((4, 100))?)?;
//! assert_eq!(images.dims(), [4, 1, 28, 28]);
//! # Ok::<(), digit_gan::Error>(())
//! ```

mod condition;
mod export;
mod file;
mod fold;
mod formula;
mod input_gradient;
mod layers;
mod network;
mod parameters;
mod summary;
mod variable;

pub use condition::{class_logit, with_class};
pub use export::Python;
pub use layers::*;
pub use network::Network;
pub use summary::{Row, Summary};

pub use crate::ops::Precision;

pub(crate) use condition::class_seed;
pub(crate) use file::{Contents, save_tensors};
pub(crate) use formula::Formula;
pub(crate) use variable::Layout;

use candle_core::Device;
use layers::{MAX_SIZE, MAX_VALUES, bounded, values};
use serde::{Deserialize, Serialize};

use crate::rng::Rng;
use crate::{Error, Result};

/// The description of a network: a name, the shape of one input and a list of layers. Shapes are those of one
/// sample, without the batch. Mistakes in them are reported by [`Sequential::build`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequential {
    name: String,
    input: Vec<usize>,
    layers: Vec<Layer>,
    /// What a method could not do, to be reported by [`Sequential::build`].
    #[serde(skip)]
    mistake: Option<String>,
}

impl Sequential {
    /// A network without layers yet; `input` is the shape of one sample, such as `[100]` or `[1, 28, 28]`.
    pub fn new(name: impl Into<String>, input: impl Into<Vec<usize>>) -> Self {
        Sequential {
            name: name.into(),
            input: input.into(),
            layers: Vec::new(),
            mistake: None,
        }
    }

    /// Adds any layer; the methods of their names add the usual ones: [`Sequential::dense`], [`Sequential::conv2d`]
    /// and so on.
    pub fn layer(mut self, layer: impl Into<Layer>) -> Self {
        self.layers.push(layer.into());
        self
    }

    /// Drops the bias of the layer before it: batch normalisation, if it follows, has its own.
    pub fn no_bias(mut self) -> Self {
        let last = self.layers.pop();
        match last.as_ref().and_then(|layer| layer.kind().without_bias()) {
            Some(layer) => self.layers.push(layer),
            None => {
                let name = last
                    .as_ref()
                    .map_or("no layer", |layer| layer.kind().name());
                self.mistake = Some(format!(
                    "{}: .no_bias() follows {name}, which has none: put it directly behind .dense(), .conv2d() or \
                     .conv_transpose2d()",
                    self.name
                ));
                self.layers.extend(last);
            }
        }
        self
    }

    /// The same without batch normalisation, as a discriminator must be for an exact
    /// [`Penalty`](crate::penalty::Penalty). Layers of weights in front of one get a bias in its place.
    ///
    /// ```
    /// # use digit_gan::prelude::*;
    /// let discriminator = Recipe::lean().discriminator.without_batch_norm();
    /// let penalty = Some(Penalty::R1 { gamma: 0.1 });
    /// Recipe { discriminator, penalty, ..Recipe::lean() }.check()?;
    /// # Ok::<(), digit_gan::Error>(())
    /// ```
    pub fn without_batch_norm(&self) -> Self {
        let mut layers: Vec<Layer> = Vec::new();
        for layer in &self.layers {
            if !matches!(layer, Layer::BatchNorm(_)) {
                layers.push(layer.clone());
            } else if let Some(before) = layers.last_mut()
                && let Some((biased, _)) = before.kind().with_bias()
            {
                *before = biased;
            }
        }
        Sequential {
            layers,
            ..self.clone()
        }
    }

    /// The name given to [`Sequential::new`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The shape of one input.
    pub fn input(&self) -> &[usize] {
        &self.input
    }

    /// The layers, first to last.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The shape of one output of each layer.
    ///
    /// # Errors
    /// [`Error::Shape`] at the first layer that cannot take what it is given, naming it.
    pub fn outputs(&self) -> Result<Vec<Vec<usize>>> {
        let (network, mut shape) = (&self.name, self.input.clone());
        if let Some(mistake) = &self.mistake {
            return Err(Error::Shape(mistake.clone()));
        }
        let too_large = shape.iter().any(|&size| bounded(size).is_err())
            || values(&shape).is_none_or(|values| values > MAX_VALUES);
        if shape.is_empty() || shape.contains(&0) || too_large {
            return Err(Error::Shape(format!(
                "{network}: the input shape {shape:?} must have at least one dimension, none of 0 or above \
                 {MAX_SIZE}, and at most {MAX_VALUES} values"
            )));
        }
        let (mut outputs, mut total) = (Vec::new(), 0usize);
        for (i, layer) in self.layers.iter().enumerate() {
            let refused = |reason: String| {
                let name = layer.kind().name();
                Error::Shape(format!(
                    "{network}, layer {i} ({name}) on an input of shape {shape:?}: {reason}"
                ))
            };
            let output = layer.output(&shape).map_err(refused)?;
            for spec in layer.kind().variables(&shape) {
                total = values(&spec.shape)
                    .map(|values| total + values)
                    .filter(|&total| total <= MAX_VALUES)
                    .ok_or_else(|| {
                        refused(format!(
                            "more than {MAX_VALUES} parameters up to here, the most that a network may have"
                        ))
                    })?;
            }
            shape = output.clone();
            outputs.push(output);
        }
        Ok(outputs)
    }

    /// The shape of one output so far; that of the input if a layer cannot take what it is given.
    fn shape(&self) -> Vec<usize> {
        let last = self.outputs().ok().and_then(|mut outputs| outputs.pop());
        last.unwrap_or_else(|| self.input.clone())
    }

    /// Checks all shapes and makes the network on the CPU, its initial weights drawn from `rng`, which its
    /// dropout layers keep drawing from.
    ///
    /// Weights start as Keras's do: uniform in ±sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010), biases
    /// at 0.
    pub fn build(&self, rng: &Rng) -> Result<Network> {
        self.build_on(rng, &Device::Cpu)
    }

    /// [`Sequential::build`] on another device. The same seed gives the same weights on every device.
    pub fn build_on(&self, rng: &Rng, device: &Device) -> Result<Network> {
        Network::new(self, rng, device, |_, spec| spec.draw(rng))
    }
}
