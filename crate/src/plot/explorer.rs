//! Digits to be explored with sliders: in a cell, in an exported page and in a file of its own, without a server.
//!
//! Everything is in one block of HTML: a picture of all digits, and a script that puts sliders in its place. Where
//! scripts don't run, as in an untrusted notebook or on a code host, the picture stays.

use std::fmt;
use std::path::Path;

use candle_core::Tensor;
use serde::Serialize;

use super::Figure;
use super::canvas::{Canvas, GUTTER};
use super::page::save_page;
use super::samples::Pictures;
use crate::display::{Content, Show, escape, evcxr_display};
use crate::{Error, Result};

/// Around the blocks.
const SPACE: usize = 8;
/// What browsers draw without loss on any machine: a little less than 4096 x 4096 pixels, or 12,000 digits of 28 x 28.
const MAX_PIXELS: usize = 12_000 * 29 * 29;

/// What a slider is called, and the names of the places where it stops.
#[derive(Clone, Debug, Serialize)]
pub struct Axis {
    name: String,
    stops: Vec<String>,
}

impl Axis {
    /// An axis with a stop for each of these, numbers or texts.
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
    fn len(&self) -> usize {
        self.stops.len()
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
    height: usize,
    width: usize,
    space: usize,
    /// Blocks in a row.
    columns: usize,
}

/// Sliders over generated samples (n, 1, height, width) in [-1, 1], one for each place on three axes: the first axis changes
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
/// stops, or more digits than browsers draw: 12,000 of 28 x 28 pixels.
pub fn explorer(samples: &Tensor, axes: &[Axis; 3]) -> Result<Explorer> {
    if let Some(empty) = axes.iter().find(|axis| axis.len() == 0) {
        return Err(Error::Value(format!(
            "explorer: the axis {} has no stops; give it one at least",
            empty.name
        )));
    }
    let digits = Pictures::from_samples(samples, "explorer")?;
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
    let most = MAX_PIXELS / ((digits.height + 1) * (digits.width + 1));
    if digits.len() > most {
        return Err(Error::Value(format!(
            "explorer: {} digits are more than browsers draw on a page, {most}; give the axes fewer stops",
            digits.len()
        )));
    }
    // Twice as wide as high, about.
    let columns = (2. * (sizes[0] * sizes[1]) as f64 / sizes[2] as f64).sqrt();
    let sheet = Sheet {
        columns: (columns.ceil() as usize).clamp(1, sizes[0]),
        axes: axes.clone(),
        height: digits.height,
        width: digits.width,
        space: SPACE,
    };
    let picture = sheet.draw(&digits)?;
    Ok(Explorer { picture, sheet })
}

impl Sheet {
    /// All digits: a block for each stop of the first axis, in it the second axis downwards and the third to the right.
    fn draw(&self, digits: &Pictures) -> Result<Figure> {
        let [blocks, down, across] = self.axes.each_ref().map(Axis::len);
        // There is a line between digits.
        let (cell_width, cell_height) = (self.width + 1, self.height + 1);
        let (block_width, block_height) = (across * cell_width + 1, down * cell_height + 1);
        let width = SPACE + self.columns * (block_width + SPACE);
        let height = SPACE + blocks.div_ceil(self.columns) * (block_height + SPACE);
        let mut canvas = Canvas::new(width as u32, height as u32, 255);
        for block in 0..blocks {
            let left = SPACE + block % self.columns * (block_width + SPACE);
            let top = SPACE + block / self.columns * (block_height + SPACE);
            let [x, y, width, height] = [left, top, block_width, block_height].map(|n| n as u32);
            canvas.fill(x, y, width, height, GUTTER);
            for i in 0..down * across {
                let x = left + 1 + i % across * cell_width;
                let y = top + 1 + i / across * cell_height;
                canvas.picture(x as u32, y as u32, 1, digits, block * down * across + i);
            }
        }
        let [first, second, third] = self.axes.each_ref().map(Axis::words);
        let picture = canvas.into_png(format!(
            "{} generated digits. A block each: {first}. In a block downwards: {second}; to the right: {third}.",
            digits.len()
        ))?;
        // As wide as the page allows: its digits are small.
        let (bytes, alt) = (picture.bytes().to_vec(), picture.alt().to_string());
        let size = [width, height].map(|pixels| pixels as u32);
        Ok(Figure::new(bytes, picture.format(), alt, size))
    }
}

impl Explorer {
    /// A picture with its words, and the script that puts sliders in its place.
    pub fn html(&self) -> String {
        format!(
            "<figure class=\"digit-gan-explorer\" style=\"margin: 0\" data-sheet=\"{}\">{}\
             <figcaption>{}</figcaption></figure>\n<script>\n{}</script>",
            escape(&self.sheet()),
            self.picture().html(),
            escape(self.picture().alt()),
            include_str!("explorer.js"),
        )
    }

    /// Writes a page that needs nothing else, to be opened in any browser.
    ///
    /// # Errors
    /// [`Error::Value`] unless the file is named .html, [`Error::Io`] when it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        save_page(
            path.as_ref(),
            "an explorer",
            "Generated digits",
            &self.html(),
        )
    }

    /// All digits in one picture: what is seen where scripts don't run.
    pub fn picture(&self) -> &Figure {
        &self.picture
    }

    /// The picture's geometry, as the script reads it.
    fn sheet(&self) -> String {
        // Texts and numbers: they have a JSON form always.
        serde_json::to_string(&self.sheet).unwrap_or_default()
    }
}

/// The sliders, or the picture where scripts don't run.
impl Show for Explorer {
    fn content(&self) -> Content {
        Content::text(self.picture.alt()).with_html(self.html())
    }
}

evcxr_display!(Explorer);

/// The words, not the bytes: a failed assertion in a cell stays readable.
impl fmt::Debug for Explorer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Explorer({:?})", self.picture)
    }
}
