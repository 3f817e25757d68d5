//! Training: what a notebook's own loop remembers ([`History`], [`Snapshot`]), and the [`Trainer`] that carries out a
//! [`Recipe`](crate::recipe::Recipe) in a folder, resumes it, and trains in the background ([`Training`]).
//!
//! ```no_run
//! use digit_gan::prelude::*;
//! let digits = Digits::load(Split::Train)?;
//! let mut trainer = Trainer::new(Recipe::compact(), &digits, "runs/compact")?;
//! trainer.run()?; // or: let training = trainer.in_background(); and training.status()? in another cell
//! trainer.generator().save("generator.safetensors")?;
//! # Ok::<(), digit_gan::Error>(())
//! ```
//!
//! A run's folder holds `recipe.json`, `stats.jsonl` ([`read_stats`]), `grids/` (samples, always of the same noise) and
//! `checkpoints/`. `Trainer::resume("runs/compact", &digits)?` goes on as if the run had never stopped, bit for bit,
//! on any number of threads.
//!
//! [`Trainer::judged_by`] adds the Fréchet distance every so many images, and the best checkpoint; [`Sampler`] draws from
//! a run's best or newest checkpoint without a trainer.

mod background;
mod checkpoint;
mod folder;
mod history;
mod judged;
mod look;
mod run;
mod sampler;
mod start;
mod stats;
mod status;
mod trainer;
mod watch;

pub use background::Training;
pub use history::{History, Snapshot, env_or};
pub use judged::Judgement;
pub use sampler::Sampler;
pub use stats::{Stats, StepStats, read_stats};
pub use status::Status;
pub use trainer::Trainer;
