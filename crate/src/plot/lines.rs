//! A chart of any numbers that belong to each other in pairs: curves with names, and levels to hold them against.

use std::ops::Range;

use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Figure;
use super::axes::{Axis, Chart, axes, log_axes, log_tick, tick};
use super::canvas::{Area, Canvas, DENSITY, INK, LOWER, draw, font};
use super::marks::dashed_line;
use super::runs::{COLOURS, LEGEND_ROW};
use crate::{Error, Result};

const WIDTH: u32 = 760 * DENSITY;
const HEIGHT: u32 = 320 * DENSITY;
/// Up to so many points of a curve are marked with a dot: they are single measurements.
const DOTS: usize = 30;
/// Above the plot, where it has no legend, and around the legend where it has one.
const SPACE: u32 = 10 * DENSITY;
/// The last colour is that of the marks.
const MOST: usize = COLOURS.len() - 1;

/// Up to six curves through points (x, y), each with its name, over axes named `[x, y]`. `marks` are dashed levels with a
/// name, for values that theory or another measurement gives. A curve of 30 points or fewer shows each as a dot.
///
/// ```
/// use digit_gan::plot;
/// let loss: Vec<(f64, f64)> = (0..100).map(|step| (step as f64, 1.4 - step as f64 / 200.)).collect();
/// let figure = plot::lines(["step", "loss"], &[("generator", &loss)], &[("log 2", 2f64.ln())])?;
/// assert_eq!(figure.alt(), "loss over step. generator: from 1.4 at 0 to 0.905 at 99. Marked: log 2 at 0.693.");
/// # Ok::<(), digit_gan::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] for no curves or more than six, a curve without points, or values that are not finite.
pub fn lines<P: AsRef<[(f64, f64)]>>(
    axes: [&str; 2],
    curves: &[(&str, P)],
    marks: &[(&str, f64)],
) -> Result<Figure> {
    LineChart::new("lines", axes, curves, marks)?.draw(Scale::Linear)
}

/// The same with a logarithmic y axis, for values that span decades.
///
/// # Errors
/// Those of [`lines`], and [`Error::Value`] for values of 0 or below.
pub fn log_lines<P: AsRef<[(f64, f64)]>>(
    axes: [&str; 2],
    curves: &[(&str, P)],
    marks: &[(&str, f64)],
) -> Result<Figure> {
    let chart = LineChart::new("log_lines", axes, curves, marks)?;
    match chart.values().find(|&y| y <= 0.) {
        Some(y) => Err(Error::Value(format!(
            "log_lines: {y} has no place on a logarithmic axis; leave out values of 0 and below, or use lines"
        ))),
        None => chart.draw(Scale::Logarithmic),
    }
}

#[derive(Clone, Copy)]
enum Scale {
    Linear,
    Logarithmic,
}

/// What is to be drawn: at least one curve of at least one point, all of it finite.
struct LineChart<'a> {
    axes: [&'a str; 2],
    curves: Vec<(&'a str, &'a [(f64, f64)])>,
    marks: &'a [(&'a str, f64)],
}

impl<'a> LineChart<'a> {
    fn new<P: AsRef<[(f64, f64)]>>(
        caller: &str,
        axes: [&'a str; 2],
        curves: &'a [(&'a str, P)],
        marks: &'a [(&'a str, f64)],
    ) -> Result<Self> {
        if !(1..=MOST).contains(&curves.len()) {
            return Err(Error::Value(format!(
                "{caller}: expected 1 to {MOST} curves, that many colours can be told apart, not {}",
                curves.len()
            )));
        }
        let curves: Vec<_> = curves
            .iter()
            .map(|(name, points)| (*name, points.as_ref()))
            .collect();
        for (name, points) in &curves {
            let wrong = points
                .iter()
                .find(|(x, y)| !(x.is_finite() && y.is_finite()));
            let problem = match wrong {
                Some((x, y)) => format!("holds ({x}, {y}), which is not finite"),
                None if points.is_empty() => "has no points".to_string(),
                None => continue,
            };
            return Err(Error::Value(format!(
                "{caller}: the curve {name:?} {problem}; every curve needs at least one point and only finite ones"
            )));
        }
        if let Some((name, y)) = marks.iter().find(|(_, y)| !y.is_finite()) {
            return Err(Error::Value(format!(
                "{caller}: the mark {name:?} lies at {y}; expected a finite value"
            )));
        }
        Ok(LineChart {
            axes,
            curves,
            marks,
        })
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.curves
            .iter()
            .flat_map(|(_, points)| points.iter().copied())
    }

    /// All that has to fit on the y axis.
    fn values(&self) -> impl Iterator<Item = f64> {
        let marks = self.marks.iter().map(|&(_, y)| y);
        self.points().map(|(_, y)| y).chain(marks)
    }

    fn draw(&self, scale: Scale) -> Result<Figure> {
        let [x_name, y_name] = self.axes;
        let x = Axis {
            name: x_name,
            range: widened(ends(self.points().map(|(x, _)| x))),
            labels: 11,
        };
        let y = |range, labels| Axis {
            name: y_name,
            range,
            labels,
        };
        let around = ends(self.values());
        let mut canvas = Canvas::new(WIDTH, HEIGHT, 255);
        {
            let area = canvas.area();
            let top = self.legend(&area)?;
            match scale {
                Scale::Linear => self.fill(&mut axes(&area, top, x, y(roomy(around), 8))?)?,
                Scale::Logarithmic => {
                    self.fill(&mut log_axes(&area, top, x, y(log_roomy(around), 12))?)?
                }
            }
        }
        canvas.into_png(self.words())
    }

    /// Writes the names, in as many rows as they need, and returns where the plot may begin. A single curve has none: the
    /// axis says what it is.
    fn legend(&self, area: &Area) -> Result<u32> {
        if self.curves.len() == 1 {
            return Ok(SPACE);
        }
        let unit = DENSITY as i32;
        let (left, swatch, gap) = (70 * unit, 24 * unit, 8 * unit);
        let style = font(14 * DENSITY, INK).pos(Pos::new(HPos::Left, VPos::Center));
        let (mut x, mut middle) = (left, 18 * unit);
        for ((name, _), colour) in self.curves.iter().zip(COLOURS) {
            let width = draw(area.estimate_text_size(name, &style))?.0 as i32;
            if x > left && x + swatch + gap + width > (WIDTH - SPACE) as i32 {
                (x, middle) = (left, middle + LEGEND_ROW as i32);
            }
            let corners = [(x, middle - 2 * unit), (x + swatch, middle + 2 * unit)];
            draw(area.draw(&Rectangle::new(corners, colour.filled())))?;
            x += swatch + gap;
            draw(area.draw(&Text::new(*name, (x, middle + LOWER), style.clone())))?;
            x += width + 3 * gap;
        }
        Ok(middle as u32 + 2 * SPACE)
    }

    /// The curves, the marks, and over both the marks' names.
    fn fill<Y>(&self, chart: &mut Chart<Y>) -> Result<()>
    where
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        for ((_, points), colour) in self.curves.iter().zip(COLOURS) {
            // Piece by piece: at a sharp turn, a thick line in one piece has a long thorn.
            let piece = |ends: &[(f64, f64)]| {
                PathElement::new(ends.to_vec(), colour.stroke_width(2 * DENSITY))
            };
            draw(chart.draw_series(points.windows(2).map(piece)))?;
            if points.len() <= DOTS {
                let dot = |&point| Circle::new(point, 3 * DENSITY, colour.filled());
                draw(chart.draw_series(points.iter().map(dot)))?;
            }
        }
        let Range { start, end } = chart.as_coord_spec().x_spec().range();
        for &(_, y) in self.marks {
            dashed_line(chart, [start, end], y)?;
        }
        let plot = chart.plotting_area().strip_coord_spec();
        let style = font(12 * DENSITY, INK).pos(Pos::new(HPos::Right, VPos::Bottom));
        for (name, y) in self.marks {
            let (x, y) = chart.backend_coord(&(end, *y));
            let (left, top) = plot.get_base_pixel();
            let (x, y) = (x - left - 2 * DENSITY as i32, y - top - DENSITY as i32);
            let (width, height) = draw(plot.estimate_text_size(name, &style))?;
            let paper = [
                (x - width as i32 - 2 * DENSITY as i32, y - height as i32),
                (x + DENSITY as i32, y),
            ];
            draw(plot.draw(&Rectangle::new(paper, WHITE.mix(0.8).filled())))?;
            draw(plot.draw(&Text::new(*name, (x, y), style.clone())))?;
        }
        Ok(())
    }

    /// "loss over step. generator: from 1.4 at 0 to 0.9 at 99. Marked: log 2 at 0.693."
    fn words(&self) -> String {
        let [x, y] = self.axes;
        let course = |(name, points): &(&str, &[(f64, f64)])| {
            let at = |&(x, y): &(f64, f64)| format!("{} at {}", log_tick(&y), tick(&x));
            match points {
                [only] => format!("{name}: {}", at(only)),
                [first, .., last] => format!("{name}: from {} to {}", at(first), at(last)),
                [] => name.to_string(),
            }
        };
        let curves: Vec<String> = self.curves.iter().map(course).collect();
        let marks = self.marks.iter();
        let marks: Vec<String> = marks
            .map(|(name, y)| format!("{name} at {}", log_tick(y)))
            .collect();
        let marked = match marks.is_empty() {
            true => String::new(),
            false => format!(" Marked: {}.", marks.join(", ")),
        };
        format!("{y} over {x}. {}.{marked}", curves.join("; "))
    }
}

/// The least and the greatest of at least one value.
fn ends(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    low..high
}

/// A range of some length around a single value.
fn widened(Range { start, end }: Range<f64>) -> Range<f64> {
    if start < end {
        return start..end;
    }
    let by = (start.abs() * 0.05).max(0.5);
    start - by..end + by
}

/// Room above and below; from 0 where that is near.
fn roomy(ends: Range<f64>) -> Range<f64> {
    let Range { start, end } = widened(ends);
    let room = 0.06 * (end - start);
    let near_zero = start >= 0. && start < 0.5 * end;
    let bottom = if near_zero { 0. } else { start - room };
    bottom..end + room
}

/// Room above and below on a logarithmic axis, never less than a factor of two in all.
fn log_roomy(Range { start, end }: Range<f64>) -> Range<f64> {
    let room = (end / start).powf(0.06).max(1.5);
    start / room..end * room
}
