//! Samples above the digits that they may be copies of.

use candle_core::Tensor;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Figure;
use super::canvas::{Canvas, DENSITY, INK, LOWER, draw, font};
use super::grid::Grid;
use super::samples::Pictures;
use crate::data::Digits;
use crate::metrics::{Neighbour, Neighbours};
use crate::{Error, Result};

/// The most samples whose digits are still seen well side by side.
const MOST: usize = 20;
const NAMES: u32 = 128 * DENSITY;
const SPACE: u32 = 8 * DENSITY;

/// Up to twenty samples (n, 1, height, width) in [-1, 1], each above the training digit nearest to it in the judge's features
/// and the one nearest in pixels. Where all three are the same, the generator has copied.
///
/// # Errors
/// [`Error::Shape`] for samples of another shape or size, or another number of neighbours than of samples; [`Error::Value`] for
/// more than twenty samples, for non-finite ones, and for neighbours that are not among `digits`.
pub fn nearest_neighbours(
    samples: &Tensor,
    digits: &Digits,
    neighbours: &Neighbours,
) -> Result<Figure> {
    let samples = Pictures::from_samples(samples, "nearest_neighbours")?;
    if samples.len() > MOST {
        return Err(Error::Value(format!(
            "nearest_neighbours: expected up to {MOST} samples, not {}; samples.narrow(0, 0, {MOST})? takes the first",
            samples.len()
        )));
    }
    let (by_features, labels) = pictures(digits, &neighbours.in_features, samples.len())?;
    let (by_pixels, others) = pictures(digits, &neighbours.in_pixels, samples.len())?;
    samples.check_alike(
        &by_pixels,
        "nearest_neighbours",
        ["samples", "the data set"],
    )?;
    let rows = [
        ("sample", &samples),
        ("nearest in features", &by_features),
        ("nearest in pixels", &by_pixels),
    ];
    let grid = Grid::new(&samples, samples.len());
    let (width, row) = (NAMES + grid.width() + SPACE, grid.height() + SPACE);
    let mut canvas = Canvas::new(width, rows.len() as u32 * row + SPACE, 255);
    let style = font(13 * DENSITY, INK).pos(Pos::new(HPos::Right, VPos::Center));
    for (i, (name, pictures)) in (0u32..).zip(rows) {
        let top = SPACE + i * row;
        grid.draw(&mut canvas, NAMES, top, pictures);
        let place = (
            (NAMES - SPACE) as i32,
            (top + grid.height() / 2) as i32 + LOWER,
        );
        draw(canvas.area().draw(&Text::new(name, place, style.clone())))?;
    }
    canvas.into_png(format!(
        "{} generated digits in a row; below each the training digit nearest in features, labelled {labels}, and the one \
         nearest in pixels, labelled {others}.",
        samples.len()
    ))
}

/// The pictures of neighbours, and the names of their classes.
fn pictures(digits: &Digits, found: &[Neighbour], samples: usize) -> Result<(Pictures, String)> {
    if found.len() != samples {
        return Err(Error::Shape(format!(
            "nearest_neighbours: expected a neighbour for each of {samples} samples, but found {}; take \
             Evaluation::neighbours() of the same samples",
            found.len()
        )));
    }
    if let Some(stray) = found.iter().find(|near| near.index >= digits.len()) {
        return Err(Error::Value(format!(
            "nearest_neighbours: neighbour {} is not among the {} digits; pass those that the evaluation was made with",
            stray.index,
            digits.len()
        )));
    }
    let indices = || found.iter().map(|near| near.index);
    let names: Vec<&str> = indices()
        .map(|i| digits.class_name(digits.label(i)))
        .collect();
    Ok((Pictures::from_digits(digits, indices()), names.join(" ")))
}
