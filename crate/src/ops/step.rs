//! The steps that a plan takes, one after another. The layers bring theirs; what they have in common is here.

use std::any::Any;

use super::buffer::{Buffer, Pool, Shared};
use super::conv::Context;
use super::pending::Pending;
use super::precision::{Factors, Precision};
use crate::profile::Part;
use crate::rng::Rng;

/// One operation on a batch, forward, backward and along a tangent.
///
/// The batch lies innermost: values are (pixel, channel, batch) for images and (feature, batch) otherwise.
pub(crate) trait Step: Send + Sync {
    /// What the activation behind the step multiplies negative values by, 1 where there is none; no place for it in a
    /// step that takes none in.
    fn slope(&mut self) -> Option<&mut f32> {
        None
    }

    /// What its time is counted for in a profile.
    fn part(&self) -> Part {
        Part::Layers
    }

    /// Computes y from x; returns what the other two need besides.
    fn forward(&self, pass: &mut Forward, x: &[f32], y: &mut [f32]) -> Kept;

    /// From `d`, the gradient of y, to that of x; none where it is not wanted and costs something. Puts the gradient of
    /// the parameters in its place, if there is one.
    fn backward(&self, pass: &mut Backward, at: At, d: Buffer) -> Option<Buffer>;

    /// The tangent of y from `t`, that of x: through the weights, without biases, and times the slopes that activations
    /// had. Adds the gradient of the parameters, from `t` and from the `delta` that [`Step::backward`] left. Steps of
    /// layers that are not piecewise linear are never asked.
    fn tangent(&self, pass: &mut Backward, at: At, delta: Option<&Shared>, t: Buffer) -> Buffer;
}

/// Where batch normalisation takes its moments from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Statistics {
    /// The batch; the running ones move towards it.
    BatchAndUpdate,
    Batch,
    Running,
}

/// What a forward pass has for all steps.
pub(crate) struct Forward<'a> {
    /// The batch.
    pub n: usize,
    pub parameters: &'a [f32],
    /// The running statistics.
    pub state: &'a mut [f32],
    pub statistics: Statistics,
    pub rng: &'a Rng,
    pub precision: Precision,
    pub pool: &'a Pool,
}

/// What a backward pass, or one along a tangent, has for all steps.
pub(crate) struct Backward<'a> {
    /// The batch.
    pub n: usize,
    pub parameters: &'a [f32],
    pub statistics: Statistics,
    pub precision: Precision,
    pub pool: &'a Pool,
    pub gradient: Option<Gradient<'a>>,
    /// Whether the gradient of the step's input is wanted.
    pub wants_dx: bool,
    /// What came back behind the step's weights, for [`Step::tangent`].
    pub delta: Option<Shared>,
}

impl<'a> Forward<'a> {
    pub(crate) fn context(&self) -> Context<'a> {
        Context {
            factors: Factors::forward(self.precision),
            pool: self.pool,
        }
    }
}

impl<'a> Backward<'a> {
    pub(crate) fn context(&self) -> Context<'a> {
        Context {
            factors: Factors::backward(self.precision),
            pool: self.pool,
        }
    }
}

/// Where the gradient of the parameters goes: added to what is there, or in its place.
pub(crate) struct Gradient<'a> {
    pub row: &'a mut [f32],
    pub add: bool,
    /// For what may wait, if anything may.
    pub pending: Option<&'a mut Vec<Pending>>,
}

/// What a step keeps of its forward pass besides its input and output.
pub(crate) type Kept = Option<Box<dyn Any + Send + Sync>>;

/// A step's forward pass.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub x: &'a Shared,
    pub y: &'a [f32],
    pub kept: &'a Kept,
}

impl<'a> At<'a> {
    /// What the step has kept, if it has.
    pub(crate) fn kept<T: 'static>(&self) -> Option<&'a T> {
        self.kept.as_ref()?.downcast_ref()
    }
}
