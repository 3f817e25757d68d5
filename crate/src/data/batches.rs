//! A pass over digits in random order, batch by batch.

use candle_core::Tensor;

use super::Digits;
use crate::rng::Rng;
use crate::{Error, Result, interrupt};

/// Shuffled batches: images (batch, 1, height, width), f32 in [-1, 1], and labels (batch,), u32, on the CPU.
/// Made by [`Digits::batches`].
///
/// When the user stops the cell, [`Error::Interrupted`] comes in place of the next batch, and none after it.
pub struct Batches {
    digits: Digits,
    order: Vec<usize>,
    next: usize,
    batch_size: usize,
    refused: Option<Error>,
}

impl Batches {
    pub(super) fn new(digits: &Digits, batch_size: usize, rng: &Rng) -> Self {
        let count = digits.len();
        let refused = (!(1..=count).contains(&batch_size)).then(|| {
            Error::Value(format!(
                "batches: expected a batch size from 1 to {count}, the number of digits, but found {batch_size}"
            ))
        });
        Batches {
            digits: digits.clone(),
            order: rng.permutation(count),
            next: 0,
            batch_size,
            refused,
        }
    }

    /// Leaves out the next `count` batches, as if they had been taken.
    pub(crate) fn skip_batches(&mut self, count: usize) {
        let skipped = count.saturating_mul(self.batch_size);
        self.next = self.next.saturating_add(skipped).min(self.order.len());
    }

    /// How many batches have been taken.
    pub(crate) fn taken(&self) -> usize {
        self.next / self.batch_size.max(1)
    }
}

impl Iterator for Batches {
    type Item = Result<(Tensor, Tensor)>;

    fn next(&mut self) -> Option<Self::Item> {
        let more = self.next < self.order.len();
        let stop = || more.then(interrupt::check).and_then(Result::err);
        if let Some(error) = self.refused.take().or_else(stop) {
            self.next = self.order.len();
            return Some(Err(error));
        }
        let batch = self.order[self.next..]
            .get(..self.batch_size)
            .filter(|batch| !batch.is_empty())?;
        self.next += batch.len();
        Some(self.digits.tensors(batch))
    }
}
