//! Digits in rows and columns.

use super::Figure;
use super::canvas::{Canvas, DENSITY, GUTTER, INK, font};
use super::samples::{Grey, SIDE, columns_for, grey, grey_snapshots};
use crate::data::Digits;
use crate::train::Snapshot;
use crate::{Error, Result};
use candle_core::Tensor;

/// The widest picture, in device pixels, in which a digit's pixel is still drawn as several.
const MAX_WIDTH: u32 = 1920;
/// The most grids side by side.
const MAX_EPOCHS: usize = 5;

/// The first `rows` x `columns` digits of a data set, each with its label above it.
///
/// # Errors
/// [`Error::Value`] when the grid is empty or larger than the data set.
pub fn data_grid(digits: &Digits, rows: usize, columns: usize) -> Result<Figure> {
    let count = rows.saturating_mul(columns);
    if count == 0 || count > digits.len() {
        return Err(Error::Value(format!(
            "data_grid: {rows} x {columns} digits asked for; the data set has {}, and one at least is needed",
            digits.len()
        )));
    }
    let images: Vec<&[u8]> = (0..count).map(|i| digits.image(i)).collect();
    labelled_grid(&images, &digits.labels()[..count], columns)
}

/// Generated samples (n, 1, 28, 28) in [-1, 1], row by row.
///
/// # Errors
/// [`Error::Shape`] for another shape, [`Error::Value`] for non-finite samples or no columns.
pub fn sample_grid(samples: &Tensor, columns: usize) -> Result<Figure> {
    let digits = grey(samples, "sample_grid")?;
    let grid = Grid::new(
        digits.len(),
        columns_for(columns, digits.len(), "sample_grid")?,
    );
    let mut canvas = Canvas::new(grid.width(), grid.height(), 0);
    grid.draw(&mut canvas, 0, 0, &digits);
    let samples = match digits.len() {
        1 => "1 generated digit".to_string(),
        n => format!("{n} generated digits"),
    };
    canvas.into_png(format!("{samples} {}.", grid.words()))
}

/// What the generator drew at up to five epochs from the first to the last snapshot, more of the early ones, which
/// change more, side by side.
///
/// # Errors
/// [`Error::Value`] for no snapshots, no columns or non-finite samples; [`Error::Shape`] for samples that are
/// not (n, 1, 28, 28), or more of them in one snapshot than in another.
pub fn epoch_grids(snapshots: &[Snapshot], columns: usize) -> Result<Figure> {
    let chosen: Vec<Snapshot> = further_and_further(snapshots.len(), MAX_EPOCHS)
        .map(|i| snapshots[i].clone())
        .collect();
    let frames = grey_snapshots(&chosen, "epoch_grids")?;
    let columns = columns_for(columns, frames[0].1.len(), "epoch_grids")?;
    let across = frames.len() * columns;
    let grid = Grid::new(frames[0].1.len(), columns).with_scale(scale_for(across));
    let (space, title) = (12 * DENSITY, 22 * DENSITY);
    let width = frames.len() as u32 * (grid.width() + space) + space;
    let mut canvas = Canvas::new(width, title + grid.height() + space, 255);
    for (i, (epoch, digits)) in (0u32..).zip(&frames) {
        let left = space + i * (grid.width() + space);
        let middle = left + grid.width() / 2;
        let style = font(14 * DENSITY, INK);
        canvas.text(middle, 5 * DENSITY, &format!("epoch {epoch}"), style)?;
        grid.draw(&mut canvas, left, title, digits);
    }
    let epochs: Vec<String> = frames.iter().map(|(epoch, _)| epoch.to_string()).collect();
    canvas.into_png(format!(
        "{} generated digits {} from the same noise, after epochs {}.",
        grid.count,
        grid.words(),
        epochs.join(", ")
    ))
}

fn labelled_grid(images: &[&[u8]], labels: &[u8], columns: usize) -> Result<Figure> {
    let scale = scale_for(columns).min(3);
    let (side, space, label) = (SIDE as u32 * scale, 6 * DENSITY, 20 * DENSITY);
    let (cell, row) = (side + space, label + side + space / 2);
    let rows = images.len().div_ceil(columns) as u32;
    let mut canvas = Canvas::new(columns as u32 * cell + space, rows * row + space / 2, 255);
    for (i, (image, digit)) in images.iter().zip(labels).enumerate() {
        let left = space + (i % columns) as u32 * cell;
        let top = (i / columns) as u32 * row;
        let style = font(13 * DENSITY, INK);
        canvas.text(
            left + side / 2,
            top + 10 * DENSITY,
            &digit.to_string(),
            style,
        )?;
        canvas.digit(left, top + label, scale, image);
    }
    let names: Vec<String> = labels.iter().map(u8::to_string).collect();
    canvas.into_png(format!(
        "{} digits in {rows} rows of {columns}, each under its label: {}.",
        images.len(),
        names.join(" ")
    ))
}

/// Digits packed with thin separators between and around them; sizes in device pixels.
pub(super) struct Grid {
    count: usize,
    columns: usize,
    scale: u32,
}

impl Grid {
    pub fn new(count: usize, columns: usize) -> Self {
        Grid {
            count,
            columns,
            scale: scale_for(columns),
        }
    }

    pub fn with_scale(self, scale: u32) -> Self {
        Grid { scale, ..self }
    }

    pub fn width(&self) -> u32 {
        self.gap() + self.columns as u32 * self.cell()
    }

    pub fn height(&self) -> u32 {
        self.gap() + self.rows() as u32 * self.cell()
    }

    /// Draws the grid with its corner at (left, top); cells without a digit stay black.
    pub fn draw(&self, canvas: &mut Canvas, left: u32, top: u32, digits: &[Grey]) {
        canvas.fill(left, top, self.width(), self.height(), GUTTER);
        let blank = vec![0; SIDE * SIDE];
        let digits = digits.iter().chain(std::iter::repeat(&blank));
        for (i, digit) in digits.take(self.rows() * self.columns).enumerate() {
            let x = left + self.gap() + (i % self.columns) as u32 * self.cell();
            let y = top + self.gap() + (i / self.columns) as u32 * self.cell();
            canvas.digit(x, y, self.scale, digit);
        }
    }

    /// "in 4 rows of 10"
    pub fn words(&self) -> String {
        match self.rows() {
            1 => "in a row".to_string(),
            rows => format!("in {rows} rows of {}", self.columns),
        }
    }

    fn rows(&self) -> usize {
        self.count.div_ceil(self.columns)
    }

    fn gap(&self) -> u32 {
        self.scale.div_ceil(2)
    }

    fn cell(&self) -> u32 {
        SIDE as u32 * self.scale + self.gap()
    }
}

/// Device pixels per pixel of a digit, so that `across` digits fit a page.
fn scale_for(across: usize) -> u32 {
    let natural = (across * (SIDE + 1)).min(MAX_WIDTH as usize) as u32;
    (MAX_WIDTH / natural).clamp(1, 2 * DENSITY)
}

/// Up to `most` indices below `n`, the first and the last among them, further and further apart: early epochs change
/// more than late ones.
fn further_and_further(n: usize, most: usize) -> impl Iterator<Item = usize> {
    let count = n.min(most);
    let last = n.saturating_sub(1) as f64;
    (0..count).map(move |i| match i {
        0 => 0,
        // Small numbers round to one and the same index; each is at least its place in the row.
        _ => (last.powf(i as f64 / (count - 1) as f64).round() as usize).max(i),
    })
}
