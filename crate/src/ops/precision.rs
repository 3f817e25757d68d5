//! What products are computed in.

use serde::{Deserialize, Serialize};

use super::bf16;

/// What a network's matrix products are computed in, in training. All else, weights, moments, statistics and sums, is f32
/// always, and so are samples.
///
/// The last two are made for CPUs with AMX or AVX-512 BF16. On others they are slower than f32, and give the same bits as
/// there. Layers of very few channels stay in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Factors of 24 bits.
    #[default]
    F32,
    /// Factors of 16 bits forward, each the sum of two bfloat16, and of 8 bits backward.
    Mixed,
    /// Factors of 8 bits, rounded to bfloat16, forward and backward, as with PyTorch's autocast and Keras's
    /// `mixed_bfloat16`. The fastest.
    Bf16,
}

impl Precision {
    /// Whether this CPU has instructions for it. Without, the same bits come from others, several times as slowly.
    pub fn is_native(self) -> bool {
        self == Precision::F32 || bf16::is_native()
    }
}

/// What the products of one pass are computed in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Factors {
    F32,
    /// Two bfloat16, whose sum is the factor to 16 bits; the product of the second ones is left out.
    Two,
    One,
}

impl Factors {
    pub(super) fn forward(precision: Precision) -> Factors {
        match precision {
            Precision::F32 => Factors::F32,
            Precision::Mixed => Factors::Two,
            Precision::Bf16 => Factors::One,
        }
    }

    pub(super) fn backward(precision: Precision) -> Factors {
        match precision {
            Precision::F32 => Factors::F32,
            Precision::Mixed | Precision::Bf16 => Factors::One,
        }
    }
}
