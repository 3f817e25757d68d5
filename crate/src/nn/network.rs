//! A network with its weights.

use std::sync::Arc;

use candle_core::{Device, ModuleT, Tensor, Var};

use super::Sequential;
use super::layers::{Pass, Spec};
use super::variable::{Layout, Variable};
use crate::ops::{self, Builder, Call, Plan, Precision, Statistics};
use crate::rng::Rng;
use crate::{Error, Result};

/// A [`Sequential`] with weights. Clones, as those that [`Network::frozen`] makes, share the weights.
///
/// On a CPU a network computes as one operation ([`crate`]'s `ops`), elsewhere layer by layer in candle's ops.
#[derive(Clone)]
pub struct Network {
    pub(super) config: Sequential,
    /// The shape of one output of each layer.
    pub(super) outputs: Vec<Vec<usize>>,
    /// Where the variables lie in the two rows, and the parameters' version.
    pub(super) layout: Arc<Layout>,
    /// All parameters in one row, so that an optimizer moves them in one pass.
    pub(super) parameters: Var,
    /// All running statistics.
    pub(super) state: Var,
    pub(super) plan: Option<Arc<Plan>>,
    pub(super) rng: Rng,
    precision: Precision,
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
            precision: Precision::F32,
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

    /// The same network, on the same weights, with other products in training mode ([`Network::forward_t`] and
    /// [`Network::input_gradient`]) on a CPU. [`Network::forward`] computes in f32 always, so that what a network gives does
    /// not depend on how it was trained.
    ///
    /// ```
    /// # use digit_gan::{nn::{Precision, Sequential}, rng::Rng};
    /// # let rng = Rng::seed(1);
    /// let generator = Sequential::new("generator", [100]).dense(784).build(&rng)?.with_precision(Precision::Mixed);
    /// # Ok::<(), digit_gan::Error>(())
    /// ```
    pub fn with_precision(&self, precision: Precision) -> Network {
        Network {
            precision,
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

    /// The first `layers` layers (all, if it has no more) as a network of their own, on a copy of their weights. Behind a
    /// convolution its output are the feature maps: (batch, channels, height, width).
    ///
    /// ```
    /// use digit_gan::{nn::Sequential, rng::Rng};
    /// let rng = Rng::seed(1);
    /// let network = Sequential::new("discriminator", [1, 28, 28]).conv2d(32, 4, 2).flatten().dense(1).build(&rng)?;
    /// let maps = network.first(1)?.forward(&rng.normal((8, 1, 28, 28))?)?;
    /// assert_eq!(maps.dims(), [8, 32, 14, 14]);
    /// # Ok::<(), digit_gan::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the device has no room for the copy.
    pub fn first(&self, layers: usize) -> Result<Network> {
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
                let precision = match statistics {
                    Statistics::Running => Precision::F32,
                    _ => self.precision,
                };
                let call = Call {
                    statistics,
                    precision,
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
            precision: self.precision,
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
