//! The gradient of a network with respect to its input, as a value that has itself a gradient in the parameters
//! (double backpropagation, Drucker and LeCun 1992, <https://doi.org/10.1109/72.165600>), for networks of layers
//! that are piecewise linear.
//!
//! Between the kinks of its activations such a network is an affine map. The gradient g of <seed, output> is the seed
//! sent backward through weights and slopes, and <g, v>, for any direction v, is <seed, t(v)>, where t is the *tangent*
//! network: the same weights, no biases, and for each activation and dropout the slopes that it had. So the gradient of
//! <g, v> is found as in every backward pass: for each layer, from the tangent's values in front of its weights and from
//! what came back behind them, which computing g has left. One forward pass of v does it all.

use std::sync::{Arc, Mutex};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::buffer::Shared;
use super::collect::collected;
use super::pending::Pending;
use super::plan::{Plan, Tape, turned_back};
use super::run::Call;
use super::step::{Gradient, Statistics};
use super::storage::{read, slice, write};
use crate::profile::timed;
use crate::team::lock;

/// The gradient of the sum of `seed` (batch, output...) times the output for `x` (batch, ...), with respect to `x`; it
/// is differentiable in the parameters. Both are f32 and constants. The plan is that of layers that are piecewise linear.
pub(crate) fn input_gradient(call: Call, x: Tensor, seed: Tensor) -> Result<Tensor> {
    if x.elem_count() == 0 {
        return x.zeros_like();
    }
    let parameters = call.parameters.clone();
    parameters.apply_op1(InputGradient {
        call,
        x,
        seed,
        trace: Mutex::new(None),
    })
}

struct InputGradient {
    call: Call,
    x: Tensor,
    seed: Tensor,
    trace: Mutex<Option<Arc<Trace>>>,
}

impl CustomOp1 for InputGradient {
    fn name(&self) -> &'static str {
        "input gradient"
    }

    fn cpu_fwd(&self, p: &CpuStorage, pl: &Layout) -> Result<(CpuStorage, Shape)> {
        let parameters = slice(p, pl)?;
        let (trace, g) = read(&self.x, |x| {
            read(&self.seed, |seed| {
                let Call { plan, .. } = &self.call;
                Ok(plan.input_gradient(x, seed, parameters, &self.call))
            })
        })?;
        *lock(&self.trace) = Some(Arc::new(trace));
        Ok((CpuStorage::F32(g), self.x.shape().clone()))
    }

    fn bwd(&self, p: &Tensor, _g: &Tensor, dg: &Tensor) -> Result<Option<Tensor>> {
        let trace = lock(&self.trace).clone();
        let Some(trace) = trace else {
            bail!("input gradient: backward without forward")
        };
        self.call.seen.check()?;
        let into = |row: &Tensor, add, pending: Option<&mut Vec<Pending>>| {
            read(p, |p| {
                read(dg, |dg| {
                    write(row, |row| {
                        let gradient = Gradient { row, add, pending };
                        self.call.plan.input_gradient_back(&trace, p, dg, gradient);
                        Ok(())
                    })
                })
            })
        };
        if let Some(done) = collected(p, into) {
            return done.map(|()| None);
        }
        let gradient = p.zeros_like()?;
        into(&gradient, true, None)?;
        Ok(Some(gradient))
    }
}

/// What computing an input gradient leaves for its backward pass.
pub(crate) struct Trace {
    /// The network's own forward pass: where its activations stood.
    tape: Tape,
    /// Of each step with weights, what came back behind them.
    deltas: Vec<Option<Shared>>,
}

impl Plan {
    /// From `x` and `seed` (batch, values): the gradient of <seed, output> with respect to `x` (batch, values).
    fn input_gradient(
        &self,
        x: &[f32],
        seed: &[f32],
        parameters: &[f32],
        Call { precision, rng, .. }: &Call,
    ) -> (Trace, Vec<f32>) {
        let tape = self.forward(x, parameters, &mut [], Statistics::Batch, *precision, rng);
        let mut pass = self.backward_pass(&tape, parameters, None);
        let mut d = self.turned(seed, tape.n);
        let mut deltas = Vec::new();
        for (i, step) in self.steps.iter().enumerate().rev() {
            let dx = timed(step.part(), || step.backward(&mut pass, tape.at(i), d));
            d = dx.expect("wanted");
            deltas.push(pass.delta.take());
        }
        deltas.reverse();
        let g = turned_back(&d, tape.n);
        (Trace { tape, deltas }, g)
    }

    /// From `dg` (batch, values), the gradient of a loss with respect to what [`Plan::input_gradient`] returned: that
    /// with respect to the parameters. That of the biases, which only shift the output, is 0.
    fn input_gradient_back(
        &self,
        Trace { tape, deltas }: &Trace,
        parameters: &[f32],
        dg: &[f32],
        mut gradient: Gradient,
    ) {
        if !gradient.add {
            gradient.row.fill(0.);
            gradient.add = true;
        }
        let mut pass = self.backward_pass(tape, parameters, Some(gradient));
        let mut t = self.turned(dg, tape.n);
        for (i, (step, delta)) in self.steps.iter().zip(deltas).enumerate() {
            let delta = delta.as_ref();
            t = timed(step.part(), || {
                step.tangent(&mut pass, tape.at(i), delta, t)
            });
        }
    }
}
