//! Rows of pictures that belong together column by column: images in grey, signed values in two colours.

use candle_core::{DType, Tensor};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Figure;
use super::canvas::{Area, Canvas, DENSITY, GUTTER, INK, LOWER, draw, font};
use crate::{Error, Result};

/// The widest figure, and the widest picture in it.
const WIDTH: u32 = 760 * DENSITY;
const WIDEST: u32 = 112 * DENSITY;
const SPACE: u32 = 8 * DENSITY;
const LINE: u32 = 17 * DENSITY;
/// What the two colours mean, below the rows.
const KEY: u32 = 30 * DENSITY;
/// Okabe and Ito's, as in all figures: below zero blue, above it vermillion.
const BELOW: RGBColor = RGBColor(0, 114, 178);
const ABOVE: RGBColor = RGBColor(213, 94, 0);
const GREY: RGBColor = RGBColor(GUTTER, GUTTER, GUTTER);

/// A row of a [`strips`] figure: pictures of one size under one title.
pub struct Strip<'a> {
    title: &'a str,
    values: &'a Tensor,
    signed: bool,
}

impl<'a> Strip<'a> {
    /// Images (n, 1, height, width) in [-1, 1], from black to white.
    pub fn grey(title: &'a str, images: &'a Tensor) -> Self {
        Strip {
            title,
            values: images,
            signed: false,
        }
    }

    /// Values (n, 1, height, width) of any size and sign, such as gradients, weights or feature maps: white is 0, blue
    /// below and orange above it. The strongest colour is the greatest magnitude in the row but for 1 value in 200, which
    /// may lie beyond; it is written under the title.
    pub fn signed(title: &'a str, values: &'a Tensor) -> Self {
        Strip {
            title,
            values,
            signed: true,
        }
    }
}

/// Rows of as many pictures each, one above the other, with the title of each row on its left and the title of each column
/// above it (`&[]` for none). Pictures of different rows may differ in size: a filter of 4 x 4 values is drawn as large
/// as the digit above it.
///
/// ```
/// use digit_gan::{plot, plot::Strip, rng::Rng};
/// let rng = Rng::seed(1);
/// let (images, change) = (rng.uniform((3, 1, 28, 28), -1., 1.)?, rng.normal((3, 1, 28, 28))?);
/// let rows = [Strip::grey("digit", &images), Strip::signed("change", &change)];
/// let figure = plot::strips(&rows, &["0", "1", "2"])?;
/// assert!(figure.alt().starts_with("2 rows of 3 pictures. digit: images in grey; change: values from -"));
/// # Ok::<(), digit_gan::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] for values of another shape, or rows and titles that are not equally many; [`Error::Value`] for no rows,
/// or values that are not finite.
pub fn strips(strips: &[Strip], columns: &[&str]) -> Result<Figure> {
    let rows: Vec<Row> = strips.iter().map(Row::new).collect::<Result<_>>()?;
    let Some(first) = rows.first() else {
        return Err(Error::Value(
            "strips: no rows; pass at least one Strip::grey or Strip::signed".into(),
        ));
    };
    let n = first.pictures.len();
    for row in &rows {
        check_count(row.title, row.pictures.len(), n)?;
    }
    if !columns.is_empty() {
        check_count("the titles of the columns", columns.len(), n)?;
    }
    let layout = Layout::new(&rows, columns)?;
    let mut canvas = Canvas::new(layout.width(), layout.height(), 255);
    {
        let area = canvas.area();
        for (column, title) in columns.iter().enumerate() {
            let x = layout.left(column) + layout.picture / 2;
            write(&area, title, [x, layout.top / 2], HPos::Center)?;
        }
        for (i, row) in (0u32..).zip(&rows) {
            let top = layout.top + i * layout.pitch();
            let middle = top + layout.picture / 2;
            write(
                &area,
                &row.words(),
                [layout.titles - SPACE, middle],
                HPos::Right,
            )?;
            for (column, picture) in row.pictures.iter().enumerate() {
                row.draw(&area, picture, [layout.left(column), top], layout.picture)?;
            }
        }
        if layout.key > 0 {
            let top = layout.top + rows.len() as u32 * layout.pitch();
            key(&area, [layout.titles, top + KEY / 2])?;
        }
    }
    let words: Vec<String> = rows.iter().map(Row::alt).collect();
    let [down, across] = [(rows.len(), "row"), (n, "picture")].map(|(n, what)| match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    });
    let mut alt = format!("{down} of {across}. {}.", words.join("; "));
    if !columns.is_empty() {
        alt += &format!(" Columns: {}.", columns.join(", ").replace('\n', " "));
    }
    canvas.into_png(alt)
}

fn check_count(what: &str, count: usize, expected: usize) -> Result<()> {
    match count == expected {
        true => Ok(()),
        false => Err(Error::Shape(format!(
            "strips: {what}: {count} where the first row has {expected} pictures; give every row as many"
        ))),
    }
}

/// The pictures of a strip as plain numbers.
struct Row<'a> {
    title: &'a str,
    /// The values of each, row by row.
    pictures: Vec<Vec<f32>>,
    size: [usize; 2],
    /// The magnitude that has the strongest colour, where the values are signed.
    scale: Option<f32>,
}

impl<'a> Row<'a> {
    fn new(strip: &Strip<'a>) -> Result<Self> {
        let Strip {
            title,
            values,
            signed,
        } = *strip;
        let size = match *values.dims() {
            [n, 1, height, width] if n > 0 && height > 0 && width > 0 => [height, width],
            _ => {
                return Err(Error::Shape(format!(
                    "strips: {title}: expected values of shape (n, 1, height, width) with n at least 1, got {:?}; \
                     .transpose(0, 1)? makes pictures of the channels of one",
                    values.dims()
                )));
            }
        };
        let all: Vec<f32> = values.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        if let Some(value) = all.iter().find(|value| !value.is_finite()) {
            return Err(Error::Value(format!(
                "strips: {title} holds {value}; expected finite values"
            )));
        }
        Ok(Row {
            title,
            pictures: all.chunks_exact(size[0] * size[1]).map(Vec::from).collect(),
            size,
            scale: signed.then(|| scale(&all)),
        })
    }

    /// The title, and the scale below it.
    fn words(&self) -> String {
        match self.scale {
            Some(scale) => format!("{}\n-{1} … {1}", self.title, short(scale)),
            None => self.title.into(),
        }
    }

    fn alt(&self) -> String {
        let title = self.title.replace('\n', " ");
        match self.scale {
            Some(scale) => format!(
                "{title}: values from -{0} to {0}, in two colours",
                short(scale)
            ),
            None => format!("{title}: images in grey"),
        }
    }

    fn colour(&self, value: f32) -> RGBColor {
        match self.scale {
            Some(scale) => diverging(value / scale.max(f32::MIN_POSITIVE)),
            None => {
                let grey = ((value.clamp(-1., 1.) + 1.) * 127.5).round() as u8;
                RGBColor(grey, grey, grey)
            }
        }
    }

    /// Draws a picture in the middle of a square of `side` pixels.
    fn draw(&self, area: &Area, picture: &[f32], corner: [u32; 2], side: u32) -> Result<()> {
        let [height, width] = self.size;
        let pixel = self.pixel(side);
        let drawn = [width, height].map(|n| n as u32 * pixel);
        let [left, top] = [0, 1].map(|i| (corner[i] + (side - drawn[i]) / 2) as i32);
        let frame = DENSITY as i32 / 2;
        fill(
            area,
            [left - frame, top - frame],
            drawn.map(|n| n as i32 + 2 * frame),
            GREY,
        )?;
        for (i, &value) in picture.iter().enumerate() {
            let [x, y] = [i % width, i / width].map(|n| n as i32 * pixel as i32);
            fill(
                area,
                [left + x, top + y],
                [pixel as i32; 2],
                self.colour(value),
            )?;
        }
        Ok(())
    }

    /// Device pixels per value.
    fn pixel(&self, side: u32) -> u32 {
        side / self.size[0].max(self.size[1]) as u32
    }
}

/// Where everything stands, in device pixels.
struct Layout {
    columns: u32,
    rows: u32,
    /// The side of the square that a picture has.
    picture: u32,
    /// The width left of the pictures, and the height above them.
    titles: u32,
    top: u32,
    key: u32,
}

impl Layout {
    fn new(rows: &[Row], columns: &[&str]) -> Result<Self> {
        let n = rows[0].pictures.len() as u32;
        let titles = rows.iter().map(|row| widest(&row.words()));
        let titles = titles
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .max()
            .unwrap_or(0)
            + 2 * SPACE;
        let largest = rows.iter().flat_map(|row| row.size).max().unwrap_or(1) as u32;
        let room = WIDTH.saturating_sub(titles) / n;
        let side = room.saturating_sub(SPACE).min(WIDEST);
        let lines = columns.iter().map(|title| title.lines().count()).max();
        let signed = rows.iter().any(|row| row.scale.is_some());
        Ok(Layout {
            columns: n,
            rows: rows.len() as u32,
            // Every value of the largest is a square of whole pixels.
            picture: (side / largest).max(1) * largest,
            titles,
            top: lines.map_or(SPACE, |lines| lines as u32 * LINE + SPACE),
            key: if signed { KEY } else { 0 },
        })
    }

    fn pitch(&self) -> u32 {
        self.picture + SPACE
    }

    fn left(&self, column: usize) -> u32 {
        self.titles + column as u32 * self.pitch()
    }

    fn width(&self) -> u32 {
        let key = if self.key > 0 { KEY_WIDTH } else { 0 };
        self.titles + (self.columns * self.pitch()).max(key)
    }

    fn height(&self) -> u32 {
        self.top + self.rows * self.pitch() + self.key
    }
}

/// The bar of colours, and the room that it needs with its words.
const BAR: u32 = 120 * DENSITY;
const KEY_WIDTH: u32 = 260 * DENSITY;

/// The colours from below to above zero, between their words, from `left` on.
fn key(area: &Area, [left, middle]: [u32; 2]) -> Result<()> {
    let (low, half) = ("below 0", 5 * DENSITY as i32);
    write(area, low, [left, middle], HPos::Left)?;
    let start = left + widest(low)? + SPACE;
    let corner = |x: u32| [(start + x) as i32, middle as i32 - half];
    fill(
        area,
        corner(0).map(|at| at - 1),
        [BAR as i32 + 2, 2 * half + 2],
        GREY,
    )?;
    for x in 0..BAR {
        let value = 2. * x as f32 / (BAR - 1) as f32 - 1.;
        fill(area, corner(x), [1, 2 * half], diverging(value))?;
    }
    write(area, "above 0", [start + BAR + SPACE, middle], HPos::Left)
}

/// The colour of a value in [-1, 1]: white at 0.
fn diverging(value: f32) -> RGBColor {
    let RGBColor(r, g, b) = if value < 0. { BELOW } else { ABOVE };
    let strength = value.abs().min(1.);
    let mix = |full: u8| (255. + strength * (f32::from(full) - 255.)).round() as u8;
    RGBColor(mix(r), mix(g), mix(b))
}

/// The magnitude below which all but 1 in 200 values lie: a single one would make all others pale.
fn scale(values: &[f32]) -> f32 {
    let mut sizes: Vec<f32> = values.iter().map(|value| value.abs()).collect();
    sizes.sort_by(f32::total_cmp);
    let beyond = sizes.len() / 200;
    match sizes[sizes.len() - 1 - beyond] {
        0. => sizes[sizes.len() - 1],
        scale => scale,
    }
}

/// A magnitude with two digits that count.
fn short(value: f32) -> String {
    let places = match value {
        0. => return "0".into(),
        value => (1 - value.log10().floor() as i32).clamp(0, 9) as usize,
    };
    format!("{value:.places$}")
}

fn fill(area: &Area, [x, y]: [i32; 2], [width, height]: [i32; 2], colour: RGBColor) -> Result<()> {
    let corners = [(x, y), (x + width, y + height)];
    draw(area.draw(&Rectangle::new(corners, colour.filled())))
}

/// The width of the widest line of a text.
fn widest(text: &str) -> Result<u32> {
    let width = |line| Ok(draw(style().font.box_size(line))?.0);
    let widths = text.lines().map(width).collect::<Result<Vec<u32>>>()?;
    Ok(widths.into_iter().max().unwrap_or(0))
}

/// Writes a text, line by line, around or beside `[x, middle]`.
fn write(area: &Area, text: &str, [x, middle]: [u32; 2], anchor: HPos) -> Result<()> {
    let style = style().pos(Pos::new(anchor, VPos::Center));
    let above = (text.lines().count() as i32 - 1) * LINE as i32 / 2;
    for (i, line) in (0i32..).zip(text.lines()) {
        let y = middle as i32 - above + i * LINE as i32 + LOWER;
        draw(area.draw(&Text::new(line, (x as i32, y), style.clone())))?;
    }
    Ok(())
}

fn style() -> TextStyle<'static> {
    font(13 * DENSITY, INK)
}
