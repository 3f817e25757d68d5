//! Networks for other programs: as PyTorch and as ONNX have them, with the Python that loads them.
//!
//! What a layer becomes there, its own file says ([`Kind`](super::layers::Kind)).

mod onnx;
mod python;
mod pytorch;

pub use python::Python;

pub(super) use onnx::Node;
pub(super) use pytorch::{Module, keyword};

use candle_core::Tensor;

use super::Network;
use super::layers::Kind;
use crate::Result;

impl Network {
    /// What each layer becomes, which is given its input shape and its variables.
    fn in_parts<T>(
        &self,
        parts: impl Fn(&dyn Kind, &[usize], &[Tensor]) -> candle_core::Result<Vec<T>>,
    ) -> Result<Vec<T>> {
        let parameters = self.parameters.as_detached_tensor();
        let inputs = std::iter::once(&self.config.input).chain(&self.outputs);
        let mut all = Vec::new();
        for (i, (layer, input)) in self.config.layers.iter().zip(inputs).enumerate() {
            let vars = self.of_layer(i, &parameters)?;
            all.extend(parts(layer.kind(), input, &vars)?);
        }
        Ok(all)
    }
}
