//! How values are distributed: overlaid histograms of named sets, one panel below the other.

use std::ops::Range;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Figure;
use super::axes::tick;
use super::canvas::{Area, Canvas, DENSITY, INK, LOWER, draw, font};
use super::runs::{COLOURS, LEGEND_ROW};
use crate::{Error, Result};

const WIDTH: u32 = 760 * DENSITY;
const PANEL: u32 = 92 * DENSITY;
/// Free around a panel's bars, and below the last one for the axis.
const SPACE: u32 = 10 * DENSITY;
const AXIS: u32 = 36 * DENSITY;
const BARS: usize = 80;
/// The axis ends where all but this part of the values lie on each side.
const CUT: f64 = 0.002;

/// How the values of up to six named `sets` are distributed over one axis, called `name`: overlaid histograms, and a panel
/// with its title for each moment, one below the other on the same axis. A bar's height is its part of its set; every panel
/// is as high as its highest bar. The few values beyond the ends of the axis, at most 2 in 1000 on each side, are counted
/// in the first and in the last bar.
///
/// ```
/// use digit_gan::{plot, rng::Rng};
/// let values = |mean: f32| Ok::<_, digit_gan::Error>((Rng::seed(1).normal(500)? + f64::from(mean))?.to_vec1::<f32>()?);
/// let panels = [("before", [values(0.)?, values(0.)?]), ("after", [values(2.)?, values(-2.)?])];
/// let figure = plot::histograms("logit", ["real", "fake"], &panels)?;
/// assert!(figure.alt().starts_with("Histograms of logit. before: real around 0"));
/// # Ok::<(), digit_gan::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] for no panels, no sets or more than six, a set without values, or values that are not finite.
pub fn histograms<const N: usize, T: AsRef<str>, V: AsRef<[f32]>>(
    name: &str,
    sets: [&str; N],
    panels: &[(T, [V; N])],
) -> Result<Figure> {
    let panels: Vec<Panel> = panels.iter().map(Panel::new).collect();
    check(&sets, &panels)?;
    let bins = Bins::of(&panels);
    let [width, height] = [
        WIDTH,
        LEGEND_ROW + SPACE + panels.len() as u32 * PANEL + AXIS,
    ];
    let mut canvas = Canvas::new(width, height, 255);
    {
        let (names, mut rest) = canvas.area().split_vertically(LEGEND_ROW + SPACE);
        legend(&names, &sets)?;
        for (i, panel) in panels.iter().enumerate() {
            let is_last = i + 1 == panels.len();
            let axis = if is_last { AXIS } else { 0 };
            let (area, below) = rest.split_vertically(PANEL + axis);
            rest = below;
            panel.draw(&area, &bins, is_last.then_some(name))?;
        }
    }
    let words: Vec<String> = panels.iter().map(|panel| panel.words(&sets)).collect();
    canvas.into_png(format!("Histograms of {name}. {}.", words.join("; ")))
}

fn check(sets: &[&str], panels: &[Panel]) -> Result<()> {
    let most = COLOURS.len() - 1;
    if panels.is_empty() || !(1..=most).contains(&sets.len()) {
        return Err(Error::Value(format!(
            "histograms: expected at least one panel and 1 to {most} sets, that many colours can be told apart, not {} \
             panels of {} sets",
            panels.len(),
            sets.len()
        )));
    }
    for panel in panels {
        for (set, values) in sets.iter().zip(&panel.sets) {
            let problem = match values.iter().find(|value| !value.is_finite()) {
                Some(value) => format!("holds {value}"),
                None if values.is_empty() => "has no values".into(),
                None => continue,
            };
            let title = panel.title;
            return Err(Error::Value(format!(
                "histograms: {set} of {title:?} {problem}; every set needs values, and only finite ones"
            )));
        }
    }
    Ok(())
}

struct Panel<'a> {
    title: &'a str,
    sets: Vec<&'a [f32]>,
}

impl<'a> Panel<'a> {
    fn new<const N: usize, T: AsRef<str>, V: AsRef<[f32]>>((title, sets): &'a (T, [V; N])) -> Self {
        Panel {
            title: title.as_ref(),
            sets: sets.iter().map(V::as_ref).collect(),
        }
    }

    /// Draws the bars and the title, and the axis where it has a name.
    fn draw(&self, area: &Area, bins: &Bins, axis: Option<&str>) -> Result<()> {
        let heights: Vec<Vec<f64>> = self.sets.iter().map(|set| bins.fractions(set)).collect();
        let highest = heights.iter().flatten().copied().fold(0., f64::max);
        let mut chart = draw(
            ChartBuilder::on(area)
                .margin_left(18 * DENSITY)
                .margin_right(18 * DENSITY)
                .x_label_area_size(axis.map_or(SPACE, |_| AXIS + SPACE))
                .build_cartesian_2d(bins.range.clone(), 0.0..1.25 * highest),
        )?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_mesh()
            .y_labels(0)
            .x_labels(if axis.is_some() { 13 } else { 0 });
        mesh.x_desc(axis.unwrap_or_default())
            .x_label_formatter(&tick)
            .label_style(font(13 * DENSITY, INK))
            .axis_desc_style(font(15 * DENSITY, INK))
            .axis_style(INK.stroke_width(DENSITY));
        draw(mesh.draw())?;
        for (heights, colour) in heights.iter().zip(COLOURS) {
            let bar = |(i, &height): (usize, &f64)| {
                let corners = [(bins.edge(i), 0.), (bins.edge(i + 1), height)];
                Rectangle::new(corners, colour.mix(0.45).filled())
            };
            draw(chart.draw_series(heights.iter().enumerate().map(bar)))?;
            // The outline, where there are bars at all.
            let (first, last) = ends(heights);
            let steps = (first..=last)
                .flat_map(|i| [(bins.edge(i), heights[i]), (bins.edge(i + 1), heights[i])]);
            draw(chart.draw_series(LineSeries::new(steps, colour.stroke_width(DENSITY))))?;
        }
        if bins.range.contains(&0.) {
            let zero = [(0., 0.), (0., 1.25 * highest)];
            let thin = INK.mix(0.5).stroke_width(DENSITY / 2);
            draw(chart.draw_series([PathElement::new(zero, thin)]))?;
        }
        let style = font(14 * DENSITY, INK).pos(Pos::new(HPos::Left, VPos::Center));
        let place = (18 * DENSITY as i32, 14 * DENSITY as i32 + LOWER);
        draw(area.draw(&Text::new(self.title, place, style)))
    }

    /// "before: real around 0.1 (-1.5 to 1.6), fake around ..."
    fn words(&self, sets: &[&str]) -> String {
        let set = |(name, values): (&&str, &&[f32])| {
            let sorted = sorted(values.iter());
            let [low, middle, high] = [0.05, 0.5, 0.95].map(|part| quantile(&sorted, part));
            format!("{name} around {middle:.1} ({low:.1} to {high:.1})")
        };
        let all: Vec<String> = sets.iter().zip(&self.sets).map(set).collect();
        format!("{}: {}", self.title, all.join(", "))
    }
}

/// Equal parts of the axis that all panels share.
struct Bins {
    range: Range<f64>,
}

impl Bins {
    fn of(panels: &[Panel]) -> Self {
        let values = panels.iter().flat_map(|panel| &panel.sets);
        let sorted = sorted(values.flat_map(|set| set.iter()));
        let [low, high] = [CUT, 1. - CUT].map(|part| quantile(&sorted, part));
        let room = (0.02 * (high - low)).max(1e-6);
        Bins {
            range: low - room..high + room,
        }
    }

    fn edge(&self, i: usize) -> f64 {
        let Range { start, end } = self.range;
        start + (end - start) * i as f64 / BARS as f64
    }

    /// The part of the values in each bar.
    fn fractions(&self, values: &[f32]) -> Vec<f64> {
        let mut counts = vec![0.; BARS];
        let length = self.range.end - self.range.start;
        for value in values {
            let place = (f64::from(*value) - self.range.start) / length * BARS as f64;
            counts[(place.max(0.) as usize).min(BARS - 1)] += 1. / values.len() as f64;
        }
        counts
    }
}

/// The first and the last bar that holds a value.
fn ends(heights: &[f64]) -> (usize, usize) {
    let filled = |height: &f64| *height > 0.;
    let first = heights.iter().position(filled).unwrap_or(0);
    (first, heights.iter().rposition(filled).unwrap_or(first))
}

fn sorted<'a>(values: impl Iterator<Item = &'a f32>) -> Vec<f32> {
    let mut sorted: Vec<f32> = values.copied().collect();
    sorted.sort_by(f32::total_cmp);
    sorted
}

/// The value below which this part of at least one sorted value lies.
fn quantile(sorted: &[f32], part: f64) -> f64 {
    let last = (sorted.len() - 1) as f64;
    f64::from(sorted[(part * last).round() as usize])
}

/// The names of the sets in a row, each behind its colour.
fn legend(area: &Area, sets: &[&str]) -> Result<()> {
    let unit = DENSITY as i32;
    let (mut x, middle) = (18 * unit, 16 * unit);
    let style = font(14 * DENSITY, INK).pos(Pos::new(HPos::Left, VPos::Center));
    for (name, colour) in sets.iter().zip(COLOURS) {
        let corners = [(x, middle - 5 * unit), (x + 20 * unit, middle + 5 * unit)];
        draw(area.draw(&Rectangle::new(corners, colour.mix(0.6).filled())))?;
        x += 28 * unit;
        draw(area.draw(&Text::new(*name, (x, middle + LOWER), style.clone())))?;
        x += draw(area.estimate_text_size(name, &style))?.0 as i32 + 24 * unit;
    }
    Ok(())
}
