//! What a run remembers, as curves over its epochs.

use std::ops::Range;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Figure;
use super::axes::{Axis, axes, tick};
use super::canvas::{Area, Canvas, DENSITY, INK, LOWER, draw, font};
use super::distance::distance_panel;
use crate::record::History;
use crate::{Error, Result};

const WIDTH: u32 = 760 * DENSITY;
const PANEL_HEIGHT: u32 = 360 * DENSITY;
const DISTANCE_HEIGHT: u32 = 260 * DENSITY;
/// Okabe and Ito's blue and vermillion: told apart by colour-blind readers, and in grey.
const BLUE: RGBColor = RGBColor(0, 114, 178);
const VERMILLION: RGBColor = RGBColor(213, 94, 0);
const LIVE_WIDTH: u32 = 300 * DENSITY;
const LIVE_HEIGHT: u32 = 130 * DENSITY;
/// Losses that the small curves are drawn from.
const LIVE_VALUES: usize = 2000;
const NOTE: RGBColor = RGBColor(110, 110, 110);
/// The running mean spans this part of the run.
const SMOOTHING: usize = 50;

/// The losses of both networks over the epochs: every step pale, their running mean bold. The axis ends
/// where all but 2 in 1000 steps lie; spikes beyond it are cut off. Below them, the Fréchet distance, if the history has
/// any.
///
/// # Errors
/// [`Error::Value`] when no step has been recorded, or a loss is not finite.
pub fn loss_curves(history: &History) -> Result<Figure> {
    let losses = [
        Series::new("discriminator", VERMILLION, &history.d_loss),
        Series::new("generator", BLUE, &history.g_loss),
    ];
    for Series { name, values, .. } in &losses {
        if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
            return Err(Error::Value(format!(
                "loss_curves: the {name} needs at least one loss and only finite ones; train first"
            )));
        }
    }
    let epoch = |steps: usize| steps as f64 / history.steps_per_epoch.max(1) as f64;
    let epochs = epoch(history.d_loss.len());
    let distances = history.frechet.iter();
    let distances: Vec<_> = distances
        .map(|&(steps, distance)| (epoch(steps), distance))
        .collect();
    let below = if distances.is_empty() {
        0
    } else {
        DISTANCE_HEIGHT
    };
    let mut words = String::new();
    let mut canvas = Canvas::new(WIDTH, PANEL_HEIGHT + below, 255);
    {
        let (top, bottom) = canvas.area().split_vertically(PANEL_HEIGHT);
        panel(&top, "loss", &losses, epochs)?;
        if let Some((_, last)) = distances.last() {
            words = format!("; the Fréchet distance ends at {last:.2}");
            let floor = history.frechet_floor.as_slice();
            distance_panel(
                &bottom,
                10 * DENSITY,
                axis(epochs),
                &[(BLUE, distances)],
                floor,
            )?;
        }
    }
    let course = |series: &Series| {
        let smooth = &series.smooth;
        let (first, last) = (smooth[0], smooth[smooth.len() - 1]);
        format!("the {} from {first:.2} to {last:.2}", series.name)
    };
    canvas.into_png(format!(
        "Losses over {} epochs of training: {}, {}{words}.",
        tick(&epochs),
        course(&losses[0]),
        course(&losses[1])
    ))
}

/// The running means of both losses, of any number of steps, in a few milliseconds; nothing of no steps.
pub(crate) fn live_loss_curves(d_loss: &[f32], g_loss: &[f32]) -> Result<Option<Figure>> {
    let (d_loss, g_loss) = (thinned(d_loss), thinned(g_loss));
    let (Some(d_last), Some(g_last)) = (d_loss.last(), g_loss.last()) else {
        return Ok(None);
    };
    let words = format!("Losses so far: discriminator {d_last:.2}, generator {g_last:.2}");
    let series = [
        Series::new("D loss", VERMILLION, &d_loss),
        Series::new("G loss", BLUE, &g_loss),
    ];
    let mut canvas = Canvas::new(LIVE_WIDTH, LIVE_HEIGHT, 255);
    {
        let area = canvas.area();
        legend_names(&area, 10 * DENSITY as i32, 12 * DENSITY as i32, &series)?;
        let margin = 6 * DENSITY;
        let plot = area.margin(24 * DENSITY, margin, margin, margin);
        means(&plot, &series, &y_range(&series))?;
    }
    Ok(Some(canvas.into_frame(words)?))
}

/// Every n-th value and the last one: a small curve shows no more.
fn thinned(values: &[f32]) -> Vec<f32> {
    let step = values.len().div_ceil(LIVE_VALUES).max(1);
    let mut thin: Vec<f32> = values.iter().rev().step_by(step).copied().collect();
    thin.reverse();
    thin
}

struct Series<'a> {
    name: &'a str,
    colour: RGBColor,
    values: &'a [f32],
    smooth: Vec<f32>,
}

impl<'a> Series<'a> {
    fn new(name: &'a str, colour: RGBColor, values: &'a [f32]) -> Self {
        let smooth = running_mean(values, values.len() / SMOOTHING / 2);
        Series {
            name,
            colour,
            values,
            smooth,
        }
    }
}

fn axis(epochs: f64) -> Axis<'static> {
    Axis {
        name: "epoch",
        range: 0.0..epochs,
        labels: 11,
    }
}

/// One plot with its axes and legend; the series span its whole width.
fn panel(area: &Area, y_name: &str, series: &[Series], epochs: f64) -> Result<()> {
    let y_range = y_range(series);
    let y = Axis {
        name: y_name,
        range: y_range.clone(),
        labels: 8,
    };
    let chart = axes(area, 38 * DENSITY, axis(epochs), y)?;
    let plot = chart.plotting_area().strip_coord_spec();
    let (columns, rows) = plot.dim_in_pixel();
    let row = |value: f32| row(value, &y_range, rows);
    for Series { colour, values, .. } in series {
        let pale = colour.mix(0.3).filled();
        for (column, (low, high)) in (0..).zip(envelope(values, columns as usize)) {
            // Two pixels at least: a level line stays visible.
            let corners = [(column, row(high)), (column + 1, row(low) + 2)];
            draw(plot.draw(&Rectangle::new(corners, pale)))?;
        }
    }
    means(&plot, series, &y_range)?;
    legend(area, series)
}

/// The running means, over the whole width of `plot`.
fn means(plot: &Area, series: &[Series], y_range: &Range<f64>) -> Result<()> {
    let (columns, rows) = plot.dim_in_pixel();
    for Series { colour, smooth, .. } in series {
        let points = (0..=columns / 2).map(|i| {
            let share = f64::from(i) / f64::from(columns / 2);
            let value = interpolate(smooth, share * (smooth.len() - 1) as f64);
            let column = (share * f64::from(columns - 1)) as i32;
            (column, row(value, y_range, rows))
        });
        let line = PathElement::new(points.collect::<Vec<_>>(), colour.stroke_width(2 * DENSITY));
        draw(plot.draw(&line))?;
    }
    Ok(())
}

/// The pixel row in which a value lies.
fn row(value: f32, y_range: &Range<f64>, rows: u32) -> i32 {
    let share = (f64::from(value) - y_range.start) / (y_range.end - y_range.start);
    ((1.0 - share.clamp(0.0, 1.0)) * f64::from(rows - 1)).round() as i32
}

/// Names above the plot, where they hide no curve.
fn legend(area: &Area, series: &[Series]) -> Result<()> {
    let unit = DENSITY as i32;
    let middle = 22 * unit;
    legend_names(area, 70 * unit, middle, series)?;
    let note = font(12 * DENSITY, NOTE).pos(Pos::new(HPos::Right, VPos::Center));
    let right = WIDTH as i32 - 18 * unit;
    let text = "pale: every step · bold: running mean";
    draw(area.draw(&Text::new(text, (right, middle + LOWER), note)))
}

/// Each name behind a swatch of its colour, from `x` on.
fn legend_names(area: &Area, mut x: i32, middle: i32, series: &[Series]) -> Result<()> {
    let unit = DENSITY as i32;
    let gap = 8 * unit;
    let names = font(14 * DENSITY, INK).pos(Pos::new(HPos::Left, VPos::Center));
    for Series { name, colour, .. } in series {
        let swatch = [(x, middle - 2 * unit), (x + 24 * unit, middle + 2 * unit)];
        draw(area.draw(&Rectangle::new(swatch, colour.filled())))?;
        x += 24 * unit + gap;
        draw(area.draw(&Text::new(*name, (x, middle + LOWER), names.clone())))?;
        x += draw(area.estimate_text_size(name, &names))?.0 as i32 + 3 * gap;
    }
    Ok(())
}

/// From zero, or below where losses are negative, to above the means and all but 2 in 1000 steps.
fn y_range(series: &[Series]) -> Range<f64> {
    let mut all: Vec<f32> = series.iter().flat_map(|s| s.values.to_vec()).collect();
    all.sort_by(f32::total_cmp);
    let smooth = || series.iter().flat_map(|s| s.smooth.iter().copied());
    let cut = all.len() / 500;
    let low = smooth().fold(all[cut], f32::min).min(0.0);
    let high = smooth().fold(all[all.len() - 1 - cut], f32::max).max(low);
    let room = (f64::from(high) - f64::from(low)).max(1e-3) * 0.06;
    let bottom = if low < 0.0 {
        f64::from(low) - room
    } else {
        0.0
    };
    bottom..f64::from(high) + room
}

/// The least and the greatest value of the curve within each of `columns` equal parts of its length.
fn envelope(values: &[f32], columns: usize) -> impl Iterator<Item = (f32, f32)> {
    let length = (values.len() - 1) as f64;
    let edge = move |column: usize| column as f64 / columns as f64 * length;
    (0..columns).map(move |column| {
        let (from, to) = (edge(column), edge(column + 1));
        let inside = &values[from.ceil() as usize..=to.floor().max(from.ceil()) as usize];
        let ends = [interpolate(values, from), interpolate(values, to)];
        let inside = if from.ceil() <= to { inside } else { &[] };
        ends.iter()
            .chain(inside)
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &value| {
                (low.min(value), high.max(value))
            })
    })
}

/// The curve's value at a position between two of its points.
fn interpolate(values: &[f32], position: f64) -> f32 {
    let left = (position as usize).min(values.len() - 1);
    let right = (left + 1).min(values.len() - 1);
    let share = (position - left as f64) as f32;
    values[left] * (1.0 - share) + values[right] * share
}

/// The mean of each value and its `reach` neighbours on both sides, as far as there are any.
fn running_mean(values: &[f32], reach: usize) -> Vec<f32> {
    let mut sums = vec![0.0];
    for value in values {
        sums.push(sums[sums.len() - 1] + f64::from(*value));
    }
    (0..values.len())
        .map(|i| {
            let (from, to) = (i.saturating_sub(reach), (i + reach + 1).min(values.len()));
            ((sums[to] - sums[from]) / (to - from) as f64) as f32
        })
        .collect()
}
