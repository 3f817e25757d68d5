//! Train and study digit-generating GANs from notebook cells, on candle.
//!
//! # A GAN in one loop
//!
//! ```
//! use digit_gan::prelude::*;
//!
//! let rng = Rng::seed(42);
//! let digits = Digits::builtin(64, &rng);
//! let generator = Sequential::new("generator", [16])
//!     .dense(784)
//!     .tanh()
//!     .reshape([1, 28, 28])
//!     .build(&rng)?;
//! let discriminator = Sequential::new("discriminator", [1, 28, 28])
//!     .flatten()
//!     .dense(32)
//!     .leaky_relu(0.2)
//!     .dense(1)
//!     .build(&rng)?;
//! let mut g_adam = Adam::new(generator.parameters(), 2e-4, 0.5)?;
//! let mut d_adam = Adam::new(discriminator.parameters(), 2e-4, 0.5)?;
//! for batch in digits.batches(32, &rng) {
//!     let (real, _) = batch?; // (batch, 1, 28, 28) in [-1, 1]
//!     let fake = generator.forward_t(&rng.normal((real.dim(0)?, 16))?, true)?;
//!     let on_real = discriminator.forward_t(&real, true)?;
//!     let on_fake = discriminator.forward_t(&fake.detach(), true)?;
//!     d_adam.step(&(bce(&on_real, 1.)? + bce(&on_fake, 0.)?)?)?;
//!     g_adam.step(&bce(&discriminator.frozen().forward_t(&fake, true)?, 1.)?)?;
//! }
//! let samples = generator.forward(&rng.normal((16, 16))?)?;
//! plot::sample_grid(&samples, 8)?.save(std::env::temp_dir().join("samples.png"))?;
//! # Ok::<(), digit_gan::Error>(())
//! ```
//!
//! # The modules
//!
//! Data flows through the crate in this order, and no module depends on a later one:
//!
//! | | |
//! |---|---|
//! | [`rng`], [`device`] | the only source of randomness; where tensors live |
//! | [`data`] | IDX files, images or built-in strokes become `Digits`, and batches in [-1, 1] |
//! | [`nn`] | networks, layer by layer; one operation each on a CPU |
//! | [`loss`], [`penalty`], [`augment`], [`optim`] | logits become a loss, Adam updates the parameters, an average follows |
//! | [`metrics`] | how good samples are: a judge's features, distances, precision, coverage, copies |
//! | [`recipe`] | all that decides a run, as a value and a file |
//! | [`record`] | what a run leaves: history, snapshots, statistics |
//! | [`plot`] | figures of images and records |
//! | [`train`] | carries out a recipe in a folder, in the background if asked for, and resumes it |
//! | [`export`] | a generator in a folder for others: PyTorch, ONNX, a model card |
//! | [`latent`] | the generator's input space: interpolation, truncation, directions, projection |
//! | [`draw`] | a page in which the generator draws |
//!
//! [`display`] and [`live`] show values in a cell, [`interrupt`] stops one. [`files`] writes whole files or none.
//!
//! # candle
//!
//! Cells reach candle through this crate ([`candle`], [`candle_nn`]), so that all of them share one copy.

pub mod augment;
pub mod data;
pub mod device;
pub mod display;
pub mod draw;
mod env;
mod error;
pub mod export;
pub mod files;
pub mod format;
pub mod interrupt;
pub mod latent;
mod linalg;
pub mod live;
pub mod loss;
pub mod metrics;
pub mod nn;
mod ops;
pub mod optim;
pub mod penalty;
pub mod plot;
pub mod profile;
pub mod recipe;
pub mod record;
pub mod rng;
mod setup;
mod team;
pub mod train;

pub use candle_core as candle;
pub use candle_nn;
pub use env::env_or;
pub use error::{Error, Result};
pub use setup::{Setup, setup};

/// What a notebook needs: `use digit_gan::prelude::*;`.
pub mod prelude {
    pub use crate::augment::Augment;
    pub use crate::data::{Dataset, Digits, ImageOptions, Page, Resize, Split};
    pub use crate::device::BestDevice;
    pub use crate::draw::DrawingPage;
    pub use crate::env_or;
    pub use crate::export::Export;
    pub use crate::interrupt;
    pub use crate::latent;
    pub use crate::live::Live;
    pub use crate::loss::{GanLoss, bce};
    pub use crate::metrics::{Evaluation, Judge, Report};
    pub use crate::nn::{Network, Precision, Sequential, class_logit, with_class};
    pub use crate::optim::{Adam, MovingAverage, Schedule};
    pub use crate::penalty::{Penalty, instance_noise};
    pub use crate::plot::{self, Figure};
    pub use crate::recipe::Recipe;
    pub use crate::record::{History, Snapshot};
    pub use crate::rng::Rng;
    pub use crate::setup;
    pub use crate::train::{BackgroundRun, Sampler, Trainer};
    pub use candle_core::{D, DType, Device, Tensor, Var};
}
