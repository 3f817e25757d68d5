//! The workloads of `workloads.py` as networks of ours, for the benchmark and for tests/rust/literals.rs: the crate's
//! recipes.

use digit_gan::nn::{Dropout, Layer, Sequential};
use digit_gan::recipe::Recipe;

pub const LATENT: usize = 100;

/// Two networks and the settings of their optimizers.
pub struct Workload {
    pub generator: Sequential,
    pub discriminator: Sequential,
    pub learning_rate: f64,
    pub beta1: f64,
}

/// W1 to W4, with this rate of dropout where the workload has dropout at all.
pub fn workload(name: &str, dropout: f64) -> Workload {
    // The rates of `workloads.py`; the recipes have found better ones since.
    let (recipe, learning_rate) = match name {
        "W1" => (Recipe::dense(), 2e-4),
        "W2" => (Recipe::dcgan(), 1e-4),
        "W3" => (Recipe::compact(), 2e-4),
        "W4" => (Recipe::lean(), 5e-4),
        other => panic!("no workload {other}: W1, W2, W3 or W4"),
    };
    Workload {
        generator: recipe.generator,
        discriminator: with_dropout(&recipe.discriminator, dropout),
        learning_rate,
        beta1: recipe.g_adam.beta1,
    }
}

fn with_dropout(network: &Sequential, rate: f64) -> Sequential {
    let empty = Sequential::new(network.name(), network.input());
    let layers = network.layers().iter().map(|layer| match layer {
        Layer::Dropout(_) => Dropout { rate }.into(),
        other => other.clone(),
    });
    layers.fold(empty, Sequential::layer)
}
