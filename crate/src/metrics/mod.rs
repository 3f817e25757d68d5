//! How good generated digits are, in figures: samples and real digits, both as features.
//!
//! ```
//! use digit_gan::metrics::{Features, Gaussian};
//! use digit_gan::{data::Digits, rng::Rng};
//! let rng = Rng::seed(1);
//! let pixels = |n| Features::pixels_of(&Digits::builtin(n, &rng));
//! let (some, others) = (Gaussian::of(&pixels(100))?, Gaussian::of(&pixels(200))?);
//! assert!(some.distance(&some)? < 1e-6 && some.distance(&others)? > 1.0);
//! # Ok::<(), digit_gan::Error>(())
//! ```

mod features;
mod frechet;

pub use features::Features;
pub use frechet::Gaussian;
