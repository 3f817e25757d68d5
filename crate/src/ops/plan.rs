//! A network as one operation: all layers forward, all layers backward, in buffers that are reused.
//!
//! Inside, the batch lies innermost: values are (pixel, channel, batch) for images and (feature, batch) otherwise,
//! so that each row is a run of one channel and products need no copies. Activations are part of the step
//! before them.

use std::sync::Arc;

use super::buffer::{Buffer, Pool, Shared};
use super::elementwise::{transpose, transposed};
use super::precision::Precision;
use super::step::{At, Backward, Forward, Gradient, Kept, Statistics, Step};
use crate::profile::{Part, timed};
use crate::rng::Rng;

/// The steps of a network, and buffers for them.
pub(crate) struct Plan {
    pub(super) steps: Vec<Box<dyn Step>>,
    /// Values per sample in front of the first step and after each.
    sizes: Vec<usize>,
    pub(super) pool: Pool,
}

/// What a forward pass leaves for the backward pass.
pub(crate) struct Tape {
    pub(super) n: usize,
    /// The input, and the output of each step.
    values: Vec<Shared>,
    /// Of each step.
    kept: Vec<Kept>,
    pub(super) statistics: Statistics,
    precision: Precision,
}

impl Tape {
    /// The forward pass of one step.
    pub(super) fn at(&self, step: usize) -> At<'_> {
        At {
            x: &self.values[step],
            y: &self.values[step + 1],
            kept: &self.kept[step],
        }
    }
}

impl Plan {
    /// `sizes`: values per sample in front of the first step and after each.
    pub(super) fn new(steps: Vec<Box<dyn Step>>, sizes: Vec<usize>) -> Self {
        Plan {
            steps,
            sizes,
            pool: Pool::default(),
        }
    }

    /// `x` is (batch, values), and so is what [`Plan::output`] reads from the tape.
    pub(crate) fn forward(
        &self,
        x: &[f32],
        parameters: &[f32],
        state: &mut [f32],
        statistics: Statistics,
        precision: Precision,
        rng: &Rng,
    ) -> Tape {
        let n = x.len() / self.sizes[0];
        let mut pass = Forward {
            n,
            parameters,
            state,
            statistics,
            precision,
            rng,
            pool: &self.pool,
        };
        let mut tape = Tape {
            n,
            values: vec![Arc::new(self.turned(x, n))],
            kept: Vec::new(),
            statistics,
            precision,
        };
        for (step, size) in self.steps.iter().zip(&self.sizes[1..]) {
            let mut y = self.pool.get(size * n);
            let x = tape.values.last().expect("the input");
            let kept = timed(step.part(), || step.forward(&mut pass, x, &mut y));
            tape.kept.push(kept);
            tape.values.push(Arc::new(y));
        }
        tape
    }

    /// The network's output of a forward pass: (batch, values).
    pub(crate) fn output(&self, tape: &Tape) -> Vec<f32> {
        turned_back(tape.values.last().expect("the input at least"), tape.n)
    }

    /// From `dy` (batch, values): the gradients of the parameters and of the input (batch, values), where asked for.
    pub(crate) fn backward(
        &self,
        tape: &Tape,
        parameters: &[f32],
        dy: &[f32],
        gradient: Option<Gradient>,
        wants_dx: bool,
    ) -> Option<Vec<f32>> {
        let mut pass = self.backward_pass(tape, parameters, gradient);
        let mut d = self.turned(dy, tape.n);
        for (i, step) in self.steps.iter().enumerate().rev() {
            pass.wants_dx = wants_dx || i > 0;
            d = timed(step.part(), || step.backward(&mut pass, tape.at(i), d))?;
            pass.delta = None;
        }
        Some(turned_back(&d, tape.n))
    }

    pub(super) fn backward_pass<'a>(
        &'a self,
        tape: &Tape,
        parameters: &'a [f32],
        gradient: Option<Gradient<'a>>,
    ) -> Backward<'a> {
        Backward {
            n: tape.n,
            parameters,
            statistics: tape.statistics,
            precision: tape.precision,
            pool: &self.pool,
            gradient,
            wants_dx: true,
            delta: None,
        }
    }

    /// (batch, values) to (values, batch).
    pub(super) fn turned(&self, x: &[f32], n: usize) -> Buffer {
        let mut turned = self.pool.get(x.len());
        timed(Part::Order, || {
            transpose(x, n, x.len() / n, &mut turned);
        });
        turned
    }
}

/// (values, batch) to (batch, values).
pub(super) fn turned_back(x: &[f32], n: usize) -> Vec<f32> {
    timed(Part::Order, || transposed(x, x.len() / n, n))
}
