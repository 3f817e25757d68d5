//! Adam's update in one pass over memory (candle's takes about eighteen).

use candle_core::{Device, Result, Tensor};

use super::elementwise::{CHUNK, vectorised};
use super::storage::{read, write};
use crate::team::for_each;

/// The numbers of one update; see [`crate::optim::Adam`].
#[derive(Clone, Copy)]
pub(crate) struct AdamStep {
    pub learning_rate: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    /// 1 for the first update.
    pub step: u64,
}

/// Updates parameters and their two moments in place; all tensors have one shape and one device.
pub(crate) fn adam(
    parameters: &Tensor,
    gradient: &Tensor,
    [first, second]: [&Tensor; 2],
    step: AdamStep,
) -> Result<()> {
    // m / (1 - beta1^t) and v / (1 - beta2^t), moved out of the loop into the learning rate and epsilon.
    let correction1 = 1. - step.beta1.powf(step.step as f64);
    let correction2 = (1. - step.beta2.powf(step.step as f64)).sqrt();
    let rate = step.learning_rate * correction2 / correction1;
    let epsilon = step.epsilon * correction2;
    if !parameters.device().is_cpu() {
        let m = ((first * step.beta1)? + (gradient * (1. - step.beta1))?)?;
        let v = ((second * step.beta2)? + (gradient.sqr()? * (1. - step.beta2))?)?;
        let moved = (parameters - ((&m * rate)? / (v.sqrt()? + epsilon)?)?)?;
        for (old, new) in [(first, m), (second, v), (parameters, moved)] {
            old.slice_set(&new.detach(), 0, 0)?;
        }
        return Ok(());
    }
    let (b1, b2) = (step.beta1 as f32, step.beta2 as f32);
    let (rate, epsilon) = (rate as f32, epsilon as f32);
    read(gradient, |g| {
        write(first, |m| {
            write(second, |v| {
                write(parameters, |p| {
                    let chunks = p.chunks_mut(CHUNK).zip(m.chunks_mut(CHUNK));
                    let chunks = chunks.zip(v.chunks_mut(CHUNK)).zip(g.chunks(CHUNK));
                    for_each(chunks, |(((p, m), v), g)| {
                        vectorised(|| {
                            for (((p, m), v), &g) in p.iter_mut().zip(m).zip(v).zip(g) {
                                *m = b1 * *m + (1. - b1) * g;
                                *v = b2 * *v + (1. - b2) * g * g;
                                *p -= rate * *m / (v.sqrt() + epsilon);
                            }
                        })
                    });
                    Ok(())
                })
            })
        })
    })
}

/// The sum of the squares of all values, in f64: that of a gradient's may be beyond f32 where all else is finite.
pub(crate) fn sum_of_squares(values: &Tensor) -> Result<f64> {
    read(&values.to_device(&Device::Cpu)?, |values| {
        let sum = |values: &[f32]| values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
        // Summed in chunks, and the chunks in order: the same on any number of threads.
        let mut sums = vec![0.; values.len().div_ceil(CHUNK)];
        let chunks = sums.iter_mut().zip(values.chunks(CHUNK));
        for_each(chunks, |(of_chunk, values)| *of_chunk = sum(values));
        Ok(sums.into_iter().sum())
    })
}
