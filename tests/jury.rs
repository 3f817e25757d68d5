//! A judge of the crate's own digits, and what it compares samples with.

use digit_gan::prelude::*;

/// Trained for some seconds in the first of all runs of these tests, and then kept.
pub fn judge() -> Judge {
    let train = Digits::builtin(500, &Rng::seed(5));
    Judge::open(env!("CARGO_TARGET_TMPDIR"), &train, &reference()).unwrap()
}

pub fn reference() -> Digits {
    Digits::builtin(60, &Rng::seed(4))
}
