//! From tensors in [-1, 1] to grey bytes, with the checks that every figure of samples needs.

use candle_core::{DType, Tensor};

use crate::train::Snapshot;
use crate::{Error, Result};

/// Pixels along each side of a digit.
pub(super) const SIDE: usize = 28;

/// A digit's 784 grey bytes, row by row, 0 = black.
pub(super) type Grey = Vec<u8>;

/// The samples of a tensor (n, 1, 28, 28) with values in [-1, 1] (what lies outside is clipped) as bytes.
pub(super) fn grey(samples: &Tensor, caller: &str) -> Result<Vec<Grey>> {
    match samples.dims() {
        [n, 1, SIDE, SIDE] if *n > 0 => {}
        other => {
            return Err(Error::Shape(format!(
                "{caller}: expected samples of shape (n, 1, 28, 28) with n at least 1, got {other:?}"
            )));
        }
    }
    let values = samples
        .to_dtype(DType::F32)?
        .flatten_all()?
        .to_vec1::<f32>()?;
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        return Err(Error::Value(format!(
            "{caller}: sample {} holds {}; the generator has diverged: go back to an earlier one, or train \
             with a lower learning rate",
            at / (SIDE * SIDE),
            values[at]
        )));
    }
    let byte = |value: &f32| ((value.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8;
    Ok(values
        .chunks_exact(SIDE * SIDE)
        .map(|digit| digit.iter().map(byte).collect())
        .collect())
}

/// The samples of every snapshot, as many in each as in the first.
pub(super) fn grey_snapshots(
    snapshots: &[Snapshot],
    caller: &str,
) -> Result<Vec<(usize, Vec<Grey>)>> {
    let mut frames: Vec<(usize, Vec<Grey>)> = Vec::with_capacity(snapshots.len());
    for Snapshot { epoch, samples } in snapshots {
        let digits = grey(samples, caller)?;
        if let Some((first, expected)) = frames.first().map(|(epoch, digits)| (epoch, digits.len()))
            && digits.len() != expected
        {
            return Err(Error::Shape(format!(
                "{caller}: epoch {epoch} has {} samples, epoch {first} has {expected}; take every snapshot \
                 from the same noise",
                digits.len()
            )));
        }
        frames.push((*epoch, digits));
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
