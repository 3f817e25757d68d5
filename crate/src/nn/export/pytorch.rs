//! Networks as PyTorch has them: the weights as a `state_dict`, and the `torch.nn.Sequential` that takes it.

use std::collections::HashMap;
use std::fmt::Debug;
use std::path::Path;

use candle_core::Tensor;

use super::Python;
use super::python::Library;
use crate::files::write_atomically;
use crate::nn::Network;
use crate::{Error, Result};

impl Network {
    /// Writes the weights for PyTorch: a safetensors file with the names and layouts of a `torch.nn.Sequential` of the same
    /// layers. Returns the lines of Python that build it and load the file; they show themselves in a cell.
    ///
    /// ```no_run
    /// # use digit_gan::prelude::*;
    /// let sampler = Sampler::best("runs/lean")?;
    /// println!("{}", sampler.network().export_pytorch("generator.safetensors")?);
    /// # Ok::<(), digit_gan::Error>(())
    /// ```
    ///
    /// In `eval()`, the `Sequential` computes what [`Network::forward`] does, to within rounding. It can be trained on
    /// there: dropout and the momentum of batch normalisation are set. How many batches the running statistics have seen is
    /// not known, so `num_batches_tracked` is 0; PyTorch reads it only where the momentum is None.
    ///
    /// A class-conditional network takes or gives classes beside its input: [`Python::with_classes`] says how.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written; [`Error::Shape`] for batch normalisation of more dimensions than
    /// PyTorch's has.
    pub fn export_pytorch(&self, path: impl AsRef<Path>) -> Result<Python> {
        let path = path.as_ref();
        let modules = self.in_parts(|kind, input, vars| kind.in_pytorch(input, vars))?;
        let mut lines = format!("{} = nn.Sequential(\n", Python::variable(self.name()));
        let mut state = Vec::new();
        for (i, module) in modules.into_iter().enumerate() {
            lines += &format!("    nn.{},\n", module.code);
            let named = |(name, tensor)| (format!("{i}.{name}"), tensor);
            state.extend(module.state.into_iter().map(named));
        }
        lines += ")";
        let header = HashMap::from([("format".into(), "pt".into())]);
        let bytes = safetensors::serialize(state, Some(header))
            .map_err(|error| Error::format(path, error.to_string()))?;
        write_atomically(path, |file| file.write_all(&bytes))?;
        Ok(Python::new(Library::PyTorch, self, lines, path))
    }
}

/// A module of `torch.nn`: how it is made, and what its `state_dict` holds.
pub(in crate::nn) struct Module {
    code: String,
    state: Vec<(&'static str, Tensor)>,
}

impl Module {
    /// `code` is the call without `nn.` before it.
    pub fn new(code: impl Into<String>) -> Self {
        Module {
            code: code.into(),
            state: Vec::new(),
        }
    }

    pub fn with(mut self, name: &'static str, values: Tensor) -> Self {
        self.state.push((name, values));
        self
    }

    /// With a weight, and a bias if there is one.
    pub fn with_weight(self, weight: Tensor, bias: Option<&Tensor>) -> Self {
        let module = self.with("weight", weight);
        match bias {
            Some(bias) => module.with("bias", bias.clone()),
            None => module,
        }
    }
}

/// `, name=value`; nothing where the value is PyTorch's default.
pub(in crate::nn) fn keyword<T: Debug + PartialEq>(name: &str, value: T, default: T) -> String {
    match value == default {
        true => String::new(),
        false => format!(", {name}={value:?}"),
    }
}
