//! How often generators draw each class.

use plotters::prelude::*;

use super::Figure;
use super::axes::{Axis, class_axes};
use super::canvas::{Canvas, DENSITY, INK, draw};
use super::runs::{COLOURS, legend_height, write_names};
use crate::metrics::Classes;
use crate::{Error, Result};

const WIDTH: u32 = 760 * DENSITY;
const PANEL_HEIGHT: u32 = 280 * DENSITY;
/// The fraction of a class's place that its bars fill.
const FILLED: f64 = 0.8;
/// The last colour is that of real digits.
const MOST: usize = COLOURS.len() - 1;

/// The fraction of each class among the samples of up to six generators, by name, as bars side by side, with that among
/// real digits as a dark line across them.
///
/// # Errors
/// [`Error::Value`] for no generators or more than six, [`Error::Shape`] for generators of other classes than `real`.
pub fn class_histogram(generators: &[(&str, &Classes)], real: &Classes) -> Result<Figure> {
    if !(1..=MOST).contains(&generators.len()) {
        return Err(Error::Value(format!(
            "class_histogram: expected 1 to {MOST} generators, that many colours can be told apart, not {}",
            generators.len()
        )));
    }
    let names = &real.names;
    if let Some((name, _)) = generators.iter().find(|(_, own)| own.names != *names) {
        return Err(Error::Shape(format!(
            "class_histogram: {name} has other classes than the {} real ones; take both from one judge",
            names.len()
        )));
    }
    let colours = COLOURS.iter().copied().take(generators.len());
    let entries = generators.iter().map(|(name, _)| *name).zip(colours);
    let entries: Vec<_> = entries.chain([("real digits", INK)]).collect();
    let legend = legend_height(&entries, WIDTH)?;
    let mut canvas = Canvas::new(WIDTH, legend + PANEL_HEIGHT, 255);
    {
        let (top, panel) = canvas.area().split_vertically(legend);
        write_names(&top, &entries)?;
        let all = generators.iter().map(|(_, classes)| *classes);
        let fractions = all.chain([real]).flat_map(|classes| &classes.histogram);
        let y = Axis {
            name: "fraction of samples",
            range: 0.0..fractions.copied().fold(0., f64::max) * 1.06,
            labels: 6,
        };
        let mut chart = class_axes(&panel, 10 * DENSITY, names, y)?;
        let width = FILLED / generators.len() as f64;
        for (i, ((_, classes), colour)) in generators.iter().zip(COLOURS).enumerate() {
            let bars = classes.histogram.iter().enumerate().map(|(class, &high)| {
                let left = class as f64 - FILLED / 2. + i as f64 * width;
                Rectangle::new([(left, 0.), (left + width, high)], colour.filled())
            });
            draw(chart.draw_series(bars))?;
        }
        let lines = real.histogram.iter().enumerate().map(|(class, &high)| {
            let ends = [-0.46, 0.46].map(|by| (class as f64 + by, high));
            PathElement::new(ends, INK.stroke_width(2 * DENSITY))
        });
        draw(chart.draw_series(lines))?;
    }
    canvas.into_png(words(generators, real))
}

fn words(generators: &[(&str, &Classes)], real: &Classes) -> String {
    let percentages = |(name, classes): &(&str, &Classes)| {
        let fractions = classes.histogram.iter();
        let percentages = fractions.map(|fraction| format!("{:.1}", 100. * fraction));
        format!("{name} {}", percentages.collect::<Vec<_>>().join(", "))
    };
    let drawn: Vec<String> = generators.iter().map(percentages).collect();
    format!(
        "Percentages of the classes {}: {}; {}.",
        real.names.join(", "),
        drawn.join("; "),
        percentages(&("real digits", real))
    )
}
