//! Samples above the digits that they may be copies of.

use candle_core::Tensor;

use super::Figure;
use super::labelled::Layout;
use super::samples::Pictures;
use crate::data::Digits;
use crate::metrics::{Neighbour, Neighbours};
use crate::{Error, Result};

/// The most samples whose digits are still seen well side by side.
const MOST: usize = 20;

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
    let all = Pictures {
        bytes: [&samples, &by_features, &by_pixels]
            .iter()
            .flat_map(|row| row.bytes.clone())
            .collect(),
        ..samples
    };
    let rows = ["sample", "nearest in features", "nearest in pixels"];
    let layout = Layout::new(&all, all.len() / rows.len(), &rows, &[], None)?;
    layout.draw(&all, &rows, &[])?.into_png(format!(
        "{} generated digits in a row; below each the training digit nearest in features, labelled {labels}, and the one \
         nearest in pixels, labelled {others}.",
        all.len() / rows.len()
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
