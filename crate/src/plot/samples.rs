//! From tensors in [-1, 1] to grey bytes, with the checks that every figure of samples needs.

use candle_core::{DType, Tensor};

use crate::data::{Digits, to_byte};
use crate::record::Snapshot;
use crate::{Error, Result};

/// Grey pictures of one size.
#[derive(Clone)]
pub(super) struct Pictures {
    pub height: usize,
    pub width: usize,
    /// The bytes of each, row by row, 0 = black.
    pub bytes: Vec<Vec<u8>>,
}

impl Pictures {
    /// The samples of a tensor (n, 1, height, width) with values in [-1, 1]; what lies outside is clipped.
    pub fn from_samples(samples: &Tensor, caller: &str) -> Result<Self> {
        let (height, width) = match *samples.dims() {
            [n, 1, height, width] if n > 0 && height > 0 && width > 0 => (height, width),
            _ => {
                return Err(Error::Shape(format!(
                    "{caller}: expected samples of shape (n, 1, height, width) with n at least 1, got {:?}",
                    samples.dims()
                )));
            }
        };
        let values = samples.to_dtype(DType::F32)?.flatten_all()?;
        let values: Vec<f32> = values.to_vec1()?;
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(Error::Value(format!(
                "{caller}: sample {} holds {}; the generator has diverged: go back to an earlier one, or train \
                 with a lower learning rate",
                at / (height * width),
                values[at]
            )));
        }
        let bytes = values
            .chunks_exact(height * width)
            .map(|picture| picture.iter().copied().map(to_byte).collect())
            .collect();
        Ok(Pictures {
            height,
            width,
            bytes,
        })
    }

    /// The digits at these indices, which must be below [`Digits::len`].
    pub fn from_digits(digits: &Digits, indices: impl Iterator<Item = usize>) -> Self {
        let [_, height, width] = digits.image_shape();
        Pictures {
            height,
            width,
            bytes: indices.map(|i| digits.image(i).to_vec()).collect(),
        }
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Refuses pictures that are not as many as these, and of their size; `whose` each of them are.
    pub fn check_alike(&self, other: &Self, caller: &str, whose: [&str; 2]) -> Result<()> {
        let kind = |of: &Self| (of.len(), of.height, of.width);
        if kind(self) == kind(other) {
            return Ok(());
        }
        let words = |(n, height, width)| format!("{n} digits of {height}x{width} pixels");
        Err(Error::Shape(format!(
            "{caller}: {} has {}, {} has {}; take as many of one size for each",
            whose[1],
            words(kind(other)),
            whose[0],
            words(kind(self))
        )))
    }
}

/// The samples of every snapshot with its epoch, as many in each as in the first.
pub(super) fn of_snapshots(snapshots: &[Snapshot], caller: &str) -> Result<Vec<(usize, Pictures)>> {
    let mut frames: Vec<(usize, Pictures)> = Vec::with_capacity(snapshots.len());
    for Snapshot { epoch, samples } in snapshots {
        let pictures = Pictures::from_samples(samples, caller)?;
        if let Some((first, expected)) = frames.first() {
            let whose = [first, epoch].map(|epoch| format!("epoch {epoch}"));
            expected.check_alike(&pictures, caller, [&whose[0], &whose[1]])?;
        }
        frames.push((*epoch, pictures));
    }
    if frames.is_empty() {
        return Err(Error::Value(format!(
            "{caller}: no snapshots; push one per epoch while training"
        )));
    }
    Ok(frames)
}

/// `columns`, at least 1, and no more than there are digits.
pub(super) fn columns_for(columns: usize, digits: usize, caller: &str) -> Result<usize> {
    match columns {
        0 => Err(Error::Value(format!(
            "{caller}: columns is 0, expected at least 1"
        ))),
        columns => Ok(columns.min(digits)),
    }
}
