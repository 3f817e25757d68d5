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
        total_images: 22 * (batch_size * recipe.d_steps) as u64,
        ema_half_life: recipe.ema_half_life.map(|_| 40.),
        log_every: 4,
        grid_every: 10,
        checkpoint_every: 1000,
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
    let layers = network.layers().iter().cloned().map(|mut layer| {
        match &mut layer {
            Layer::Dense(dense) => dense.units = fewer(dense.units),
            Layer::Conv2d(conv) => conv.channels = fewer(conv.channels),
            Layer::ConvTranspose2d(conv) => conv.channels = fewer(conv.channels),
            Layer::Reshape(to) => to.shape.iter_mut().for_each(|size| *size = fewer(*size)),
            _ => {}
        }
        layer
    });
    let empty = Sequential::new(network.name(), network.input());
    layers.fold(empty, Sequential::layer)
}

pub fn digits() -> Digits {
    Digits::builtin(50, &Rng::seed(3))
}
