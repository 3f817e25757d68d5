//! Judging a run while it trains: the Fréchet distance of what it draws, and which checkpoint is best.

use candle_core::Device;

use super::checkpoint::Best;
use super::sampler::Sampler;
use crate::data::Digits;
use crate::metrics::{Features, Gaussian, Judge, class_accuracy};
use crate::record::{Judgement, Stats};
use crate::rng::Rng;
use crate::{Error, Result};

/// The samples of a judgement, unless there are fewer digits to compare with.
const SAMPLES: usize = 10_000;
/// The seed of their noise, and of the choice of real digits for the floor: a stream apart from the run's own.
const SEED: u64 = 0;

/// A judge, what it compares samples with, and how often.
pub(super) struct Judging {
    judge: Judge,
    reference: Gaussian,
    samples: usize,
    reals: usize,
    every: u64,
    floor: f64,
    /// Of what the judge sees in the reference: another judge sees something else in it.
    checksum: u32,
}

impl Judging {
    pub fn new(judge: &Judge, reference: &Digits, training: &Digits, every: u64) -> Result<Self> {
        if every == 0 {
            return Err(Error::Value(
                "judged_by: expected a judgement every n images, n at least 1, not 0: 60000 is once an epoch".into(),
            ));
        }
        let seen = judge.features_of(reference)?;
        let reference = Gaussian::fit(&seen)?;
        let samples = SAMPLES.min(seen.len());
        let mut chosen = Rng::seed(SEED).permutation(training.len());
        chosen.truncate(samples);
        let real = judge.features(&training.tensors(&chosen)?.0)?;
        Ok(Judging {
            judge: judge.clone(),
            floor: Gaussian::fit(&real)?.distance(&reference)?,
            reference,
            samples,
            reals: seen.len(),
            every,
            checksum: checksum(&seen),
        })
    }

    /// What it measures, in a sentence.
    pub fn notice(&self) -> String {
        format!(
            "judged every {} images: the Fréchet distance of {} samples to {} real digits; that of real training digits \
             is {:.2}",
            self.every, self.samples, self.reals, self.floor
        )
    }

    /// Whether a judgement is due after `now` images, where the line of statistics before was after `before`.
    pub fn is_due(&self, before: u64, now: u64) -> bool {
        now / self.every > before / self.every
    }

    pub fn frechet(&self, sampler: &Sampler) -> Result<f64> {
        Gaussian::fit(&self.see(sampler)?)?.distance(&self.reference)
    }

    /// What the judge sees in samples.
    fn see(&self, sampler: &Sampler) -> Result<Features> {
        let samples = sampler.samples(self.samples, &Rng::seed(SEED))?; // (n, channels, height, width)
        self.judge.features(&samples.to_device(&Device::Cpu)?)
    }

    pub fn judge(&self, sampler: &Sampler, step: u64, images: u64) -> Result<Judgement> {
        let seen = self.see(sampler)?;
        let labels = sampler.labels(self.samples);
        Ok(Judgement {
            step,
            images,
            frechet: Gaussian::fit(&seen)?.distance(&self.reference)?,
            floor: self.floor,
            class_accuracy: labels
                .map(|labels| class_accuracy(&seen, &labels))
                .transpose()?,
        })
    }

    /// What a checkpoint of this judgement says of it.
    pub fn best(&self, judgement: Judgement) -> Best {
        Best {
            judgement,
            judge: self.checksum,
        }
    }

    /// Whether a best checkpoint's judgement compares with this judge's.
    pub fn compares_with(&self, best: &Best) -> bool {
        best.judge == self.checksum
    }
}

fn checksum(features: &Features) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for value in features.rows() {
        hasher.update(&value.to_le_bytes());
    }
    hasher.finalize()
}

/// The last judgement in the statistics of a run.
pub(super) fn last_judgement(lines: &[Stats]) -> Option<Judgement> {
    lines.iter().rev().find_map(|line| {
        Some(Judgement {
            step: line.step,
            images: line.images,
            frechet: line.frechet?,
            floor: line.frechet_floor?,
            class_accuracy: line.class_accuracy,
        })
    })
}
