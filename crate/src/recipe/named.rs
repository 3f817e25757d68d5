//! The recipes that have a name.

use super::{AdamSettings, CONDITIONAL, Recipe};
use crate::data::SIDE;
use crate::format::Format;
use crate::loss::GanLoss;
use crate::nn::{Precision, Sequential};
use crate::optim::Schedule;
use crate::penalty::Penalty;
use crate::{Error, Result};

/// What one can ask for with [`Recipe::named`].
const NAMES: [&str; 4] = ["dense", "dcgan", "compact", "lean"];

impl Recipe {
    /// The classic first GAN, of dense layers alone: Keras-GAN's `gan.py`
    /// (<https://github.com/eriklindernoren/Keras-GAN>). Its networks, with a higher learning rate, no momentum, an R1 penalty
    /// at every fourth step and a moving average, which give their best digits for the time: `bench/QUALITY.md` has the
    /// comparison.
    pub fn dense() -> Self {
        let generator = Sequential::new("generator", [100]);
        let hidden = [256, 512, 1024].into_iter();
        Recipe {
            name: NAMES[0].into(),
            generator: hidden
                .fold(generator, |network, units| {
                    network.dense(units).leaky_relu(0.2).batch_norm(0.8)
                })
                .dense(SIDE * SIDE)
                .tanh()
                .reshape([1, SIDE, SIDE]),
            discriminator: Sequential::new("discriminator", [1, SIDE, SIDE])
                .flatten()
                .dense(512)
                .leaky_relu(0.2)
                .dense(256)
                .leaky_relu(0.2)
                .dense(1),
            penalty: Some(Penalty::R1 { gamma: 0.1 }),
            penalty_every: 4,
            g_adam: adam(1e-3, 0.),
            d_adam: adam(1e-3, 0.),
            ema_half_life: Some(40_000.),
            log_every: 500,
            grid_every: 2_000,
            checkpoint_every: 4_000,
            ..Recipe::lean()
        }
    }

    /// The DCGAN of TensorFlow's tutorial (<https://www.tensorflow.org/tutorials/generative/dcgan>), in batches of 64
    /// instead of 256: four times the steps for the same images.
    pub fn dcgan() -> Self {
        let generator = Sequential::new("generator", [100])
            .dense(7 * 7 * 256)
            .no_bias()
            .batch_norm(0.99)
            .leaky_relu(0.3)
            .reshape([256, 7, 7]);
        let up = [(128, 1), (64, 2)].into_iter();
        Recipe {
            name: NAMES[1].into(),
            generator: up
                .fold(generator, |network, (channels, stride)| {
                    let network = network.conv_transpose2d(channels, 5, stride).no_bias();
                    network.batch_norm(0.99).leaky_relu(0.3)
                })
                .conv_transpose2d(1, 5, 2)
                .no_bias()
                .tanh(),
            discriminator: Sequential::new("discriminator", [1, SIDE, SIDE])
                .conv2d(64, 5, 2)
                .leaky_relu(0.3)
                .dropout(0.3)
                .conv2d(128, 5, 2)
                .leaky_relu(0.3)
                .dropout(0.3)
                .flatten()
                .dense(1),
            g_adam: adam(1e-4, 0.9),
            d_adam: adam(1e-4, 0.9),
            ema_half_life: Some(10_000.),
            ..Recipe::lean()
        }
    }

    /// The compact convolutional GAN behind the published distances on MNIST: the networks of InfoGAN (Chen et al.
    /// 2016, <https://arxiv.org/abs/1606.03657>), as Lucic et al. 2018 compare games on them
    /// (<https://arxiv.org/abs/1711.10337>).
    pub fn compact() -> Self {
        Recipe {
            name: NAMES[2].into(),
            generator: generator(1024, [128, 64]),
            discriminator: discriminator([64, 128], 1024),
            g_adam: adam(2e-4, 0.5),
            d_adam: adam(2e-4, 0.5),
            ema_half_life: Some(10_000.),
            ..Recipe::lean()
        }
    }

    /// The networks of [`Recipe::compact`] with half of the generator's widths and a quarter of the discriminator's: a
    /// step takes a sixth of the time, and higher learning rates do no harm. The generator's is twice the
    /// discriminator's, which makes the first digits come sooner. The best digits for the time that we know of, see
    /// `bench/QUALITY.md`.
    pub fn lean() -> Self {
        Recipe {
            name: NAMES[3].into(),
            seed: 1,
            format: Format,
            generator: generator(512, [64, 32]),
            discriminator: discriminator([16, 32], 256),
            latent_dim: 100,
            classes: None,
            total_images: 20 * 60_000,
            batch_size: 64,
            loss: GanLoss::NonSaturating,
            penalty: None,
            penalty_every: 1,
            precision: Precision::F32,
            real_target: 1.,
            instance_noise: None,
            augment: None,
            d_steps: 1,
            g_adam: adam(1e-3, 0.5),
            d_adam: adam(5e-4, 0.5),
            schedule: Schedule::Constant,
            ema_half_life: Some(200_000.),
            log_every: 200,
            grid_every: 1_000,
            checkpoint_every: 1_000,
            keep_checkpoints: 3,
        }
    }

    /// A recipe by its name: dense, dcgan, compact, lean, or one of them with -conditional behind it.
    pub fn named(name: &str) -> Result<Self> {
        let plain = name.strip_suffix(CONDITIONAL).unwrap_or(name);
        let recipe = match plain {
            "dense" => Recipe::dense(),
            "dcgan" => Recipe::dcgan(),
            "compact" => Recipe::compact(),
            "lean" => Recipe::lean(),
            _ => {
                let names = NAMES.join(", ");
                return Err(Error::Value(format!(
                    "there is no recipe \"{name}\": {names}, or one of them with {CONDITIONAL} behind it"
                )));
            }
        };
        Ok(if plain == name {
            recipe
        } else {
            recipe.conditional()
        })
    }
}

fn adam(learning_rate: f64, beta1: f64) -> AdamSettings {
    AdamSettings {
        learning_rate,
        beta1,
        beta2: 0.999,
    }
}

fn normalised(network: Sequential) -> Sequential {
    network.no_bias().batch_norm(0.9).leaky_relu(0.2)
}

/// A hidden layer of `units`, then images of 7x7 and 14x14 pixels in these channels.
fn generator(units: usize, [small, large]: [usize; 2]) -> Sequential {
    let network = normalised(Sequential::new("generator", [100]).dense(units));
    let network = normalised(network.dense(small * 7 * 7)).reshape([small, 7, 7]);
    let network = normalised(network.conv_transpose2d(large, 4, 2));
    network.conv_transpose2d(1, 4, 2).tanh()
}

/// Two convolutions of these channels and a dense layer; as in Lucic et al., the first is not normalised.
fn discriminator([first, second]: [usize; 2], units: usize) -> Sequential {
    let network = Sequential::new("discriminator", [1, SIDE, SIDE]);
    let network = network.conv2d(first, 4, 2).leaky_relu(0.2);
    let network = normalised(network.conv2d(second, 4, 2)).flatten();
    normalised(network.dense(units)).dense(1)
}
