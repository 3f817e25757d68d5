//! The workloads of `workloads.py` as networks of ours, for the benchmark and for tests/rust/literals.rs: the crate's
//! recipes.

use digit_gan::loss::GanLoss;
use digit_gan::nn::{Dropout, Layer, Sequential};
use digit_gan::penalty::Penalty;
use digit_gan::recipe::Recipe;

pub const LATENT: usize = 100;

/// Two networks, their game and the settings of their optimizers.
pub struct Workload {
    pub generator: Sequential,
    pub discriminator: Sequential,
    pub learning_rate: f64,
    pub beta1: f64,
    pub loss: GanLoss,
    pub penalty: Option<Penalty>,
    pub classes: Option<usize>,
}

/// W1 to W4 or a variant of them, with this rate of dropout where the workload has dropout at all.
pub fn workload(name: &str, dropout: f64) -> Workload {
    // The rates of `workloads.py`; the recipes have found better ones since.
    let (recipe, learning_rate) = match name {
        "W1" => (as_keras_has_it(Recipe::dense()), 2e-4),
        "W2" => (Recipe::dcgan(), 1e-4),
        "W3" => (Recipe::compact(), 2e-4),
        "W4" => (Recipe::lean(), 5e-4),
        "W4-conditional" => (Recipe::lean().with_classes(10), 5e-4),
        "W3-r1" => {
            let penalty = Penalty::R1 { gamma: 1. };
            (penalised(GanLoss::NonSaturating, penalty), 2e-4)
        }
        "W3-wgan-gp" => {
            let penalty = Penalty::Wasserstein { weight: 10. };
            (penalised(GanLoss::Wasserstein, penalty), 2e-4)
        }
        other => panic!("no workload {other}: W1 to W4, W4-conditional, W3-r1 or W3-wgan-gp"),
    };
    Workload {
        generator: recipe.generator,
        discriminator: with_dropout(&recipe.discriminator, dropout),
        learning_rate,
        beta1: recipe.g_adam.beta1,
        loss: recipe.loss,
        penalty: recipe.penalty,
        classes: recipe.classes,
    }
}

/// With the peers' momentum, and without a penalty.
fn as_keras_has_it(recipe: Recipe) -> Recipe {
    Recipe {
        penalty: None,
        g_adam: Recipe::lean().g_adam,
        ..recipe
    }
}

/// W3 with a penalty, for which its discriminator has biases instead of normalisation.
fn penalised(loss: GanLoss, penalty: Penalty) -> Recipe {
    let recipe = Recipe::compact();
    Recipe {
        discriminator: recipe.discriminator.without_batch_norm(),
        loss,
        penalty: Some(penalty),
        ..recipe
    }
}

fn with_dropout(network: &Sequential, rate: f64) -> Sequential {
    let layers = network.layers().iter().map(|layer| match layer {
        Layer::Dropout(_) => Dropout { rate }.into(),
        other => other.clone(),
    });
    let empty = Sequential::new(network.name(), network.input());
    layers.fold(empty, Sequential::layer)
}
