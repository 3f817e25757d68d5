//! Notices a training that leads nowhere, while it still looks busy.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::Result;

/// For so many steps a sign must have shown itself at every tick: the first steps of any training show both.
const LONG: u64 = 1000;
/// Generated images whose variance is this share of the real ones'. All digits of one class have a third or more.
const ALIKE: f64 = 0.1;
/// The share of right answers of a discriminator that has nothing left to learn.
const ALWAYS: f64 = 0.999;

/// For how long each sign has been there, and whether it has been told. Saved with a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Watch {
    alike: Sign,
    right: Sign,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sign {
    steps: u64,
    told: bool,
}

impl Sign {
    /// Whether it is time to tell.
    fn seen(&mut self, there: bool, steps: u64) -> bool {
        self.steps = if there { self.steps + steps } else { 0 };
        let tell = !self.told && self.steps >= LONG;
        self.told |= tell;
        tell
    }
}

impl Watch {
    /// Looks at a tick of so many steps: its last batches, and how often the discriminator was right. Returns a warning
    /// of each kind once.
    pub fn look(
        &mut self,
        steps: u64,
        real: &Tensor,
        fake: &Tensor,
        right: Option<f64>,
    ) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        let share = variance(fake)? / variance(real)?.max(1e-12);
        if self.alike.seen(share < ALIKE, steps) {
            warnings.push(format!(
                "warning: the generator's samples hardly differ (their variance is {:.1}% of the digits'): it may \
                 have collapsed. Try another seed, a lower learning rate, dropout in the discriminator, or a loss \
                 with a penalty: relativistic with r1_r2, wasserstein",
                100. * share
            ));
        }
        if self
            .right
            .seen(right.is_some_and(|right| right >= ALWAYS), steps)
        {
            warnings.push(
                "warning: the discriminator is always right, so the generator learns little. Try real_target 0.9, \
                 instance_noise, dropout in the discriminator, a lower d_adam.learning_rate, or a penalty"
                    .into(),
            );
        }
        Ok(warnings)
    }
}

/// The mean variance of a pixel over a batch of at least one image.
fn variance(images: &Tensor) -> Result<f64> {
    let rows = images.flatten_from(1)?;
    let mean = rows.mean_keepdim(0)?;
    let squares = rows.broadcast_sub(&mean)?.sqr()?;
    Ok(f64::from(squares.mean_all()?.to_scalar::<f32>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// Images of the same mean, whose pixels deviate so much.
    fn images(deviation: f64) -> Tensor {
        (Rng::seed(1).normal((16, 1, 28, 28)).unwrap() * deviation).unwrap()
    }

    /// The ticks, of 200 steps each, at which there was a warning, and what it said.
    fn told(
        watch: &mut Watch,
        ticks: usize,
        fake: f64,
        right: Option<f64>,
    ) -> Vec<(usize, String)> {
        let (real, fake) = (images(0.6), images(fake));
        let look = |tick| {
            let warnings = watch.look(200, &real, &fake, right).unwrap();
            warnings.into_iter().map(move |warning| (tick, warning))
        };
        (1..=ticks).flat_map(look).collect()
    }

    #[test]
    fn samples_that_hardly_differ_are_noticed_once_after_a_while() {
        let mut watch = Watch::default();
        let told = told(&mut watch, 30, 0.06, Some(0.8));
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].0, 5);
        assert!(
            told[0].1.starts_with(
                "warning: the generator's samples hardly differ (their variance is 1.0%"
            )
        );
    }

    #[test]
    fn a_discriminator_that_is_always_right_is_noticed_once_after_a_while() {
        let mut watch = Watch::default();
        let told = told(&mut watch, 30, 0.5, Some(1.));
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].0, 5);
        assert!(
            told[0]
                .1
                .starts_with("warning: the discriminator is always right")
        );
    }

    #[test]
    fn a_healthy_training_and_a_bad_start_are_left_alone() {
        let mut watch = Watch::default();
        assert_eq!(told(&mut watch, 4, 0.01, Some(1.)), []);
        assert_eq!(told(&mut watch, 1, 0.5, Some(0.97)), []);
        assert_eq!(
            told(&mut watch, 4, 0.01, Some(1.)),
            [],
            "it begins to count anew"
        );
        assert_eq!(told(&mut watch, 30, 0.5, None), []);
    }
}
