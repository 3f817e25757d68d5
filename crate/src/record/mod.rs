//! The record of a run: what its steps measured, what its generator drew, and how far it is.
//!
//! A notebook's own loop keeps a [`History`] and [`Snapshot`]s. A [`Trainer`](crate::train::Trainer) writes a line of
//! [`Stats`] every `log_every` steps ([`read_stats`]). Both tell how far they are by one value, [`Progress`].

mod history;
mod judgement;
mod progress;
mod score;
mod snapshot;
mod stats;

pub use history::History;
pub use judgement::Judgement;
pub use progress::{Means, Position, Progress};
pub(crate) use progress::{clock, seconds};
pub(crate) use score::{accuracy, are_probabilities, diverged, score};
pub use snapshot::Snapshot;
pub use stats::{Stats, StepStats, read_stats};
pub(crate) use stats::{StatsFile, Window};
