//! Recipes whose networks train in milliseconds: the layers are those of the real ones, with fewer channels.

use digit_gan::nn::{Layer, Sequential};
use digit_gan::prelude::*;

/// A run of 22 steps; with 50 digits, an epoch has 6.
pub fn small(recipe: Recipe) -> Recipe {
    let batch_size = 8;
    Recipe {
        generator: shrunk(&recipe.generator),
        discriminator: shrunk(&recipe.discriminator),
        batch_size,
        images: 22 * (batch_size * recipe.d_steps) as u64,
        average: recipe.average.map(|_| 40.),
        tick: 4,
        grid: 10,
        checkpoint: 1000,
        ..recipe
    }
}

/// A sixteenth of the channels wherever there are many.
fn shrunk(network: &Sequential) -> Sequential {
    let fewer = |n: usize| match n {
        784 => n,
        _ if n >= 64 => n / 16,
        _ => n,
    };
    let layers = network.layers().iter().map(|layer| match layer.clone() {
        Layer::Dense { units, bias } => Layer::Dense {
            units: fewer(units),
            bias,
        },
        Layer::Conv2d {
            channels,
            kernel,
            stride,
            padding,
            bias,
        } => Layer::Conv2d {
            channels: fewer(channels),
            kernel,
            stride,
            padding,
            bias,
        },
        Layer::ConvTranspose2d {
            channels,
            kernel,
            stride,
            padding,
            output_padding,
            bias,
        } => Layer::ConvTranspose2d {
            channels: fewer(channels),
            kernel,
            stride,
            padding,
            output_padding,
            bias,
        },
        Layer::Reshape { shape } => Layer::Reshape {
            shape: shape.into_iter().map(fewer).collect(),
        },
        other => other,
    });
    let empty = Sequential::new(network.name(), network.input());
    layers.fold(empty, Sequential::layer)
}

pub fn digits() -> Digits {
    Digits::builtin(50, &Rng::seed(3))
}
