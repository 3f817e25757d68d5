//! Training: the [`Trainer`] carries out a [`Recipe`](crate::recipe::Recipe) in a folder, resumes it, and trains in the
//! background ([`BackgroundRun`]).
//!
//! ```no_run
//! use digit_gan::prelude::*;
//! let digits = Digits::load(Split::Train)?;
//! let mut trainer = Trainer::new(Recipe::compact(), &digits, "runs/compact")?;
//! trainer.run()?; // or: let run = trainer.in_background(); and run.status()? in another cell
//! trainer.generator().save("generator.safetensors")?;
//! # Ok::<(), digit_gan::Error>(())
//! ```
//!
//! A run's folder holds `recipe.json`, `stats.jsonl` ([`read_stats`](crate::record::read_stats)), `grids/` (samples,
//! always of the same noise) and `checkpoints/`. `Trainer::resume("runs/compact", &digits)?` continues as if the run had
//! never stopped, bit for bit, on any number of threads.
//!
//! [`Trainer::judged_by`] adds the Fréchet distance every n images, and the best checkpoint; [`Sampler`] draws from a
//! run's best or newest checkpoint without a trainer.

mod background;
mod checkpoint;
mod epochs;
mod folder;
mod judging;
mod message;
mod run;
mod sampler;
mod state;
mod status;
mod step;
mod trainer;
mod view;
mod warnings;
mod worker;

pub use background::BackgroundRun;
pub use message::Message;
pub use sampler::Sampler;
pub use status::Status;
pub use trainer::Trainer;
pub use warnings::Warnings;
