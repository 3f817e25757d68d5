//! Digits in rows and columns.

use super::Figure;
use super::canvas::{Canvas, DENSITY, GUTTER, INK, draw, font};
use super::samples::{Pictures, columns_for, of_snapshots};
use crate::data::Digits;
use crate::record::Snapshot;
use crate::{Error, Result};
use candle_core::Tensor;

/// The widest figure, in device pixels, in which a digit's pixel is still drawn as several.
pub(super) const MAX_WIDTH: u32 = 1920;
/// The size of the names of classes.
const LABEL: u32 = 13 * DENSITY;
/// The most grids side by side.
const MAX_EPOCHS: usize = 5;

/// The first `rows` x `columns` digits of a data set, each with the name of its class above it.
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
    let pictures = Pictures::from_digits(digits, 0..count);
    let names = digits.labels()[..count].iter();
    let names: Vec<&str> = names.map(|&label| digits.class_name(label)).collect();
    grid_of_classes(&pictures, &names, columns)
}

/// Generated samples (n, 1, height, width) in [-1, 1], row by row.
///
/// # Errors
/// [`Error::Shape`] for another shape, [`Error::Value`] for non-finite samples or no columns.
pub fn sample_grid(samples: &Tensor, columns: usize) -> Result<Figure> {
    let pictures = Pictures::from_samples(samples, "sample_grid")?;
    let columns = columns_for(columns, pictures.len(), "sample_grid")?;
    let grid = Grid::new(&pictures, columns);
    let mut canvas = Canvas::new(grid.width(), grid.height(), 0);
    grid.draw(&mut canvas, 0, 0, &pictures);
    let samples = match pictures.len() {
        1 => "1 generated digit".to_string(),
        n => format!("{n} generated digits"),
    };
    canvas.into_png(format!("{samples} {}.", grid.words()))
}

/// [`sample_grid`] for a display that is replaced twice a second: fewer pixels, made faster.
pub(crate) fn live_grid(samples: &Tensor, columns: usize) -> Result<Figure> {
    let pictures = Pictures::from_samples(samples, "live_grid")?;
    let columns = columns_for(columns, pictures.len(), "live_grid")?;
    let grid = Grid::new(&pictures, columns).with_scale(DENSITY);
    let mut canvas = Canvas::new(grid.width(), grid.height(), 0);
    grid.draw(&mut canvas, 0, 0, &pictures);
    let words = format!("{} generated digits {}", pictures.len(), grid.words());
    canvas.into_frame(words)
}

/// What the generator drew at up to five epochs from the first to the last snapshot, more of the early ones, which
/// change more, side by side.
///
/// # Errors
/// [`Error::Value`] for no snapshots, no columns or non-finite samples; [`Error::Shape`] for samples that are
/// not (n, 1, height, width), or more of them in one snapshot than in another.
pub fn epoch_grids(snapshots: &[Snapshot], columns: usize) -> Result<Figure> {
    let chosen: Vec<Snapshot> = further_and_further(snapshots.len(), MAX_EPOCHS)
        .map(|i| snapshots[i].clone())
        .collect();
    let frames = of_snapshots(&chosen, "epoch_grids")?;
    let first = &frames[0].1;
    let columns = columns_for(columns, first.len(), "epoch_grids")?;
    let scale = scale_for(frames.len() * columns, first.width);
    let grid = Grid::new(first, columns).with_scale(scale);
    let (space, title) = (12 * DENSITY, 22 * DENSITY);
    let width = frames.len() as u32 * (grid.width() + space) + space;
    let mut canvas = Canvas::new(width, title + grid.height() + space, 255);
    for (i, (epoch, pictures)) in (0u32..).zip(&frames) {
        let left = space + i * (grid.width() + space);
        let middle = left + grid.width() / 2;
        let style = font(14 * DENSITY, INK);
        canvas.text(middle, 5 * DENSITY, &format!("epoch {epoch}"), style)?;
        grid.draw(&mut canvas, left, title, pictures);
    }
    let epochs: Vec<String> = frames.iter().map(|(epoch, _)| epoch.to_string()).collect();
    canvas.into_png(format!(
        "{} generated digits {} from the same noise, after epochs {}.",
        grid.count,
        grid.words(),
        epochs.join(", ")
    ))
}

fn grid_of_classes(pictures: &Pictures, names: &[&str], columns: usize) -> Result<Figure> {
    let scale = scale_for(columns, pictures.width).min(3);
    let (space, label) = (6 * DENSITY, 20 * DENSITY);
    let [width, height] = [pictures.width, pictures.height].map(|side| side as u32 * scale);
    // A long name needs more room than its picture.
    let mut column = width;
    for name in names {
        column = column.max(draw(font(LABEL, INK).font.box_size(name))?.0);
    }
    let (cell, row) = (column + space, label + height + space / 2);
    let rows = pictures.len().div_ceil(columns) as u32;
    let mut canvas = Canvas::new(columns as u32 * cell + space, rows * row + space / 2, 255);
    for (i, name) in names.iter().enumerate() {
        let left = space + (i % columns) as u32 * cell;
        let top = (i / columns) as u32 * row;
        let style = font(LABEL, INK);
        canvas.text(left + column / 2, top + 10 * DENSITY, name, style)?;
        let left = left + (column - width) / 2;
        canvas.picture(left, top + label, scale, pictures, i);
    }
    canvas.into_png(format!(
        "{} digits in {rows} rows of {columns}, each under its label: {}.",
        pictures.len(),
        names.join(" ")
    ))
}

/// Digits packed with thin separators between and around them; sizes in device pixels.
pub(super) struct Grid {
    count: usize,
    columns: usize,
    /// Width and height of a digit in its own pixels.
    size: [u32; 2],
    scale: u32,
}

impl Grid {
    /// A grid for these pictures.
    pub fn new(pictures: &Pictures, columns: usize) -> Self {
        Grid {
            count: pictures.len(),
            columns,
            size: [pictures.width, pictures.height].map(|side| side as u32),
            scale: scale_for(columns, pictures.width),
        }
    }

    pub fn with_scale(self, scale: u32) -> Self {
        Grid { scale, ..self }
    }

    pub fn width(&self) -> u32 {
        self.gap() + self.columns as u32 * self.cell()[0]
    }

    pub fn height(&self) -> u32 {
        self.gap() + self.rows() as u32 * self.cell()[1]
    }

    /// Draws the grid with its corner at (left, top); cells without a digit stay black.
    pub fn draw(&self, canvas: &mut Canvas, left: u32, top: u32, pictures: &Pictures) {
        canvas.fill(left, top, self.width(), self.height(), GUTTER);
        let ([width, height], [across, down]) = (self.size, self.cell());
        for i in 0..self.rows() * self.columns {
            let x = left + self.gap() + (i % self.columns) as u32 * across;
            let y = top + self.gap() + (i / self.columns) as u32 * down;
            if i < pictures.len() {
                canvas.picture(x, y, self.scale, pictures, i);
            } else {
                canvas.fill(x, y, width * self.scale, height * self.scale, 0);
            }
        }
    }

    /// "in 4 rows of 10"
    pub fn words(&self) -> String {
        rows_of(self.rows(), self.columns)
    }

    fn rows(&self) -> usize {
        self.count.div_ceil(self.columns)
    }

    fn gap(&self) -> u32 {
        self.scale.div_ceil(2)
    }

    /// From one digit to the next: to the right, and downwards.
    fn cell(&self) -> [u32; 2] {
        self.size.map(|side| side * self.scale + self.gap())
    }
}

/// "in 4 rows of 10"
pub(super) fn rows_of(rows: usize, columns: usize) -> String {
    match rows {
        1 => "in a row".to_string(),
        rows => format!("in {rows} rows of {columns}"),
    }
}

/// Device pixels per pixel of a digit, so that `across` digits of this width fit a page.
fn scale_for(across: usize, width: usize) -> u32 {
    scale_within(MAX_WIDTH, across, width)
}

/// The same for a room of so many device pixels.
pub(super) fn scale_within(room: u32, across: usize, width: usize) -> u32 {
    let natural = (across * (width + 1)).min(room as usize) as u32;
    (room / natural).clamp(1, 2 * DENSITY)
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
