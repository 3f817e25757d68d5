//! The gradient of a network's output with respect to its input, for penalties on it.

use candle_core::{DType, Tensor};

use super::{Layer, Network, Sequential, candle};
use crate::{Error, Result, ops};

impl Network {
    /// The gradient of sum(`seed` * output) with respect to the batch `x` (batch, input shape...), in the shape of
    /// `x`; `seed` has the shape of the output (batch, output shape...). The network computes as in
    /// [`Network::train`], with fresh dropout.
    ///
    /// It is exact, and a loss computed from it has exact gradients for the parameters (none for those of a frozen
    /// network; `x` and `seed` are constants in it). These cost about as much as those of [`Network::train`], because
    /// the network is piecewise linear: batch normalisation and tanh are refused.
    ///
    /// ```
    /// use digit_gan::{nn::Sequential, rng::Rng};
    /// let rng = Rng::seed(1);
    /// let network = Sequential::new("line", [3]).dense(1).build(&rng)?;
    /// let seed = rng.normal((2, 1))?;
    /// let gradient = network.input_gradient(&rng.normal((2, 3))?, &seed)?;
    /// let weight = &network.parameters()?[0].1; // (3, 1)
    /// assert_eq!(gradient.to_vec2::<f32>()?, seed.matmul(&weight.t()?)?.to_vec2::<f32>()?);
    /// # Ok::<(), digit_gan::Error>(())
    /// ```
    ///
    /// Errors if a shape does not fit, or for a layer that cannot do it, with the reason.
    pub fn input_gradient(&self, x: &Tensor, seed: &Tensor) -> Result<Tensor> {
        self.config.check_piecewise_linear()?;
        self.check_batch(x)?;
        let expected: Vec<usize> = [&x.dims()[..1], self.output()].concat();
        if seed.dims() != expected {
            return Err(Error::Shape(format!(
                "the seed of an input gradient of the {} has the shape of its output, {expected:?}, \
                 not {:?}",
                self.name(),
                seed.dims()
            )));
        }
        for (name, tensor) in [("input", x), ("seed", seed)] {
            if tensor.dtype() != DType::F32 {
                return Err(Error::Value(format!(
                    "networks take f32, not {:?}: convert the {name} with .to_dtype(DType::F32)?",
                    tensor.dtype()
                )));
            }
        }
        let parameters = self.trained();
        let constant = |tensor: &Tensor| tensor.detach().to_device(parameters.device());
        let (x, seed) = (constant(x)?, constant(seed)?);
        match &self.plan {
            Some(plan) => Ok(ops::input_gradient(
                plan,
                &x,
                &seed,
                &parameters,
                &self.rng,
            )?),
            None => self.input_gradient_in_candle_ops(x, seed, &parameters),
        }
    }

    /// The reverse pass written out in differentiable ops; inputs and slopes of the layers are constants in it.
    fn input_gradient_in_candle_ops(
        &self,
        mut x: Tensor,
        seed: Tensor,
        parameters: &Tensor,
    ) -> Result<Tensor> {
        let mut trace = Vec::new();
        for (i, layer) in self.config.layers.iter().enumerate() {
            let vars = self.of_layer(i, parameters)?;
            let slopes = match *layer {
                Layer::LeakyRelu { slope } => {
                    let ones = x.ones_like()?;
                    Some(x.gt(0.)?.where_cond(&ones, &(&ones * slope)?)?)
                }
                Layer::Dropout { rate } => Some(candle::dropout_mask(&x, rate, &self.rng)?),
                _ => None,
            };
            let y = match &slopes {
                Some(slopes) => (&x * slopes)?,
                None => {
                    let constants: Vec<_> = vars.iter().map(Tensor::detach).collect();
                    candle::forward(layer, &x, &constants, ops::Statistics::Batch, &self.rng)?.0
                }
            };
            trace.push((layer, std::mem::replace(&mut x, y), vars, slopes));
        }
        let mut d = seed;
        for (layer, x, vars, slopes) in trace.into_iter().rev() {
            d = match slopes {
                Some(slopes) => (d * slopes)?,
                None => candle::backward(layer, &x, &vars, &d)?,
            };
        }
        Ok(d)
    }
}

impl Sequential {
    /// Refuses a network whose gradient with respect to its input is no product of weights and constant slopes.
    pub(crate) fn check_piecewise_linear(&self) -> Result<()> {
        let reason = |layer: &Layer| match layer {
            Layer::BatchNorm { .. } => Some(
                "batch normalisation couples the samples of a batch, so that no sample has a \
                 gradient of its own: leave it out (leaky_relu alone trains well under a penalty)",
            ),
            Layer::Tanh => Some(
                "tanh is curved, and input gradients are exact for piecewise linear networks: use \
                 leaky_relu, and let the last layer give the logit itself",
            ),
            _ => None,
        };
        for (i, layer) in self.layers.iter().enumerate() {
            if let Some(reason) = reason(layer) {
                let (network, layer) = (&self.name, layer.name());
                return Err(Error::Value(format!(
                    "{network}, layer {i} ({layer}): no gradient penalty with it: {reason}"
                )));
            }
        }
        Ok(())
    }
}
