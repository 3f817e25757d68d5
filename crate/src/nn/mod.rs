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
//! let images = generator.eval(&rng.normal((4, 100))?)?;
//! assert_eq!(images.dims(), [4, 1, 28, 28]);
//! # Ok::<(), digit_gan::Error>(())
//! ```

mod candle;
mod compile;
mod condition;
mod file;
mod input_gradient;
mod layer;
mod network;
mod summary;

pub use condition::{of_class, with_class};
pub use layer::Layer;
pub use network::Network;
pub use summary::{Row, Summary};

pub(crate) use condition::class_seed;
pub(crate) use file::{Contents, save_tensors};

use candle_core::Device;
use layer::MAX_VALUES;
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
}

impl Sequential {
    /// A network without layers yet; `input` is the shape of one sample, such as `[100]` or `[1, 28, 28]`.
    pub fn new(name: impl Into<String>, input: impl Into<Vec<usize>>) -> Self {
        Sequential {
            name: name.into(),
            input: input.into(),
            layers: Vec::new(),
        }
    }

    /// Adds any layer; the methods below are the usual ones by their usual names.
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// A fully connected layer: (inputs,) to (units,).
    pub fn dense(self, units: usize) -> Self {
        self.layer(Layer::Dense { units, bias: true })
    }

    /// A convolution with as much padding as keeps height and width (divided by the stride, rounded up):
    /// (c, h, w) to (channels, h / stride, w / stride).
    pub fn conv2d(self, channels: usize, kernel: usize, stride: usize) -> Self {
        self.layer(Layer::Conv2d {
            channels,
            kernel,
            stride,
            padding: same_padding(kernel, stride),
            bias: true,
        })
    }

    /// A transposed convolution, padded so that height and width grow by the stride exactly:
    /// (c, h, w) to (channels, h * stride, w * stride).
    pub fn conv_transpose2d(self, channels: usize, kernel: usize, stride: usize) -> Self {
        let padding = same_padding(kernel, stride);
        self.layer(Layer::ConvTranspose2d {
            channels,
            kernel,
            stride,
            padding,
            output_padding: (stride + 2 * padding).saturating_sub(kernel),
            bias: true,
        })
    }

    /// Drops the bias of the layer before it: batch normalisation, if it follows, has its own.
    pub fn no_bias(mut self) -> Self {
        if let Some(bias) = self.layers.last_mut().and_then(Layer::bias_mut) {
            *bias = false;
        }
        self
    }

    /// Batch normalisation per channel. `momentum` is Keras's: the share of the old running statistics that
    /// is kept at each step (PyTorch's momentum is 1 minus this).
    pub fn batch_norm(self, momentum: f64) -> Self {
        let epsilon = 1e-5;
        self.layer(Layer::BatchNorm { momentum, epsilon })
    }

    /// `x` where positive, `slope * x` elsewhere.
    pub fn leaky_relu(self, slope: f64) -> Self {
        self.layer(Layer::LeakyRelu { slope })
    }

    /// The hyperbolic tangent: values in (-1, 1), as the images have them.
    pub fn tanh(self) -> Self {
        self.layer(Layer::Tanh)
    }

    /// While training, sets each value to 0 with probability `rate` and scales the others by 1 / (1 - rate).
    pub fn dropout(self, rate: f64) -> Self {
        self.layer(Layer::Dropout { rate })
    }

    /// The same values in another shape.
    pub fn reshape(self, shape: impl Into<Vec<usize>>) -> Self {
        let shape = shape.into();
        self.layer(Layer::Reshape { shape })
    }

    /// The same values in one row.
    pub fn flatten(self) -> Self {
        self.layer(Layer::Flatten)
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

    /// The shape of one output of each layer. Errors at the first layer that cannot take what it is given.
    pub fn outputs(&self) -> Result<Vec<Vec<usize>>> {
        let (network, mut shape) = (&self.name, self.input.clone());
        if shape.is_empty() || shape.contains(&0) {
            return Err(Error::Shape(format!(
                "{network}: the input shape {shape:?} must have at least one dimension and none of 0"
            )));
        }
        let (mut outputs, mut total) = (Vec::new(), 0usize);
        for (i, layer) in self.layers.iter().enumerate() {
            let refused = |reason: String| {
                let name = layer.name();
                Error::Shape(format!(
                    "{network}, layer {i} ({name}) on an input of shape {shape:?}: {reason}"
                ))
            };
            let output = layer.bounded_output(&shape).map_err(refused)?;
            for spec in layer.variables(&shape) {
                total = layer::values(&spec.shape)
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

    /// Checks all shapes and makes the network on the CPU, its initial weights drawn from `rng`, which its
    /// dropout layers go on drawing from.
    ///
    /// Weights start as Keras's do: uniform in ±sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010), biases
    /// at 0.
    pub fn build(&self, rng: &Rng) -> Result<Network> {
        self.build_on(rng, &Device::Cpu)
    }

    /// [`Sequential::build`] on another device. The same seed gives the same weights on every device.
    pub fn build_on(&self, rng: &Rng, device: &Device) -> Result<Network> {
        Network::new(self, rng, device, |_, spec| {
            spec.init.draw(&spec.shape, rng)
        })
    }
}

/// The padding with which stride alone decides the output's size, for the kernels that have one.
fn same_padding(kernel: usize, stride: usize) -> usize {
    kernel.saturating_sub(stride).div_ceil(2)
}
