//! Train and study digit-generating GANs from notebook cells, on candle.
//!
//! A digit flows through the crate in this order, and no module knows a later one:
//! [`data`] (bytes in, batches out) → [`nn`] (networks, layer by layer) → [`loss`], [`penalty`] → [`optim`] →
//! [`metrics`] (how good digits are) → [`recipe`] (all that decides a run) → [`train`] (carries it out, remembers) →
//! [`latent`] (ways through a generator's noise) → [`display`] (how a cell shows a value).
//! [`plot`] makes figures, of runs for [`train`]'s folders too, so those two know each other.
//! [`rng`] is the one source of randomness for all of them; `ops` makes the layers fast on a CPU.
//!
//! Cells reach candle through this crate ([`candle`], [`candle_nn`]), so that all of them share one copy.

pub mod data;
pub mod device;
pub mod display;
mod error;
pub mod files;
pub mod latent;
pub mod loss;
pub mod metrics;
pub mod nn;
mod ops;
pub mod optim;
pub mod penalty;
pub mod plot;
pub mod recipe;
pub mod rng;
pub mod train;

pub use candle_core as candle;
pub use candle_nn;
pub use error::{Error, Result};

/// What a notebook needs: `use digit_gan::prelude::*;`.
pub mod prelude {
    pub use crate::data::{Digits, Split};
    pub use crate::device::BestDevice;
    pub use crate::display::setup;
    pub use crate::latent;
    pub use crate::loss::{GanLoss, bce};
    pub use crate::metrics::{Evaluation, Judge, Report};
    pub use crate::nn::{Network, Sequential, of_class, with_class};
    pub use crate::optim::{Adam, MovingAverage, Schedule};
    pub use crate::penalty::{Penalty, instance_noise};
    pub use crate::plot::{self, Figure};
    pub use crate::recipe::Recipe;
    pub use crate::rng::Rng;
    pub use crate::train::{History, Sampler, Snapshot, Trainer, Training, env_or};
    pub use candle_core::{D, DType, Device, Tensor, Var};
}
