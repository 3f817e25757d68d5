//! Adam.

use std::sync::Arc;

use candle_core::{DType, Tensor, Var};

use crate::nn::Layout;
use crate::ops::{self, AdamStep, Sum};
use crate::profile::{Part, timed};
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
    pub(super) slots: Vec<Slot>,
    pub(super) steps: u64,
}

/// One variable with what Adam keeps for it, in its shape.
pub(super) struct Slot {
    pub var: Var,
    /// What lies where, if it is a network's row.
    pub layout: Option<Arc<Layout>>,
    /// Running means of the gradient and of its square.
    pub moments: [Tensor; 2],
    /// For the gradient of a step.
    gradient: Tensor,
    /// The sum of the squares of the last step's; none if that is still to be computed, from `gradient`.
    squares: Option<f64>,
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
            slots: vars.into_iter().map(Slot::new).collect::<Result<_>>()?,
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
        let rows = self.slots.iter().map(|m| (m.var.id(), m.gradient.clone()));
        let (gradients, sums) = ops::collect(rows, || loss.backward());
        let mut gradients = gradients?;
        let mut of_all = Vec::new();
        for (slot, sum) in self.slots.iter().zip(sums) {
            // What came through candle's own ops is in its store, the rest in our sum.
            of_all.push(match (gradients.remove(&slot.var), sum.found) {
                (Some(gradient), true) => Some(Sum::new((sum.whole()? + gradient)?, true)),
                (None, true) => Some(sum),
                (gradient, false) => gradient.map(|gradient| Sum::new(gradient, true)),
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
        timed(Part::Optimizer, || {
            for (slot, gradient) in self.slots.iter_mut().zip(of_all) {
                match gradient {
                    Some(gradient) => slot.step(gradient, step)?,
                    None => slot.squares = Some(0.),
                }
            }
            Ok(())
        })
    }

    /// The length of the last step's gradient: the Euclidean norm over all variables, 0 before the first step.
    pub fn gradient_norm(&self) -> Result<f64> {
        let mut squares = 0.;
        for slot in &self.slots {
            squares += match slot.squares {
                Some(squares) => squares,
                None => ops::sum_of_squares(&slot.gradient)?,
            };
        }
        Ok(squares.sqrt())
    }

    /// The optimizer of copies of the variables on another device.
    pub(crate) fn moved_to(mut self, vars: Vec<Var>) -> Result<Self> {
        for (slot, var) in self.slots.iter_mut().zip(vars) {
            let [first, second] = &slot.moments;
            let device = var.device();
            *slot = Slot {
                moments: [first.to_device(device)?, second.to_device(device)?],
                gradient: slot.gradient.to_device(device)?,
                squares: slot.squares,
                layout: Layout::of(&var),
                var,
            };
        }
        Ok(self)
    }

    fn without_gradients(&self) -> Error {
        let name = |slot: &Slot| match &slot.layout {
            Some(layout) => format!("the parameters of the {}", layout.version.name),
            None => format!("a variable of shape {:?}", slot.var.dims()),
        };
        let names: Vec<String> = self.slots.iter().map(name).collect();
        Error::Value(format!(
            "Adam: the loss does not depend on {}",
            names.join(" or ")
        ))
    }
}

impl Slot {
    fn new(var: Var) -> Result<Self> {
        if var.dtype() != DType::F32 {
            return Err(Error::Value(format!(
                "Adam moves f32, not {:?}: convert the variable with .to_dtype(DType::F32)?",
                var.dtype()
            )));
        }
        let [first, second, gradient] = [var.zeros_like()?, var.zeros_like()?, var.zeros_like()?];
        // Of the gradient, what is multiplied out by the optimizer stays untouched: it is to take no memory.
        for tensor in [var.as_tensor(), &first, &second] {
            ops::prefer_large_pages(tensor);
        }
        Ok(Slot {
            layout: Layout::of(&var),
            moments: [first, second],
            gradient,
            squares: Some(0.),
            var,
        })
    }

    fn step(&mut self, gradient: Sum, step: AdamStep) -> Result<()> {
        self.gradient = gradient.row.clone();
        let [first, second] = &self.moments;
        self.squares = ops::adam(&self.var, gradient, [first, second], step)?;
        if let Some(layout) = &self.layout {
            layout.version.bump();
        }
        Ok(())
    }
}
