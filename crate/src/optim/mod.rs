//! Adam, with moments that can be saved; the moving average of what it moves, and the schedule of its rate.

mod average;
mod schedule;

pub use average::MovingAverage;
pub use schedule::Schedule;

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Tensor, Var};

use crate::nn::{Contents, Layout, save_tensors};
use crate::ops::{self, AdamStep};
use crate::{Error, Result};

/// Adam (Kingma and Ba 2014, <https://arxiv.org/abs/1412.6980>) without weight decay, for any variables: a network's
/// [`parameters`](crate::nn::Network::parameters), or a [`Var`] of your own.
///
/// ```
/// use digit_gan::{nn::Sequential, optim::Adam, rng::Rng};
/// let rng = Rng::seed(1);
/// let network = Sequential::new("line", [1]).dense(1).build(&rng)?;
/// let mut adam = Adam::new(network.parameters(), 0.05, 0.9)?;
/// let x = rng.normal((64, 1))?;
/// for _ in 0..300 {
///     let error = (network.forward_t(&x, true)? - (&x * 3.)?)?; // learns y = 3 x
///     adam.step(&error.sqr()?.mean_all()?)?;
/// }
/// let (name, weight) = &network.named_parameters()?[0];
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
    moved: Vec<Moved>,
    steps: u64,
}

/// One variable with what Adam keeps for it, in its shape.
struct Moved {
    var: Var,
    /// What lies where, if it is a network's row.
    layout: Option<Arc<Layout>>,
    /// Running means of the gradient and of its square.
    moments: [Tensor; 2],
    /// The last step's gradient; kept for its memory, and for its norm.
    gradient: Tensor,
}

impl Adam {
    /// An optimizer for all of `vars`. `beta1` is the memory of the running mean of the gradients (0.9 is Adam's own
    /// default, GANs use 0.5 or 0); that of their squares, beta2, is 0.999 and epsilon 1e-8, as PyTorch has them; see
    /// [`Adam::beta2`].
    ///
    /// # Errors
    /// [`Error::Value`] if there are no variables, one is not f32, `learning_rate` is not positive and finite, or `beta1`
    /// is outside [0, 1).
    pub fn new(vars: Vec<Var>, learning_rate: f64, beta1: f64) -> Result<Self> {
        if !(learning_rate > 0. && learning_rate.is_finite() && (0. ..1.).contains(&beta1)) {
            return Err(Error::Value(format!(
                "Adam: the learning rate {learning_rate} must be positive and beta1 {beta1} at \
                 least 0 and below 1"
            )));
        }
        if vars.is_empty() {
            let message = "Adam: no variables: pass a network's .parameters(), or a vec![] of Vars";
            return Err(Error::Value(message.into()));
        }
        Ok(Adam {
            learning_rate,
            beta1,
            beta2: 0.999,
            epsilon: 1e-8,
            moved: vars.into_iter().map(Moved::new).collect::<Result<_>>()?,
            steps: 0,
        })
    }

    /// The same with another memory of the gradients' squares: 0.999 at first. R3GAN, and runs with a beta1 of 0, use
    /// 0.9 to 0.99.
    ///
    /// # Errors
    /// [`Error::Value`] if it is outside [0, 1).
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
    /// # Errors
    /// [`Error::Value`] if it is not positive and finite.
    pub fn epsilon(mut self, epsilon: f64) -> Result<Self> {
        if !(epsilon > 0. && epsilon.is_finite()) {
            return Err(Error::Value(format!(
                "Adam: epsilon {epsilon} must be positive and finite"
            )));
        }
        self.epsilon = epsilon;
        Ok(self)
    }

    /// Computes the gradients of `loss` (a scalar) and moves the variables one step against them; one that has no
    /// gradient stays.
    ///
    /// # Errors
    /// [`Error::Shape`] if the loss is not one number; [`Error::Value`] if it does not depend on the variables, or if a
    /// network's parameters have changed since the forward pass that it comes from.
    pub fn step(&mut self, loss: &Tensor) -> Result<()> {
        if loss.elem_count() != 1 {
            return Err(Error::Shape(format!(
                "Adam: the loss must be one number, not a tensor of shape {:?}; average it with \
                 .mean_all()",
                loss.dims()
            )));
        }
        let sums = self.moved.iter().map(|m| (m.var.id(), m.gradient.clone()));
        let (gradients, found) = ops::collect(sums.collect(), || loss.backward());
        let mut gradients = gradients?;
        let mut of_all = Vec::new();
        for (moved, found) in self.moved.iter().zip(found) {
            // What came through candle's own ops is in its store, the rest in our sum.
            of_all.push(match (gradients.remove(&moved.var), found) {
                (Some(gradient), true) => Some((&moved.gradient + gradient)?),
                (None, true) => Some(moved.gradient.clone()),
                (gradient, false) => gradient,
            });
        }
        if of_all.iter().all(Option::is_none) {
            return Err(self.without_gradients());
        }
        self.steps += 1;
        let step = AdamStep {
            learning_rate: self.learning_rate,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            step: self.steps,
        };
        for (moved, gradient) in self.moved.iter_mut().zip(of_all) {
            match gradient {
                Some(gradient) => moved.step(gradient, step)?,
                None => moved.gradient = moved.var.zeros_like()?,
            }
        }
        Ok(())
    }

    /// The length of the last step's gradient: the Euclidean norm over all variables, 0 before the first step.
    pub fn gradient_norm(&self) -> Result<f64> {
        let mut squares = 0.;
        for moved in &self.moved {
            squares += ops::sum_of_squares(&moved.gradient)?;
        }
        Ok(squares.sqrt())
    }

    /// Writes the moments and the number of steps as a safetensors file, atomically. Those of a network carry the names
    /// of its parameters, those of other variables their place among the variables.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let steps = self.steps.to_string();
        save_tensors(path.as_ref(), &self.tensors("")?, [(STEPS, steps)])
    }

    /// Takes up the moments and the number of steps of a file, so that training resumes as if it had never stopped. Every
    /// name and shape is compared first: an error leaves the optimizer as it was.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Format`] if it was not written by [`Adam::save`] for variables
    /// of these names and shapes.
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
        let moments = self.moments(&mut file, path, "")?;
        file.all_taken(path)?;
        self.set(moments, steps);
        Ok(())
    }

    /// The moments, each under the name of its variable behind `prefix`: to be written at once, as they share the
    /// optimizer's memory.
    pub(crate) fn tensors(&self, prefix: &str) -> Result<Vec<(String, Tensor)>> {
        let mut tensors = Vec::new();
        for (moment, suffix) in MOMENTS.iter().enumerate() {
            for (place, moved) in self.moved.iter().enumerate() {
                let prefix = self.prefix(prefix, place);
                let row = &moved.moments[moment];
                let named = match &moved.layout {
                    Some(layout) => layout.split(row)?,
                    None => vec![(OWN.into(), row.clone())],
                };
                let named = named.into_iter();
                tensors.extend(named.map(|(name, x)| (format!("{prefix}{name}.{suffix}"), x)));
            }
        }
        Ok(tensors)
    }

    /// Takes the moments under `prefix` from the file, and the number of steps behind them.
    pub(crate) fn take(
        &mut self,
        file: &mut Contents,
        path: &Path,
        prefix: &str,
        steps: u64,
    ) -> Result<()> {
        let moments = self.moments(file, path, prefix)?;
        self.set(moments, steps);
        Ok(())
    }

    /// The optimizer of copies of the variables on another device.
    pub(crate) fn moved_to(mut self, vars: Vec<Var>) -> Result<Self> {
        for (moved, var) in self.moved.iter_mut().zip(vars) {
            let [first, second] = &moved.moments;
            let device = var.device();
            *moved = Moved {
                moments: [first.to_device(device)?, second.to_device(device)?],
                gradient: moved.gradient.to_device(device)?,
                layout: Layout::of(&var),
                var,
            };
        }
        Ok(self)
    }

    fn set(&mut self, moments: Vec<[Tensor; 2]>, steps: u64) {
        for (moved, moments) in self.moved.iter_mut().zip(moments) {
            moved.moments = moments;
        }
        self.steps = steps;
    }

    fn moments(&self, file: &mut Contents, path: &Path, prefix: &str) -> Result<Vec<[Tensor; 2]>> {
        let mut all = Vec::new();
        for (place, moved) in self.moved.iter().enumerate() {
            let prefix = self.prefix(prefix, place);
            let device = moved.var.device();
            let mut row = |suffix: &str| {
                let mut take = |name: &str, shape: &[usize]| {
                    file.take(path, &format!("{prefix}{name}.{suffix}"), shape)
                };
                match &moved.layout {
                    Some(layout) => layout.join(true, device, take),
                    None => Ok(take(OWN, moved.var.dims())?.to_device(device)?),
                }
            };
            all.push([row(MOMENTS[0])?, row(MOMENTS[1])?]);
        }
        Ok(all)
    }

    /// Names are unique within a network, so that only several variables need their place before it.
    fn prefix(&self, prefix: &str, place: usize) -> String {
        match self.moved.len() {
            1 => prefix.into(),
            _ => format!("{prefix}{place}."),
        }
    }

    fn without_gradients(&self) -> Error {
        let name = |moved: &Moved| match &moved.layout {
            Some(layout) => format!("the parameters of the {}", layout.version.name),
            None => format!("a variable of shape {:?}", moved.var.dims()),
        };
        let names: Vec<String> = self.moved.iter().map(name).collect();
        Error::Value(format!(
            "Adam: the loss does not depend on {}",
            names.join(" or ")
        ))
    }
}

impl Moved {
    fn new(var: Var) -> Result<Self> {
        if var.dtype() != DType::F32 {
            return Err(Error::Value(format!(
                "Adam moves f32, not {:?}: convert the variable with .to_dtype(DType::F32)?",
                var.dtype()
            )));
        }
        Ok(Moved {
            layout: Layout::of(&var),
            moments: [var.zeros_like()?, var.zeros_like()?],
            gradient: var.zeros_like()?,
            var,
        })
    }

    fn step(&mut self, gradient: Tensor, step: AdamStep) -> Result<()> {
        self.gradient = gradient;
        let [first, second] = &self.moments;
        ops::adam(&self.var, &self.gradient, [first, second], step)?;
        if let Some(layout) = &self.layout {
            layout.version.bump();
        }
        Ok(())
    }
}

/// What the moments are called in a file, behind the name of their variable.
const MOMENTS: [&str; 2] = ["first", "second"];
/// What a variable that is no network's is called there.
const OWN: &str = "variable";
/// The header's entry that holds the number of steps.
const STEPS: &str = "digit_gan.adam.steps";
