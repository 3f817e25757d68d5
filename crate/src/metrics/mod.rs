//! How good a generator is, in figures: what a [`Judge`] sees in its digits, compared with what it sees in real ones.

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
