//! One seeded source of randomness for initial weights, noise, shuffles and dropout.
//!
//! candle's CPU generator cannot be seeded, so everything random in the crate is drawn here.

use std::sync::{Arc, Mutex, MutexGuard};

use candle_core::{Device, Shape, Tensor};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, Uniform};
use serde::{Deserialize, Serialize};

use crate::team::{for_each, lock};
use crate::{Error, Result};

/// How many values are drawn from one stream: fixed, so that they do not depend on the number of threads.
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

/// A position in a stream, to be saved; see [`Rng::state`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    seed: [u8; 32],
    stream: u64,
    /// 32-bit words drawn so far.
    words: u128,
}

impl Rng {
    /// A generator whose whole stream follows from `seed`.
    pub fn seed(seed: u64) -> Self {
        Rng(Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(seed))))
    }

    /// The position in the stream. [`Rng::from_state`] continues from it, in another program as well.
    pub fn state(&self) -> State {
        let rng = self.lock();
        State {
            seed: rng.get_seed(),
            stream: rng.get_stream(),
            words: rng.get_word_pos(),
        }
    }

    /// A generator that continues the stream from `state`.
    ///
    /// ```
    /// use digit_gan::rng::Rng;
    /// let rng = Rng::seed(42);
    /// rng.permutation(10);
    /// let state = rng.state();
    /// assert_eq!(rng.permutation(10), Rng::from_state(&state).permutation(10));
    /// ```
    pub fn from_state(state: &State) -> Self {
        let rng = Rng::seed(0);
        rng.go_to(state);
        rng
    }

    /// Moves this stream, for all its handles, to the position of another one.
    pub(crate) fn go_to(&self, state: &State) {
        let mut rng = ChaCha8Rng::from_seed(state.seed);
        rng.set_stream(state.stream);
        rng.set_word_pos(state.words);
        *self.lock() = rng;
    }

    /// An independent generator that is seeded by this one and not shared: for a loop that draws often, or for a stream
    /// per item.
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

    /// The numbers 0 to n - 1 in random order.
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
        for_each(values.chunks_mut(CHUNK).enumerate(), |(chunk, values)| {
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
        lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rand::RngCore;

    use super::*;

    #[test]
    fn a_stream_continues_from_any_position() {
        let rng = Rng::seed(9);
        // Past several blocks of 64 words, ending anywhere in them, with draws of all kinds.
        for n in 0..150 {
            match n % 3 {
                0 => drop(rng.normal(n % 7).unwrap()),
                1 => drop(rng.own()),
                _ => rng.lock().fill_bytes(&mut vec![0; n % 11]),
            }
            let saved = serde_json::to_string(&rng.state()).unwrap();
            let other = Rng::from_state(&serde_json::from_str(&saved).unwrap());
            let ahead = Rng(Arc::new(Mutex::new(rng.lock().clone())));
            for rng in [&other, &ahead] {
                rng.lock().next_u32();
            }
            let values = |rng: &Rng| rng.normal(300).unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(values(&other), values(&ahead), "after {n}");
        }
    }

    #[test]
    fn moving_a_stream_moves_all_its_handles() {
        let (rng, other) = (Rng::seed(1), Rng::seed(2));
        let handle = rng.clone();
        rng.go_to(&other.state());
        assert_eq!(handle.permutation(20), other.permutation(20));
    }
}
