//! Networks as files: safetensors, with the description of the network in the header.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use super::{Network, Sequential};
use crate::files::write_atomically;
use crate::rng::Rng;
use crate::{Error, Result};

/// The header's entry that holds the [`Sequential`] as JSON.
const CONFIG: &str = "digit_gan.network";

impl Network {
    /// Writes the network, description and weights, as a safetensors file. The file is whole or not there: a
    /// full disk or a kill leaves what was there before.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let config = serde_json::to_string(&self.config)
            .map_err(|error| Error::format(path, error.to_string()))?;
        let tensors = self.variables().collect::<Result<Vec<_>>>()?;
        save_tensors(path, tensors, HashMap::from([(CONFIG.into(), config)]))
    }

    /// Reads a network that [`Network::save`] has written. `rng` feeds its dropout layers.
    ///
    /// Errors if the file is no such file, is damaged, or lacks a variable; nothing larger than the file is
    /// allocated.
    pub fn load(path: impl AsRef<Path>, rng: &Rng) -> Result<Network> {
        let path = path.as_ref();
        let mut file = Contents::read(path)?;
        let config: Sequential = file.config(path)?;
        let network = Network::new(&config, rng, &Device::Cpu, |name, spec| {
            file.take(path, name, &spec.shape)
        })?;
        file.all_taken(path)?;
        Ok(network)
    }

    /// Replaces the weights by those of a file. Every name and shape is compared first: an error leaves the
    /// network as it was, and lists the differences.
    pub fn restore(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let mut file = Contents::read(path)?;
        let parameters = self.row(true, |name, shape| file.take(path, name, shape))?;
        let state = self.row(false, |name, shape| file.take(path, name, shape))?;
        file.all_taken(path)?;
        self.replace(&parameters, &state)
    }
}

/// Writes f32 tensors and a header as a safetensors file, atomically.
pub(crate) fn save_tensors(
    path: &Path,
    tensors: Vec<(String, Tensor)>,
    header: HashMap<String, String>,
) -> Result<()> {
    let mut bytes = BTreeMap::new();
    for (name, tensor) in tensors {
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        let values: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        bytes.insert(name, (tensor.dims().to_vec(), values));
    }
    let unwritable = |error: safetensors::SafeTensorError| Error::format(path, error.to_string());
    let mut views = BTreeMap::new();
    for (name, (shape, values)) in &bytes {
        let view = TensorView::new(safetensors::Dtype::F32, shape.clone(), values);
        views.insert(name, view.map_err(unwritable)?);
    }
    let bytes = safetensors::serialize(views, Some(header)).map_err(unwritable)?;
    write_atomically(path, |file| file.write_all(&bytes))
}

/// What a safetensors file holds.
pub(crate) struct Contents {
    tensors: HashMap<String, Tensor>,
    header: HashMap<String, String>,
}

impl Contents {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let damaged = |error: &dyn std::fmt::Display| {
            let expected = "expected a safetensors file written by save()";
            Error::format(path, format!("{expected}: {error}; it may be cut short"))
        };
        let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(&e))?;
        let views = SafeTensors::deserialize(&bytes).map_err(|e| damaged(&e))?;
        let mut tensors = HashMap::new();
        for (name, view) in views.iter() {
            if view.dtype() != safetensors::Dtype::F32 {
                return Err(damaged(&format!("{name} is {:?}, not F32", view.dtype())));
            }
            let cpu = &Device::Cpu;
            let values = Tensor::from_raw_buffer(view.data(), DType::F32, view.shape(), cpu)?;
            tensors.insert(name.to_owned(), values);
        }
        let header = metadata.metadata().clone().unwrap_or_default();
        Ok(Contents { tensors, header })
    }

    /// An entry of the file's header.
    pub(crate) fn header(&self, key: &str) -> Option<&str> {
        self.header.get(key).map(String::as_str)
    }

    fn config(&self, path: &Path) -> Result<Sequential> {
        let json = self.header(CONFIG).ok_or_else(|| {
            let message = "holds tensors, but no description of a network; build the network and \
                           restore() the weights into it";
            Error::format(path, message)
        })?;
        serde_json::from_str(json).map_err(|error| {
            Error::format(
                path,
                format!("its description of the network is damaged: {error}"),
            )
        })
    }

    /// The tensor of this name, which must have this shape.
    pub(crate) fn take(&mut self, path: &Path, name: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = self.tensors.remove(name).ok_or_else(|| {
            Error::format(
                path,
                format!("has no {name} {shape:?}: another network's file?"),
            )
        })?;
        if tensor.dims() != shape {
            let found = tensor.dims();
            let message = format!("its {name} has shape {found:?}, the network's has {shape:?}");
            return Err(Error::format(path, message));
        }
        Ok(tensor)
    }

    pub(crate) fn all_taken(&self, path: &Path) -> Result<()> {
        match self.tensors.keys().min() {
            Some(name) => Err(Error::format(
                path,
                format!("has {name}, which the network lacks: another network's file?"),
            )),
            None => Ok(()),
        }
    }
}
