//! What a run remembers, as curves over its epochs.

use std::ops::Range;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Figure;
use super::axes::{Axis, axes, tick};
use super::canvas::{Area, Canvas, DENSITY, INK, LOWER, draw, font};
use super::distance::distance_panel;
use super::marks::{Mark, dashed_line, undecided};
use crate::loss::GanLoss;
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
/// The first steps, in which most happens, have a panel of their own, if the run is at least this many times longer.
const FIRST: usize = 100;
const LONGER: usize = 3;
const FIRST_WIDTH: u32 = 220 * DENSITY;
/// On the right, for the names of the dashed lines, which begin this far from the edge.
const MARKS_WIDTH: u32 = 88 * DENSITY;
const NAMES: u32 = 98 * DENSITY;
/// Above the panels, for their legend.
const LEGEND: u32 = 38 * DENSITY;

/// The losses of both networks: on the left each of the first hundred steps, then the epochs of the whole run, every step
/// pale, their running mean bold. The axis ends where all but 2 in 1000 steps lie; spikes beyond it are cut off. Below
/// them, the Fréchet distance, if the history has any.
///
/// Dashed lines are at 2 log 2 = 1.39 and log 2 = 0.69. There the two losses stand while the discriminator gives every
/// image the probability ½, if the loss is [`GanLoss::NonSaturating`](crate::loss::GanLoss::NonSaturating), as
/// [`History::loss`] says until it is set to another one.
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
        loss_panels(&top, &losses, epochs, history.loss)?;
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
        "Losses over {} epochs of training: {}, {}{words}.{}",
        tick(&epochs),
        course(&losses[0]),
        course(&losses[1]),
        match undecided(history.loss) {
            Some([(_, d), (_, g)]) => format!(" Dashed: {d} and {g}."),
            None => String::new(),
        }
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
        means(&plot, &series, &y_range(&series, &[]))?;
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

/// The first steps beside the whole run, under one legend, on the same scale.
fn loss_panels(area: &Area, series: &[Series; 2], epochs: f64, loss: GanLoss) -> Result<()> {
    let marks = undecided(loss).map_or_else(Vec::new, |marks| marks.to_vec());
    let y_range = y_range(series, &marks);
    let (width, _) = area.dim_in_pixel();
    let (plots, _) = area.split_horizontally(width - MARKS_WIDTH);
    let steps = series[0].values.len();
    let rows = if steps < LONGER * FIRST {
        whole_run(&plots, "loss", series, &y_range, epochs, &marks)?
    } else {
        let (left, right) = plots.split_horizontally(FIRST_WIDTH);
        first_steps(&left, series, &y_range, &marks)?;
        whole_run(&right, "", series, &y_range, epochs, &marks)?
    };
    for (value, name) in marks {
        let share = (value - y_range.start) / (y_range.end - y_range.start);
        let y = f64::from(rows.end) - share * f64::from(rows.end - rows.start);
        let place = (width as i32 - NAMES as i32, y as i32 + LOWER);
        let style = font(12 * DENSITY, INK).pos(Pos::new(HPos::Left, VPos::Center));
        draw(area.draw(&Text::new(name, place, style)))?;
    }
    legend(area, series)
}

/// Every one of the first steps.
fn first_steps(area: &Area, series: &[Series], y_range: &Range<f64>, marks: &[Mark]) -> Result<()> {
    let x = Axis {
        name: "step",
        range: 0.0..FIRST as f64,
        labels: 5,
    };
    let mut chart = axes(area, LEGEND, x, loss_axis("loss", y_range))?;
    for (value, _) in marks {
        dashed_line(&mut chart, [0., FIRST as f64], *value)?;
    }
    for Series { colour, values, .. } in series {
        let point = |(i, value): (usize, &f32)| {
            (
                i as f64 + 1.,
                f64::from(*value).clamp(y_range.start, y_range.end),
            )
        };
        let points = values[..FIRST].iter().enumerate().map(point);
        let line = LineSeries::new(points, colour.stroke_width(3 * DENSITY / 2));
        draw(chart.draw_series(line))?;
    }
    Ok(())
}

/// All steps, over the whole width. Returns the rows of pixels that the plot takes.
fn whole_run(
    area: &Area,
    y_name: &str,
    series: &[Series],
    y_range: &Range<f64>,
    epochs: f64,
    marks: &[Mark],
) -> Result<Range<i32>> {
    let mut chart = axes(area, LEGEND, axis(epochs), loss_axis(y_name, y_range))?;
    let plot = chart.plotting_area().strip_coord_spec();
    let (columns, rows) = plot.dim_in_pixel();
    let row = |value: f32| row(value, y_range, rows);
    for Series { colour, values, .. } in series {
        let pale = colour.mix(0.3).filled();
        for (column, (low, high)) in (0..).zip(envelope(values, columns as usize)) {
            // Two pixels at least: a level line stays visible.
            let corners = [(column, row(high)), (column + 1, row(low) + 2)];
            draw(plot.draw(&Rectangle::new(corners, pale)))?;
        }
    }
    for (value, _) in marks {
        dashed_line(&mut chart, [0., epochs], *value)?;
    }
    means(&plot, series, y_range)?;
    Ok(plot.get_pixel_range().1)
}

fn loss_axis<'a>(name: &'a str, y_range: &Range<f64>) -> Axis<'a> {
    Axis {
        name,
        range: y_range.clone(),
        labels: 8,
    }
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

/// From zero, or below where losses are negative, to above the marks, the means, all but 2 in 1000 steps, and all but 2
/// in 100 of the first ones.
fn y_range(series: &[Series], marks: &[Mark]) -> Range<f64> {
    let all = series.iter().flat_map(|s| s.values.to_vec()).collect();
    let first = |s: &Series| s.values[..s.values.len().min(FIRST)].to_vec();
    let first = series.iter().flat_map(first).collect();
    let ends = [without_spikes(all, 500), without_spikes(first, 50)];
    let smooth = series.iter().flat_map(|s| s.smooth.iter().copied());
    let shown = ends.into_iter().flatten().chain(smooth);
    let shown = shown.chain(marks.iter().map(|mark| mark.0 as f32));
    let (low, high) = shown.fold((0f32, f32::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let high = high.max(low);
    let room = (f64::from(high) - f64::from(low)).max(1e-3) * 0.06;
    let bottom = if low < 0.0 {
        f64::from(low) - room
    } else {
        0.0
    };
    bottom..f64::from(high) + room
}

/// The least and the greatest of some values, without one in `rare` at either end.
fn without_spikes(mut values: Vec<f32>, rare: usize) -> [f32; 2] {
    values.sort_by(f32::total_cmp);
    let cut = values.len() / rare;
    [values[cut], values[values.len() - 1 - cut]]
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

/// The mean of each value and its `reach` neighbours on both sides. Near the start, only as many as there are before it:
/// the curve starts at the first value instead of at the mean of those that follow. At the end all that are there.
fn running_mean(values: &[f32], reach: usize) -> Vec<f32> {
    let mut sums = vec![0.0];
    for value in values {
        sums.push(sums[sums.len() - 1] + f64::from(*value));
    }
    (0..values.len())
        .map(|i| {
            let reach = reach.min(i);
            let (from, to) = (i - reach, (i + reach + 1).min(values.len()));
            ((sums[to] - sums[from]) / (to - from) as f64) as f32
        })
        .collect()
}
