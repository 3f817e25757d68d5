//! Whether samples are copies of what the generator was trained on.

use super::{Features, Neighbour, nearest};
use crate::data::Digits;
use crate::{Error, Result};

/// One in this many held-out digits is suspiciously near to a training digit: as near as digits get by chance.
const NEAREST: usize = 100;

/// Digits whose pixels are in memory as f32 at a time.
const CHUNK: usize = 5000;

/// The training digit nearest to each of some images.
#[derive(Clone, Debug)]
pub struct Neighbours {
    /// The nearest in the judge's features.
    pub in_features: Vec<Neighbour>,
    /// The nearest pixel by pixel.
    pub in_pixels: Vec<Neighbour>,
}

/// What [`nearest`] finds among the pixels of all digits, which need not fit into memory as f32.
pub(super) fn nearest_in_pixels(queries: &Features, digits: &Digits) -> Result<Vec<Neighbour>> {
    let none = Neighbour {
        index: 0,
        distance: f32::INFINITY,
    };
    let mut best = vec![none; queries.len()];
    let all: Vec<usize> = (0..digits.len()).collect();
    for (chunk, indices) in all.chunks(CHUNK).enumerate() {
        let pixels = Features::from_pixels(&digits.tensors(indices)?.0)?;
        for (best, found) in best.iter_mut().zip(nearest(queries, &pixels)?) {
            if found.distance < best.distance {
                *best = Neighbour {
                    index: chunk * CHUNK + found.index,
                    ..found
                };
            }
        }
    }
    Ok(best)
}

/// How near samples lie to their nearest training digits, compared with real digits that were held out of training and
/// so cannot be copies, as in [Meehan et al. 2020](https://arxiv.org/abs/2004.05675).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Copies {
    /// The median distance of samples to their nearest training digit.
    pub samples: f64,
    /// The same of held-out digits.
    pub held_out: f64,
    /// The fraction of samples nearer than all but 1% of held-out digits are: 0.01 where nothing was copied.
    pub near: f64,
}

impl Copies {
    /// Compares the distances to the nearest training digits, as [`nearest`] finds them for
    /// samples and for held-out digits.
    ///
    /// # Errors
    /// [`Error::Value`] for no samples, or no held-out digits.
    pub fn from_neighbours(samples: &[Neighbour], held_out: &[Neighbour]) -> Result<Self> {
        if samples.is_empty() || held_out.is_empty() {
            return Err(Error::Value(format!(
                "copies: expected samples and held-out digits, at least one of each, but found {} and {}",
                samples.len(),
                held_out.len()
            )));
        }
        let sorted = |found: &[Neighbour]| {
            let mut distances: Vec<f32> = found.iter().map(|near| near.distance).collect();
            distances.sort_by(f32::total_cmp);
            distances
        };
        let (samples, held_out) = (sorted(samples), sorted(held_out));
        let limit = held_out[held_out.len() / NEAREST];
        let near = samples.partition_point(|&distance| distance < limit);
        let median = |sorted: &[f32]| {
            let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
            (f64::from(low) + f64::from(high)) / 2.
        };
        Ok(Copies {
            samples: median(&samples),
            held_out: median(&held_out),
            near: near as f64 / samples.len() as f64,
        })
    }

    /// The samples' median distance over that of held-out digits: about 1, or above, where nothing was copied, 0 for
    /// copies.
    pub fn ratio(&self) -> f64 {
        self.samples / self.held_out
    }
}
