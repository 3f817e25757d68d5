//! How good a generator is, in figures: what a [`Judge`] sees in its digits, compared with what it sees in real ones.
//!
//! [`Evaluation`] measures all of it on one protocol. Each metric also stands alone, on [`Features`]:
//!
//! ```
//! use digit_gan::metrics::{Features, Gaussian};
//! use digit_gan::{data::Digits, rng::Rng};
//! let rng = Rng::seed(1);
//! let digits = |n| Features::pixels_of(&Digits::builtin(n, &rng));
//! let (some, others) = (Gaussian::of(&digits(100)?)?, Gaussian::of(&digits(200)?)?);
//! assert!(some.distance(&some)? < 1e-6 && some.distance(&others)? > 1.);
//! # Ok::<(), digit_gan::Error>(())
//! ```

mod classes;
mod copies;
mod evaluation;
mod features;
mod frechet;
mod judge;
mod kernel;
mod neighbours;
mod report;

pub use classes::{Classes, asked_right};
pub use copies::{Copies, Neighbours};
pub use evaluation::Evaluation;
pub use features::Features;
pub use frechet::Gaussian;
pub use judge::Judge;
pub use kernel::{KernelDistance, kernel_distance};
pub use neighbours::{Neighbour, Neighbourhoods, Overlap, nearest};
pub use report::{Comparison, Report};
