//! What the generator of a notebook's own loop drew on the way.

use candle_core::Tensor;

/// What the generator drew after an epoch, always from the same noise.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counted from 1; 0 is the untrained generator.
    pub epoch: usize,
    /// (n, channels, height, width), f32 in [-1, 1].
    pub samples: Tensor,
}

impl Snapshot {
    /// What the generator drew after `epoch`.
    pub fn new(epoch: usize, samples: Tensor) -> Self {
        Snapshot { epoch, samples }
    }
}
