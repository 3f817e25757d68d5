//! Several runs in one picture.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Figure;
use super::axes::{Axis, axes};
use super::canvas::{Area, Canvas, DENSITY, INK, LOWER, draw, font};
use super::distance::distance_panel;
use super::marks::{Mark, dashed_line, undecided};
use crate::loss::GanLoss;
use crate::recipe::Recipe;
use crate::record::{Stats, read_stats};
use crate::{Error, Result};

const WIDTH: u32 = 760 * DENSITY;
const DISTANCE_HEIGHT: u32 = 250 * DENSITY;
const PANEL_HEIGHT: u32 = 220 * DENSITY;
/// Free above each panel; the small ones have their names there.
const TOP: u32 = 10 * DENSITY;
const TITLE: u32 = 30 * DENSITY;
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

/// A small panel: its name, what it shows of a line of statistics, and what is marked in it for a game.
struct Panel {
    name: &'static str,
    value: fn(&Stats) -> f64,
    mark: fn(GanLoss) -> Option<Mark>,
}

/// Side by side.
const PANELS: [Panel; 3] = [
    Panel {
        name: "D loss",
        value: |stats| stats.d_loss,
        mark: |loss| Some(undecided(loss)?[0]),
    },
    Panel {
        name: "G loss",
        value: |stats| stats.g_loss,
        mark: |loss| Some(undecided(loss)?[1]),
    },
    Panel {
        name: "D accuracy",
        value: |stats| stats.d_accuracy.unwrap_or(f64::NAN),
        mark: |loss| (loss != GanLoss::Wasserstein).then_some((0.5, "0.50 = guessing")),
    },
];

/// Up to seven runs in one figure, each a colour, named after its folder: side by side their losses, and the fraction of
/// images that the discriminator tells right ([`Stats::d_accuracy`]; unlike scores, it compares between games). All over
/// epochs, or thousand images where an older version has not written down epochs. Where a run was judged
/// ([`Trainer::judged_by`](crate::train::Trainer::judged_by)), the wide panel above is the Fréchet distance, with that of
/// real digits as a dashed line.
///
/// Dashed lines mark the losses of cross-entropy while the discriminator gives every image the probability ½, 2 log 2 =
/// 1.39 and log 2 = 0.69, and the accuracy of one that guesses.
///
/// # Errors
/// [`Error::Value`] for no runs, more than seven, or one without a line of statistics yet; what
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
    let names: Vec<(&str, RGBColor)> = runs.iter().map(Run::name).zip(COLOURS).collect();
    let x = X::of(&runs);
    let legend = legend_height(&names, WIDTH)?;
    let is_judged = runs.iter().any(|run| run.distances(x).next().is_some());
    let above = if is_judged { DISTANCE_HEIGHT } else { 0 };
    let mut canvas = Canvas::new(WIDTH, legend + above + PANEL_HEIGHT, 255);
    {
        let (top, rest) = canvas.area().split_vertically(legend);
        write_names(&top, &names)?;
        let (wide, row) = rest.split_vertically(above);
        if is_judged {
            draw_distances(&wide, &runs, x)?;
        }
        for (area, panel) in row.split_evenly((1, PANELS.len())).iter().zip(&PANELS) {
            draw_panel(area, panel, &runs, x)?;
        }
    }
    let words = |run: &Run| {
        let last = &run.stats[run.stats.len() - 1];
        let distance = run
            .distances(x)
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
    canvas.into_png(format!(
        "Losses and accuracy of discriminators: {}.",
        words.join("; ")
    ))
}

/// What the panels' x axis counts.
#[derive(Clone, Copy)]
enum X {
    Epochs,
    ThousandImages,
}

impl X {
    /// Epochs where all lines of all runs have them.
    fn of(runs: &[Run]) -> Self {
        let mut lines = runs.iter().flat_map(|run| &run.stats);
        match lines.all(|stats| stats.epoch.is_some()) {
            true => X::Epochs,
            false => X::ThousandImages,
        }
    }

    fn at(self, stats: &Stats) -> f64 {
        match self {
            X::Epochs => stats.epoch.unwrap_or(0.),
            X::ThousandImages => stats.images as f64 / 1000.,
        }
    }

    fn name(self) -> &'static str {
        match self {
            X::Epochs => "epoch",
            X::ThousandImages => "thousand images",
        }
    }

    fn axis(self, runs: &[Run], labels: usize) -> Axis<'static> {
        let last = runs.iter().flat_map(|run| run.stats.last());
        let end = last.map(|stats| self.at(stats)).fold(0., f64::max);
        Axis {
            name: self.name(),
            range: 0.0..end,
            labels,
        }
    }
}

struct Run {
    name: String,
    /// At least one.
    stats: Vec<Stats>,
    /// None where there is no readable recipe.
    loss: Option<GanLoss>,
}

impl Run {
    fn read(folder: &Path) -> Result<Self> {
        let stats = read_stats(folder)?;
        if stats.is_empty() {
            return Err(Error::Value(format!(
                "compare_runs: {} has no line of statistics yet; train on",
                folder.display()
            )));
        }
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        let recipe = Recipe::load(folder.join(Recipe::FILE)).ok();
        Ok(Run {
            name: name.display().to_string(),
            stats,
            loss: recipe.map(|recipe| recipe.loss),
        })
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn curve(&self, x: X, value: fn(&Stats) -> f64) -> impl Iterator<Item = (f64, f64)> {
        let point = move |stats: &Stats| (x.at(stats), value(stats));
        let drawable = |(_, y): &(f64, f64)| y.is_finite();
        self.stats.iter().map(point).filter(drawable)
    }

    /// Fréchet distances, where there were any.
    fn distances(&self, x: X) -> impl Iterator<Item = (f64, f64)> {
        let point = move |stats: &Stats| Some((x.at(stats), stats.frechet?));
        self.stats.iter().filter_map(point)
    }
}

fn draw_distances(area: &Area, runs: &[Run], x: X) -> Result<()> {
    let curves = runs.iter().zip(COLOURS);
    let curves: Vec<_> = curves
        .map(|(run, colour)| (colour, run.distances(x).collect()))
        .collect();
    // Runs before the same judge have the same floor, but for rounding.
    let lines = runs.iter().flat_map(|run| &run.stats);
    let mut floors: Vec<f64> = lines.filter_map(|stats| stats.frechet_floor).collect();
    floors.sort_by(f64::total_cmp);
    floors.dedup_by(|a, b| *a <= *b * 1.01);
    distance_panel(area, TOP, x.axis(runs, 11), &curves, &floors)
}

fn draw_panel(area: &Area, panel: &Panel, runs: &[Run], x: X) -> Result<()> {
    let marks = marks(panel, runs);
    let points = runs.iter().flat_map(|run| run.curve(x, panel.value));
    let values = points
        .map(|(_, y)| y)
        .chain(marks.iter().map(|mark| mark.0));
    let (low, high) = values.fold((0f64, 0f64), |(low, high), y| (low.min(y), high.max(y)));
    let room = (high - low).max(1e-3) * 0.14; // for the name above a mark
    let bottom = if low < 0. { low - room } else { 0. };
    let y = Axis {
        name: "",
        range: bottom..high + room,
        labels: 6,
    };
    let x_axis = x.axis(runs, 5);
    let (start, end) = (x_axis.range.start, x_axis.range.end);
    let mut chart = axes(area, TITLE, x_axis, y)?;
    for &(value, name) in &marks {
        dashed_line(&mut chart, [start, end], value)?;
        let style = font(12 * DENSITY, INK).pos(Pos::new(HPos::Left, VPos::Bottom));
        let place = (start + 0.03 * (end - start), value);
        draw(chart.draw_series([Text::new(name, place, style)]))?;
    }
    for (run, colour) in runs.iter().zip(COLOURS) {
        let points: Vec<(f64, f64)> = run.curve(x, panel.value).collect();
        if let [only] = points[..] {
            let dot = Circle::new(only, 4 * DENSITY, colour.filled());
            draw(chart.draw_series([dot]))?;
        }
        let line = LineSeries::new(points, colour.stroke_width(2 * DENSITY));
        draw(chart.draw_series(line))?;
    }
    let middle = chart.plotting_area().get_pixel_range().0;
    let middle = (middle.start + middle.end) / 2 - area.get_base_pixel().0;
    let style = font(14 * DENSITY, INK).pos(Pos::new(HPos::Center, VPos::Center));
    let place = (middle, TITLE as i32 / 2 + LOWER);
    draw(area.draw(&Text::new(panel.name, place, style)))
}

/// What is marked in a panel, once for each kind of loss among the runs.
fn marks(panel: &Panel, runs: &[Run]) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    for mark in runs.iter().filter_map(|run| (panel.mark)(run.loss?)) {
        if !marks.contains(&mark) {
            marks.push(mark);
        }
    }
    marks
}

/// Of a legend: the row of each entry, and where in it the entry begins. As many stand in a row as fit.
fn legend_places(entries: &[(&str, RGBColor)], width: u32) -> Result<Vec<(i32, i32)>> {
    let unit = DENSITY as i32;
    let (start, style) = (70 * unit, legend_style());
    let (mut row, mut left) = (0, start);
    let mut places = Vec::with_capacity(entries.len());
    for (name, _) in entries {
        let own = 32 * unit + draw(style.font.box_size(name))?.0 as i32;
        if left > start && left + own > width as i32 - 18 * unit {
            (row, left) = (row + 1, start);
        }
        places.push((row, left));
        left += own + 24 * unit;
    }
    Ok(places)
}

fn legend_style() -> TextStyle<'static> {
    font(14 * DENSITY, INK).pos(Pos::new(HPos::Left, VPos::Center))
}

/// How high the legend of these entries is.
pub(super) fn legend_height(entries: &[(&str, RGBColor)], width: u32) -> Result<u32> {
    let rows = legend_places(entries, width)?
        .last()
        .map_or(0, |place| place.0 + 1);
    Ok(LEGEND_ROW * rows as u32 + 8 * DENSITY)
}

/// A legend: each name behind a swatch of its colour.
pub(super) fn write_names(area: &Area, entries: &[(&str, RGBColor)]) -> Result<()> {
    let unit = DENSITY as i32;
    let places = legend_places(entries, area.dim_in_pixel().0)?;
    for (&(name, colour), (row, left)) in entries.iter().zip(places) {
        let middle = LEGEND_ROW as i32 * row + 18 * unit;
        let swatch = [
            (left, middle - 2 * unit),
            (left + 24 * unit, middle + 2 * unit),
        ];
        draw(area.draw(&Rectangle::new(swatch, colour.filled())))?;
        let place = (left + 32 * unit, middle + LOWER);
        draw(area.draw(&Text::new(name, place, legend_style())))?;
    }
    Ok(())
}
