//! The plane: real and fake points, what a discriminator says of every place, and where it sends the fakes.

use std::ops::Range;

use candle_core::{DType, Tensor};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Figure;
use super::axes::{round_marks, tick};
use super::canvas::{Area, Canvas, INK, draw, font};
use crate::{Error, Result};

/// Okabe and Ito's blue and vermillion: told apart by colour-blind readers, and in grey.
const REAL: RGBColor = RGBColor(0, 114, 178);
const FAKE: RGBColor = RGBColor(213, 94, 0);
/// How far the surface goes towards the colour of the fakes at 0, and of the real points at 1.
const TINT: f64 = 0.55;
/// Colours from 0 to 1. An odd number: one half has a colour of its own, white, and the edges between them are contours.
const LEVELS: usize = 11;
/// Greys between the ink and the paper: what smooth edges of text need.
const GREYS: u8 = 6;

/// Device pixels for CSS pixels: one and a half. Text stays sharp enough, and a slider holds many frames.
const fn px(css: u32) -> u32 {
    css * 3 / 2
}

/// The same as an offset.
const fn ipx(css: u32) -> i32 {
    px(css) as i32
}

const SIDE: u32 = px(330);
/// Above the panels, for the legend.
const LEGEND: u32 = px(30);
/// Above a panel, for its title.
const TITLE: u32 = px(26);
/// Below a panel and to its left, for the numbers.
const NUMBERS: u32 = px(24);
const SPACE: u32 = px(10);

/// A panel of [`planes`]: a square of the plane, and what lies in it.
#[derive(Clone, Debug)]
pub struct Plane {
    title: String,
    square: Range<f64>,
    surface: Option<Surface>,
    real: Vec<[f64; 2]>,
    fake: Vec<[f64; 2]>,
    /// Where each begins and ends.
    arrows: Vec<[[f64; 2]; 2]>,
}

/// Probabilities at the points of a grid that covers the square, its edges included, the lowest row first.
#[derive(Clone, Debug)]
struct Surface {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

impl Plane {
    /// An empty square, in which both x and y run over `square`.
    pub fn new(title: impl Into<String>, square: Range<f64>) -> Self {
        Plane {
            title: title.into(),
            square,
            surface: None,
            real: Vec::new(),
            fake: Vec::new(),
            arrows: Vec::new(),
        }
    }

    /// The real points (n, 2).
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape, [`Error::Value`] for non-finite coordinates.
    pub fn real(self, points: &Tensor) -> Result<Self> {
        let real = pairs(points, "real points")?;
        Ok(Plane { real, ..self })
    }

    /// The generated points (n, 2).
    ///
    /// # Errors
    /// Those of [`Plane::real`].
    pub fn fake(self, points: &Tensor) -> Result<Self> {
        let fake = pairs(points, "fake points")?;
        Ok(Plane { fake, ..self })
    }

    /// Arrows that begin at the points `from` (n, 2) and lead `by` (n, 2) further, in the plane's units.
    ///
    /// # Errors
    /// Those of [`Plane::real`], and [`Error::Shape`] unless there are as many of both.
    pub fn arrows(self, from: &Tensor, by: &Tensor) -> Result<Self> {
        let (from, by) = (pairs(from, "arrows")?, pairs(by, "arrows")?);
        if from.len() != by.len() {
            return Err(Error::Shape(format!(
                "planes: {} arrows begin somewhere and {} lead somewhere; give as many of both",
                from.len(),
                by.len()
            )));
        }
        let ends = from.into_iter().zip(by);
        let arrows = ends.map(|([x, y], [dx, dy])| [[x, y], [x + dx, y + dy]]);
        Ok(Plane {
            arrows: arrows.collect(),
            ..self
        })
    }

    /// The probability of being real at the points of a grid (rows, columns) that covers the square, its edges included:
    /// the first row is the lowest, the first column the leftmost. Blue is near 1, vermillion near 0, white one half.
    ///
    /// # Errors
    /// [`Error::Shape`] for fewer than two rows or columns, [`Error::Value`] for values outside [0, 1].
    pub fn surface(self, probabilities: &Tensor) -> Result<Self> {
        let (rows, columns) = match probabilities.dims() {
            &[rows, columns] if rows > 1 && columns > 1 => (rows, columns),
            other => {
                return Err(Error::Shape(format!(
                    "planes: a surface is a grid (rows, columns) of 2 x 2 values or more, got {other:?}"
                )));
            }
        };
        let values = floats(probabilities)?;
        if let Some(wrong) = values.iter().find(|value| !(0.0..=1.0).contains(*value)) {
            return Err(Error::Value(format!(
                "planes: the surface holds {wrong}; expected probabilities from 0 to 1, such as the sigmoid of logits"
            )));
        }
        let surface = Some(Surface {
            rows,
            columns,
            values,
        });
        Ok(Plane { surface, ..self })
    }
}

/// Squares of the plane side by side, with what lies in them: a surface, over it real points in blue and fake ones in
/// vermillion, and arrows. What lies outside a square is cut off. Small enough for a
/// [`Live`](crate::live::Live) display.
///
/// ```
/// use digit_gan::{candle::{Device, Tensor}, plot::{self, Plane}};
/// let points = Tensor::new(&[[1f32, 2.], [3., -1.]], &Device::Cpu)?;
/// let figure = plot::planes(&[Plane::new("two", -4.0..4.0).fake(&points)?])?;
/// assert_eq!(figure.alt(), "two: 2 fake points around (2.00, 0.50).");
/// # Ok::<(), digit_gan::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] for no planes or more than three, or an empty square.
pub fn planes(planes: &[Plane]) -> Result<Figure> {
    if !(1..=3).contains(&planes.len()) {
        return Err(Error::Value(format!(
            "planes: expected 1 to 3 planes, that many fit side by side, not {}",
            planes.len()
        )));
    }
    for Plane { title, square, .. } in planes {
        if !(square.end - square.start).is_normal() || square.start > square.end {
            return Err(Error::Value(format!(
                "planes: the square of {title:?} runs from {} to {}; expected a finite range such as -3.0..3.0",
                square.start, square.end
            )));
        }
    }
    let panel = NUMBERS + SIDE + SPACE;
    let width = panel * planes.len() as u32;
    let height = LEGEND + TITLE + SIDE + NUMBERS;
    let mut canvas = Canvas::new(width, height, 255);
    let lefts = (0..).map(|i| i * panel + NUMBERS);
    for (plane, left) in planes.iter().zip(lefts.clone()) {
        if let Some(surface) = &plane.surface {
            surface.paint(&mut canvas, left, LEGEND + TITLE);
        }
    }
    {
        let area = canvas.area();
        legend(&area, planes)?;
        for (plane, left) in planes.iter().zip(lefts) {
            plane.draw(&area, left as i32, (LEGEND + TITLE) as i32)?;
        }
    }
    let words: Vec<String> = planes.iter().map(Plane::words).collect();
    let size = [width, height].map(|pixels| pixels * 2 / 3);
    canvas.into_indexed(words.join(" "), &palette(), size)
}

impl Plane {
    /// Everything but the surface.
    fn draw(&self, area: &Area, left: i32, top: i32) -> Result<()> {
        let side = SIDE as i32;
        let title = font(px(15), INK).pos(Pos::new(HPos::Center, VPos::Center));
        let middle = (left + side / 2, top - TITLE as i32 / 2 + ipx(2));
        draw(area.draw(&Text::new(self.title.as_str(), middle, title)))?;
        {
            let inside = area.clone().shrink((left, top), (SIDE, SIDE));
            let dots = |points: &[[f64; 2]], radius: u32, colour: RGBColor| {
                let mut seen = points.iter().filter(|point| self.holds(point));
                seen.try_for_each(|&point| {
                    let dot = Circle::new(self.place(point), radius, colour.filled());
                    draw(inside.draw(&dot))
                })
            };
            dots(&self.real, px(2), REAL)?;
            dots(&self.fake, px(2), FAKE)?;
            for &[from, to] in self.arrows.iter().filter(|[from, _]| self.holds(from)) {
                arrow(
                    &inside,
                    [from, self.cut(from, to)].map(|end| self.place(end)),
                )?;
            }
        }
        let frame = [(left, top), (left + side, top + side)];
        draw(area.draw(&Rectangle::new(frame, INK.stroke_width(px(1)))))?;
        let numbers = font(px(12), INK);
        let below = numbers.pos(Pos::new(HPos::Center, VPos::Top));
        let beside = numbers.pos(Pos::new(HPos::Right, VPos::Center));
        for mark in round_marks(&self.square) {
            let (x, y) = self.place([mark, mark]);
            let at = (left + x, top + side + ipx(5));
            draw(area.draw(&Text::new(tick(&mark), at, below.clone())))?;
            let at = (left - ipx(4), top + y + ipx(2));
            draw(area.draw(&Text::new(tick(&mark), at, beside.clone())))?;
        }
        Ok(())
    }

    fn holds(&self, point: &[f64; 2]) -> bool {
        let Range { start, end } = self.square;
        point.iter().all(|place| (start..=end).contains(place))
    }

    /// Where the way from a point in the square to another one leaves it, or the other one.
    fn cut(&self, from: [f64; 2], to: [f64; 2]) -> [f64; 2] {
        let Range { start, end } = self.square;
        let part = |axis: usize| {
            let way = to[axis] - from[axis];
            let edge = if way > 0. { end } else { start };
            ((edge - from[axis]) / way).abs()
        };
        let part = part(0).min(part(1)).min(1.);
        [0, 1].map(|axis| from[axis] + part * (to[axis] - from[axis]))
    }

    /// The pixel of a point, counted from the square's upper left corner.
    fn place(&self, [x, y]: [f64; 2]) -> (i32, i32) {
        let Range { start, end } = self.square;
        let pixel = |share: f64| (share * f64::from(SIDE - 1)).round() as i32;
        (
            pixel((x - start) / (end - start)),
            pixel((end - y) / (end - start)),
        )
    }

    /// "learned: 256 real points, 256 fake points around (0.1, -0.2); D is 0.31 at the fakes on average; 64 arrows."
    fn words(&self) -> String {
        let points = |points: &[[f64; 2]], kind: &str| match points {
            [] => None,
            points => {
                let count = points.len() as f64;
                let mean =
                    |axis: usize| points.iter().map(|point| point[axis]).sum::<f64>() / count;
                let (x, y) = (mean(0), mean(1));
                Some(format!(
                    "{} {kind} points around ({x:.2}, {y:.2})",
                    points.len()
                ))
            }
        };
        let surface = self.surface.as_ref().map(|surface| {
            let values = surface.values.iter().copied();
            let (low, high) = values.fold((1f32, 0f32), |(low, high), value| {
                (low.min(value), high.max(value))
            });
            format!("a surface from {low:.2} to {high:.2}")
        });
        let arrows = match self.arrows.len() {
            0 => None,
            count => Some(format!("{count} arrows")),
        };
        let parts = [
            points(&self.real, "real"),
            points(&self.fake, "fake"),
            surface,
            arrows,
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let nothing = if parts.is_empty() { "nothing" } else { "" };
        format!("{}: {nothing}{}.", self.title, parts.join(", "))
    }
}

impl Surface {
    /// Fills the square whose upper left corner is given, with values between the grid's points interpolated.
    fn paint(&self, canvas: &mut Canvas, left: u32, top: u32) {
        let colours: Vec<RGBColor> = (0..LEVELS).map(tint).collect();
        let along = |count: usize, pixel: u32| {
            let place = pixel as f32 / (SIDE - 1) as f32 * (count - 1) as f32;
            let first = (place as usize).min(count - 2);
            (first, place - first as f32)
        };
        let across: Vec<(usize, f32)> = (0..SIDE).map(|x| along(self.columns, x)).collect();
        for y in 0..SIDE {
            let (row, share) = along(self.rows, SIDE - 1 - y);
            let [below, above] = [row, row + 1].map(|row| &self.values[row * self.columns..]);
            let line: Vec<f32> = below[..self.columns]
                .iter()
                .zip(above)
                .map(|(below, above)| below + share * (above - below))
                .collect();
            let pixels = across.iter().map(|&(column, share)| {
                let value = line[column] + share * (line[column + 1] - line[column]);
                colours[(value * (LEVELS - 1) as f32 + 0.5) as usize]
            });
            canvas.paint_row(left, top + y, pixels);
        }
    }
}

/// The colour of a level of the surface.
fn tint(level: usize) -> RGBColor {
    let signed = 2. * level as f64 / (LEVELS - 1) as f64 - 1.;
    let RGBColor(red, green, blue) = if signed > 0. { REAL } else { FAKE };
    let mixed = |channel: u8| {
        let share = TINT * signed.abs();
        (255. - share * (255. - f64::from(channel))).round() as u8
    };
    RGBColor(mixed(red), mixed(green), mixed(blue))
}

/// All colours that a plane has; those of smooth edges are rounded to them.
fn palette() -> Vec<RGBColor> {
    let grey = |step: u8| {
        let part = f64::from(step) / f64::from(GREYS);
        let channel = (38. + part * (255. - 38.)).round() as u8;
        RGBColor(channel, channel, channel)
    };
    let greys = (0..=GREYS).map(grey);
    (0..LEVELS)
        .map(tint)
        .chain([REAL, FAKE])
        .chain(greys)
        .collect()
}

/// What the colours mean, for all that occurs in any of the planes.
fn legend(area: &Area, planes: &[Plane]) -> Result<()> {
    let middle = LEGEND as i32 / 2;
    let mut x = NUMBERS as i32;
    let style = font(px(13), INK).pos(Pos::new(HPos::Left, VPos::Center));
    let write = |text: &str, left: i32| -> Result<i32> {
        draw(area.draw(&Text::new(text, (left, middle + ipx(2)), style.clone())))?;
        let width = draw(area.estimate_text_size(text, &style))?.0 as i32;
        Ok(left + width + ipx(18))
    };
    let any = |holds: fn(&Plane) -> bool| planes.iter().any(holds);
    let points = [
        ("real", REAL, any(|plane| !plane.real.is_empty())),
        ("fake", FAKE, any(|plane| !plane.fake.is_empty())),
    ];
    for (name, colour, _) in points.into_iter().filter(|(_, _, is_there)| *is_there) {
        let dot = Circle::new((x + ipx(5), middle), px(4), colour.filled());
        draw(area.draw(&dot))?;
        x = write(name, x + ipx(15))?;
    }
    if any(|plane| plane.surface.is_some()) {
        x = write("D = 0", x)? - ipx(12);
        for level in 0..LEVELS {
            let step = ipx(6);
            let corners = [(x, middle - ipx(6)), (x + step, middle + ipx(6))];
            draw(area.draw(&Rectangle::new(corners, tint(level).filled())))?;
            x += step;
        }
        x = write("1", x + ipx(6))?;
    }
    if any(|plane| !plane.arrows.is_empty()) {
        arrow(area, [(x, middle), (x + ipx(24), middle)])?;
        write("pull", x + ipx(32))?;
    }
    Ok(())
}

/// An arrow with a head that is part of its length; a dot where it has none.
fn arrow(area: &Area, [from, to]: [(i32, i32); 2]) -> Result<()> {
    let unit = f64::from(px(2)) / 2.;
    let (dx, dy) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
    let length = dx.hypot(dy);
    let shaft = PathElement::new([from, to], INK.stroke_width(px(1)));
    draw(area.draw(&shaft))?;
    if length < unit {
        return Ok(());
    }
    let (dx, dy) = (dx / length, dy / length);
    let head = (5. * unit).min(length);
    let corner = |side: f64| {
        let (back, out) = (head, side * 0.45 * head);
        (
            to.0 - (back * dx - out * dy).round() as i32,
            to.1 - (back * dy + out * dx).round() as i32,
        )
    };
    draw(area.draw(&Polygon::new([to, corner(1.), corner(-1.)], INK.filled())))
}

/// Points (n, 2), all of them finite.
fn pairs(points: &Tensor, what: &str) -> Result<Vec<[f64; 2]>> {
    if !matches!(points.dims(), [_, 2]) {
        return Err(Error::Shape(format!(
            "planes: {what} are a tensor (n, 2), got {:?}",
            points.dims()
        )));
    }
    let values = floats(points)?;
    if let Some(wrong) = values.iter().position(|value| !value.is_finite()) {
        return Err(Error::Value(format!(
            "planes: number {} of the {what} holds {}; expected finite coordinates",
            wrong / 2,
            values[wrong]
        )));
    }
    let pairs = values.chunks_exact(2);
    Ok(pairs.map(|pair| [pair[0].into(), pair[1].into()]).collect())
}

fn floats(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}
