//! Batches without end, epoch after epoch, from a place that a checkpoint can name.

use candle_core::Tensor;

use crate::data::{Batches, Digits};
use crate::rng::{self, Rng};
use crate::{Error, Result};

/// Shuffled epochs of a data set.
pub(super) struct Epochs {
    pub digits: Digits,
    /// Tells whether a run resumes with the digits that it began with.
    pub checksum: u32,
    batch_size: usize,
    /// The stream at the start of the epoch: the order of its digits follows from it.
    start: rng::State,
    batches: Batches,
}

impl Epochs {
    /// The first epoch's order is drawn from `rng` here.
    pub fn new(digits: &Digits, batch_size: usize, rng: &Rng) -> Self {
        Epochs {
            checksum: digits.checksum(),
            batch_size,
            start: rng.state(),
            batches: digits.batches(batch_size, rng),
            digits: digits.clone(),
        }
    }

    /// Images in an epoch: those that make whole batches.
    pub fn images(&self) -> usize {
        self.digits.len() / self.batch_size * self.batch_size
    }

    /// The next images and their labels. A new epoch's order is drawn from `rng`.
    pub fn next(&mut self, rng: &Rng) -> Result<(Tensor, Tensor)> {
        if let Some(batch) = self.batches.next() {
            return batch;
        }
        self.start = rng.state();
        self.batches = self.digits.batches(self.batch_size, rng);
        let too_few = || Error::Value(format!("{} digits do not make a batch", self.digits.len()));
        self.batches.next().unwrap_or_else(|| Err(too_few()))
    }

    /// The start of the epoch and the batches taken of it.
    pub fn position(&self) -> (rng::State, usize) {
        (self.start.clone(), self.batches.taken())
    }

    /// Continues from a [`Epochs::position`].
    pub fn go_to(&mut self, (start, taken): (rng::State, usize)) {
        self.batches = self
            .digits
            .batches(self.batch_size, &Rng::from_state(&start));
        self.batches.skip_batches(taken);
        self.start = start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_continues_in_the_middle_of_any_epoch() -> Result<()> {
        let digits = Digits::builtin(10, &Rng::seed(1));
        let labels = |epochs: &mut Epochs, rng: &Rng| -> Result<Vec<u32>> {
            Ok(epochs.next(rng)?.1.to_vec1()?)
        };
        for taken in [0, 1, 3, 4, 7] {
            let rng = Rng::seed(2);
            let mut epochs = Epochs::new(&digits, 3, &rng);
            for _ in 0..taken {
                labels(&mut epochs, &rng)?;
            }
            let again = Rng::seed(9);
            let mut resumed = Epochs::new(&digits, 3, &again);
            resumed.go_to(epochs.position());
            again.go_to(&rng.state());
            for _ in 0..5 {
                assert_eq!(labels(&mut resumed, &again)?, labels(&mut epochs, &rng)?);
            }
        }
        Ok(())
    }
}
