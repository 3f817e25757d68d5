//! A network with its weights.

use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{Device, ModuleT, Tensor, Var};

use super::layers::{Pass, Spec};
use super::variable::{Layout, Variable};
use super::{Sequential, Summary};
use crate::ops::{self, Builder, Call, Plan, Statistics};
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
    /// Where the variables lie in the two rows, and the parameters' version.
    pub(super) layout: Arc<Layout>,
    /// All parameters in one row, so that an optimizer moves them in one pass.
    parameters: Var,
    /// All running statistics.
    state: Var,
    pub(super) plan: Option<Arc<Plan>>,
    pub(super) rng: Rng,
    frozen: bool,
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
            for spec in layer.kind().variables(input) {
                let row = if spec.trainable {
                    &mut parameters
                } else {
                    &mut state
                };
                let name = format!("{i}.{}.{}", layer.kind().name(), spec.name);
                let tensor = values(&name, &spec)?;
                let variable = Variable {
                    name,
                    layer: i,
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
        let plan = device
            .is_cpu()
            .then(|| compile(config, &outputs, &variables));
        let parameters = row(parameters)?;
        Ok(Network {
            plan,
            config: config.clone(),
            outputs,
            layout: Layout::new(&config.name, &parameters, Arc::new(variables)),
            parameters,
            state: row(state)?,
            rng: rng.clone(),
            frozen: false,
        })
    }

    /// The output for a batch (batch, input shape...) as the finished network gives it: running statistics, no dropout,
    /// no gradients for the parameters (one for the input if it asks for it). A sample's output does not depend on the
    /// others of its batch.
    ///
    /// # Errors
    /// [`Error::Shape`] if the batch does not have the network's input shape; [`Error::Value`] if it is not f32.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let parameters = self.parameters.as_detached_tensor();
        self.output_for(x, &parameters, Statistics::Running)
    }

    /// The same with `train` false. With it, the output in training mode: batch normalisation uses the batch's own
    /// statistics and moves the running ones, dropout drops, and the loss computed from it has gradients for the
    /// network's parameters, until these change: an optimizer's step on them needs a new forward pass.
    ///
    /// This is candle's [`ModuleT`], so that a network goes wherever candle takes one, with this crate's errors.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let statistics = match (train, self.frozen) {
            (false, _) => return self.forward(x),
            (true, false) => Statistics::BatchAndUpdate,
            (true, true) => Statistics::Batch,
        };
        self.output_for(x, &self.trained(), statistics)
    }

    /// The parameters as training sees them: gradients stop at a frozen network's.
    pub(super) fn trained(&self) -> Tensor {
        match self.frozen {
            false => self.parameters.as_tensor().clone(),
            true => self.parameters.as_detached_tensor(),
        }
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
    /// but differentiable any number of times, and the reference that the fast path is tested against.
    pub fn reference(&self) -> Network {
        Network {
            plan: None,
            ..self.clone()
        }
    }

    /// A network of its own on a copy of the weights; training leaves it as it is, as a frozen one.
    pub(crate) fn copy(&self) -> Result<Network> {
        let copy = |row: &Var| Var::from_tensor(&row.as_detached_tensor().copy()?);
        let parameters = copy(&self.parameters)?;
        Ok(Network {
            layout: self.layout_of(&parameters),
            parameters,
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
        let plan = || compile(&self.config, &self.outputs, &self.layout.variables);
        let parameters = copy(&self.parameters)?;
        Ok(Network {
            layout: self.layout_of(&parameters),
            parameters,
            state: copy(&self.state)?,
            plan: device.is_cpu().then(plan),
            ..self.clone()
        })
    }

    fn layout_of(&self, parameters: &Var) -> Arc<Layout> {
        Layout::new(self.name(), parameters, self.layout.variables.clone())
    }

    pub(crate) fn device(&self) -> &Device {
        self.parameters.device()
    }

    /// Whether all parameters and running statistics are finite.
    pub(crate) fn is_finite(&self) -> Result<bool> {
        // 0 times infinity is NaN.
        let nothing = |row: &Var| {
            (row.as_detached_tensor() * 0.)?
                .sum_all()?
                .to_scalar::<f32>()
        };
        Ok(nothing(&self.parameters)? == 0. && nothing(&self.state)? == 0.)
    }

    /// Moves all variables, running statistics too, by this fraction of the way to those of a network of the same
    /// description.
    pub(crate) fn move_towards(&self, other: &Network, fraction: f64) -> Result<()> {
        ops::average(&self.parameters, &other.parameters, fraction)?;
        self.layout.version.bump();
        Ok(ops::average(&self.state, &other.state, fraction)?)
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

    fn output_for(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        statistics: Statistics,
    ) -> Result<Tensor> {
        self.check_batch(x)?;
        let x = x.to_device(parameters.device())?;
        match &self.plan {
            Some(plan) => {
                let call = Call {
                    statistics,
                    ..self.call(plan, parameters)
                };
                Ok(ops::run(call, &x, self.output())?)
            }
            None => {
                let seen = self.layout.version.seen();
                let y = self.layer_by_layer(x, parameters, statistics)?;
                Ok(seen.guard(&y)?)
            }
        }
    }

    /// What the fast path is given beside its input, in training.
    pub(super) fn call(&self, plan: &Arc<Plan>, parameters: &Tensor) -> Call {
        Call {
            plan: plan.clone(),
            parameters: parameters.clone(),
            seen: self.layout.version.seen(),
            state: self.state.as_detached_tensor(),
            statistics: Statistics::Batch,
            rng: self.rng.clone(),
        }
    }

    fn layer_by_layer(
        &self,
        mut x: Tensor,
        parameters: &Tensor,
        statistics: Statistics,
    ) -> Result<Tensor> {
        let rng = &self.rng;
        for (i, layer) in self.config.layers.iter().enumerate() {
            let vars = self.of_layer(i, parameters)?;
            let output = (layer.kind()).reference(&x, &vars, &Pass { statistics, rng })?;
            if statistics == Statistics::BatchAndUpdate {
                let own = self.layout.variables.iter().filter(|v| v.layer == i);
                let running = own.filter(|v| !v.trainable);
                for (variable, moved) in running.zip(output.statistics) {
                    self.state.slice_set(&moved, 0, variable.offset)?;
                }
            }
            x = output.y;
        }
        Ok(x)
    }

    /// The variables of a layer: those that are trainable cut from `parameters`, the others as they are.
    pub(super) fn of_layer(&self, layer: usize, parameters: &Tensor) -> Result<Vec<Tensor>> {
        let state = self.state.as_detached_tensor();
        let own = self.layout.variables.iter().filter(|v| v.layer == layer);
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

    /// The trainable parameters as an optimizer takes them: all in one row, in an order of the network's own. See
    /// [`Network::named_parameters`] for the parameters one by one.
    pub fn parameters(&self) -> Vec<Var> {
        vec![self.parameters.clone()]
    }

    /// The trainable parameters, each a copy under its name, in the order of the layers.
    pub fn named_parameters(&self) -> Result<Vec<(String, Tensor)>> {
        let views = self.layout.split(&self.parameters.as_detached_tensor())?;
        let copied = |(name, view): (String, Tensor)| Ok((name, view.copy()?));
        views.into_iter().map(copied).collect()
    }

    /// The gradient of each parameter, from the result of a `backward()`; empty if the loss did not depend on them.
    pub fn named_gradients(&self, gradients: &GradStore) -> Result<Vec<(String, Tensor)>> {
        match gradients.get(&self.parameters) {
            Some(row) => self.layout.split(row),
            None => Ok(Vec::new()),
        }
    }

    /// A row of values that are given for each name and shape: of the parameters, or else of the running statistics.
    pub(super) fn row(
        &self,
        trainable: bool,
        values: impl FnMut(&str, &[usize]) -> Result<Tensor>,
    ) -> Result<Tensor> {
        self.layout
            .join(trainable, self.parameters.device(), values)
    }

    /// All variables with their values: the parameters and the running statistics. Many share the network's memory, and
    /// change with it.
    pub(super) fn variables(&self) -> impl Iterator<Item = Result<(String, Tensor)>> {
        self.layout.variables.iter().map(|variable| {
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
        self.layout.version.bump();
        Ok(self.state.set(state)?)
    }

    /// Replaces one parameter or running statistic.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is none of this name and shape.
    pub fn set(&self, name: &str, values: &Tensor) -> Result<()> {
        let mut variables = self.layout.variables.iter();
        let found = variables.find(|variable| variable.name == name);
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
        if variable.trainable {
            self.layout.version.bump();
        }
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
                    let own = self
                        .layout
                        .variables
                        .iter()
                        .filter(|variable| variable.layer == i);
                    own.filter(|variable| variable.trainable == trainable)
                        .map(Variable::len)
                        .sum()
                };
                (layer, &output[..], count(true), count(false))
            }),
        )
    }
}

impl ModuleT for Network {
    fn forward_t(&self, x: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        Ok(Network::forward_t(self, x, train)?)
    }
}

/// The plan of a network whose layers, shapes and variables have been checked.
fn compile(config: &Sequential, outputs: &[Vec<usize>], variables: &[Variable]) -> Arc<Plan> {
    let mut plan = Builder::new(&config.input);
    for (i, (layer, output)) in config.layers.iter().zip(outputs).enumerate() {
        let own = variables.iter().filter(|variable| variable.layer == i);
        let offsets: Vec<usize> = own.map(|variable| variable.offset).collect();
        layer.kind().compile(&mut plan, &offsets, output);
    }
    Arc::new(plan.finish())
}

fn list(shape: &[usize]) -> String {
    let sizes: Vec<_> = shape.iter().map(usize::to_string).collect();
    sizes.join(", ")
}
