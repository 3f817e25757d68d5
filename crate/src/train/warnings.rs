//! Signs of a training that makes no progress, although its losses may look normal.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Steps for which a sign must be there at every line of statistics: the first steps of any training show both.
const LONG: u64 = 1000;
/// The variance of collapsed samples, as a fraction of the real images'. Digits of one class have a third or more.
const ALIKE: f64 = 0.1;
/// The accuracy of a discriminator that has nothing left to learn.
const ALWAYS: f64 = 0.999;

/// Watches for two signs of a training that leads nowhere: samples that hardly differ, and a discriminator that is always
/// right. A [`Trainer`](super::Trainer) has one that looks at every line of statistics; this is for a loop of your own.
///
/// ```
/// use digit_gan::{rng::Rng, train::Warnings};
/// let rng = Rng::seed(1);
/// let mut warnings = Warnings::default();
/// let mut given = Vec::new();
/// for _ in 0..5 {
///     // 250 steps of training, and their last batches:
///     let real = rng.uniform((64, 1, 28, 28), -1., 1.)?;
///     let fake = real.zeros_like()?;
///     given.extend(warnings.look(250, &real, &fake, Some(0.97))?);
/// }
/// assert_eq!(given.len(), 1);
/// assert!(given[0].starts_with("the generator's samples hardly differ"));
/// # Ok::<(), digit_gan::Error>(())
/// ```
// For how long each sign has been there, and whether its warning was given: saved with a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Warnings {
    #[serde(alias = "alike")]
    collapse: Sign,
    #[serde(alias = "right")]
    always_right: Sign,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sign {
    steps: u64,
    #[serde(alias = "told")]
    given: bool,
}

impl Sign {
    /// Whether it is time for the warning.
    fn seen(&mut self, there: bool, steps: u64) -> bool {
        self.steps = if there { self.steps + steps } else { 0 };
        let due = !self.given && self.steps >= LONG;
        self.given |= due;
        due
    }
}

impl Warnings {
    /// Looks at the last real and the last generated batch of a window of this many steps, and at the discriminator's
    /// accuracy over the window: the fraction of images that it classifies correctly, none for a loss whose logits have
    /// no zero (Wasserstein).
    ///
    /// Returns a warning once its sign has been there for 1,000 steps, at every look, and each warning only once.
    ///
    /// # Errors
    /// [`Error::Shape`] for a batch without images.
    pub fn look(
        &mut self,
        steps: u64,
        real: &Tensor,
        fake: &Tensor,
        accuracy: Option<f64>,
    ) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        let fraction = variance(fake)? / variance(real)?.max(1e-12);
        if self.collapse.seen(fraction < ALIKE, steps) {
            warnings.push(format!(
                "the generator's samples hardly differ (their variance is {:.1}% of the digits'): it may \
                 have collapsed. Try another seed, a lower learning rate, dropout in the discriminator, or a loss \
                 with a penalty: relativistic with r1_r2, wasserstein",
                100. * fraction
            ));
        }
        if self
            .always_right
            .seen(accuracy.is_some_and(|accuracy| accuracy >= ALWAYS), steps)
        {
            warnings.push(
                "the discriminator is always right, so the generator learns little. Try real_target 0.9, \
                 instance_noise, dropout in the discriminator, a lower d_adam.learning_rate, or a penalty"
                    .into(),
            );
        }
        Ok(warnings)
    }
}

/// The mean variance of a pixel over a batch.
fn variance(images: &Tensor) -> Result<f64> {
    if images.rank() < 2 || images.elem_count() == 0 {
        return Err(Error::Shape(format!(
            "Warnings: expected batches of images, (batch, channels, height, width), not {:?}",
            images.dims()
        )));
    }
    let rows = images.flatten_from(1)?;
    let mean = rows.mean_keepdim(0)?;
    let squares = rows.broadcast_sub(&mean)?.sqr()?;
    Ok(f64::from(squares.mean_all()?.to_scalar::<f32>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use candle_core::{DType, Device};

    /// Images of the same mean.
    fn images(std: f64) -> Tensor {
        (Rng::seed(1).normal((16, 1, 28, 28)).unwrap() * std).unwrap()
    }

    /// The lines of statistics, 200 steps apart, at which there was a warning, and its text.
    fn given(
        warnings: &mut Warnings,
        lines: usize,
        fake: f64,
        right: Option<f64>,
    ) -> Vec<(usize, String)> {
        let (real, fake) = (images(0.6), images(fake));
        let look = |line| {
            let texts = warnings.look(200, &real, &fake, right).unwrap();
            texts.into_iter().map(move |text| (line, text))
        };
        (1..=lines).flat_map(look).collect()
    }

    #[test]
    fn samples_that_hardly_differ_are_noticed_once_after_a_while() {
        let mut warnings = Warnings::default();
        let given = given(&mut warnings, 30, 0.06, Some(0.8));
        assert_eq!(given.len(), 1);
        assert_eq!(given[0].0, 5);
        assert!(
            given[0]
                .1
                .starts_with("the generator's samples hardly differ (their variance is 1.0%")
        );
    }

    #[test]
    fn a_discriminator_that_is_always_right_is_noticed_once_after_a_while() {
        let mut warnings = Warnings::default();
        let given = given(&mut warnings, 30, 0.5, Some(1.));
        assert_eq!(given.len(), 1);
        assert_eq!(given[0].0, 5);
        assert!(given[0].1.starts_with("the discriminator is always right"));
    }

    #[test]
    fn a_batch_without_images_is_refused() {
        let empty = Tensor::zeros((0, 1, 28, 28), DType::F32, &Device::Cpu).unwrap();
        let look = |real, fake| Warnings::default().look(200, real, fake, None);
        for (real, fake) in [(&empty, &images(0.6)), (&images(0.6), &empty)] {
            let error = look(real, fake).unwrap_err();
            assert!(
                matches!(error, Error::Shape(_)) && error.to_string().contains("[0, 1, 28, 28]"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_healthy_training_and_a_bad_start_are_left_alone() {
        let mut warnings = Warnings::default();
        assert_eq!(given(&mut warnings, 4, 0.01, Some(1.)), []);
        assert_eq!(given(&mut warnings, 1, 0.5, Some(0.97)), []);
        assert_eq!(
            given(&mut warnings, 4, 0.01, Some(1.)),
            [],
            "it begins to count anew"
        );
        assert_eq!(given(&mut warnings, 30, 0.5, None), []);
    }
}
