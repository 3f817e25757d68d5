//! Digits to be explored with sliders: in a cell, in an exported page and in a file of its own, without a server.
//!
//! Everything is in one block of HTML: a picture of all digits, and a script that puts sliders in its place. Where
//! scripts don't run, as in an untrusted notebook or on a code host, the picture stays.

use std::fmt;

use candle_core::Tensor;
use serde::Serialize;

use super::Figure;
use super::canvas::{Canvas, GUTTER};
use super::samples::{Grey, SIDE, grey};
use crate::{Error, Result};

/// From one digit of a block to the next, in pixels of the sheet: there is a line between them.
const CELL: usize = SIDE + 1;
/// Around the blocks.
const SPACE: usize = 8;
/// What browsers draw without loss on any machine: 4096 x 4096 pixels hold this many digits and more.
const MAX_DIGITS: usize = 12_000;

/// What a slider is called, and the names of the places where it stops.
#[derive(Clone, Debug, Serialize)]
pub struct Axis {
    name: String,
    stops: Vec<String>,
}

impl Axis {
    /// An axis with a stop for each of these; numbers and texts will do.
    pub fn new(
        name: impl Into<String>,
        stops: impl IntoIterator<Item = impl fmt::Display>,
    ) -> Self {
        Axis {
            name: name.into(),
            stops: stops.into_iter().map(|stop| stop.to_string()).collect(),
        }
    }

    /// How many places the slider has.
    pub fn len(&self) -> usize {
        self.stops.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.stops.is_empty()
    }

    /// "weight -2 to 2"
    fn words(&self) -> String {
        let ends = [self.stops.first(), self.stops.last()];
        let [first, last] = ends.map(|stop| stop.map_or("", String::as_str));
        format!("{} {first} to {last}", self.name)
    }
}

/// Digits with a slider for each of three axes; shows itself as the last expression of a cell. See [`explorer`].
#[derive(Clone)]
pub struct Explorer {
    picture: Figure,
    sheet: Sheet,
}

/// The picture's geometry, as the script is told it. Sizes in pixels of the picture.
#[derive(Clone, Serialize)]
struct Sheet {
    axes: [Axis; 3],
    side: usize,
    cell: usize,
    space: usize,
    /// Blocks in a row.
    columns: usize,
}

/// Sliders over generated samples (n, 1, 28, 28) in [-1, 1], one for each place on three axes: the first axis changes
/// slowest, the last fastest. An axis of a single stop gets no slider.
///
/// ```
/// use digit_gan::{plot::{self, Axis}, rng::Rng};
/// let samples = Rng::seed(1).uniform((2 * 3 * 3, 1, 28, 28), -1., 1.)?;
/// let axes = [Axis::new("digit", [3, 8]), Axis::new("slant", -1..=1), Axis::new("weight", -1..=1)];
/// let explorer = plot::explorer(&samples, &axes)?;
/// assert!(explorer.html().starts_with("<figure"));
/// # Ok::<(), digit_gan::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] unless there is a sample for each place, [`Error::Value`] for non-finite samples, an axis without
/// stops or more than 12,000 digits.
pub fn explorer(samples: &Tensor, axes: &[Axis; 3]) -> Result<Explorer> {
    if let Some(empty) = axes.iter().find(|axis| axis.is_empty()) {
        return Err(Error::Value(format!(
            "explorer: the axis {} has no stops; give it one at least",
            empty.name
        )));
    }
    let digits = grey(samples, "explorer")?;
    let sizes = axes.each_ref().map(Axis::len);
    let places = sizes
        .iter()
        .try_fold(1usize, |n, &size| n.checked_mul(size));
    if places != Some(digits.len()) {
        return Err(Error::Shape(format!(
            "explorer: axes of {} x {} x {} stops take a sample for each place, got {} samples",
            sizes[0],
            sizes[1],
            sizes[2],
            digits.len()
        )));
    }
    if digits.len() > MAX_DIGITS {
        return Err(Error::Value(format!(
            "explorer: {} digits are more than a page bears, {MAX_DIGITS}; give the axes fewer stops",
            digits.len()
        )));
    }
    // Twice as wide as high, about.
    let columns = (2. * (sizes[0] * sizes[1]) as f64 / sizes[2] as f64).sqrt();
    let sheet = Sheet {
        columns: (columns.ceil() as usize).clamp(1, sizes[0]),
        axes: axes.clone(),
        side: SIDE,
        cell: CELL,
        space: SPACE,
    };
    let picture = sheet.draw(&digits)?;
    Ok(Explorer { picture, sheet })
}

impl Sheet {
    /// All digits: a block for each stop of the first axis, in it the second axis downwards and the third to the right.
    fn draw(&self, digits: &[Grey]) -> Result<Figure> {
        let [blocks, down, across] = self.axes.each_ref().map(Axis::len);
        let (block_width, block_height) = (across * CELL + 1, down * CELL + 1);
        let width = SPACE + self.columns * (block_width + SPACE);
        let height = SPACE + blocks.div_ceil(self.columns) * (block_height + SPACE);
        let mut canvas = Canvas::new(width as u32, height as u32, 255);
        for (block, digits) in digits.chunks_exact(down * across).enumerate() {
            let left = SPACE + block % self.columns * (block_width + SPACE);
            let top = SPACE + block / self.columns * (block_height + SPACE);
            let [x, y, width, height] = [left, top, block_width, block_height].map(|n| n as u32);
            canvas.fill(x, y, width, height, GUTTER);
            for (i, digit) in digits.iter().enumerate() {
                let x = left + 1 + i % across * CELL;
                let y = top + 1 + i / across * CELL;
                canvas.digit(x as u32, y as u32, 1, digit);
            }
        }
        let [first, second, third] = self.axes.each_ref().map(Axis::words);
        let picture = canvas.into_png(format!(
            "{} generated digits. A block each: {first}. In a block downwards: {second}; to the right: {third}.",
            digits.len()
        ))?;
        // As wide as the page allows: its digits are small.
        let (bytes, alt) = (picture.bytes().to_vec(), picture.alt().to_string());
        Ok(Figure::new(bytes, picture.format(), alt, width as u32))
    }
}

impl Explorer {
    /// All digits in one picture: what is seen where scripts don't run.
    pub fn picture(&self) -> &Figure {
        &self.picture
    }

    /// The picture's geometry, as the script reads it.
    pub(crate) fn sheet(&self) -> String {
        // Texts and numbers: they have a JSON form always.
        serde_json::to_string(&self.sheet).unwrap_or_default()
    }
}

/// The words, not the bytes: a failed assertion in a cell stays readable.
impl fmt::Debug for Explorer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Explorer({:?})", self.picture)
    }
}
