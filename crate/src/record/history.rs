//! What a notebook's own loop remembers: losses and scores of every step.

use std::ops::{Range, RangeInclusive};
use std::time::Instant;

use candle_core::{DType, Tensor};

use super::{Means, Position, Progress, diverged, score};
use crate::loss::GanLoss;
use crate::optim::Adam;
use crate::{Error, Result};

/// Losses and scores of every step, and the line of progress at the end of an epoch.
///
/// ```
/// use digit_gan::prelude::*;
/// let scalar = |value: f32| Tensor::new(value, &Device::Cpu);
/// let logits = Tensor::zeros((64, 1), DType::F32, &Device::Cpu)?;
/// let mut history = History::new(1, 2);
/// for step in 0..2 {
///     history.push(&scalar(1.4)?, &scalar(0.7)?, &logits, &logits)?;
/// }
/// println!("{}", history.end_epoch());
/// assert_eq!(history.d_loss, [1.4, 1.4]);
/// assert_eq!(history.d_real, [0.5, 0.5]); // the sigmoid of a logit 0
/// # Ok::<(), digit_gan::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct History {
    /// Epochs that the run is to have.
    pub epochs: usize,
    /// Steps that an epoch has.
    pub steps_per_epoch: usize,
    /// The game that is played: [`GanLoss::NonSaturating`], unless it is set to another one. It decides which values
    /// [`plot::loss_curves`](crate::plot::loss_curves) marks.
    pub loss: GanLoss,
    /// The discriminator's loss, one value per step.
    pub d_loss: Vec<f32>,
    /// The generator's loss, one value per step.
    pub g_loss: Vec<f32>,
    /// Mean probability of being real that the discriminator gives to real images, one value per step.
    pub d_real: Vec<f32>,
    /// The same for generated images.
    pub d_fake: Vec<f32>,
    /// The norm of the discriminator's gradient, one value for each call of [`History::push_gradient_norms`].
    pub d_gradient_norm: Vec<f32>,
    /// The same for the generator's.
    pub g_gradient_norm: Vec<f32>,
    /// Fréchet distances of samples, each behind the number of steps before it; see [`History::judged`].
    pub frechet: Vec<(usize, f64)>,
    /// The Fréchet distance of real digits.
    pub frechet_floor: Option<f64>,
    /// Of all steps, those on real and on generated images.
    logits: [Vec<f32>; 2],
    /// Where those of each step begin.
    logit_starts: Vec<[usize; 2]>,
    started: Instant,
    last_step: Instant,
    epoch: Epoch,
}

/// The epoch that is under way.
#[derive(Clone, Debug)]
struct Epoch {
    number: usize,
    started: Instant,
    first_step: usize,
    images: usize,
}

impl History {
    /// An empty history of a run of `epochs`; its clock starts here.
    pub fn new(epochs: usize, steps_per_epoch: usize) -> Self {
        let started = Instant::now();
        History {
            epochs,
            steps_per_epoch,
            loss: GanLoss::NonSaturating,
            d_loss: Vec::new(),
            g_loss: Vec::new(),
            d_real: Vec::new(),
            d_fake: Vec::new(),
            d_gradient_norm: Vec::new(),
            g_gradient_norm: Vec::new(),
            frechet: Vec::new(),
            frechet_floor: None,
            logits: Default::default(),
            logit_starts: Vec::new(),
            started,
            last_step: started,
            epoch: Epoch {
                number: 1,
                started,
                first_step: 0,
                images: 0,
            },
        }
    }

    /// Records a step: both losses (one value each) and the discriminator's logits on the real and on the generated
    /// batch, whose first dimension is the batch. All of them are kept: 8 bytes for a real image and a generated one.
    ///
    /// # Errors
    /// [`Error::Training`] when one of them is not finite: the training has diverged, the step is not recorded, and
    /// the message says what to try. [`Error::Shape`] for a loss of several values or no logits.
    pub fn push(
        &mut self,
        d_loss: &Tensor,
        g_loss: &Tensor,
        real_logits: &Tensor,
        fake_logits: &Tensor,
    ) -> Result<()> {
        let d_loss = self.finite("the discriminator's loss", loss(d_loss)?)?;
        let g_loss = self.finite("the generator's loss", loss(g_loss)?)?;
        let d_real = self.finite("the score on real images", probability(real_logits)?)?;
        let d_fake = self.finite("the score on generated images", probability(fake_logits)?)?;
        let now = Instant::now();
        if self.epoch_is_complete() {
            self.begin_epoch(self.epoch.number + 1, now);
        }
        self.last_step = now;
        self.d_loss.push(d_loss);
        self.g_loss.push(g_loss);
        self.d_real.push(d_real);
        self.d_fake.push(d_fake);
        self.logit_starts.push(self.logit_ends());
        for (all, batch) in self.logits.iter_mut().zip([real_logits, fake_logits]) {
            all.extend(
                batch
                    .to_dtype(DType::F32)?
                    .flatten_all()?
                    .to_vec1::<f32>()?,
            );
        }
        self.epoch.images += real_logits.dim(0)?;
        Ok(())
    }

    /// Records the length of both gradients, by which the last steps of the optimizers moved. A gradient that vanishes
    /// teaches nothing, and one that grows without bounds announces a run that diverges.
    ///
    /// # Errors
    /// When a gradient cannot be read.
    pub fn push_gradient_norms(&mut self, d_adam: &Adam, g_adam: &Adam) -> Result<()> {
        self.d_gradient_norm.push(d_adam.gradient_norm()? as f32);
        self.g_gradient_norm.push(g_adam.gradient_norm()? as f32);
        Ok(())
    }

    /// The discriminator's logits in these steps, counted from 0, on real images and on generated ones:
    /// [`plot::histograms`](crate::plot::histograms) draws them.
    ///
    /// ```
    /// # use digit_gan::prelude::*;
    /// let (loss, logits) = (Tensor::new(1f32, &Device::Cpu)?, Tensor::ones((64, 1), DType::F32, &Device::Cpu)?);
    /// let mut history = History::new(1, 937);
    /// history.push(&loss, &loss, &logits, &logits.neg()?)?;
    /// let [real, fake] = history.logits(0..1)?;
    /// assert_eq!((real[63], fake[63]), (1., -1.));
    /// # Ok::<(), digit_gan::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Value`] for no steps, or steps that have not been recorded.
    pub fn logits(&self, steps: Range<usize>) -> Result<[&[f32]; 2]> {
        let recorded = self.logit_starts.len();
        if steps.is_empty() || steps.end > recorded {
            return Err(Error::Value(format!(
                "History::logits: expected steps from 0 to {recorded}, the number of steps so far, not {steps:?}"
            )));
        }
        let next = self.logit_starts.get(steps.end).copied();
        let (from, to) = (
            self.logit_starts[steps.start],
            next.unwrap_or(self.logit_ends()),
        );
        Ok([0, 1].map(|i| &self.logits[i][from[i]..to[i]]))
    }

    fn logit_ends(&self) -> [usize; 2] {
        [self.logits[0].len(), self.logits[1].len()]
    }

    /// Records the Fréchet distance of what the generator draws after the steps so far, and that of real digits, the
    /// floor: [`plot::loss_curves`](crate::plot::loss_curves) then has a second panel.
    ///
    /// # Errors
    /// [`Error::Value`] for a distance that is negative or not finite.
    pub fn judged(&mut self, frechet: f64, floor: f64) -> Result<()> {
        if ![frechet, floor]
            .iter()
            .all(|value| value.is_finite() && *value >= 0.)
        {
            return Err(Error::Value(format!(
                "History::judged: expected Fréchet distances, which are 0 or more, found {frechet} and {floor}"
            )));
        }
        self.frechet.push((self.d_loss.len(), frechet));
        self.frechet_floor = Some(floor);
        Ok(())
    }

    /// The epochs that are still to train: all of them at first. After a loop has been stopped, the epoch that was broken
    /// off begins again, and the time in between does not count.
    ///
    /// ```
    /// # use digit_gan::prelude::*;
    /// let mut history = History::new(30, 937);
    /// assert_eq!(history.remaining_epochs(), 1..=30);
    /// ```
    pub fn remaining_epochs(&mut self) -> RangeInclusive<usize> {
        let now = Instant::now();
        self.started += now - self.last_step;
        self.last_step = now;
        let number = self.epoch.number + usize::from(self.epoch_is_complete());
        self.begin_epoch(number, now);
        number..=self.epochs
    }

    /// Whether the last step of the last epoch is recorded.
    pub fn is_finished(&self) -> bool {
        self.fraction() >= 1.
    }

    fn fraction(&self) -> f64 {
        let steps = (self.d_loss.len() - self.epoch.first_step) as f64;
        let epochs = steps / self.steps_per_epoch.max(1) as f64;
        (self.epoch.number as f64 - 1. + epochs.min(1.)) / self.epochs.max(1) as f64
    }

    fn epoch_is_complete(&self) -> bool {
        let steps = self.d_loss.len() - self.epoch.first_step;
        steps > 0 && steps >= self.steps_per_epoch
    }

    fn begin_epoch(&mut self, number: usize, now: Instant) {
        self.epoch = Epoch {
            number,
            started: now,
            first_step: self.d_loss.len(),
            images: 0,
        };
    }

    /// Ends an epoch. The line it returns displays itself: the epoch's mean losses and scores, images per second, time
    /// spent and left. The first line comes with a header.
    #[must_use = "print it: println!(\"{}\", history.end_epoch())"]
    pub fn end_epoch(&mut self) -> Progress {
        let now = Instant::now();
        let progress = self.ended(now);
        self.begin_epoch(self.epoch.number + 1, now);
        progress
    }

    /// How far the run is, with means over the epoch under way; at any time, and as often as you like.
    pub fn progress(&self) -> Progress {
        self.measured(Instant::now(), self.fraction())
    }

    /// The epoch under way, as if it ended now.
    fn ended(&self, now: Instant) -> Progress {
        self.measured(now, self.epoch.number as f64 / self.epochs.max(1) as f64)
    }

    fn measured(&self, now: Instant, fraction: f64) -> Progress {
        let Epoch {
            number,
            started,
            first_step,
            images,
        } = self.epoch;
        let mean = |values: &[f32]| {
            let values = &values[first_step..];
            f64::from(values.iter().sum::<f32>() / values.len() as f32)
        };
        let of = self.epochs;
        Progress {
            position: Position::Epoch { number, of },
            fraction: fraction.min(1.),
            means: (first_step < self.d_loss.len()).then(|| Means {
                d_loss: mean(&self.d_loss),
                g_loss: mean(&self.g_loss),
                d_real: mean(&self.d_real),
                d_fake: mean(&self.d_fake),
            }),
            images_per_second: images as f64 / (now - started).as_secs_f64().max(1e-9),
            elapsed: now - self.started,
            first: number == 1,
            ..Progress::default()
        }
    }

    fn finite(&self, what: &str, value: f32) -> Result<f32> {
        if value.is_finite() {
            return Ok(value);
        }
        let (step, epoch) = (self.d_loss.len() + 1, self.epoch.number);
        Err(diverged(
            &format!("{what} is {value} at step {step} (epoch {epoch})"),
            "Build both networks anew, and train with a lower learning rate or another seed",
        ))
    }
}

fn loss(loss: &Tensor) -> Result<f32> {
    match loss.elem_count() {
        1 => Ok(loss.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?[0]),
        _ => Err(Error::Shape(format!(
            "History::push: a loss is one value, got shape {:?}; take its mean_all()?",
            loss.dims()
        ))),
    }
}

/// The mean sigmoid.
fn probability(logits: &Tensor) -> Result<f32> {
    if logits.elem_count() == 0 || logits.rank() == 0 {
        return Err(Error::Shape(format!(
            "History::push: expected logits of shape (batch, 1), got {:?}",
            logits.dims()
        )));
    }
    score(GanLoss::NonSaturating, &logits.to_dtype(DType::F32)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use std::time::Duration;

    fn after_one_epoch(epochs: usize) -> History {
        let mut history = History::new(epochs, 2);
        let logits = |value: f32| Tensor::full(value, (50, 1), &Device::Cpu).unwrap();
        let scalar = |value: f32| Tensor::new(value, &Device::Cpu).unwrap();
        for (d, g) in [(1.0, 0.5), (2.0, 1.5)] {
            let pushed = history.push(&scalar(d), &scalar(g), &logits(1.0), &logits(-1.0));
            pushed.unwrap();
        }
        history
    }

    #[test]
    fn a_line_gives_means_speed_and_times() {
        let history = after_one_epoch(30);
        let text = history
            .ended(history.started + Duration::from_secs(4))
            .to_string();
        let (header, line) = text.split_once('\n').unwrap();
        assert!(header.starts_with("  epoch   D loss   G loss"));
        let fields: Vec<&str> = line.split_whitespace().collect();
        // 100 images in 4 seconds; 29 more epochs of 4 seconds
        let expected = [
            "1/30", "1.500", "1.000", "0.73", "0.27", "25", "0:04", "1:56",
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn a_stopped_loop_begins_its_epoch_again() {
        let mut history = after_one_epoch(3);
        assert_eq!(history.remaining_epochs(), 2..=3);
        let (scalar, logits) = (
            Tensor::new(1f32, &Device::Cpu).unwrap(),
            Tensor::zeros((2, 1), DType::F32, &Device::Cpu).unwrap(),
        );
        history.push(&scalar, &scalar, &logits, &logits).unwrap();
        assert_eq!(history.progress().fraction, 0.5);
        assert_eq!(
            history.remaining_epochs(),
            2..=3,
            "stopped in the middle of it"
        );
        assert_eq!(history.progress().fraction, 1. / 3.);
        for (steps, epoch, fraction) in [(1, 2, 0.5), (2, 3, 5. / 6.), (1, 3, 1.)] {
            for _ in 0..steps {
                history.push(&scalar, &scalar, &logits, &logits).unwrap();
            }
            let progress = history.progress();
            assert_eq!(
                progress.position,
                Position::Epoch {
                    number: epoch,
                    of: 3
                }
            );
            assert!((progress.fraction - fraction).abs() < 1e-9, "{progress:?}");
        }
        assert!(history.is_finished());
        assert!(history.remaining_epochs().is_empty());
        assert_eq!(
            history.d_loss.len(),
            7,
            "what was learnt is kept, and remembered"
        );
    }

    #[test]
    fn a_line_tells_of_its_own_epoch_only() {
        let mut history = after_one_epoch(30);
        let _ = history.end_epoch();
        history.d_loss.push(5.0);
        history.g_loss.push(6.0);
        history.d_real.push(1.0);
        history.d_fake.push(0.0);
        let progress = history.progress();
        assert_eq!(progress.fraction, 3. / 60.);
        assert_eq!(progress.means.unwrap().d_loss, 5.);
        let line = history
            .ended(history.started + Duration::from_secs(10))
            .to_string();
        assert!(
            line.starts_with("   2/30    5.000    6.000     1.00     0.00"),
            "{line}"
        );
        assert!(line.ends_with("2:20"), "28 epochs of 5 seconds: {line}");
    }

    #[test]
    fn an_epoch_without_steps_says_so() {
        let text = History::new(3, 0).end_epoch().to_string();
        assert!(text.ends_with("1/3  no step: is a batch larger than the data set?"));
    }
}
