//! What a notebook's own loop remembers: losses and scores of every step, samples of some epochs.

use std::env::{self, VarError};
use std::fmt::Display;
use std::str::FromStr;
use std::time::{Duration, Instant};

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// What the generator drew after an epoch, always from the same noise.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counted from 1; 0 is the untrained generator.
    pub epoch: usize,
    /// (n, 1, 28, 28), f32 in [-1, 1].
    pub samples: Tensor,
}

impl Snapshot {
    /// What the generator drew after `epoch`.
    pub fn new(epoch: usize, samples: Tensor) -> Self {
        Snapshot { epoch, samples }
    }
}

/// Losses and scores of every step, and the line of progress at the end of an epoch.
///
/// ```
/// use digit_gan::prelude::*;
/// use digit_gan::train::History;
/// let scalar = |value: f32| Tensor::new(value, &Device::Cpu);
/// let logits = Tensor::zeros((64, 1), DType::F32, &Device::Cpu)?;
/// let mut history = History::new(1, 2);
/// for step in 0..2 {
///     history.push(&scalar(1.4)?, &scalar(0.7)?, &logits, &logits)?;
/// }
/// history.report();
/// assert_eq!(history.d_loss, [1.4, 1.4]);
/// assert_eq!(history.d_real, [0.5, 0.5]); // the sigmoid of a logit 0
/// # Ok::<(), digit_gan::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct History {
    /// Epochs that the run is to have.
    pub epochs: usize,
    pub steps_per_epoch: usize,
    /// The discriminator's loss, one value per step.
    pub d_loss: Vec<f32>,
    /// The generator's loss, one value per step.
    pub g_loss: Vec<f32>,
    /// Mean probability of being real that the discriminator gives to real images, one value per step.
    pub d_real: Vec<f32>,
    /// The same for generated images.
    pub d_fake: Vec<f32>,
    /// Fréchet distances of samples, each behind the number of steps before it; see [`History::judged`].
    pub frechet: Vec<(usize, f64)>,
    /// The distance of real digits.
    pub frechet_floor: Option<f64>,
    started: Instant,
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
            d_loss: Vec::new(),
            g_loss: Vec::new(),
            d_real: Vec::new(),
            d_fake: Vec::new(),
            frechet: Vec::new(),
            frechet_floor: None,
            started,
            epoch: Epoch {
                number: 1,
                started,
                first_step: 0,
                images: 0,
            },
        }
    }

    /// Records a step: both losses (one value each) and the discriminator's logits on the real and on the
    /// generated batch, whose first dimension is the batch.
    ///
    /// # Errors
    /// [`Error::Value`] when one of them is not finite: the run has diverged, and the message says what to
    /// try; the step is not recorded. [`Error::Shape`] for a loss of several values or no logits.
    pub fn push(
        &mut self,
        d_loss: &Tensor,
        g_loss: &Tensor,
        real_logits: &Tensor,
        fake_logits: &Tensor,
    ) -> Result<()> {
        let d_loss = self.finite("the discriminator's loss", loss(d_loss)?)?;
        let g_loss = self.finite("the generator's loss", loss(g_loss)?)?;
        let d_real = self.finite("the score on real images", score(real_logits)?)?;
        let d_fake = self.finite("the score on generated images", score(fake_logits)?)?;
        self.d_loss.push(d_loss);
        self.g_loss.push(g_loss);
        self.d_real.push(d_real);
        self.d_fake.push(d_fake);
        self.epoch.images += real_logits.dim(0)?;
        Ok(())
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

    /// Ends an epoch: prints one line with its mean losses and scores, the images per second, and the time
    /// spent and left; the first line comes with a header.
    pub fn report(&mut self) {
        if self.epoch.number == 1 {
            println!("{HEADER}");
        }
        let now = Instant::now();
        println!("{}", self.line(now));
        self.epoch = Epoch {
            number: self.epoch.number + 1,
            started: now,
            first_step: self.d_loss.len(),
            images: 0,
        };
    }

    fn line(&self, now: Instant) -> String {
        let Epoch {
            number,
            started,
            first_step,
            images,
        } = self.epoch;
        let digits = self.epochs.to_string().len();
        let epoch = format!("{number:>digits$}/{}", self.epochs);
        if first_step == self.d_loss.len() {
            return format!("{epoch:>7}  no step: is a batch larger than the data set?");
        }
        let mean = |values: &[f32]| {
            let values = &values[first_step..];
            values.iter().sum::<f32>() / values.len() as f32
        };
        let speed = images as f64 / (now - started).as_secs_f64().max(1e-9);
        let elapsed = now - self.started;
        let left = self.epochs.saturating_sub(number) as f64 / number as f64;
        format!(
            "{epoch:>7}  {:>7.3}  {:>7.3}  {:>7.2}  {:>7.2}  {speed:>8.0}  {:>8}  {:>8}",
            mean(&self.d_loss),
            mean(&self.g_loss),
            mean(&self.d_real),
            mean(&self.d_fake),
            clock(elapsed),
            clock(elapsed.mul_f64(left)),
        )
    }

    fn finite(&self, what: &str, value: f32) -> Result<f32> {
        if value.is_finite() {
            return Ok(value);
        }
        Err(Error::Value(format!(
            "{what} is {value} at step {} (epoch {}): the training has diverged. Build both networks anew, \
             and train with a lower learning rate or another seed",
            self.d_loss.len() + 1,
            self.epoch.number
        )))
    }
}

const HEADER: &str = "  epoch   D loss   G loss  D(real)  D(fake)  images/s   elapsed      left";

/// The value of an environment variable, or `default` where it is unset or empty.
///
/// ```
/// use digit_gan::train::env_or;
/// assert_eq!(env_or("DIGIT_GAN_DOCTEST_EPOCHS", 30)?, 30);
/// # Ok::<(), digit_gan::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] for a value that does not read as a `T`.
pub fn env_or<T: FromStr + Display>(name: &str, default: T) -> Result<T> {
    let value = match env::var(name) {
        Ok(value) => value,
        Err(VarError::NotPresent) => return Ok(default),
        Err(VarError::NotUnicode(value)) => value.to_string_lossy().into_owned(),
    };
    match value.trim() {
        "" => Ok(default),
        text => text.parse().map_err(|_| {
            let kind = std::any::type_name::<T>();
            Error::Value(format!(
                "the environment variable {name} is \"{text}\", expected a value of type {kind} such as \
                 {default}; set it to one, or unset it"
            ))
        }),
    }
}

fn loss(loss: &Tensor) -> Result<f32> {
    match values(loss)?.as_slice() {
        [value] => Ok(*value),
        _ => Err(Error::Shape(format!(
            "History::push: a loss is one value, got shape {:?}; take its mean_all()?",
            loss.dims()
        ))),
    }
}

/// The mean sigmoid.
fn score(logits: &Tensor) -> Result<f32> {
    let values = values(logits)?;
    if values.is_empty() || logits.rank() == 0 {
        return Err(Error::Shape(format!(
            "History::push: expected logits of shape (batch, 1), got {:?}",
            logits.dims()
        )));
    }
    let sigmoid = |logit: &f32| 1.0 / (1.0 + (-logit).exp());
    Ok(values.iter().map(sigmoid).sum::<f32>() / values.len() as f32)
}

fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

/// "1:23", or "1:02:03" from an hour on.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

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
        let line = history.line(history.started + Duration::from_secs(4));
        let fields: Vec<&str> = line.split_whitespace().collect();
        // 100 images in 4 seconds; 29 more epochs of 4 seconds
        let expected = [
            "1/30", "1.500", "1.000", "0.73", "0.27", "25", "0:04", "1:56",
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn a_line_tells_of_its_own_epoch_only() {
        let mut history = after_one_epoch(30);
        history.report();
        history.d_loss.push(5.0);
        history.g_loss.push(6.0);
        history.d_real.push(1.0);
        history.d_fake.push(0.0);
        let line = history.line(history.started + Duration::from_secs(10));
        assert!(
            line.contains("2/30    5.000    6.000     1.00     0.00"),
            "{line}"
        );
        assert!(line.ends_with("2:20"), "28 epochs of 5 seconds: {line}");
    }

    #[test]
    fn columns_end_under_their_names() {
        let ends = |line: &str| -> Vec<usize> {
            let spaced = line.replace("D loss", "D_loss").replace("G loss", "G_loss");
            let chars: Vec<char> = spaced.chars().chain([' ']).collect();
            (1..chars.len())
                .filter(|&i| chars[i] == ' ' && chars[i - 1] != ' ')
                .collect()
        };
        for (epochs, seconds) in [(3, 1), (30, 59), (300, 400)] {
            let history = after_one_epoch(epochs);
            let line = history.line(history.started + Duration::from_secs(seconds));
            assert_eq!(ends(&line), ends(HEADER), "{HEADER}\n{line}");
        }
    }

    #[test]
    fn an_epoch_without_steps_says_so() {
        let history = History::new(3, 0);
        assert!(history.line(Instant::now()).contains("no step"));
    }

    #[test]
    fn hours_are_told_from_minutes() {
        assert_eq!(clock(Duration::from_secs(59)), "0:59");
        assert_eq!(clock(Duration::from_millis(59_600)), "1:00");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
    }
}
