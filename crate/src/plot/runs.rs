//! Several runs in one picture.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Figure;
use super::axes::{Axis, axes};
use super::canvas::{Area, Canvas, DENSITY, INK, LOWER, draw, font};
use super::distance::distance_panel;
use crate::record::{Stats, read_stats};
use crate::{Error, Result};

const WIDTH: u32 = 760 * DENSITY;
const PANEL_HEIGHT: u32 = 260 * DENSITY;
/// Free above each panel.
const TOP: u32 = 10 * DENSITY;
pub(super) const LEGEND_ROW: u32 = 24 * DENSITY;
/// Okabe and Ito's colours, told apart by colour-blind readers; without their yellow, which white paper swallows.
pub(super) const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    INK,
];

/// A panel's name, and what it shows of a line of statistics.
type Panel = (&'static str, fn(&Stats) -> f64);

/// One above the other.
const PANELS: [Panel; 3] = [
    ("D loss", |stats| stats.d_loss),
    ("G loss", |stats| stats.g_loss),
    ("D(real) - D(fake)", |stats| stats.d_real - stats.d_fake),
];

/// Losses, and how far apart the discriminator holds real and generated images, of up to seven runs over the images that
/// they have seen, each a colour, named after its folder. Where a run was judged
/// ([`Trainer::judged_by`](crate::train::Trainer::judged_by)), the second panel is the Fréchet distance, with that of
/// real digits as a dashed line.
///
/// # Errors
/// [`Error::Value`] for no runs, more than seven, or one without a tick yet; what
/// [`read_stats`] says of a folder that is no run.
pub fn compare_runs(folders: &[impl AsRef<Path>]) -> Result<Figure> {
    if !(1..=COLOURS.len()).contains(&folders.len()) {
        return Err(Error::Value(format!(
            "compare_runs: expected 1 to {} runs, that many colours can be told apart, not {}",
            COLOURS.len(),
            folders.len()
        )));
    }
    let runs = folders.iter().map(|folder| Run::read(folder.as_ref()));
    let runs: Vec<Run> = runs.collect::<Result<_>>()?;
    let legend = LEGEND_ROW * runs.len() as u32 + 8 * DENSITY;
    let is_judged = runs.iter().any(|run| !run.distances().is_empty());
    let panels = PANELS.len() as u32 + u32::from(is_judged);
    let mut canvas = Canvas::new(WIDTH, legend + panels * PANEL_HEIGHT, 255);
    {
        let (names, mut rest) = canvas.area().split_vertically(legend);
        write_names(
            &names,
            runs.iter().map(|run| run.name.as_str()).zip(COLOURS),
        )?;
        let mut next = || {
            let (area, below) = rest.split_vertically(PANEL_HEIGHT);
            rest = below;
            area
        };
        for (i, panel) in PANELS.into_iter().enumerate() {
            if i == 1 && is_judged {
                draw_distances(&next(), &runs)?;
            }
            draw_panel(&next(), panel, &runs)?;
        }
    }
    let words = |run: &Run| {
        let last = &run.stats[run.stats.len() - 1];
        let distance = run
            .distances()
            .last()
            .map(|(_, distance)| format!(", Fréchet distance {distance:.2}"));
        format!(
            "{} ends at {} images with D loss {:.2} and G loss {:.2}{}",
            run.name,
            last.images,
            last.d_loss,
            last.g_loss,
            distance.unwrap_or_default()
        )
    };
    let words: Vec<String> = runs.iter().map(words).collect();
    canvas.into_png(format!("Losses over images seen: {}.", words.join("; ")))
}

struct Run {
    name: String,
    /// At least one.
    stats: Vec<Stats>,
}

impl Run {
    fn read(folder: &Path) -> Result<Self> {
        let stats = read_stats(folder)?;
        if stats.is_empty() {
            return Err(Error::Value(format!(
                "compare_runs: {} has no complete tick yet; train on",
                folder.display()
            )));
        }
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        Ok(Run {
            name: name.display().to_string(),
            stats,
        })
    }

    fn curve(&self, value: fn(&Stats) -> f64) -> impl Iterator<Item = (f64, f64)> {
        let point = move |stats: &Stats| (stats.images as f64 / 1000., value(stats));
        let drawable = |(_, y): &(f64, f64)| y.is_finite();
        self.stats.iter().map(point).filter(drawable)
    }

    /// Fréchet distances, where there were any.
    fn distances(&self) -> Vec<(f64, f64)> {
        let point = |stats: &Stats| Some((stats.images as f64 / 1000., stats.frechet?));
        self.stats.iter().filter_map(point).collect()
    }
}

/// A legend: each name in a row of its own, beside its colour.
pub(super) fn write_names<'a>(
    area: &Area,
    entries: impl Iterator<Item = (&'a str, RGBColor)>,
) -> Result<()> {
    let unit = DENSITY as i32;
    let names = font(14 * DENSITY, INK).pos(Pos::new(HPos::Left, VPos::Center));
    for (i, (text, colour)) in (0i32..).zip(entries) {
        let (left, middle) = (70 * unit, LEGEND_ROW as i32 * i + 18 * unit);
        let swatch = [
            (left, middle - 2 * unit),
            (left + 24 * unit, middle + 2 * unit),
        ];
        draw(area.draw(&Rectangle::new(swatch, colour.filled())))?;
        let place = (left + 32 * unit, middle + LOWER);
        draw(area.draw(&Text::new(text, place, names.clone())))?;
    }
    Ok(())
}

/// The x axis of all panels.
fn images(runs: &[Run]) -> Axis<'static> {
    let last = runs.iter().flat_map(|run| run.stats.last());
    let most = last.map(|stats| stats.images).max().unwrap_or_default();
    Axis {
        name: "thousand images",
        range: 0.0..most as f64 / 1000.,
        labels: 11,
    }
}

fn draw_distances(area: &Area, runs: &[Run]) -> Result<()> {
    let curves = runs.iter().zip(COLOURS);
    let curves: Vec<_> = curves
        .map(|(run, colour)| (colour, run.distances()))
        .collect();
    // Runs before the same judge have the same floor, but for rounding.
    let lines = runs.iter().flat_map(|run| &run.stats);
    let mut floors: Vec<f64> = lines.filter_map(|stats| stats.frechet_floor).collect();
    floors.sort_by(f64::total_cmp);
    floors.dedup_by(|a, b| *a <= *b * 1.01);
    distance_panel(area, TOP, images(runs), &curves, &floors)
}

fn draw_panel(area: &Area, (name, value): Panel, runs: &[Run]) -> Result<()> {
    let points = || runs.iter().flat_map(|run| run.curve(value));
    let (low, high) = points().fold((0f64, 0f64), |(low, high), (_, y)| {
        (low.min(y), high.max(y))
    });
    let room = (high - low).max(1e-3) * 0.06;
    let bottom = if low < 0. { low - room } else { 0. };
    let y = Axis {
        name,
        range: bottom..high + room,
        labels: 6,
    };
    let mut chart = axes(area, TOP, images(runs), y)?;
    for (run, colour) in runs.iter().zip(COLOURS) {
        let line = LineSeries::new(run.curve(value), colour.stroke_width(2 * DENSITY));
        draw(chart.draw_series(line))?;
        if let [only] = &run.curve(value).collect::<Vec<_>>()[..] {
            let dot = Circle::new(*only, 4 * DENSITY, colour.filled());
            draw(chart.draw_series([dot]))?;
        }
    }
    Ok(())
}
