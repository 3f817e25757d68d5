//! A judge of the crate's own digits, and what it compares samples with.

use std::sync::OnceLock;

use digit_gan::metrics::JudgeRecipe;
use digit_gan::prelude::*;

/// Trained for a second in the first of all runs of these tests, and then kept: what it is asked about is the same of a
/// better judge.
pub fn judge() -> &'static Judge {
    static JUDGE: OnceLock<Judge> = OnceLock::new();
    JUDGE.get_or_init(|| {
        let recipe = JudgeRecipe {
            least_images: 10_000,
            ..JudgeRecipe::default()
        };
        let train = Digits::builtin(500, &Rng::seed(5));
        Judge::open_with(&recipe, env!("CARGO_TARGET_TMPDIR"), &train, &reference()).unwrap()
    })
}

pub fn reference() -> Digits {
    Digits::builtin(60, &Rng::seed(4))
}
