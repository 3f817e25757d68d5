//! Leaky ReLU, one pass each way (candle's is five forward and about twenty backward).

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::{fast, read, slice};

/// `x` where positive, `slope * x` elsewhere; any shape. `slope` is not negative.
pub(crate) fn leaky_relu(x: &Tensor, slope: f32) -> Result<Tensor> {
    if !fast(&[x]) {
        return candle_nn::ops::leaky_relu(x, slope as f64);
    }
    x.contiguous()?.apply_op1(LeakyRelu { slope })
}

struct LeakyRelu {
    slope: f32,
}

impl CustomOp1 for LeakyRelu {
    fn name(&self) -> &'static str {
        "leaky_relu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = slice(x, layout)?
            .iter()
            .map(|&x| if x > 0. { x } else { self.slope * x })
            .collect();
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dx: Vec<f32> = read(x, |x| {
            read(dy, |dy| {
                let slope = |(&x, &dy): (&f32, &f32)| if x > 0. { dy } else { self.slope * dy };
                Ok(x.iter().zip(dy).map(slope).collect())
            })
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}
