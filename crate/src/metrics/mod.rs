//! How good a generator is, in figures: what a [`Judge`] sees in its digits, compared with what it sees in real ones.

mod features;
mod frechet;
mod judge;

pub use features::Features;
pub use frechet::Gaussian;
pub use judge::Judge;
