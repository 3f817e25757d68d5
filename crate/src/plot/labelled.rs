//! Digits in rows and columns that have titles.

use candle_core::Tensor;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Figure;
use super::canvas::{Area, Canvas, DENSITY, GUTTER, INK, LOWER, draw, font};
use super::grid::{MAX_WIDTH, rows_of, scale_within};
use super::samples::Pictures;
use crate::{Error, Result};

const SPACE: u32 = 8 * DENSITY;
const LINE: u32 = 17 * DENSITY;

/// Samples (n, 1, height, width) in [-1, 1], row by row, with the title of each row on its left and the title of each
/// column above it. No titles at all for one of the two, `&[]`, leaves that side free; how many rows or columns there are
/// then follows from the number of samples. A title may have several lines, with `\n` between them.
///
/// ```
/// use digit_gan::{plot, rng::Rng};
/// let noise = Rng::seed(1).uniform((4, 1, 28, 28), -1.0, 1.0)?;
/// let figure = plot::labelled_grid(&noise, &["real", "fake"], &["zero", "one"])?;
/// assert_eq!(figure.alt(), "4 pictures in 2 rows of 2. Rows: real, fake. Columns: zero, one.");
/// # Ok::<(), digit_gan::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] for samples of another shape, or not as many as the titles make places; [`Error::Value`] for non-finite
/// samples, and where neither rows nor columns have titles.
pub fn labelled_grid(samples: &Tensor, rows: &[&str], columns: &[&str]) -> Result<Figure> {
    let pictures = Pictures::from_samples(samples, "labelled_grid")?;
    let across = columns_of(pictures.len(), rows, columns)?;
    let place = rows_of(pictures.len() / across, across);
    let mut alt = format!("{} pictures {place}.", pictures.len());
    for (name, titles) in [("Rows", rows), ("Columns", columns)] {
        if !titles.is_empty() {
            alt += &format!(" {name}: {}.", titles.join(", ").replace('\n', " "));
        }
    }
    let layout = Layout::new(&pictures, across, rows, columns, None)?;
    layout.draw(&pictures, rows, columns)?.into_png(alt)
}

/// Generated samples of one class a row, each behind the name of its class. Smaller and made faster for a display that is
/// replaced twice a second (`live`).
pub(crate) fn class_grid(samples: &Tensor, names: &[&str], live: bool) -> Result<Figure> {
    let pictures = Pictures::from_samples(samples, "class_grid")?;
    let across = columns_of(pictures.len(), names, &[])?;
    let alt = format!(
        "{} generated digits {}, a class each: {}.",
        pictures.len(),
        rows_of(names.len(), across),
        names.join(", ")
    );
    let layout = Layout::new(&pictures, across, names, &[], live.then_some(DENSITY))?;
    let canvas = layout.draw(&pictures, names, &[])?;
    match live {
        true => canvas.into_frame(alt),
        false => canvas.into_png(alt),
    }
}

/// How many columns so many pictures have, which must fill their rows.
fn columns_of(n: usize, rows: &[&str], columns: &[&str]) -> Result<usize> {
    let (across, expected) = match (rows.len(), columns.len()) {
        (0, 0) => {
            return Err(Error::Value(
                "labelled_grid: neither rows nor columns have titles; sample_grid draws digits without".into(),
            ));
        }
        (0, columns) => (columns, format!("a multiple of {columns} samples")),
        (rows, 0) => (n / rows, format!("a multiple of {rows} samples")),
        (rows, columns) => (columns, format!("{} samples", rows * columns)),
    };
    let down = match rows.len() {
        0 => n / across,
        rows => rows,
    };
    match across > 0 && down > 0 && n == across * down {
        true => Ok(across),
        false => Err(Error::Shape(format!(
            "labelled_grid: titles of {} rows and {} columns need {expected}, got {n}",
            rows.len(),
            columns.len()
        ))),
    }
}

/// Where everything stands, in device pixels.
pub(super) struct Layout {
    across: usize,
    down: usize,
    scale: u32,
    /// Width of the separators around each picture.
    gap: u32,
    /// Width and height of a picture.
    picture: [u32; 2],
    /// From one column to the next: wider than a picture where a title is.
    pitch: u32,
    /// Left of the first picture, and above it.
    titles: [u32; 2],
}

impl Layout {
    /// Pictures in full rows of `across`, with titles where there are any, at this scale or the largest that fits a page.
    pub fn new(
        pictures: &Pictures,
        across: usize,
        rows: &[&str],
        columns: &[&str],
        scale: Option<u32>,
    ) -> Result<Self> {
        let lines = columns.iter().map(|title| title.lines().count()).max();
        let left = match widest(rows)? {
            0 => SPACE,
            width => width + 2 * SPACE,
        };
        let above = lines.map_or(SPACE, |lines| lines as u32 * LINE + SPACE);
        let room = MAX_WIDTH - left.min(MAX_WIDTH / 2);
        let scale = scale.unwrap_or_else(|| scale_within(room, across, pictures.width));
        let gap = scale.div_ceil(2);
        let picture = [pictures.width, pictures.height].map(|side| side as u32 * scale);
        Ok(Layout {
            across,
            down: pictures.len() / across,
            scale,
            gap,
            picture,
            pitch: (picture[0] + gap).max(widest(columns)? + SPACE),
            titles: [left + gap, above + gap],
        })
    }

    pub fn draw(&self, pictures: &Pictures, rows: &[&str], columns: &[&str]) -> Result<Canvas> {
        let mut canvas = Canvas::new(self.width(), self.height(), 255);
        for i in 0..pictures.len() {
            let [left, top] = self.corner(i);
            let [width, height] = self.picture.map(|side| side + 2 * self.gap);
            canvas.fill(left - self.gap, top - self.gap, width, height, GUTTER);
            canvas.picture(left, top, self.scale, pictures, i);
        }
        let area = canvas.area();
        for (row, title) in rows.iter().enumerate() {
            let [left, top] = self.corner(row * self.across);
            let place = [left - self.gap - SPACE, top + self.picture[1] / 2];
            write(&area, title, place, HPos::Right)?;
        }
        for (column, title) in columns.iter().enumerate() {
            let [left, top] = self.corner(column);
            let place = [left + self.picture[0] / 2, (top - self.gap) / 2];
            write(&area, title, place, HPos::Center)?;
        }
        drop(area);
        Ok(canvas)
    }

    /// The top left corner of picture `i`.
    fn corner(&self, i: usize) -> [u32; 2] {
        let (row, column) = ((i / self.across) as u32, (i % self.across) as u32);
        let centred = (self.pitch - self.gap - self.picture[0]) / 2;
        [
            self.titles[0] + column * self.pitch + centred,
            self.titles[1] + row * (self.picture[1] + self.gap),
        ]
    }

    fn width(&self) -> u32 {
        self.titles[0] + self.across as u32 * self.pitch + SPACE
    }

    fn height(&self) -> u32 {
        self.titles[1] + self.down as u32 * (self.picture[1] + self.gap) + SPACE
    }
}

/// The width of the widest line of these titles.
fn widest(titles: &[&str]) -> Result<u32> {
    let lines = titles.iter().flat_map(|title| title.lines());
    let width = |line| Ok(draw(style().font.box_size(line))?.0);
    let widths: Vec<u32> = lines.map(width).collect::<Result<_>>()?;
    Ok(widths.into_iter().max().unwrap_or(0))
}

/// Writes a title, line by line, level with or around `[x, middle]`.
fn write(area: &Area, title: &str, [x, middle]: [u32; 2], anchor: HPos) -> Result<()> {
    let style = style().pos(Pos::new(anchor, VPos::Center));
    let above = (title.lines().count() as i32 - 1) * LINE as i32 / 2;
    for (i, line) in (0i32..).zip(title.lines()) {
        let y = middle as i32 - above + i * LINE as i32 + LOWER;
        draw(area.draw(&Text::new(line, (x as i32, y), style.clone())))?;
    }
    Ok(())
}

fn style() -> TextStyle<'static> {
    font(13 * DENSITY, INK)
}
