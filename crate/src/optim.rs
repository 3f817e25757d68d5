//! Adam, with moments that can be saved; the moving average of what it moves, and the schedule of its rate.

mod average;
mod schedule;

pub use average::MovingAverage;
pub use schedule::Schedule;

use std::path::Path;

use candle_core::Tensor;

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
/// let (name, weight) = &network.parameters()?[0];
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
    network: Network,
    /// Running means of the gradient and of its square, in the order of [`Network::variable`].
    moments: [Tensor; 2],
    /// Where a step's gradients are summed; kept for its memory, and for its norm.
    gradient: Tensor,
    steps: u64,
}

impl Adam {
    /// An optimizer for all parameters of `network`. `beta1` is the memory of the running mean of the
    /// gradients (0.9 is Adam's own default, GANs use 0.5 or 0); that of their squares, beta2, is 0.999 and
    /// epsilon 1e-8, as PyTorch has them; see [`Adam::beta2`].
    ///
    /// Errors if `learning_rate` is not positive and finite or `beta1` is outside [0, 1).
    pub fn new(network: &Network, learning_rate: f64, beta1: f64) -> Result<Self> {
        if !(learning_rate > 0. && learning_rate.is_finite() && (0. ..1.).contains(&beta1)) {
            return Err(Error::Value(format!(
                "Adam: the learning rate {learning_rate} must be positive and beta1 {beta1} at \
                 least 0 and below 1"
            )));
        }
        let zeros = || network.variable().zeros_like();
        Ok(Adam {
            learning_rate,
            beta1,
            beta2: 0.999,
            epsilon: 1e-8,
            network: network.clone(),
            moments: [zeros()?, zeros()?],
            gradient: zeros()?,
            steps: 0,
        })
    }

    /// The same with another memory of the gradients' squares: 0.999 at first. R3GAN, and runs with a beta1 of 0, use
    /// 0.9 to 0.99.
    ///
    /// Errors if it is outside [0, 1).
    pub fn beta2(mut self, beta2: f64) -> Result<Self> {
        if !(0. ..1.).contains(&beta2) {
            return Err(Error::Value(format!(
                "Adam: beta2 {beta2} must be at least 0 and below 1"
            )));
        }
        self.beta2 = beta2;
        Ok(self)
    }

    /// The same with another term beside the root of the gradients' mean square: 1e-8 at first.
    ///
    /// Errors if it is not positive and finite.
    pub fn epsilon(mut self, epsilon: f64) -> Result<Self> {
        if !(epsilon > 0. && epsilon.is_finite()) {
            return Err(Error::Value(format!(
                "Adam: epsilon {epsilon} must be positive and finite"
            )));
        }
        self.epsilon = epsilon;
        Ok(self)
    }

    /// Computes the gradients of `loss` (a scalar) and moves the network's parameters one step against
    /// them. Errors if the loss is not one number or does not depend on the network.
    pub fn step(&mut self, loss: &Tensor) -> Result<()> {
        if loss.elem_count() != 1 {
            return Err(Error::Shape(format!(
                "Adam: the loss must be one number, not a tensor of shape {:?}; average it with \
                 .mean_all()",
                loss.dims()
            )));
        }
        let parameters = self.network.variable();
        let (gradients, found) = ops::collect(parameters, &self.gradient, || loss.backward());
        // What came through candle's own ops is in its store, the rest in our sum.
        let gradient = match (gradients?.remove(parameters), found) {
            (Some(gradient), true) => (&self.gradient + gradient)?,
            (Some(gradient), false) => gradient,
            (None, true) => self.gradient.clone(),
            (None, false) => {
                let name = self.network.name();
                return Err(Error::Value(format!(
                    "Adam: the loss does not depend on the parameters of the {name}"
                )));
            }
        };
        self.gradient = gradient;
        self.steps += 1;
        let step = AdamStep {
            learning_rate: self.learning_rate,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            step: self.steps,
        };
        ops::adam(
            parameters,
            &self.gradient,
            [&self.moments[0], &self.moments[1]],
            step,
        )?;
        Ok(())
    }

    /// The length of the last step's gradient: the Euclidean norm over all parameters, 0 before the first step.
    pub fn gradient_norm(&self) -> Result<f64> {
        let squares = self.gradient.sqr()?.sum_all()?;
        Ok(f64::from(squares.to_scalar::<f32>()?).sqrt())
    }

    /// Writes the moments and the number of steps as a safetensors file, atomically.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let steps = self.steps.to_string();
        save_tensors(path.as_ref(), &self.tensors("")?, [(STEPS, steps)])
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
        let moments = self.moments_of(&mut file, path, "")?;
        file.all_taken(path)?;
        self.moments = moments;
        self.steps = steps;
        Ok(())
    }

    /// The moments, each under the name of its parameter behind `prefix`: to be written at once, as [`Network::tensors`].
    pub(crate) fn tensors(&self, prefix: &str) -> Result<Vec<(String, Tensor)>> {
        let mut tensors = Vec::new();
        for (moment, row) in MOMENTS.iter().zip(&self.moments) {
            for (name, values) in self.network.named(row)? {
                tensors.push((format!("{prefix}{name}.{moment}"), values));
            }
        }
        Ok(tensors)
    }

    /// Takes up the moments that the file holds behind `prefix`, after so many steps.
    pub(crate) fn take(
        &mut self,
        file: &mut Contents,
        path: &Path,
        prefix: &str,
        steps: u64,
    ) -> Result<()> {
        self.moments = self.moments_of(file, path, prefix)?;
        self.steps = steps;
        Ok(())
    }

    /// The optimizer of a copy of the network on another device.
    pub(crate) fn moved_to(self, network: &Network) -> Result<Self> {
        let device = network.variable().device();
        let [first, second] = &self.moments;
        Ok(Adam {
            moments: [first.to_device(device)?, second.to_device(device)?],
            gradient: self.gradient.to_device(device)?,
            network: network.clone(),
            ..self
        })
    }

    fn moments_of(&self, file: &mut Contents, path: &Path, prefix: &str) -> Result<[Tensor; 2]> {
        let mut row = |moment: &str| {
            let take = |name: &str, shape: &[usize]| {
                file.take(path, &format!("{prefix}{name}.{moment}"), shape)
            };
            self.network.row(true, take)
        };
        Ok([row(MOMENTS[0])?, row(MOMENTS[1])?])
    }
}

/// What the moments are called in a file, behind the name of their parameter.
const MOMENTS: [&str; 2] = ["first", "second"];
/// The header's entry that holds the number of steps.
const STEPS: &str = "digit_gan.adam.steps";
