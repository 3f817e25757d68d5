//! The lines of Python that load an exported network and call it.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::display::{Content, Show, evcxr_display};
use crate::nn::Network;
use crate::{Error, Result};

/// The samples that the lines ask for.
const SAMPLES: usize = 16;

/// Python that loads an exported network and calls it once. Shows itself in a cell and prints as text, to be copied.
#[derive(Clone, Debug)]
pub struct Python {
    library: Library,
    /// What the network is called.
    name: String,
    /// Lines that make the network, if the file does not hold all of it.
    made: String,
    file: PathBuf,
    input: Vec<usize>,
    output: Vec<usize>,
    classes: Option<Classes>,
}

/// What runs the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Library {
    PyTorch,
    #[cfg_attr(not(feature = "onnx"), expect(dead_code))]
    OnnxRuntime,
}

/// Where a network has classes.
#[derive(Clone, Copy, Debug)]
enum Classes {
    /// A generator takes so many inputs more: the class as one-hot.
    Taken(usize),
    /// A discriminator gives so many outputs more.
    Given(usize),
}

impl Python {
    pub(super) fn new(library: Library, network: &Network, made: String, file: &Path) -> Self {
        Python {
            library,
            name: Self::variable(network.name()),
            made,
            file: file.into(),
            input: network.config().input().to_vec(),
            output: network.output().to_vec(),
            classes: None,
        }
    }

    /// A network's name, if Python can have a variable of it.
    pub(super) fn variable(name: &str) -> String {
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
        let fits = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if starts && fits { name } else { "network" }.into()
    }

    /// The same for a class-conditional network. A generator is given the class of each image behind its noise, as one-hot
    /// ([`with_class`](crate::nn::with_class)); a discriminator's logit is the first of its outputs plus that of the class
    /// ([`class_logit`](crate::nn::class_logit)).
    ///
    /// # Errors
    /// [`Error::Shape`] if the network has no place for so many classes.
    pub fn with_classes(self, classes: usize) -> Result<Self> {
        let place = match (&self.input[..], &self.output[..]) {
            (&[inputs], _) if inputs > classes => Classes::Taken(classes),
            (_, &[outputs]) if outputs == 1 + classes => Classes::Given(classes),
            (input, output) => {
                return Err(Error::Shape(format!(
                    "with_classes: expected more than {classes} inputs, as a generator of {classes} classes has, or 1 + \
                     {classes} outputs, but {} takes {input:?} and gives {output:?}",
                    self.name
                )));
            }
        };
        Ok(Python {
            classes: Some(place),
            ..self
        })
    }

    /// The same, started in the folder of the file.
    pub(crate) fn beside(self) -> Self {
        let file = self.file.file_name().unwrap_or_default().into();
        Python { file, ..self }
    }

    /// The variable that holds the network.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The lines as a module beside the file, which loads it from wherever Python is started.
    pub(crate) fn as_module(&self) -> String {
        let file = self.file.file_name().unwrap_or_default();
        let path = format!("Path(__file__).with_name({})", literal(Path::new(file)));
        format!("from pathlib import Path\n\n{}\n", self.loading(&path))
    }

    /// Up to the network being there; `file` is an expression.
    fn loading(&self, file: &str) -> String {
        let Python { name, made, .. } = self;
        match self.library {
            Library::PyTorch => format!(
                "import torch\nfrom safetensors.torch import load_file\nfrom torch import nn\n\n{made}\n\
                 {name}.load_state_dict(load_file({file}))\n{name}.eval()"
            ),
            Library::OnnxRuntime => format!(
                "import numpy as np\nimport onnxruntime\n\n{name} = onnxruntime.InferenceSession({file})"
            ),
        }
    }

    /// One call.
    pub(crate) fn calling(&self) -> String {
        let mut lines = Vec::new();
        if let Some(Classes::Taken(classes) | Classes::Given(classes)) = self.classes {
            lines.push(match self.library {
                Library::PyTorch => format!("labels = torch.arange({SAMPLES}) % {classes}"),
                Library::OnnxRuntime => format!("labels = np.arange({SAMPLES}) % {classes}"),
            });
        }
        let mut input = self.input.clone();
        if let Some(Classes::Taken(classes)) = self.classes {
            input[0] -= classes;
        }
        let shape = tuple(&input);
        lines.push(match self.library {
            Library::PyTorch => format!("x = torch.randn{shape}"),
            Library::OnnxRuntime => {
                format!("x = np.random.standard_normal({shape}).astype(np.float32)")
            }
        });
        if let Some(Classes::Taken(classes)) = self.classes {
            lines.push(match self.library {
                Library::PyTorch => {
                    format!("x = torch.cat([x, nn.functional.one_hot(labels, {classes})], 1)")
                }
                Library::OnnxRuntime => format!(
                    "x = np.concatenate([x, np.eye({classes}, dtype=np.float32)[labels]], 1)"
                ),
            });
        }
        let (name, shape) = (&self.name, tuple(&self.output));
        lines.push(match self.library {
            Library::PyTorch => format!("with torch.no_grad():\n    y = {name}(x)  # {shape}"),
            Library::OnnxRuntime => format!("(y,) = {name}.run(None, {{\"input\": x}})  # {shape}"),
        });
        if let Some(Classes::Given(_)) = self.classes {
            let row = match self.library {
                Library::PyTorch => "torch.arange",
                Library::OnnxRuntime => "np.arange",
            };
            lines.push(format!("logit = y[:, 0] + y[{row}({SAMPLES}), 1 + labels]"));
        }
        lines.join("\n")
    }
}

/// A batch's shape: `(16, 100)`.
fn tuple(shape: &[usize]) -> String {
    let sizes = shape.iter().map(|size| format!(", {size}"));
    format!("({SAMPLES}{})", sizes.collect::<String>())
}

/// A path as a string in Python. JSON's strings are Python's as well.
fn literal(path: &Path) -> String {
    serde_json::json!(path.to_string_lossy()).to_string()
}

impl fmt::Display for Python {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let loading = self.loading(&literal(&self.file));
        write!(f, "{loading}\n\n{}", self.calling())
    }
}

impl Show for Python {
    fn content(&self) -> Content {
        Content::text(self.to_string())
    }
}

evcxr_display!(Python);
