//! A network with its weights.

use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};

use super::layer::Spec;
use super::{Sequential, Summary, candle, compile};
use crate::ops::{self, Plan, Statistics};
use crate::rng::Rng;
use crate::{Error, Result};

/// A [`Sequential`] with weights. Clones, as those that [`Network::frozen`] makes, share the weights.
///
/// On a CPU a network computes as one operation ([`crate`]'s `ops`), elsewhere layer by layer in candle's ops.
#[derive(Clone)]
pub struct Network {
    pub(super) config: Sequential,
    /// The shape of one output of each layer.
    outputs: Vec<Vec<usize>>,
    variables: Arc<Vec<Variable>>,
    /// All parameters in one row, so that an optimizer moves them in one pass.
    parameters: Var,
    /// All running statistics.
    state: Var,
    pub(super) plan: Option<Arc<Plan>>,
    pub(super) rng: Rng,
    frozen: bool,
}

/// Where a layer's variable lies.
#[derive(Debug)]
pub(super) struct Variable {
    /// Layer number, layer and role: `0.dense.weight`.
    pub name: String,
    pub layer: usize,
    pub role: &'static str,
    pub shape: Vec<usize>,
    pub trainable: bool,
    /// Its first value among the parameters, or else among the running statistics.
    pub offset: usize,
}

impl Variable {
    fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The variable, cut from the row that holds it. Convolutions' weights, in candle's order (a, b, kernel, kernel),
    /// lie there as (kernel, kernel, b, a): each tap is a matrix.
    fn cut(&self, row: &Tensor) -> Result<Tensor> {
        let values = row.narrow(0, self.offset, self.len())?;
        Ok(match self.shape[..] {
            [a, b, h, w] => values
                .reshape((h, w, b, a))?
                .permute((3, 2, 0, 1))?
                .contiguous()?,
            _ => values.reshape(self.shape.as_slice())?,
        })
    }

    /// The values in the order of the row, from a tensor of the variable's shape.
    fn values(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        let ordered = match self.shape.len() {
            4 => tensor.permute((2, 3, 1, 0))?,
            _ => tensor.clone(),
        };
        Ok(ordered.flatten_all()?.to_vec1()?)
    }
}

impl Network {
    /// Checks the shapes and takes each variable's values, on the CPU, from `values`, which is given its name.
    pub(super) fn new(
        config: &Sequential,
        rng: &Rng,
        device: &Device,
        mut values: impl FnMut(&str, &Spec) -> Result<Tensor>,
    ) -> Result<Self> {
        let outputs = config.outputs()?;
        let inputs = std::iter::once(&config.input).chain(&outputs);
        let mut variables = Vec::new();
        let [mut parameters, mut state] = [Vec::new(), Vec::new()];
        for (i, (layer, input)) in config.layers.iter().zip(inputs).enumerate() {
            for spec in layer.variables(input) {
                let row = if spec.trainable {
                    &mut parameters
                } else {
                    &mut state
                };
                let name = format!("{i}.{}.{}", layer.name(), spec.name);
                let tensor = values(&name, &spec)?;
                let variable = Variable {
                    name,
                    layer: i,
                    role: spec.name,
                    shape: spec.shape,
                    trainable: spec.trainable,
                    offset: row.len(),
                };
                row.extend(variable.values(&tensor)?);
                variables.push(variable);
            }
        }
        let row = |values: Vec<f32>| {
            let len = values.len();
            Var::from_tensor(&Tensor::from_vec(values, len, device)?)
        };
        let plan = || compile::compile(&config.layers, &config.input, &outputs, &variables);
        Ok(Network {
            plan: device.is_cpu().then(plan).map(Arc::new),
            config: config.clone(),
            outputs,
            variables: Arc::new(variables),
            parameters: row(parameters)?,
            state: row(state)?,
            rng: rng.clone(),
            frozen: false,
        })
    }

    /// The output for a batch (batch, input shape...) in training mode: batch normalisation uses the batch's
    /// own statistics and moves the running ones, dropout drops, and the loss computed from it has gradients
    /// for the network's parameters.
    ///
    /// Errors if the batch does not have the network's input shape; the message names both.
    pub fn train(&self, x: &Tensor) -> Result<Tensor> {
        let statistics = match self.frozen {
            false => Statistics::BatchAndUpdate,
            true => Statistics::Batch,
        };
        self.forward(x, &self.trained(), statistics)
    }

    /// The parameters as training sees them: gradients stop at a frozen network's.
    pub(super) fn trained(&self) -> Tensor {
        match self.frozen {
            false => self.parameters.as_tensor().clone(),
            true => self.parameters.as_detached_tensor(),
        }
    }

    /// The output for a batch as the finished network gives it: running statistics, no dropout, no gradients
    /// for the parameters (one for the input if it asks for it). A sample's output does not depend on the
    /// others of its batch.
    pub fn eval(&self, x: &Tensor) -> Result<Tensor> {
        self.forward(
            x,
            &self.parameters.as_detached_tensor(),
            Statistics::Running,
        )
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

    /// The same network, on the same weights, computed layer by layer in candle's own ops: several times slower,
    /// but differentiable any number of times.
    pub fn in_candle_ops(&self) -> Network {
        Network {
            plan: None,
            ..self.clone()
        }
    }

    /// A network of its own on a copy of the weights; training leaves it as it is, as a frozen one.
    pub(crate) fn copy(&self) -> Result<Network> {
        let copy = |row: &Var| Var::from_tensor(&row.as_detached_tensor().copy()?);
        Ok(Network {
            parameters: copy(&self.parameters)?,
            state: copy(&self.state)?,
            frozen: true,
            ..self.clone()
        })
    }

    /// The first `layers` layers as a network of their own, on a copy of their weights.
    pub(crate) fn first(&self, layers: usize) -> Result<Network> {
        let mut config = self.config.clone();
        config.layers.truncate(layers);
        let mut variables = self.variables();
        Network::new(&config, &self.rng, self.parameters.device(), |_, _| {
            let next = variables.next().expect("it has at least these variables");
            Ok(next?.1)
        })
    }

    /// The network with a copy of the weights on another device.
    pub(crate) fn to_device(&self, device: &Device) -> Result<Network> {
        let copy = |row: &Var| Var::from_tensor(&row.to_device(device)?.copy()?);
        let (config, outputs) = (&self.config, &self.outputs);
        let plan = || compile::compile(&config.layers, &config.input, outputs, &self.variables);
        Ok(Network {
            parameters: copy(&self.parameters)?,
            state: copy(&self.state)?,
            plan: device.is_cpu().then(plan).map(Arc::new),
            ..self.clone()
        })
    }

    /// Whether all parameters and running statistics are finite.
    pub(crate) fn is_finite(&self) -> Result<bool> {
        // 0 times infinity is no number.
        let nothing = |row: &Var| {
            (row.as_detached_tensor() * 0.)?
                .sum_all()?
                .to_scalar::<f32>()
        };
        Ok(nothing(&self.parameters)? == 0. && nothing(&self.state)? == 0.)
    }

    /// Moves all variables, running statistics too, by `share` of the way to those of a network of the same description.
    pub(crate) fn move_towards(&self, other: &Network, share: f64) -> Result<()> {
        ops::average(&self.parameters, &other.parameters, share)?;
        Ok(ops::average(&self.state, &other.state, share)?)
    }

    /// Refuses a batch that does not have the network's input shape.
    pub(super) fn check_batch(&self, x: &Tensor) -> Result<()> {
        if x.rank() == 0 || x.dims()[1..] != self.config.input[..] {
            return Err(Error::Shape(format!(
                "{} takes a batch of shape [batch, {}], not {:?}",
                self.config.name,
                list(&self.config.input),
                x.dims()
            )));
        }
        Ok(())
    }

    /// The shape of one output.
    pub(crate) fn output(&self) -> &[usize] {
        self.outputs.last().unwrap_or(&self.config.input)
    }

    fn forward(&self, x: &Tensor, parameters: &Tensor, statistics: Statistics) -> Result<Tensor> {
        self.check_batch(x)?;
        let x = x.to_device(parameters.device())?;
        match &self.plan {
            Some(plan) => Ok(ops::run(
                plan,
                &x,
                parameters,
                &self.state,
                statistics,
                &self.rng,
                self.output(),
            )?),
            None => self.layer_by_layer(x, parameters, statistics),
        }
    }

    fn layer_by_layer(
        &self,
        mut x: Tensor,
        parameters: &Tensor,
        statistics: Statistics,
    ) -> Result<Tensor> {
        for (i, layer) in self.config.layers.iter().enumerate() {
            let vars = self.of_layer(i, parameters)?;
            let (y, moments) = candle::forward(layer, &x, &vars, statistics, &self.rng)?;
            if let (Some(moments), Statistics::BatchAndUpdate) = (moments, statistics) {
                let super::Layer::BatchNorm { momentum, .. } = *layer else {
                    continue;
                };
                let own = self.variables.iter().filter(|v| v.layer == i);
                let running = own.zip(&vars).filter(|(v, _)| !v.trainable);
                for ((variable, old), new) in running.zip(moments) {
                    let moved = ((old * momentum)? + (new * (1. - momentum))?)?;
                    self.state.slice_set(&moved, 0, variable.offset)?;
                }
            }
            x = y;
        }
        Ok(x)
    }

    /// The variables of a layer: those that are trainable cut from `parameters`, the others as they are.
    pub(super) fn of_layer(&self, layer: usize, parameters: &Tensor) -> Result<Vec<Tensor>> {
        let state = self.state.as_detached_tensor();
        let own = self.variables.iter().filter(|v| v.layer == layer);
        own.map(|v| v.cut(if v.trainable { parameters } else { &state }))
            .collect()
    }

    /// The name given to [`Sequential::new`].
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// The description that the network was built from.
    pub fn config(&self) -> &Sequential {
        &self.config
    }

    /// All trainable parameters in one row: what an optimizer moves, and what gradients are taken of.
    pub fn variable(&self) -> &Var {
        &self.parameters
    }

    /// The trainable parameters, each a copy under its name, in the order of the layers.
    pub fn parameters(&self) -> Result<Vec<(String, Tensor)>> {
        let views = self.named(&self.parameters.as_detached_tensor())?;
        let copied = |(name, view): (String, Tensor)| Ok((name, view.copy()?));
        views.into_iter().map(copied).collect()
    }

    /// The gradient of each parameter, from the result of a `backward()`; empty if the loss did not depend on them.
    pub fn gradients(&self, gradients: &GradStore) -> Result<Vec<(String, Tensor)>> {
        match gradients.get(&self.parameters) {
            Some(row) => self.named(row),
            None => Ok(Vec::new()),
        }
    }

    /// The values of a row in the order of [`Network::variable`], each parameter's under its name; many share the row's
    /// memory.
    pub(crate) fn named(&self, row: &Tensor) -> Result<Vec<(String, Tensor)>> {
        let trainable = self.variables.iter().filter(|variable| variable.trainable);
        trainable
            .map(|variable| Ok((variable.name.clone(), variable.cut(row)?)))
            .collect()
    }

    /// A row of values that are given for each name and shape: of the parameters, as [`Network::named`] takes it apart, or
    /// of the running statistics.
    pub(crate) fn row(
        &self,
        trainable: bool,
        mut values: impl FnMut(&str, &[usize]) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let mut row = Vec::new();
        for variable in self
            .variables
            .iter()
            .filter(|variable| variable.trainable == trainable)
        {
            row.extend(variable.values(&values(&variable.name, &variable.shape)?)?);
        }
        let len = row.len();
        Ok(Tensor::from_vec(row, len, self.parameters.device())?)
    }

    /// All variables with their values: the parameters and the running statistics. Many share the network's memory, and
    /// change with it.
    pub(super) fn variables(&self) -> impl Iterator<Item = Result<(String, Tensor)>> {
        self.variables.iter().map(|variable| {
            let row = if variable.trainable {
                &self.parameters
            } else {
                &self.state
            };
            let values = variable.cut(&row.as_detached_tensor())?;
            Ok((variable.name.clone(), values))
        })
    }

    /// Replaces all variables by two rows made by [`Network::row`].
    pub(super) fn replace(&self, parameters: &Tensor, state: &Tensor) -> Result<()> {
        self.parameters.set(parameters)?;
        Ok(self.state.set(state)?)
    }

    /// Replaces one parameter or running statistic. Errors if there is none of this name and shape.
    pub fn set(&self, name: &str, values: &Tensor) -> Result<()> {
        let found = self.variables.iter().find(|variable| variable.name == name);
        let variable = found
            .filter(|variable| variable.shape == values.dims())
            .ok_or_else(|| {
                let network = &self.config.name;
                Error::Shape(format!(
                    "{network} has no {name} of shape {:?}",
                    values.dims()
                ))
            })?;
        let row = if variable.trainable {
            &self.parameters
        } else {
            &self.state
        };
        let values = variable.values(values)?;
        let len = values.len();
        row.slice_set(
            &Tensor::from_vec(values, len, row.device())?,
            0,
            variable.offset,
        )?;
        Ok(())
    }

    /// A table of the layers with output shapes and numbers of parameters, as Keras prints it.
    pub fn summary(&self) -> Summary {
        let rows = self.config.layers.iter().zip(&self.outputs).enumerate();
        Summary::new(
            &self.config.name,
            &self.config.input,
            rows.map(|(i, (layer, output))| {
                let count = |trainable| -> usize {
                    let own = self.variables.iter().filter(|variable| variable.layer == i);
                    own.filter(|variable| variable.trainable == trainable)
                        .map(Variable::len)
                        .sum()
                };
                (layer, &output[..], count(true), count(false))
            }),
        )
    }
}

fn list(shape: &[usize]) -> String {
    let sizes: Vec<_> = shape.iter().map(usize::to_string).collect();
    sizes.join(", ")
}
