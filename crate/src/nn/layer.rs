//! The layers: what each does to a shape, which variables it has, and how it computes.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::rng::Rng;

/// One layer of a [`Sequential`](super::Sequential) network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// (inputs,) to (units,).
    Dense { units: usize, bias: bool },
    /// (c, h, w) to (channels, (h + 2 padding - kernel) / stride + 1, ...).
    Conv2d {
        channels: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        bias: bool,
    },
    /// (c, h, w) to (channels, (h - 1) stride - 2 padding + kernel + output_padding, ...).
    ConvTranspose2d {
        channels: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        output_padding: usize,
        bias: bool,
    },
    /// Batch normalisation per channel, the first dimension; `momentum` is the share of the old running
    /// statistics that is kept at each training step.
    BatchNorm { momentum: f64, epsilon: f64 },
    /// `x` where positive, `slope * x` elsewhere.
    LeakyRelu { slope: f64 },
    /// The hyperbolic tangent.
    Tanh,
    /// Zeros with probability `rate` while training.
    Dropout { rate: f64 },
    /// The same values in another shape.
    Reshape { shape: Vec<usize> },
    /// The same values in one row.
    Flatten,
}

/// The most units, channels, or pixels along a side: together with [`MAX_VALUES`] it keeps products of sizes from
/// overflowing.
const MAX_SIZE: usize = 1 << 15;
/// The most values in one output of a layer, and in all variables of a network together: 64 times what the largest of
/// our networks has.
pub(super) const MAX_VALUES: usize = 1 << 29;

/// A variable that a layer needs.
pub(super) struct Spec {
    pub name: &'static str,
    pub shape: Vec<usize>,
    pub init: Init,
    /// Whether training moves it by its gradient (a running statistic moves otherwise).
    pub trainable: bool,
}

pub(super) enum Init {
    Zeros,
    Ones,
    /// Uniform in ± sqrt(6 / (fan_in + fan_out)), <https://proceedings.mlr.press/v9/glorot10a.html>.
    Glorot {
        fan_in: usize,
        fan_out: usize,
    },
}

impl Layer {
    /// The name that summaries and files use.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Layer::Dense { .. } => "dense",
            Layer::Conv2d { .. } => "conv2d",
            Layer::ConvTranspose2d { .. } => "conv_transpose2d",
            Layer::BatchNorm { .. } => "batch_norm",
            Layer::LeakyRelu { .. } => "leaky_relu",
            Layer::Tanh => "tanh",
            Layer::Dropout { .. } => "dropout",
            Layer::Reshape { .. } => "reshape",
            Layer::Flatten => "flatten",
        }
    }

    pub(super) fn bias_mut(&mut self) -> Option<&mut bool> {
        match self {
            Layer::Dense { bias, .. }
            | Layer::Conv2d { bias, .. }
            | Layer::ConvTranspose2d { bias, .. } => Some(bias),
            _ => None,
        }
    }

    /// The sizes that the layer is given.
    fn sizes(&self) -> Vec<usize> {
        match *self {
            Layer::Dense { units, .. } => vec![units],
            Layer::Conv2d {
                channels,
                kernel,
                stride,
                padding,
                ..
            }
            | Layer::ConvTranspose2d {
                channels,
                kernel,
                stride,
                padding,
                ..
            } => vec![channels, kernel, stride, padding],
            Layer::Reshape { ref shape } => shape.clone(),
            _ => Vec::new(),
        }
    }

    /// Refuses sizes that no memory holds, as a damaged or malicious file may have them.
    pub(super) fn bounded_output(
        &self,
        input: &[usize],
    ) -> std::result::Result<Vec<usize>, String> {
        if let Some(size) = self.sizes().into_iter().find(|&size| size > MAX_SIZE) {
            return Err(format!("a size of {size}; {MAX_SIZE} is the most"));
        }
        let output = self.output(input)?;
        match values(&output).filter(|&n| n <= MAX_VALUES) {
            Some(_) => Ok(output),
            None => Err(format!(
                "{output:?} are too many values: {MAX_VALUES} is the most"
            )),
        }
    }

    /// The shape of one output for one input, or the reason why there is none.
    fn output(&self, input: &[usize]) -> std::result::Result<Vec<usize>, String> {
        let positive = |name: &str, value: usize| match value {
            0 => Err(format!("{name} must be at least 1")),
            _ => Ok(()),
        };
        match *self {
            Layer::Dense { units, .. } => {
                positive("units", units)?;
                match input {
                    [_] => Ok(vec![units]),
                    _ => Err("needs one row of inputs: put .flatten() before it".into()),
                }
            }
            Layer::Conv2d {
                channels,
                kernel,
                stride,
                padding,
                ..
            } => {
                positive("channels", channels)?;
                positive("kernel", kernel)?;
                positive("stride", stride)?;
                let [_, h, w] = image(input)?;
                let size = |size: usize| match (size + 2 * padding).checked_sub(kernel) {
                    Some(rest) => Ok(rest / stride + 1),
                    None => Err(format!("a kernel of {kernel} does not fit")),
                };
                Ok(vec![channels, size(h)?, size(w)?])
            }
            Layer::ConvTranspose2d {
                channels,
                kernel,
                stride,
                padding,
                output_padding,
                ..
            } => {
                positive("channels", channels)?;
                positive("kernel", kernel)?;
                positive("stride", stride)?;
                let [_, h, w] = image(input)?;
                if output_padding >= stride {
                    return Err(format!(
                        "output_padding {output_padding} must be below the stride {stride}"
                    ));
                }
                let size = |size: usize| {
                    (size.saturating_sub(1) * stride + kernel + output_padding)
                        .checked_sub(2 * padding)
                        .filter(|&size| size > 0)
                        .ok_or_else(|| format!("padding {padding} leaves nothing"))
                };
                Ok(vec![channels, size(h)?, size(w)?])
            }
            Layer::BatchNorm { momentum, epsilon } => {
                if !(0. ..=1.).contains(&momentum) || epsilon <= 0. {
                    return Err(format!(
                        "momentum {momentum} must be from 0 to 1 and epsilon {epsilon} positive"
                    ));
                }
                Ok(input.to_vec())
            }
            Layer::LeakyRelu { slope } if slope < 0. => {
                Err(format!("slope {slope} must not be negative"))
            }
            Layer::Dropout { rate } if !(0. ..1.).contains(&rate) => {
                Err(format!("rate {rate} must be at least 0 and below 1"))
            }
            Layer::Reshape { ref shape } => {
                let have: usize = input.iter().product();
                let want = values(shape);
                if want != Some(have) {
                    let want = want.map_or("more".into(), |want| want.to_string());
                    return Err(format!(
                        "{have} values do not make {shape:?}, which has {want}"
                    ));
                }
                Ok(shape.clone())
            }
            Layer::Flatten => Ok(vec![input.iter().product()]),
            Layer::LeakyRelu { .. } | Layer::Tanh | Layer::Dropout { .. } => Ok(input.to_vec()),
        }
    }

    /// The variables of the layer for one input shape, which [`Layer::bounded_output`] has accepted.
    pub(super) fn variables(&self, input: &[usize]) -> Vec<Spec> {
        let spec = |name, shape: &[usize], init, trainable| Spec {
            name,
            shape: shape.to_vec(),
            init,
            trainable,
        };
        let weighted = |shape: &[usize], fan_in, fan_out, bias: bool, units| {
            let mut specs = vec![spec(
                "weight",
                shape,
                Init::Glorot { fan_in, fan_out },
                true,
            )];
            if bias {
                specs.push(spec("bias", &[units], Init::Zeros, true));
            }
            specs
        };
        let c = input[0];
        match *self {
            Layer::Dense { units, bias } => weighted(&[c, units], c, units, bias, units),
            Layer::Conv2d {
                channels,
                kernel: k,
                bias,
                ..
            } => weighted(
                &[channels, c, k, k],
                c * k * k,
                channels * k * k,
                bias,
                channels,
            ),
            Layer::ConvTranspose2d {
                channels,
                kernel: k,
                bias,
                ..
            } => weighted(
                &[c, channels, k, k],
                c * k * k,
                channels * k * k,
                bias,
                channels,
            ),
            Layer::BatchNorm { .. } => vec![
                spec("gamma", &[c], Init::Ones, true),
                spec("beta", &[c], Init::Zeros, true),
                spec("running_mean", &[c], Init::Zeros, false),
                spec("running_variance", &[c], Init::Ones, false),
            ],
            _ => Vec::new(),
        }
    }
}

/// The number of values in a shape, unless it is beyond all numbers.
pub(super) fn values(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1, |n: usize, &size| n.checked_mul(size))
}

fn image(input: &[usize]) -> std::result::Result<[usize; 3], String> {
    input
        .try_into()
        .map_err(|_| "needs images of shape [channels, height, width]".into())
}

impl Init {
    /// The initial values of a variable, drawn on the CPU, so that they are the same on every device.
    pub(super) fn draw(&self, shape: &[usize], rng: &Rng) -> Result<Tensor> {
        let device = &candle_core::Device::Cpu;
        Ok(match *self {
            Init::Zeros => Tensor::zeros(shape, candle_core::DType::F32, device)?,
            Init::Ones => Tensor::ones(shape, candle_core::DType::F32, device)?,
            Init::Glorot { fan_in, fan_out } => {
                let limit = (6. / (fan_in + fan_out) as f32).sqrt();
                rng.uniform(shape, -limit, limit)?
            }
        })
    }
}
