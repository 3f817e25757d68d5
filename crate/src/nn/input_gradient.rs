//! The gradient of a network's output with respect to its input, for penalties on it.

use candle_core::{DType, Tensor};

use super::layers::{Pass, PiecewiseLinear, Traced};
use super::{Network, Sequential};
use crate::{Error, Result, ops};

impl Network {
    /// The gradient of sum(`seed` * output) with respect to the batch `x` (batch, input shape...), in the shape of
    /// `x`; `seed` has the shape of the output (batch, output shape...). The network computes as in
    /// [`Network::forward_t`], with fresh dropout.
    ///
    /// It is exact, and a loss computed from it has exact gradients for the parameters (none for those of a frozen
    /// network; `x` and `seed` are constants in it). These cost about as much as those of [`Network::forward_t`], because
    /// the network is piecewise linear: batch normalisation and tanh are refused.
    ///
    /// ```
    /// use digit_gan::{nn::Sequential, rng::Rng};
    /// let rng = Rng::seed(1);
    /// let network = Sequential::new("line", [3]).dense(1).build(&rng)?;
    /// let seed = rng.normal((2, 1))?;
    /// let gradient = network.input_gradient(&rng.normal((2, 3))?, &seed)?;
    /// let weight = &network.named_parameters()?[0].1; // (3, 1)
    /// assert_eq!(gradient.to_vec2::<f32>()?, seed.matmul(&weight.t()?)?.to_vec2::<f32>()?);
    /// # Ok::<(), digit_gan::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] if a shape does not fit; [`Error::Value`] for a layer that cannot do it, with the reason.
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
            Some(plan) => Ok(ops::input_gradient(self.call(plan, &parameters), x, seed)?),
            None => {
                let seen = self.layout.version.seen();
                let gradient = self.reference_input_gradient(x, seed, &parameters)?;
                Ok(seen.guard(&gradient)?)
            }
        }
    }

    /// The reverse pass in differentiable ops; inputs, slopes and masks of the layers are constants in it.
    fn reference_input_gradient(
        &self,
        mut x: Tensor,
        seed: Tensor,
        parameters: &Tensor,
    ) -> Result<Tensor> {
        let pass = Pass {
            statistics: ops::Statistics::Batch,
            rng: &self.rng,
        };
        let mut trace = Vec::new();
        for (i, layer) in self.config.layers.iter().enumerate() {
            let vars = self.of_layer(i, parameters)?;
            let constants: Vec<_> = vars.iter().map(Tensor::detach).collect();
            let output = layer.kind().reference(&x, &constants, &pass)?;
            let (x, mask) = (std::mem::replace(&mut x, output.y), output.mask);
            trace.push((self.config.piecewise_linear(i)?, Traced { x, vars, mask }));
        }
        let mut layers = trace.iter().rev();
        Ok(layers.try_fold(seed, |d, (layer, at)| layer.input_gradient(at, &d))?)
    }
}

impl Sequential {
    /// Refuses a network whose gradient with respect to its input is no product of weights and constant slopes.
    pub(crate) fn check_piecewise_linear(&self) -> Result<()> {
        (0..self.layers.len()).try_for_each(|i| self.piecewise_linear(i).map(|_| ()))
    }

    fn piecewise_linear(&self, i: usize) -> Result<&dyn PiecewiseLinear> {
        let layer = self.layers[i].kind();
        layer.piecewise_linear().map_err(|reason| {
            let (network, layer) = (&self.name, layer.name());
            Error::Value(format!(
                "{network}, layer {i} ({layer}): no gradient penalty with it: {reason}"
            ))
        })
    }
}
