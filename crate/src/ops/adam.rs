//! Adam's update in one pass over memory (candle's takes about eighteen).

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor};

use super::collect::Sum;
use super::elementwise::{CHUNK, LANES};
use super::pending::{Pending, ROWS};
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

/// Updates parameters and their two moments in place; all tensors have one shape and one device. Also returns the sum of
/// the squares of the gradient, where it is found on the way.
pub(crate) fn adam(
    parameters: &Tensor,
    gradient: Sum,
    [first, second]: [&Tensor; 2],
    step: AdamStep,
) -> Result<Option<f64>> {
    let update = Update::new(step);
    if !parameters.device().is_cpu() {
        let gradient = &gradient.whole()?;
        let m = ((first * step.beta1)? + (gradient * (1. - step.beta1))?)?;
        let v = ((second * step.beta2)? + (gradient.sqr()? * (1. - step.beta2))?)?;
        let moved = ((&m * update.rate)? / (v.sqrt()? + update.epsilon)?)?;
        let moved = (parameters - moved)?;
        for (old, new) in [(first, m), (second, v), (parameters, moved)] {
            old.slice_set(&new.detach(), 0, 0)?;
        }
        return Ok(None);
    }
    let Sum { row, pending, .. } = gradient;
    read(&row, |g| {
        write(first, |m| {
            write(second, |v| {
                write(parameters, |p| Ok(Some(update.row([p, m, v], g, &pending))))
            })
        })
    })
}

/// An [`AdamStep`], with the divisions of m by 1 - beta1^t and of v by 1 - beta2^t moved out of the loop, into the learning
/// rate and epsilon.
struct Update {
    beta1: f32,
    beta2: f32,
    rate: f64,
    epsilon: f64,
}

impl Update {
    fn new(step: AdamStep) -> Self {
        let correction1 = 1. - step.beta1.powf(step.step as f64);
        let correction2 = (1. - step.beta2.powf(step.step as f64)).sqrt();
        Update {
            beta1: step.beta1 as f32,
            beta2: step.beta2 as f32,
            rate: step.learning_rate * correction2 / correction1,
            epsilon: step.epsilon * correction2,
        }
    }

    /// Moves parameters and moments, by a gradient and what is pending of it. Returns the sum of its squares, as the others
    /// here do.
    fn row(&self, moved: [&mut [f32]; 3], g: &[f32], pending: &[Pending]) -> f64 {
        let mut layers: BTreeMap<usize, Vec<&Pending>> = BTreeMap::new();
        for pending in pending {
            layers.entry(pending.at).or_default().push(pending);
        }
        let (mut rest, mut done, mut squares) = ((moved, g), 0, 0.);
        for (at, layer) in layers {
            let (between, behind) = split(rest, at - done);
            let len = layer[0].conv.weight_len();
            let (weights, behind) = split(behind, len);
            squares += self.plain(between) + self.dense(weights, &layer);
            (rest, done) = (behind, at + len);
        }
        squares + self.plain(rest)
    }

    fn plain(&self, row: Row) -> f64 {
        sums(row, CHUNK, |_, moved, g| self.block(moved, g))
    }

    /// The weights of a dense layer, whose gradients are multiplied out block by block, where they are read from the cache.
    fn dense(&self, row: Row, layer: &[&Pending]) -> f64 {
        let factored: Vec<_> = layer.iter().map(|pending| pending.factored()).collect();
        let len = ROWS * layer[0].conv.small.c;
        sums(row, len, |i, moved, g| {
            let mut sum = layer[0].pool.get(g.len());
            if layer[0].add {
                sum.copy_from_slice(g);
            }
            for (factored, pending) in factored.iter().zip(layer) {
                factored.block(i * ROWS, &mut sum, pending.add);
            }
            self.block(moved, &sum)
        })
    }

    fn block(&self, [p, m, v]: [&mut [f32]; 3], g: &[f32]) -> f64 {
        let pieces = p.chunks_mut(PIECE).zip(m.chunks_mut(PIECE));
        let pieces = pieces.zip(v.chunks_mut(PIECE)).zip(g.chunks(PIECE));
        let squares = pieces.map(|(((p, m), v), g)| {
            let update = self;
            let sum = pulp::Arch::new().dispatch(Piece { update, p, m, v, g });
            // It is found in f32, which is nearly free, where that is exact enough.
            match (1e-30..1e30).contains(&sum) {
                true => f64::from(sum),
                false => squares(g),
            }
        });
        squares.sum()
    }
}

/// Values whose squares are summed in f32.
const PIECE: usize = 4096;

/// An update on this thread. A closure of this size would stay a call, compiled without vectors.
struct Piece<'a> {
    update: &'a Update,
    p: &'a mut [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
    g: &'a [f32],
}

impl pulp::NullaryFnOnce for Piece<'_> {
    /// The sum of the squares of the gradient.
    type Output = f32;

    #[inline(always)]
    fn call(self) -> f32 {
        let (b1, b2) = (self.update.beta1, self.update.beta2);
        let (rate, epsilon) = (self.update.rate as f32, self.update.epsilon as f32);
        let one = |p: &mut f32, m: &mut f32, v: &mut f32, g: f32| {
            *m = b1 * *m + (1. - b1) * g;
            *v = b2 * *v + (1. - b2) * g * g;
            *p -= rate * *m / (v.sqrt() + epsilon);
            g * g
        };
        let (p, rest_of_p) = self.p.as_chunks_mut::<LANES>();
        let (m, rest_of_m) = self.m.as_chunks_mut::<LANES>();
        let (v, rest_of_v) = self.v.as_chunks_mut::<LANES>();
        let (g, rest_of_g) = self.g.as_chunks::<LANES>();
        let mut sums = [0f32; LANES];
        for (((p, m), v), g) in p.iter_mut().zip(m).zip(v).zip(g) {
            for i in 0..LANES {
                sums[i] += one(&mut p[i], &mut m[i], &mut v[i], g[i]);
            }
        }
        let rest = rest_of_p.iter_mut().zip(rest_of_m).zip(rest_of_v);
        for (((p, m), v), &g) in rest.zip(rest_of_g) {
            sums[0] += one(p, m, v, g);
        }
        sums.iter().sum()
    }
}

/// Parameters and both moments, with a gradient.
type Row<'a> = ([&'a mut [f32]; 3], &'a [f32]);

fn split<'a>(([p, m, v], g): Row<'a>, at: usize) -> (Row<'a>, Row<'a>) {
    let ([p, m, v], (g, rest)) = ([p, m, v].map(|x| x.split_at_mut(at)), g.split_at(at));
    (([p.0, m.0, v.0], g), ([p.1, m.1, v.1], rest))
}

/// `f` of each block of so many values and its number, on all threads, summed in order: the same on any number of threads.
fn sums(
    ([p, m, v], g): Row,
    len: usize,
    f: impl Fn(usize, [&mut [f32]; 3], &[f32]) -> f64 + Sync,
) -> f64 {
    let mut sums = vec![0.; g.len().div_ceil(len)];
    let blocks = p
        .chunks_mut(len)
        .zip(m.chunks_mut(len))
        .zip(v.chunks_mut(len));
    let blocks = blocks.zip(g.chunks(len)).zip(&mut sums).enumerate();
    for_each(blocks, |(i, ((((p, m), v), g), sum))| {
        *sum = f(i, [p, m, v], g)
    });
    sums.into_iter().sum()
}

/// The sum of the squares of all values, in f64: that of a gradient's may be beyond f32 where all else is finite.
pub(crate) fn sum_of_squares(values: &Tensor) -> Result<f64> {
    read(&values.to_device(&Device::Cpu)?, |values| {
        // Summed in chunks, and the chunks in order: the same on any number of threads.
        let mut sums = vec![0.; values.len().div_ceil(CHUNK)];
        let chunks = sums.iter_mut().zip(values.chunks(CHUNK));
        for_each(chunks, |(sum, values)| *sum = squares(values));
        Ok(sums.into_iter().sum())
    })
}

/// The same on this thread.
fn squares(values: &[f32]) -> f64 {
    values.iter().map(|&x| f64::from(x).powi(2)).sum()
}
