//! The gradient of a network with respect to its input, as a value that has itself a gradient in the parameters
//! (double backpropagation, Drucker and LeCun 1992, <https://doi.org/10.1109/72.165600>), for networks of weights,
//! leaky activations and dropout.
//!
//! Between the kinks of its activations such a network is an affine map. The gradient g of <seed, output> is the seed
//! sent backward through weights and slopes, and <g, v>, for any direction v, is <seed, t(v)>, where t is the *tangent*
//! network: the same weights, no biases, and for each activation and dropout the slopes that it had. So the gradient of
//! <g, v> is found as in every backward pass: for each layer, from the tangent's values in front of its weights and from
//! what came back behind them, which computing g has left. One forward pass of v does it all.

use std::sync::{Arc, Mutex};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::buffer::Buffer;
use super::elementwise::{bias_and_slope_back, swap_rows, transpose, update};
use super::plan::{Gradient, Kept, Plan, Statistics, Step, Tape};
use super::{collected, on_the_pool, read, slice, write};
use crate::rng::Rng;

/// The gradient of the sum of `seed` (batch, output...) times the output for `x` (batch, ...), with respect to `x`; it
/// is differentiable in the row of `parameters`. Both are f32. The plan has no normalisation and no tanh.
pub(crate) fn input_gradient(
    plan: &Arc<Plan>,
    x: &Tensor,
    seed: &Tensor,
    parameters: &Tensor,
    rng: &Rng,
) -> Result<Tensor> {
    if x.elem_count() == 0 {
        return x.zeros_like();
    }
    parameters.apply_op1(InputGradient {
        plan: plan.clone(),
        x: x.detach(),
        seed: seed.detach(),
        rng: rng.clone(),
        trace: Mutex::new(None),
    })
}

struct InputGradient {
    plan: Arc<Plan>,
    x: Tensor,
    seed: Tensor,
    rng: Rng,
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
                Ok(on_the_pool(|| {
                    self.plan.input_gradient(x, seed, parameters, &self.rng)
                }))
            })
        })?;
        *self.trace.lock().unwrap_or_else(|e| e.into_inner()) = Some(Arc::new(trace));
        Ok((CpuStorage::F32(g), self.x.shape().clone()))
    }

    fn bwd(&self, p: &Tensor, _g: &Tensor, dg: &Tensor) -> Result<Option<Tensor>> {
        let trace = self.trace.lock().unwrap_or_else(|e| e.into_inner()).clone();
        let Some(trace) = trace else {
            bail!("input gradient: backward without forward")
        };
        let into = |row: &Tensor, add| {
            read(p, |p| {
                read(dg, |dg| {
                    write(row, |row| {
                        let gradient = Gradient { row, add };
                        let back = || self.plan.input_gradient_back(&trace, p, dg, gradient);
                        on_the_pool(back);
                        Ok(())
                    })
                })
            })
        };
        if let Some((sum, add)) = collected(p) {
            into(&sum, add)?;
            return Ok(None);
        }
        let gradient = p.zeros_like()?;
        into(&gradient, true)?;
        Ok(Some(gradient))
    }
}

/// What computing an input gradient leaves for its backward pass.
pub(crate) struct Trace {
    /// The network's own forward pass: where its activations stood.
    tape: Tape,
    /// Of each weighted step, what came back behind its weights.
    deltas: Vec<Option<Buffer>>,
}

impl Plan {
    /// From `x` and `seed` (batch, values): the gradient of <seed, output> with respect to `x` (batch, values).
    fn input_gradient(
        &self,
        x: &[f32],
        seed: &[f32],
        parameters: &[f32],
        rng: &Rng,
    ) -> (Trace, Vec<f32>) {
        let tape = self.forward(x, parameters, &mut [], Statistics::Batch, rng);
        let n = tape.n;
        let mut d = self.buffers.get(seed.len());
        transpose(seed, n, seed.len() / n, &mut d);
        let mut deltas: Vec<_> = self.steps.iter().map(|_| None).collect();
        for (i, step) in self.steps.iter().enumerate().rev() {
            self.slopes(&tape, i, &mut d);
            let mut dx = self.buffers.get(self.sizes[i] * n);
            match *step {
                Step::Weighted {
                    conv, up, weight, ..
                } => {
                    let weights = &parameters[weight..];
                    conv.pass(!up, weights, &d, &mut dx, n, &self.buffers);
                    deltas[i] = Some(d);
                }
                Step::Swap { a, b } => swap_rows(&d, b, a, &mut dx, n),
                _ => continue,
            }
            d = dx;
        }
        let mut g = vec![0.; x.len()];
        transpose(&d, g.len() / n, n, &mut g);
        (Trace { tape, deltas }, g)
    }

    /// From `dg` (batch, values), the gradient of a loss with respect to what [`Plan::input_gradient`] returned: that
    /// with respect to the parameters. That of the biases, which only shift the output, is 0.
    fn input_gradient_back(
        &self,
        trace: &Trace,
        parameters: &[f32],
        dg: &[f32],
        gradient: Gradient,
    ) {
        let Gradient { row, add } = gradient;
        if !add {
            row.fill(0.);
        }
        let n = trace.tape.n;
        let mut t = self.buffers.get(dg.len());
        transpose(dg, n, dg.len() / n, &mut t);
        for (i, step) in self.steps.iter().enumerate() {
            let mut y = self.buffers.get(self.sizes[i + 1] * n);
            match (step, &trace.deltas[i]) {
                (
                    &Step::Weighted {
                        conv, up, weight, ..
                    },
                    Some(delta),
                ) => {
                    let (big, small) = match up {
                        false => (&t, delta),
                        true => (delta, &t),
                    };
                    let sum = &mut row[weight..][..conv.weight_len()];
                    conv.weights(big, small, sum, true, n, &self.buffers);
                    let weights = &parameters[weight..];
                    conv.pass(up, weights, &t, &mut y, n, &self.buffers);
                    t = y;
                }
                (&Step::Swap { a, b }, _) => {
                    swap_rows(&t, a, b, &mut y, n);
                    t = y;
                }
                _ => {}
            }
            self.slopes(&trace.tape, i, &mut t);
        }
    }

    /// Multiplies by the slopes that a step's activation or dropout had.
    fn slopes(&self, tape: &Tape, i: usize, d: &mut [f32]) {
        let y = &tape.values[i + 1];
        match (&self.steps[i], &tape.kept[i]) {
            (&(Step::Weighted { slope, .. } | Step::LeakyRelu { slope }), _) => {
                bias_and_slope_back(d, y, slope, None, tape.n)
            }
            (_, Kept::Mask(mask)) => update(d, mask, |d, mask| d * mask),
            (Step::Norm { .. } | Step::Tanh, _) => {
                unreachable!("refused by Network::input_gradient")
            }
            _ => {}
        }
    }
}
