//! A run that is judged on its way: the Fréchet distance of what it draws, every so many images, and its best
//! checkpoint.

use candle_core::Device;
use serde::{Deserialize, Serialize};

use super::checkpoint;
use super::sampler::Sampler;
use super::stats::{Stats, Tick};
use super::trainer::Trainer;
use super::watch::Watch;
use crate::data::Digits;
use crate::metrics::{Features, Gaussian, Judge};
use crate::rng::Rng;
use crate::{Error, Result};

/// The samples of a judgement, unless there are fewer digits to compare with.
const SAMPLES: usize = 10_000;
/// The seed of their noise, and of the choice of real digits for the floor: a stream apart from the run's own.
const SEED: u64 = 0;

/// What a judge has said of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The step after which the samples were drawn.
    pub step: u64,
    /// Real images that the discriminator had seen by then.
    pub images: u64,
    /// The Fréchet distance of samples to digits that the run was not trained on: the less the better.
    pub frechet: f64,
    /// The same of as many of the digits that it was trained on: a generator that gets well below it has copied.
    pub floor: f64,
}

/// What the header of the best checkpoint says of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Best {
    judgement: Judgement,
    /// Tells judgements that compare from those of another judge or with other digits.
    jury: u32,
}

/// Who judges, what the samples are compared with, and how often.
pub(super) struct Jury {
    judge: Judge,
    reference: Gaussian,
    samples: usize,
    every: u64,
    floor: f64,
    checksum: u32,
}

impl Trainer {
    /// Has the run judged at the first tick after every so many images, and at its end: the Fréchet distance of 10,000
    /// samples (as many as there are digits in `reference`, if that is less) to `reference`, MNIST's test digits, in the
    /// features of `judge`. It goes into `stats.jsonl`, and [`plot::compare_runs`](crate::plot::compare_runs) draws it.
    /// The checkpoint with the least distance is kept as `checkpoints/best.safetensors`; see [`Sampler::best`].
    ///
    /// The samples are those of [`Trainer::samples`] from `Rng::seed(0)`: [`Evaluation`](crate::metrics::Evaluation) says
    /// the same of them. Training does not feel it, and its time counts in no figure. A resumed run is judged if it is
    /// told so again.
    ///
    /// ```no_run
    /// # use digit_gan::prelude::*;
    /// let (digits, test) = (Digits::load(Split::Train)?, Digits::load(Split::Test)?);
    /// let judge = Judge::open("out", &digits, &test)?;
    /// let trainer = Trainer::new(Recipe::lean(), &digits, "runs/lean")?;
    /// let mut trainer = trainer.judged_by(&judge, &test, 60_000)?;
    /// trainer.run()?;
    /// let digits = Sampler::best("runs/lean")?.samples(100, &Rng::seed(1))?;
    /// # Ok::<(), digit_gan::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Value`] if `every` is 0 or `reference` has less than two digits.
    pub fn judged_by(mut self, judge: &Judge, reference: &Digits, every: u64) -> Result<Self> {
        if every == 0 {
            return Err(Error::Value(
                "judged_by: expected a judgement every so many images, at least 1, not 0: 60000 is once an epoch".into(),
            ));
        }
        let jury = Jury::new(judge, reference, &self.digits, every)?;
        (self.say)(format!(
            "judged every {every} images: the Fréchet distance of {} samples to {} real digits; that of real training \
             digits is {:.2}",
            jury.samples,
            reference.len(),
            jury.floor
        ));
        if let Some(best) = &mut self.best
            && best.jury != jury.checksum
        {
            let Judgement { step, images, .. } = best.judgement;
            *best = jury.best(jury.judge(&Sampler::best(self.folder.path())?, step, images)?);
            (self.say)(format!(
                "the best checkpoint, of step {step}, had another judge or other digits; this one says {:.2}",
                best.judgement.frechet
            ));
        }
        self.jury = Some(jury);
        self.headed = false;
        Ok(self)
    }

    /// The Fréchet distance of the generator as it is now, measured as [`Trainer::judged_by`] says.
    ///
    /// Errors if there is no judge.
    pub fn frechet(&self) -> Result<f64> {
        let jury = self.jury.as_ref().ok_or_else(|| {
            let message = "frechet: nobody judges this run: call trainer.judged_by(&judge, &test, 60_000)? first";
            Error::Value(message.into())
        })?;
        jury.frechet(&self.sampler())
    }

    /// The last judgement; none if the run has never been judged.
    pub fn judged(&self) -> Option<Judgement> {
        self.judged
    }

    /// The best judgement so far, by the checkpoint that was kept for it, `checkpoints/best.safetensors`.
    pub fn best(&self) -> Option<Judgement> {
        self.best.map(|best| best.judgement)
    }

    /// A judgement at the end of the first tick after every so many images, and at that of the run.
    pub(super) fn judge_if_due(&self) -> Result<Option<Judgement>> {
        let Some(jury) = &self.jury else {
            return Ok(None);
        };
        let (before, now) = (self.images() - self.tick.images, self.images());
        let due = now / jury.every > before / jury.every || self.finished();
        due.then(|| jury.judge(&self.sampler(), self.step, now))
            .transpose()
    }

    /// Writes the best checkpoint if this is it. It is of the run with the tick ended: `watch` is what then watches it.
    pub(super) fn keep_if_best(&mut self, judgement: Judgement, watch: &Watch) -> Result<()> {
        let Some(jury) = &self.jury else {
            return Ok(());
        };
        if self
            .best()
            .is_some_and(|best| best.frechet <= judgement.frechet)
        {
            return Ok(());
        }
        let best = jury.best(judgement);
        let state = self.state(&Tick::default(), watch);
        checkpoint::write_best(&self.folder, &self.recipe, &state, &self.tensors()?, &best)?;
        self.best = Some(best);
        Ok(())
    }

    /// Remembers what a run that goes on was judged before. The best checkpoint may be of a step that a kill has made
    /// the run forget: it will come to it again.
    pub(super) fn remember_judgements(&mut self, lines: &[Stats]) -> Result<()> {
        self.judged = lines.iter().rev().find_map(|line| {
            Some(Judgement {
                step: line.step,
                images: line.images,
                frechet: line.frechet?,
                floor: line.frechet_floor?,
            })
        });
        self.best = checkpoint::best_so_far(&self.folder, &mut self.say)?;
        Ok(())
    }
}

impl Jury {
    fn new(judge: &Judge, reference: &Digits, training: &Digits, every: u64) -> Result<Self> {
        let seen = judge.features_of(reference)?;
        let reference = Gaussian::of(&seen)?;
        let samples = SAMPLES.min(seen.len());
        let mut chosen = Rng::seed(SEED).permutation(training.len());
        chosen.truncate(samples);
        let real = judge.features(&training.tensors(&chosen)?.0)?;
        Ok(Jury {
            judge: judge.clone(),
            floor: Gaussian::of(&real)?.distance(&reference)?,
            reference,
            samples,
            every,
            checksum: checksum(&seen),
        })
    }

    fn frechet(&self, sampler: &Sampler) -> Result<f64> {
        let samples = sampler.samples(self.samples, &Rng::seed(SEED))?; // (n, 1, 28, 28)
        let seen = self.judge.features(&samples.to_device(&Device::Cpu)?)?;
        Gaussian::of(&seen)?.distance(&self.reference)
    }

    fn judge(&self, sampler: &Sampler, step: u64, images: u64) -> Result<Judgement> {
        Ok(Judgement {
            step,
            images,
            frechet: self.frechet(sampler)?,
            floor: self.floor,
        })
    }

    fn best(&self, judgement: Judgement) -> Best {
        Best {
            judgement,
            jury: self.checksum,
        }
    }
}

/// Of what a judge sees in the reference: another judge sees something else in it.
fn checksum(features: &Features) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for value in features.rows() {
        hasher.update(&value.to_le_bytes());
    }
    hasher.finalize()
}
