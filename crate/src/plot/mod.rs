//! Figures from plain images and numbers: each function returns a [`Figure`] that shows itself in a cell and
//! can be saved.
//!
//! ```
//! use digit_gan::{plot, rng::Rng};
//! let noise = Rng::seed(1).uniform((20, 1, 28, 28), -1.0, 1.0)?;
//! let figure = plot::sample_grid(&noise, 10)?;
//! assert_eq!(figure.alt(), "20 generated digits in 2 rows of 10.");
//! # Ok::<(), digit_gan::Error>(())
//! ```

mod axes;
mod canvas;
mod curves;
mod digit;
mod distance;
mod figure;
mod gif;
mod grid;
mod handwriting;
mod histogram;
mod labelled;
mod lines;
mod marks;
mod neighbours;
mod page;
mod plane;
mod runs;
mod samples;
mod scrub;
mod stride;
mod strips;
mod training;
mod values;

pub(crate) use curves::live_loss_curves;
pub use curves::loss_curves;
pub use digit::large_digit;
pub use figure::{Figure, Format};
pub use gif::{training_gif, walk_gif};
pub(crate) use grid::live_grid;
pub use grid::{data_grid, epoch_grids, sample_grid};
pub use handwriting::page_boxes;
pub use histogram::class_histogram;
pub(crate) use labelled::class_grid;
pub use labelled::labelled_grid;
pub use lines::{lines, log_lines};
pub use neighbours::nearest_neighbours;
pub(crate) use page::save_page;
pub use plane::{Plane, planes};
pub use runs::compare_runs;
pub use scrub::{Scrubber, scrub};
pub use stride::stride;
pub use strips::{Strip, strips};
pub use training::TrainingFrame;
pub(crate) use training::progress_html;
pub use values::histograms;
