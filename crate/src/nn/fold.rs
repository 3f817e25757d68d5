//! Batch normalisation of a finished network, taken into the weights before it.

use candle_core::{Device, Tensor};

use super::layers::Layer;
use super::{Network, Sequential};
use crate::Result;

impl Network {
    /// A network of its own, on the CPU, that computes the same in evaluation with fewer layers: batch normalisation
    /// directly behind weights becomes part of them. Outputs differ by rounding alone.
    pub(crate) fn folded(&self) -> Result<Network> {
        let mut layers: Vec<(Layer, Vec<Tensor>)> = Vec::new();
        for (i, layer) in self.config.layers.iter().enumerate() {
            let vars = self.of_layer(i, &self.parameters.as_detached_tensor())?;
            match joined(layers.last(), layer, &vars)? {
                Some(both) => *layers.last_mut().expect("it was joined") = both,
                None => layers.push((layer.clone(), vars)),
            }
        }
        let (layers, variables): (Vec<Layer>, Vec<Vec<Tensor>>) = layers.into_iter().unzip();
        let config = Sequential {
            layers,
            ..self.config.clone()
        };
        let mut variables = variables.into_iter().flatten();
        Network::new(&config, &self.rng, &Device::Cpu, |_, _| {
            let next = variables.next().expect("a layer has what it had before");
            Ok(next.to_device(&Device::Cpu)?)
        })
    }

    /// A network of the same layers, each value of its variables replaced.
    pub(crate) fn mapped(&self, value: impl Fn(f32) -> f32) -> Result<Network> {
        let mut variables = self.variables();
        Network::new(&self.config, &self.rng, &Device::Cpu, |_, spec| {
            let (_, values) = variables.next().expect("it is the same description")?;
            let values = values.flatten_all()?.to_vec1::<f32>()?;
            let values: Vec<f32> = values.into_iter().map(&value).collect();
            Ok(Tensor::from_vec(
                values,
                spec.shape.as_slice(),
                &Device::Cpu,
            )?)
        })
    }
}

/// The layer before a batch normalisation, if it takes the latter in.
fn joined(
    before: Option<&(Layer, Vec<Tensor>)>,
    layer: &Layer,
    vars: &[Tensor],
) -> Result<Option<(Layer, Vec<Tensor>)>> {
    let (Some((before, own)), Layer::BatchNorm(norm), [gamma, beta, mean, variance]) =
        (before, layer, vars)
    else {
        return Ok(None);
    };
    let Some((layer, axis)) = before.kind().with_bias() else {
        return Ok(None);
    };
    let [scale, shift] = norm.scale_and_shift([gamma, beta, mean, variance])?;
    Ok(Some((layer, scaled(own, axis, &scale, &shift)?)))
}

/// Weights and a bias whose outputs are `scale` times as large in each channel and `shift` more than those of `vars`. `axis`
/// is the one of the weights that counts output channels.
fn scaled(vars: &[Tensor], axis: usize, scale: &Tensor, shift: &Tensor) -> Result<Vec<Tensor>> {
    let mut shape = vec![1; vars[0].rank()];
    shape[axis] = scale.elem_count();
    let weight = vars[0].broadcast_mul(&scale.reshape(shape)?)?;
    let bias = match vars.get(1) {
        Some(bias) => ((bias * scale)? + shift)?,
        None => shift.clone(),
    };
    Ok(vec![weight, bias])
}
