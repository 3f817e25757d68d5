//! How often generators draw each digit.

use plotters::prelude::*;

use super::Figure;
use super::axes::{Axis, axes};
use super::canvas::{Canvas, DENSITY, INK, draw};
use super::runs::{COLOURS, LEGEND_ROW, write_names};
use crate::data::CLASSES;
use crate::metrics::Classes;
use crate::{Error, Result};

const WIDTH: u32 = 760 * DENSITY;
const PANEL_HEIGHT: u32 = 280 * DENSITY;
/// The part of a digit's place that its bars fill.
const FILLED: f64 = 0.8;
/// The last colour is that of real digits.
const MOST: usize = COLOURS.len() - 1;

/// The share of each digit among the samples of up to six generators, by name, as bars side by side, with that among
/// real digits as a dark line across them.
///
/// # Errors
/// [`Error::Value`] for no generators, or more than six.
pub fn class_histogram(generators: &[(&str, &Classes)], real: &Classes) -> Result<Figure> {
    if !(1..=MOST).contains(&generators.len()) {
        return Err(Error::Value(format!(
            "class_histogram: expected 1 to {MOST} generators, that many colours can be told apart, not {}",
            generators.len()
        )));
    }
    let legend = LEGEND_ROW * (generators.len() as u32 + 1) + 8 * DENSITY;
    let mut canvas = Canvas::new(WIDTH, legend + PANEL_HEIGHT, 255);
    {
        let (names, panel) = canvas.area().split_vertically(legend);
        let colours = COLOURS.iter().copied().take(generators.len());
        let texts = generators.iter().map(|(name, _)| *name);
        let entries = texts.zip(colours).chain([("real digits", INK)]);
        write_names(&names, entries)?;
        let shares = generators.iter().map(|(_, classes)| *classes);
        let highest = shares.chain([real]).flat_map(|classes| classes.histogram);
        let x = Axis {
            name: "digit",
            range: -0.5..CLASSES as f64 - 0.5,
            labels: CLASSES,
        };
        let y = Axis {
            name: "share of samples",
            range: 0.0..highest.fold(0., f64::max) * 1.06,
            labels: 6,
        };
        let mut chart = axes(&panel, 10 * DENSITY, x, y)?;
        let width = FILLED / generators.len() as f64;
        for (i, ((_, classes), colour)) in generators.iter().zip(COLOURS).enumerate() {
            let bars = classes.histogram.iter().enumerate().map(|(digit, &share)| {
                let left = digit as f64 - FILLED / 2. + i as f64 * width;
                Rectangle::new([(left, 0.), (left + width, share)], colour.filled())
            });
            draw(chart.draw_series(bars))?;
        }
        let lines = real.histogram.iter().enumerate().map(|(digit, &share)| {
            let (left, right) = (digit as f64 - 0.46, digit as f64 + 0.46);
            PathElement::new(
                [(left, share), (right, share)],
                INK.stroke_width(2 * DENSITY),
            )
        });
        draw(chart.draw_series(lines))?;
    }
    canvas.into_png(words(generators, real))
}

fn words(generators: &[(&str, &Classes)], real: &Classes) -> String {
    let shares = |(name, classes): &(&str, &Classes)| {
        let shares = classes
            .histogram
            .map(|share| format!("{:.1}", 100. * share));
        format!("{name} {}", shares.join(", "))
    };
    let drawn: Vec<String> = generators.iter().map(shares).collect();
    let real = shares(&("real digits", real));
    format!(
        "Percentages of the digits 0 to 9: {}; {real}.",
        drawn.join("; ")
    )
}
