//! A network as one operation: all layers forward, all layers backward, in buffers that are used again.
//!
//! Inside, the batch lies innermost: values are (pixel, channel, batch) for images and (feature, batch) otherwise,
//! so that each row is a run of one channel and products need no copies. Activations are part of the step
//! before them.

use std::sync::{Arc, Mutex};

use rand::RngCore;
use rayon::prelude::*;

use super::conv::Conv;
use super::elementwise::{
    CHUNK, bias_and_slope, sum_channels, swap_rows, transpose, update, vectorised,
};
use super::norm::{self, Moments};
use crate::rng::Rng;

/// One operation on a batch, with the offsets of its parameters (and of its running statistics in `state`).
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A dense layer (images of one pixel), a convolution, or with `up` a transposed one. A slope of 1 is no
    /// activation.
    Weighted {
        conv: Conv,
        up: bool,
        weight: usize,
        bias: Option<usize>,
        slope: f32,
    },
    /// gamma lies at `gamma`, beta behind it; the running mean at `state`, the variance behind it.
    Norm {
        channels: usize,
        gamma: usize,
        state: usize,
        momentum: f32,
        epsilon: f64,
        slope: f32,
    },
    LeakyRelu {
        slope: f32,
    },
    Tanh,
    Dropout {
        rate: f64,
    },
    /// Rows (a, b) to (b, a): between the order of candle's images and ours.
    Swap {
        a: usize,
        b: usize,
    },
}

/// Where batch normalisation takes its moments from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Statistics {
    /// The batch; the running ones move towards it.
    BatchAndUpdate,
    Batch,
    Running,
}

/// The steps of a network, and buffers for them.
pub(crate) struct Plan {
    pub(super) steps: Vec<Step>,
    /// Values per sample in front of the first step and after each.
    pub(super) sizes: Vec<usize>,
    buffers: Arc<Mutex<Vec<Vec<f32>>>>,
}

/// What a forward pass leaves for the backward pass.
pub(crate) struct Tape {
    pub(super) n: usize,
    /// The input, and the output of each step.
    pub(super) values: Vec<Buffer>,
    /// Of each step: a normalisation's moments, or a dropout's mask.
    pub(super) kept: Vec<Kept>,
    statistics: Statistics,
}

/// Where the gradient of the parameters goes: added to what is there, or in its place.
pub(crate) struct Gradient<'a> {
    pub row: &'a mut [f32],
    pub add: bool,
}

pub(super) enum Kept {
    Nothing,
    Moments(Vec<Moments>),
    Mask(Buffer),
}

/// A vector that goes back to its plan when it is no longer needed.
pub(super) struct Buffer {
    pub(super) values: Vec<f32>,
    home: Arc<Mutex<Vec<Vec<f32>>>>,
}

/// More than a forward and a backward pass of the largest network here need.
const MOST_BUFFERS: usize = 128;

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut home = self.home.lock().unwrap_or_else(|e| e.into_inner());
        if home.len() >= MOST_BUFFERS {
            home.remove(0); // the oldest: of a batch size no longer used
        }
        home.push(std::mem::take(&mut self.values));
    }
}

impl Plan {
    /// `sizes`: values per sample in front of the first step and after each.
    pub(crate) fn new(steps: Vec<Step>, sizes: Vec<usize>) -> Self {
        Plan {
            steps,
            sizes,
            buffers: Arc::default(),
        }
    }

    /// A buffer of any content.
    pub(super) fn buffer(&self, len: usize) -> Buffer {
        let mut home = self.buffers.lock().unwrap_or_else(|e| e.into_inner());
        let found = home.iter().rposition(|buffer| buffer.len() == len);
        let values = found
            .map(|i| home.swap_remove(i))
            .unwrap_or_else(|| vec![0.; len]);
        Buffer {
            values,
            home: self.buffers.clone(),
        }
    }

    /// `x` is (batch, values), and so is what [`Plan::output`] reads from the tape.
    pub(crate) fn forward(
        &self,
        x: &[f32],
        parameters: &[f32],
        state: &mut [f32],
        statistics: Statistics,
        rng: &Rng,
    ) -> Tape {
        let n = x.len() / self.sizes[0];
        let mut first = self.buffer(x.len());
        transpose(x, n, self.sizes[0], &mut first.values);
        let mut tape = Tape {
            n,
            values: vec![first],
            kept: Vec::new(),
            statistics,
        };
        for (step, size) in self.steps.iter().zip(&self.sizes[1..]) {
            let mut y = self.buffer(size * n);
            let x = &tape.values.last().expect("the input").values;
            let kept = self.step(
                step,
                x,
                &mut y.values,
                n,
                parameters,
                state,
                statistics,
                rng,
            );
            tape.values.push(y);
            tape.kept.push(kept);
        }
        tape
    }

    #[allow(clippy::too_many_arguments)] // all that a step can need, in the order in which `forward` has it
    fn step(
        &self,
        step: &Step,
        x: &[f32],
        y: &mut [f32],
        n: usize,
        parameters: &[f32],
        state: &mut [f32],
        statistics: Statistics,
        rng: &Rng,
    ) -> Kept {
        match *step {
            Step::Weighted {
                conv,
                up,
                weight,
                bias,
                slope,
            } => {
                let weights = &parameters[weight..];
                let channels = if up { conv.big.c } else { conv.small.c };
                match up {
                    false => conv.down(weights, x, y, n),
                    true => conv.up(weights, x, y, n),
                }
                let bias = bias.map(|bias| &parameters[bias..][..channels]);
                if bias.is_some() || slope != 1. {
                    bias_and_slope(y, bias, slope, n);
                }
            }
            Step::Norm {
                channels,
                gamma,
                state: at,
                momentum,
                epsilon,
                slope,
            } => {
                let moments = match statistics {
                    Statistics::Running => (0..channels)
                        .map(|c| Moments::new(state[at + c], state[at + channels + c], epsilon))
                        .collect(),
                    _ => norm::moments(x, channels, n, epsilon),
                };
                if statistics == Statistics::BatchAndUpdate {
                    let count = (x.len() / channels) as f32;
                    // The running variance is that of the population: n / (n - 1) of the batch's.
                    let unbiased = count / (count - 1.).max(1.);
                    for (c, moments) in moments.iter().enumerate() {
                        for (at, new) in [
                            (at + c, moments.mean),
                            (at + channels + c, moments.variance * unbiased),
                        ] {
                            state[at] = momentum * state[at] + (1. - momentum) * new;
                        }
                    }
                }
                let [gamma, beta] =
                    [gamma, gamma + channels].map(|at| &parameters[at..][..channels]);
                norm::forward(x, &moments, [gamma, beta], slope, y, n);
                return Kept::Moments(moments);
            }
            Step::LeakyRelu { slope } => update(y, x, |_, x| if x > 0. { x } else { slope * x }),
            Step::Tanh => update(y, x, |_, x| tanh(x)),
            Step::Dropout { .. } if statistics == Statistics::Running => y.copy_from_slice(x),
            Step::Dropout { rate } => {
                let mut mask = self.buffer(x.len());
                draw_mask(&mut mask.values, rate, rng);
                y.copy_from_slice(x);
                update(y, &mask.values, |y, mask| y * mask);
                return Kept::Mask(mask);
            }
            Step::Swap { a, b } => swap_rows(x, a, b, y, n),
        }
        Kept::Nothing
    }

    /// The network's output of a forward pass: (batch, values).
    pub(crate) fn output(&self, tape: &Tape) -> Vec<f32> {
        let y = &tape.values.last().expect("the input at least").values;
        let mut output = vec![0.; y.len()];
        transpose(y, y.len() / tape.n, tape.n, &mut output);
        output
    }

    /// From `dy` (batch, values): the gradients of the parameters and of the input (batch, values), where asked for.
    pub(crate) fn backward(
        &self,
        tape: &Tape,
        parameters: &[f32],
        dy: &[f32],
        mut gradient: Option<Gradient>,
        wants_dx: bool,
    ) -> Option<Vec<f32>> {
        let n = tape.n;
        let mut d = self.buffer(dy.len());
        transpose(dy, n, dy.len() / n, &mut d.values);
        for (i, step) in self.steps.iter().enumerate().rev() {
            let (x, y) = (&tape.values[i].values, &tape.values[i + 1].values);
            let wants_dx = wants_dx || i > 0;
            d = self.step_back(
                step,
                x,
                y,
                &tape.kept[i],
                tape.statistics,
                d,
                n,
                parameters,
                &mut gradient,
                wants_dx,
            )?;
        }
        let mut dx = vec![0.; d.values.len()];
        transpose(&d.values, dx.len() / n, n, &mut dx);
        Some(dx)
    }

    /// The gradient of the step's input, from that of its output.
    #[allow(clippy::too_many_arguments)] // as in `step`
    fn step_back(
        &self,
        step: &Step,
        x: &[f32],
        y: &[f32],
        kept: &Kept,
        statistics: Statistics,
        mut d: Buffer,
        n: usize,
        parameters: &[f32],
        gradient: &mut Option<Gradient>,
        wants_dx: bool,
    ) -> Option<Buffer> {
        let through = |d: &mut Buffer, slope: f32| {
            if slope != 1. {
                update(&mut d.values, y, |d, y| if y > 0. { d } else { slope * d });
            }
        };
        match *step {
            Step::Weighted {
                conv,
                up,
                weight,
                bias,
                slope,
            } => {
                through(&mut d, slope);
                let (big, small) = if up {
                    (&d.values[..], x)
                } else {
                    (x, &d.values[..])
                };
                if let Some(Gradient { row, add }) = gradient {
                    let weights = &mut row[weight..][..conv.weight_len()];
                    let mut scratch = self.buffer(small.len());
                    conv.weights(big, small, weights, *add, n, &mut scratch.values);
                    if let Some(bias) = bias {
                        let channels = if up { conv.big.c } else { conv.small.c };
                        sum_channels(&d.values, &mut row[bias..][..channels], *add, n);
                    }
                }
                if !wants_dx {
                    return None;
                }
                let mut dx = self.buffer(x.len());
                match up {
                    false => conv.up(&parameters[weight..], &d.values, &mut dx.values, n),
                    true => conv.down(&parameters[weight..], &d.values, &mut dx.values, n),
                }
                return Some(dx);
            }
            Step::Norm {
                channels,
                gamma,
                slope,
                ..
            } => {
                let Kept::Moments(moments) = kept else {
                    unreachable!("a normalisation keeps its moments")
                };
                through(&mut d, slope);
                let sums = norm::parameters(x, &d.values, moments, n);
                if let Some(Gradient { row, add }) = gradient {
                    for (c, [product, sum]) in sums.iter().enumerate() {
                        for (at, new) in [(gamma + c, product), (gamma + channels + c, sum)] {
                            row[at] = if *add { row[at] + new } else { *new };
                        }
                    }
                }
                let sums = (statistics != Statistics::Running).then_some(&sums[..]);
                let gamma = &parameters[gamma..][..channels];
                norm::backward(x, &mut d.values, moments, gamma, sums, n);
            }
            Step::LeakyRelu { slope } => through(&mut d, slope),
            Step::Tanh => update(&mut d.values, y, |d, y| d * (1. - y * y)),
            Step::Dropout { .. } => {
                if let Kept::Mask(mask) = kept {
                    update(&mut d.values, &mask.values, |d, mask| d * mask);
                }
            }
            Step::Swap { a, b } => {
                let mut dx = self.buffer(x.len());
                swap_rows(&d.values, b, a, &mut dx.values, n);
                return Some(dx);
            }
        }
        Some(d)
    }
}

/// 0 with probability `rate`, else what keeps the mean: drawn in 1/65536ths.
fn draw_mask(mask: &mut [f32], rate: f64, rng: &Rng) {
    let mut bytes = vec![0; 2 * mask.len()];
    rng.own().fill_bytes(&mut bytes);
    let threshold = (rate * 65536.).round() as u32;
    let kept = (1. / (1. - threshold as f64 / 65536.)) as f32;
    let chunks = mask.par_chunks_mut(CHUNK).zip(bytes.par_chunks(2 * CHUNK));
    chunks.for_each(|(mask, bytes)| {
        vectorised(|| {
            for (mask, bytes) in mask.iter_mut().zip(bytes.chunks_exact(2)) {
                let drawn = u16::from_le_bytes([bytes[0], bytes[1]]) as u32;
                *mask = if drawn < threshold { 0. } else { kept };
            }
        });
    });
}

/// tanh to within 4 units in the last place, without calls, so that the loop around it becomes vector code: the
/// rational approximation of Eigen (`generic_fast_tanh_float`), exact to f32 beyond ±7.9.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let x = x.clamp(-7.905_311, 7.905_311);
    let x2 = x * x;
    let p = [
        -2.760_768_5e-16,
        2.000_188e-13,
        -8.604_672e-11,
        5.122_297e-8,
        1.485_722_4e-5,
        6.372_619_3e-4,
        4.893_524_6e-3,
    ];
    let q = [1.198_258_4e-6, 1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3];
    let p = p.iter().fold(0., |sum, c| sum * x2 + c);
    let q = q.iter().fold(0., |sum, c| sum * x2 + c);
    x * p / q
}

#[cfg(test)]
mod tests {
    use super::tanh;

    #[test]
    fn tanh_is_right_everywhere() {
        for i in -200_000..=200_000 {
            let x = i as f32 * 1e-4;
            let (ours, exact) = (tanh(x), (x as f64).tanh());
            assert!(
                (ours as f64 - exact).abs() <= 4e-7 * exact.abs().max(1e-3),
                "{x}: {ours} {exact}"
            );
            assert!(ours.abs() <= 1.);
        }
        assert!(tanh(f32::NAN).is_nan());
        assert_eq!(
            (tanh(f32::INFINITY), tanh(f32::NEG_INFINITY)),
            (tanh(9.), tanh(-9.))
        );
    }
}
