//! The panel of the Fréchet distance: its axis is logarithmic, as a training spans decades, and it knows a floor.

use std::ops::Range;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axes::{Axis, log_axes, tick};
use super::canvas::{Area, DENSITY, INK, draw, font};
use super::marks::dashed_line;
use crate::Result;

/// Below this a distance is as good as none, and its logarithm says nothing.
const LEAST: f64 = 1e-3;

/// A run's distances over the panel's x axis.
pub(super) type Curve = (RGBColor, Vec<(f64, f64)>);

/// Draws the curves, with a dot for each measurement, and the floors as dashed lines.
pub(super) fn distance_panel(
    area: &Area,
    top: u32,
    x: Axis,
    curves: &[Curve],
    floors: &[f64],
) -> Result<()> {
    let (left, right) = (x.range.start, x.range.end);
    let values = curves
        .iter()
        .flat_map(|(_, points)| points.iter().map(|point| point.1));
    let y = Axis {
        name: "Fréchet distance",
        range: around(values.chain(floors.iter().copied())),
        labels: 12,
    };
    let mut chart = log_axes(area, top, x, y)?;
    let place = |&(x, value): &(f64, f64)| (x, value.max(LEAST));
    for &floor in floors {
        dashed_line(&mut chart, [left, right], floor.max(LEAST))?;
        let words = format!("real digits: {}", tick(&((100. * floor).round() / 100.)));
        // On the left, where curves are far above it.
        let beside = (left + 0.01 * (right - left), floor.max(LEAST));
        let style = font(12 * DENSITY, INK).pos(Pos::new(HPos::Left, VPos::Bottom));
        draw(chart.draw_series([Text::new(words, beside, style)]))?;
    }
    for (colour, points) in curves {
        let line = LineSeries::new(points.iter().map(place), colour.stroke_width(2 * DENSITY));
        draw(chart.draw_series(line))?;
        let dot = |point| Circle::new(place(point), 3 * DENSITY, colour.filled());
        draw(chart.draw_series(points.iter().map(dot)))?;
    }
    Ok(())
}

/// A range with some room around the values; never less than a factor of two.
fn around(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values
        .map(|value| value.max(LEAST))
        .fold((f64::INFINITY, 0f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
    let room = (high / low).powf(0.08).max(1.5);
    low / room..high * room
}
