//! How good a generator is, in figures: what a [`Judge`] sees in its digits, compared with what it sees in real ones.
//!
//! [`Evaluation`] measures all of it on one protocol. Each metric also stands alone, on [`Features`]:
//!
//! ```
//! use digit_gan::metrics::{Features, Gaussian};
//! use digit_gan::{data::Digits, rng::Rng};
//! let rng = Rng::seed(1);
//! let digits = |n| Features::from_digits(&Digits::builtin(n, &rng));
//! let (some, others) = (Gaussian::fit(&digits(100)?)?, Gaussian::fit(&digits(200)?)?);
//! assert!(some.distance(&some)? < 1e-6 && some.distance(&others)? > 1.);
//! # Ok::<(), digit_gan::Error>(())
//! ```

mod classes;
mod classifier;
mod copies;
mod evaluation;
mod features;
mod frechet;
mod judge;
mod kid;
mod neighbours;
mod prdc;
mod report;
mod tstr;

pub use classes::{Classes, class_accuracy};
pub use classifier::JudgeRecipe;
pub use copies::{Copies, Neighbours};
pub use evaluation::Evaluation;
pub use features::Features;
pub use frechet::Gaussian;
pub use judge::Judge;
pub use kid::{Kid, kid};
pub use neighbours::{Neighbour, nearest};
pub use prdc::{Neighbourhoods, Prdc};
pub use report::{Comparison, Report};
pub use tstr::{Tstr, tstr};
