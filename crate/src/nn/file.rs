//! Networks as files: safetensors, with the description of the network in the header.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use serde_json::json;

use super::{Network, Sequential};
use crate::files::write_atomically;
use crate::format::Format;
use crate::rng::Rng;
use crate::{Error, Result};

/// The header's entry that holds the [`Sequential`] as JSON.
const CONFIG: &str = "digit_gan.network";
/// The header's entry that holds the version of the format.
const FORMAT: &str = "digit_gan.format";
/// The header's entry that holds the CRC-32 of the whole file, as it is with [`BLANK`] in this place.
const CHECKSUM: &str = "digit_gan.crc32";
const BLANK: &str = "00000000";

impl Network {
    /// Writes the network, description and weights, as a safetensors file. The file is whole or not there: a
    /// full disk or a kill leaves what was there before.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let config = serde_json::to_string(&self.config)
            .map_err(|error| Error::format(path, error.to_string()))?;
        save_tensors(path, &self.tensors("")?, [(CONFIG, config)])
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

    /// All variables, each under its name behind `prefix`: to be written at once, as they share the network's memory.
    pub(crate) fn tensors(&self, prefix: &str) -> Result<Vec<(String, Tensor)>> {
        let prefixed = |(name, values)| (format!("{prefix}{name}"), values);
        self.variables().map(|v| v.map(prefixed)).collect()
    }

    /// Replaces all variables by those that the file holds behind `prefix`.
    pub(crate) fn take(&self, file: &mut Contents, path: &Path, prefix: &str) -> Result<()> {
        let [parameters, state] = self.rows(file, path, prefix)?;
        self.replace(&parameters, &state)
    }

    fn rows(&self, file: &mut Contents, path: &Path, prefix: &str) -> Result<[Tensor; 2]> {
        let mut take =
            |name: &str, shape: &[usize]| file.take(path, &format!("{prefix}{name}"), shape);
        Ok([self.row(true, &mut take)?, self.row(false, &mut take)?])
    }

    /// Replaces the weights by those of a file. Every name and shape is compared first: an error leaves the
    /// network as it was, and lists the differences.
    pub fn restore(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let mut file = Contents::read(path)?;
        let [parameters, state] = self.rows(&mut file, path, "")?;
        file.all_taken(path)?;
        self.replace(&parameters, &state)
    }
}

/// Writes f32 tensors and a header as a safetensors file with a checksum, atomically and without holding a second copy
/// of the tensors in memory.
///
/// The layout is the format's own (<https://github.com/huggingface/safetensors#format>): the header's length, the
/// header as JSON, the values.
pub(crate) fn save_tensors<const ENTRIES: usize>(
    path: &Path,
    tensors: &[(String, Tensor)],
    header: [(&str, String); ENTRIES],
) -> Result<()> {
    let mut metadata = BTreeMap::from(header);
    metadata.insert(CHECKSUM, BLANK.into());
    metadata.insert(FORMAT, Format::header());
    let mut entries = BTreeMap::from([("__metadata__", json!(metadata))]);
    let mut end = 0;
    for (name, tensor) in tensors {
        let start = end;
        end += size_of::<f32>() * tensor.elem_count();
        let entry = json!({"dtype": "F32", "shape": tensor.dims(), "data_offsets": [start, end]});
        entries.insert(name, entry);
    }
    let mut json = json!(entries).to_string();
    json.extend(std::iter::repeat_n(
        ' ',
        json.len().next_multiple_of(8) - json.len(),
    ));
    let mut head = [&(json.len() as u64).to_le_bytes(), json.as_bytes()].concat();
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head);
    for (_, tensor) in tensors {
        hasher.update(&bytes(tensor)?);
    }
    let place = checksum_place(&head).expect("it was put there");
    head[place].copy_from_slice(format!("{:08x}", hasher.finalize()).as_bytes());
    write_atomically(path, |file| {
        file.write_all(&head)?;
        tensors
            .iter()
            .try_for_each(|(_, tensor)| file.write_all(&bytes(tensor).map_err(io::Error::other)?))
    })
}

fn bytes(tensor: &Tensor) -> candle_core::Result<Vec<u8>> {
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.iter().flat_map(|x| x.to_le_bytes()).collect())
}

/// Where a file's checksum stands, if it has one.
fn checksum_place(file: &[u8]) -> Option<Range<usize>> {
    let (length, rest) = file.split_first_chunk()?;
    let header = rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let key = format!("\"{CHECKSUM}\":\"");
    let at = header
        .windows(key.len())
        .position(|w| w == key.as_bytes())?;
    let start = length.len() + at + key.len();
    (start + BLANK.len() <= file.len()).then_some(start..start + BLANK.len())
}

/// Whether a file is as it was written; none if it carries no checksum, as other programs' files.
fn intact(file: &[u8]) -> Option<bool> {
    let Range { start, end } = checksum_place(file)?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&file[..start]);
    hasher.update(BLANK.as_bytes());
    hasher.update(&file[end..]);
    Some(file[start..end] == *format!("{:08x}", hasher.finalize()).as_bytes())
}

/// What a safetensors file holds.
pub(crate) struct Contents {
    tensors: HashMap<String, Tensor>,
    header: HashMap<String, String>,
    /// Whether a checksum says that every byte is right.
    pub(crate) checked: bool,
}

impl Contents {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let damaged = |error: &dyn std::fmt::Display| {
            let expected = "expected a safetensors file written by save()";
            Error::format(
                path,
                format!("{expected}: {error}; it may be damaged or cut short"),
            )
        };
        let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
        let intact = intact(&bytes);
        if intact == Some(false) {
            return Err(damaged(&"its checksum is wrong"));
        }
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(&e))?;
        let header = metadata.metadata().clone().unwrap_or_default();
        let version = header.get(FORMAT).map(String::as_str);
        Format::check_header(path, version)?;
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
        Ok(Contents {
            tensors,
            header,
            checked: intact.is_some(),
        })
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
