//! The variables that layers ask for, and their initial values.

use candle_core::{DType, Device, Tensor};

use crate::Result;
use crate::rng::Rng;

/// A variable that a layer needs.
pub(in crate::nn) struct Spec {
    pub name: &'static str,
    pub shape: Vec<usize>,
    pub init: Init,
    /// Whether training moves it by its gradient (a running statistic moves otherwise).
    pub trainable: bool,
}

pub(in crate::nn) enum Init {
    Zeros,
    Ones,
    /// Uniform in ± sqrt(6 / (fan_in + fan_out)), <https://proceedings.mlr.press/v9/glorot10a.html>.
    Glorot {
        fan_in: usize,
        fan_out: usize,
    },
}

impl Spec {
    pub(super) fn new(name: &'static str, shape: &[usize], init: Init) -> Self {
        Spec {
            name,
            shape: shape.to_vec(),
            init,
            trainable: true,
        }
    }

    pub(super) fn statistic(self) -> Self {
        Spec {
            trainable: false,
            ..self
        }
    }

    /// The initial values, drawn on the CPU, so that they are the same on every device.
    pub(in crate::nn) fn draw(&self, rng: &Rng) -> Result<Tensor> {
        let (shape, device) = (self.shape.as_slice(), &Device::Cpu);
        Ok(match self.init {
            Init::Zeros => Tensor::zeros(shape, DType::F32, device)?,
            Init::Ones => Tensor::ones(shape, DType::F32, device)?,
            Init::Glorot { fan_in, fan_out } => {
                let limit = (6. / (fan_in + fan_out) as f32).sqrt();
                rng.uniform(shape, -limit, limit)?
            }
        })
    }
}
