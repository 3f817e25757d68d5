//! One seeded source of randomness for initial weights, noise, shuffles and dropout.
//!
//! candle's CPU generator cannot be seeded, so everything random in the crate is drawn here.

use std::sync::{Arc, Mutex, MutexGuard};

use candle_core::{Device, Shape, Tensor};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, Uniform};
use rayon::prelude::*;

use crate::{Error, Result};

/// Values that are drawn from one stream: fixed, so that they don't depend on the number of threads.
const CHUNK: usize = 4096;

/// A seeded generator. Clones are handles on the same stream, so that a data iterator, a dropout layer and a
/// cell can all draw from the one generator of a run; the values depend on the seed and on the order of the
/// draws alone, never on the number of threads.
///
/// ```
/// use digit_gan::rng::Rng;
/// let (a, b) = (Rng::seed(42), Rng::seed(42));
/// let noise = a.normal((2, 3))?;
/// assert_eq!(noise.to_vec2::<f32>()?, b.normal((2, 3))?.to_vec2::<f32>()?);
/// # Ok::<(), digit_gan::Error>(())
/// ```
#[derive(Clone)]
pub struct Rng(Arc<Mutex<ChaCha8Rng>>);

impl Rng {
    /// A generator whose whole stream follows from `seed`.
    pub fn seed(seed: u64) -> Self {
        Rng(Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(seed))))
    }

    /// An independent generator, drawn from this one and without the shared handle: for a loop that draws often, or
    /// for a stream per item.
    pub(crate) fn own(&self) -> ChaCha8Rng {
        ChaCha8Rng::from_rng(&mut *self.lock())
    }

    /// Standard normal noise of the given shape, f32, on the CPU.
    pub fn normal(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        self.tensor(shape, StandardNormal)
    }

    /// Uniform values in [low, high) of the given shape, f32, on the CPU.
    pub fn uniform(&self, shape: impl Into<Shape>, low: f32, high: f32) -> Result<Tensor> {
        let range = Uniform::new(low, high)
            .map_err(|_| Error::Value(format!("uniform: [{low}, {high}) is not a range")))?;
        self.tensor(shape, range)
    }

    /// The numbers 0 to n-1 in random order.
    pub fn permutation(&self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        order.shuffle(&mut *self.lock());
        order
    }

    fn tensor(
        &self,
        shape: impl Into<Shape>,
        distribution: impl Distribution<f32> + Sync,
    ) -> Result<Tensor> {
        let shape = shape.into();
        let own = self.own();
        let mut values = vec![0.; shape.elem_count()];
        values
            .par_chunks_mut(CHUNK)
            .enumerate()
            .for_each(|(chunk, values)| {
                let mut rng = own.clone();
                rng.set_stream(chunk as u64);
                values
                    .iter_mut()
                    .for_each(|value| *value = distribution.sample(&mut rng));
            });
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    fn lock(&self) -> MutexGuard<'_, ChaCha8Rng> {
        // A panic in another cell leaves the stream usable: it holds plain numbers.
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
