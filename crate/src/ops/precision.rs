//! What products are computed in.

use serde::{Deserialize, Serialize};

use super::bf16;

/// What a network's matrix products are computed in. All else, weights, moments, statistics and sums, is f32 always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 24 bits.
    #[default]
    F32,
    /// Both factors rounded to bfloat16 (8 bits), as with PyTorch's autocast and Keras's `mixed_bfloat16`. On a CPU with
    /// AMX or AVX-512 BF16 a step takes less time; elsewhere it is slower than with [`Precision::F32`], and gives the same
    /// bits. Layers of very few channels stay in f32.
    Bf16,
}

impl Precision {
    /// Whether this CPU has instructions for it. Without, the same bits come from others, several times as slowly.
    pub fn is_native(self) -> bool {
        self == Precision::F32 || bf16::is_native()
    }
}
