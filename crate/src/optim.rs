//! Adam, with moments that can be saved.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Tensor, Var};

use crate::nn::{Contents, Network, save_tensors};
use crate::ops::{self, AdamStep};
use crate::{Error, Result};

/// Adam (Kingma and Ba 2014, <https://arxiv.org/abs/1412.6980>) for the parameters of one network, without
/// weight decay.
///
/// ```
/// use digit_gan::{nn::Sequential, optim::Adam, rng::Rng};
/// let rng = Rng::seed(1);
/// let network = Sequential::new("line", [1]).dense(1).build(&rng)?;
/// let mut adam = Adam::new(&network, 0.05, 0.9)?;
/// let x = rng.normal((64, 1))?;
/// for _ in 0..300 {
///     let error = (network.train(&x)? - (&x * 3.)?)?; // learns y = 3 x
///     adam.step(&error.sqr()?.mean_all()?)?;
/// }
/// let (name, weight) = &network.parameters()[0];
/// assert_eq!(name, "0.dense.weight");
/// assert!((weight.to_vec2::<f32>()?[0][0] - 3.).abs() < 0.05);
/// # Ok::<(), digit_gan::Error>(())
/// ```
pub struct Adam {
    /// The learning rate; may be changed between steps.
    pub learning_rate: f64,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    parameters: Vec<Parameter>,
    steps: u64,
}

struct Parameter {
    name: String,
    var: Var,
    /// Running means of the gradient and of its square.
    moments: [Tensor; 2],
}

impl Adam {
    /// An optimizer for all parameters of `network`. `beta1` is the memory of the running mean of the
    /// gradients (0.9 is Adam's own default, GANs use 0.5 or 0); that of their squares, beta2, is 0.999 and
    /// epsilon 1e-8, as PyTorch has them.
    ///
    /// Errors if `learning_rate` is not positive and finite or `beta1` is outside [0, 1).
    pub fn new(network: &Network, learning_rate: f64, beta1: f64) -> Result<Self> {
        if !(learning_rate > 0. && learning_rate.is_finite() && (0. ..1.).contains(&beta1)) {
            return Err(Error::Value(format!(
                "Adam: the learning rate {learning_rate} must be positive and beta1 {beta1} at \
                 least 0 and below 1"
            )));
        }
        let parameter = |(name, var): (String, Var)| {
            let moments = [var.zeros_like()?, var.zeros_like()?];
            Ok(Parameter { name, var, moments })
        };
        Ok(Adam {
            learning_rate,
            beta1,
            beta2: 0.999,
            epsilon: 1e-8,
            parameters: (network.parameters().into_iter().map(parameter)).collect::<Result<_>>()?,
            steps: 0,
        })
    }

    /// Computes the gradients of `loss` (a scalar) and moves the parameters one step against them. A parameter
    /// that the loss does not depend on stays where it is.
    pub fn step(&mut self, loss: &Tensor) -> Result<()> {
        if loss.elem_count() != 1 {
            return Err(Error::Shape(format!(
                "Adam: the loss must be one number, not a tensor of shape {:?}; average it with \
                 .mean_all()",
                loss.dims()
            )));
        }
        let gradients = loss.backward()?;
        self.steps += 1;
        let step = AdamStep {
            learning_rate: self.learning_rate,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            step: self.steps,
        };
        for parameter in &self.parameters {
            if let Some(gradient) = gradients.get(&parameter.var) {
                let [first, second] = &parameter.moments;
                ops::adam(&parameter.var, gradient, [first, second], step)?;
            }
        }
        Ok(())
    }

    /// Writes the moments and the number of steps as a safetensors file, atomically.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let tensors = self.parameters.iter().flat_map(|parameter| {
            let names = Self::names(parameter);
            names.into_iter().zip(parameter.moments.iter().cloned())
        });
        let header = HashMap::from([(STEPS.into(), self.steps.to_string())]);
        save_tensors(path.as_ref(), tensors, header)
    }

    /// Takes up the moments and the number of steps of a file, so that training goes on as if it had never
    /// stopped. Every name and shape is compared first: an error leaves the optimizer as it was.
    pub fn restore(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let mut file = Contents::read(path)?;
        let steps = file.header(STEPS).and_then(|steps| steps.parse().ok());
        let steps = steps.ok_or_else(|| {
            Error::format(
                path,
                "holds no number of steps: not written by an optimizer's save()",
            )
        })?;
        let mut moments = Vec::new();
        for parameter in &self.parameters {
            let [first, second] = Self::names(parameter);
            let device = parameter.var.device();
            let mut take = |name: String| -> Result<Tensor> {
                Ok(file
                    .take(path, &name, parameter.var.dims())?
                    .to_device(device)?)
            };
            moments.push([take(first)?, take(second)?]);
        }
        file.all_taken(path)?;
        for (parameter, moments) in self.parameters.iter_mut().zip(moments) {
            parameter.moments = moments;
        }
        self.steps = steps;
        Ok(())
    }

    fn names(parameter: &Parameter) -> [String; 2] {
        ["first", "second"].map(|moment| format!("{}.{moment}", parameter.name))
    }
}

/// The header's entry that holds the number of steps.
const STEPS: &str = "digit_gan.adam.steps";
