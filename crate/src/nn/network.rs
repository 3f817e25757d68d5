//! A network with its weights.

use candle_core::{Device, Tensor, Var};

use super::layer::{Mode, Spec};
use super::{Sequential, Summary};
use crate::rng::Rng;
use crate::{Error, Result};

/// A [`Sequential`] with weights. Clones, as those that [`Network::frozen`] makes, share the weights.
#[derive(Clone)]
pub struct Network {
    pub(super) config: Sequential,
    /// One entry a layer.
    layers: Vec<Built>,
    rng: Rng,
    device: Device,
    frozen: bool,
}

#[derive(Clone)]
struct Built {
    output: Vec<usize>,
    variables: Vec<Variable>,
    vars: Vec<Var>,
}

/// What a file and an optimizer know of a variable.
#[derive(Clone)]
pub(super) struct Variable {
    /// Layer number, layer and role: `0.dense.weight`.
    pub name: String,
    pub trainable: bool,
}

impl Network {
    /// Checks the shapes and takes each variable's values, on the CPU, from `values`, which is given its name.
    pub(super) fn new(
        config: &Sequential,
        rng: &Rng,
        device: &Device,
        mut values: impl FnMut(&str, &Spec) -> Result<Tensor>,
    ) -> Result<Self> {
        let mut shape = config.input.clone();
        if shape.is_empty() || shape.contains(&0) {
            return Err(Error::Shape(format!(
                "{}: the input shape {shape:?} must have at least one dimension and none of 0",
                config.name
            )));
        }
        let mut layers = Vec::new();
        for (i, layer) in config.layers.iter().enumerate() {
            let output = layer.output(&shape).map_err(|reason| {
                let (network, name) = (&config.name, layer.name());
                Error::Shape(format!(
                    "{network}, layer {i} ({name}) on an input of shape {shape:?}: {reason}"
                ))
            })?;
            let (mut variables, mut vars) = (Vec::new(), Vec::new());
            for spec in layer.variables(&shape) {
                let name = format!("{i}.{}.{}", layer.name(), spec.name);
                let values = values(&name, &spec)?.to_device(device)?;
                vars.push(Var::from_tensor(&values)?);
                variables.push(Variable {
                    name,
                    trainable: spec.trainable,
                });
            }
            shape = output.clone();
            layers.push(Built {
                output,
                variables,
                vars,
            });
        }
        Ok(Network {
            config: config.clone(),
            layers,
            rng: rng.clone(),
            device: device.clone(),
            frozen: false,
        })
    }

    /// The output for a batch (batch, input shape...) in training mode: batch normalisation uses the batch's
    /// own statistics and moves the running ones, dropout drops, and the loss computed from it has gradients
    /// for the network's parameters.
    ///
    /// Errors if the batch does not have the network's input shape; the message names both.
    pub fn train(&self, x: &Tensor) -> Result<Tensor> {
        self.forward(
            x,
            if self.frozen {
                Mode::Frozen
            } else {
                Mode::Train
            },
        )
    }

    /// The output for a batch as the finished network gives it: running statistics, no dropout, no gradients
    /// for the parameters (one for the input if it asks for it). A sample's output does not depend on the
    /// others of its batch.
    pub fn eval(&self, x: &Tensor) -> Result<Tensor> {
        self.forward(x, Mode::Eval)
    }

    /// The same network, on the same weights, of which training leaves everything as it is: gradients flow
    /// through it to its input, but not to its parameters, and its running statistics stand still. The
    /// generator's update looks through the discriminator in this way.
    pub fn frozen(&self) -> Network {
        Network {
            frozen: true,
            ..self.clone()
        }
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        if x.rank() == 0 || x.dims()[1..] != self.config.input[..] {
            return Err(Error::Shape(format!(
                "{} takes a batch of shape [batch, {}], not {:?}",
                self.config.name,
                list(&self.config.input),
                x.dims()
            )));
        }
        let mut x = x.to_device(&self.device)?;
        for (layer, built) in self.config.layers.iter().zip(&self.layers) {
            x = layer.forward(&x, &built.vars, mode, &self.rng)?;
        }
        Ok(x)
    }

    /// The name given to [`Sequential::new`].
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// The description that the network was built from.
    pub fn config(&self) -> &Sequential {
        &self.config
    }

    /// The trainable variables with their names, in the order of the layers.
    pub fn parameters(&self) -> Vec<(String, Var)> {
        self.variables()
            .filter(|(variable, _)| variable.trainable)
            .map(|(variable, var)| (variable.name.clone(), var.clone()))
            .collect()
    }

    /// All variables: the parameters and the running statistics.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&Variable, &Var)> {
        self.layers
            .iter()
            .flat_map(|built| built.variables.iter().zip(&built.vars))
    }

    /// A table of the layers with output shapes and numbers of parameters, as Keras prints it.
    pub fn summary(&self) -> Summary {
        let rows = self.config.layers.iter().zip(&self.layers);
        Summary::new(
            &self.config.name,
            &self.config.input,
            rows.map(|(layer, built)| {
                let counts = |trainable| -> usize {
                    (built.variables.iter().zip(&built.vars))
                        .filter(|(variable, _)| variable.trainable == trainable)
                        .map(|(_, var)| var.elem_count())
                        .sum()
                };
                (layer, &built.output[..], counts(true), counts(false))
            }),
        )
    }
}

fn list(shape: &[usize]) -> String {
    let sizes: Vec<_> = shape.iter().map(usize::to_string).collect();
    sizes.join(", ")
}
