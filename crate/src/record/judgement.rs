//! What a judge said of a run.

use serde::{Deserialize, Serialize};

/// The Fréchet distance of a run's samples, measured while it trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The step after which the samples were drawn.
    pub step: u64,
    /// Real images that the discriminator had seen by then.
    pub images: u64,
    /// The Fréchet distance of samples to digits that the run was not trained on; lower is better.
    pub frechet: f64,
    /// The distance of as many of its training digits. A generator well below it has copied them.
    pub floor: f64,
    /// The fraction of samples in which the judge sees the class that was asked for; none for a generator without classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_accuracy: Option<f64>,
}
