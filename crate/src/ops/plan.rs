//! A network as one operation: all layers forward, all layers backward, in buffers that are used again.
//!
//! Inside, the batch lies innermost: values are (pixel, channel, batch) for images and (feature, batch) otherwise,
//! so that each row is a run of one channel and products need no copies. Activations are part of the step
//! before them.

use rand::RngCore;
use rayon::prelude::*;

use super::buffer::{Buffer, Pool};
use super::conv::Conv;
use super::elementwise::{
    CHUNK, bias_and_slope, bias_and_slope_back, map, swap_rows, transpose, update, vectorised,
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
    pub(super) buffers: Pool,
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

impl Plan {
    /// `sizes`: values per sample in front of the first step and after each.
    pub(crate) fn new(steps: Vec<Step>, sizes: Vec<usize>) -> Self {
        Plan {
            steps,
            sizes,
            buffers: Pool::default(),
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
        let mut first = self.buffers.get(x.len());
        transpose(x, n, self.sizes[0], &mut first);
        let mut tape = Tape {
            n,
            values: vec![first],
            kept: Vec::new(),
            statistics,
        };
        for (step, size) in self.steps.iter().zip(&self.sizes[1..]) {
            let mut y = self.buffers.get(size * n);
            let x = tape.values.last().expect("the input");
            let kept = self.step(step, x, &mut y, n, parameters, state, statistics, rng);
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
                conv.pass(up, weights, x, y, n, &self.buffers);
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
                let mut mask = self.buffers.get(x.len());
                drop(x, rate, rng, &mut mask, y);
                return Kept::Mask(mask);
            }
            Step::Swap { a, b } => swap_rows(x, a, b, y, n),
        }
        Kept::Nothing
    }

    /// The network's output of a forward pass: (batch, values).
    pub(crate) fn output(&self, tape: &Tape) -> Vec<f32> {
        let y = tape.values.last().expect("the input at least");
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
        let mut d = self.buffers.get(dy.len());
        transpose(dy, n, dy.len() / n, &mut d);
        for (i, step) in self.steps.iter().enumerate().rev() {
            let (x, y) = (&tape.values[i], &tape.values[i + 1]);
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
        let mut dx = vec![0.; d.len()];
        transpose(&d, dx.len() / n, n, &mut dx);
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
        match *step {
            Step::Weighted {
                conv,
                up,
                weight,
                bias,
                slope,
            } => {
                let channels = if up { conv.big.c } else { conv.small.c };
                let of_bias = gradient.as_mut().zip(bias);
                let of_bias = of_bias.map(|(g, at)| (&mut g.row[at..][..channels], g.add));
                bias_and_slope_back(&mut d, y, slope, of_bias, n);
                let (big, small) = if up { (&d[..], x) } else { (x, &d[..]) };
                if let Some(Gradient { row, add }) = gradient {
                    let weights = &mut row[weight..][..conv.weight_len()];
                    conv.weights(big, small, weights, *add, n, &self.buffers);
                }
                if !wants_dx {
                    return None;
                }
                let mut dx = self.buffers.get(x.len());
                let weights = &parameters[weight..];
                conv.pass(!up, weights, &d, &mut dx, n, &self.buffers);
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
                let affine = [gamma, gamma + channels].map(|at| &parameters[at..][..channels]);
                let sums = norm::parameters(x, &mut d, moments, affine, slope, n);
                if let Some(Gradient { row, add }) = gradient {
                    for (c, [product, sum]) in sums.iter().enumerate() {
                        for (at, new) in [(gamma + c, product), (gamma + channels + c, sum)] {
                            row[at] = if *add { row[at] + new } else { *new };
                        }
                    }
                }
                let sums = (statistics != Statistics::Running).then_some(&sums[..]);
                norm::backward(x, &mut d, moments, affine[0], sums, n);
            }
            Step::LeakyRelu { slope } => bias_and_slope_back(&mut d, y, slope, None, n),
            Step::Tanh => update(&mut d, y, |d, y| d * (1. - y * y)),
            Step::Dropout { .. } => {
                if let Kept::Mask(mask) = kept {
                    update(&mut d, mask, |d, mask| d * mask);
                }
            }
            Step::Swap { a, b } => {
                let mut dx = self.buffers.get(x.len());
                swap_rows(&d, b, a, &mut dx, n);
                return Some(dx);
            }
        }
        Some(d)
    }
}

/// y = mask * x, the mask 0 with probability `rate`, drawn in 1/65536ths, and otherwise what keeps the mean. Each chunk
/// draws from a stream of its own, whichever thread it is on.
fn drop(x: &[f32], rate: f64, rng: &Rng, mask: &mut [f32], y: &mut [f32]) {
    let drawn = rng.own();
    let threshold = (rate * 65536.).round() as u32;
    let kept = (1. / (1. - threshold as f64 / 65536.)) as f32;
    let chunks = mask.par_chunks_mut(CHUNK).zip(y.par_chunks_mut(CHUNK));
    let chunks = chunks.zip(x.par_chunks(CHUNK)).enumerate();
    chunks.for_each_init(Vec::new, |bytes, (chunk, ((mask, y), x))| {
        let mut drawn = drawn.clone();
        drawn.set_stream(chunk as u64);
        bytes.resize(2 * mask.len(), 0);
        drawn.fill_bytes(bytes);
        vectorised(|| {
            for (mask, bytes) in mask.iter_mut().zip(bytes.chunks_exact(2)) {
                let drawn = u16::from_le_bytes([bytes[0], bytes[1]]) as u32;
                *mask = if drawn < threshold { 0. } else { kept };
            }
        });
        y.copy_from_slice(x);
        map(y, mask, |y, mask| y * mask);
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
