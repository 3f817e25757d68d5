//! Passes over memory that need no arithmetic to speak of, and how they become vector code.

use rayon::prelude::*;

/// Rows of one batch that a thread takes at a time.
pub(super) const ROWS: usize = 64;
/// Values that a thread takes at a time.
pub(super) const CHUNK: usize = 16 * 1024;
/// Sums run in so many lanes: the compiler may not reorder a sum of floats, so the order is written out.
const LANES: usize = 16;

/// Runs a loop compiled for the vector unit that this CPU has.
#[inline(always)]
pub(super) fn vectorised<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

/// The sum of `f` over two rows of one length.
pub(super) fn lanes(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f64 {
    vectorised(|| {
        let mut sums = [0f32; LANES];
        let (a_lanes, b_lanes) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
        let rest = a_lanes.remainder().iter().zip(b_lanes.remainder());
        for (i, (&a, &b)) in rest.enumerate() {
            sums[i] += f(a, b);
        }
        for (a, b) in a_lanes.zip(b_lanes) {
            for i in 0..LANES {
                sums[i] += f(a[i], b[i]);
            }
        }
        sums.iter().map(|&sum| sum as f64).sum()
    })
}

/// y = f(y, x) for all values, on this thread. Small closures become vector code, large ones stay calls.
pub(super) fn map(y: &mut [f32], x: &[f32], f: impl Fn(f32, f32) -> f32) {
    vectorised(|| y.iter_mut().zip(x).for_each(|(y, &x)| *y = f(*y, x)));
}

/// y = f(y, x) for all values.
pub(super) fn update(y: &mut [f32], x: &[f32], f: impl Fn(f32, f32) -> f32 + Sync) {
    let chunks = y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK));
    chunks.for_each(|(y, x)| map(y, x, &f));
}

/// Calls `f` with the channel and the rows of y and x, for all rows of (pixel, channel, batch).
pub(super) fn by_row(
    y: &mut [f32],
    x: &[f32],
    channels: usize,
    n: usize,
    f: impl Fn(usize, &mut [f32], &[f32]) + Sync,
) {
    let chunks = y.par_chunks_mut(ROWS * n).zip(x.par_chunks(ROWS * n));
    chunks.enumerate().for_each(|(chunk, (y, x))| {
        let rows = y.chunks_exact_mut(n).zip(x.chunks_exact(n)).enumerate();
        rows.for_each(|(row, (y, x))| f((chunk * ROWS + row) % channels, y, x));
    });
}

/// Adds a value per channel to (pixel, channel, batch), and multiplies what is negative by `slope`.
pub(super) fn bias_and_slope(y: &mut [f32], bias: Option<&[f32]>, slope: f32, n: usize) {
    y.par_chunks_mut(ROWS * n)
        .enumerate()
        .for_each(|(chunk, y)| {
            for (row, y) in y.chunks_exact_mut(n).enumerate() {
                let shift = bias.map_or(0., |bias| bias[(chunk * ROWS + row) % bias.len()]);
                vectorised(|| {
                    for y in y {
                        let value = *y + shift;
                        *y = if value > 0. { value } else { slope * value };
                    }
                });
            }
        });
}

/// The sum of dy (pixel, channel, batch) per channel, added to `gradient` or in its place.
pub(super) fn sum_channels(dy: &[f32], gradient: &mut [f32], add: bool, n: usize) {
    let channels = gradient.len();
    gradient
        .par_iter_mut()
        .with_min_len(ROWS)
        .enumerate()
        .for_each(|(c, gradient)| {
            let rows = dy.chunks_exact(n).skip(c).step_by(channels);
            let sum = rows.map(|row| lanes(row, row, |dy, _| dy)).sum::<f64>() as f32;
            *gradient = if add { *gradient + sum } else { sum };
        });
}

/// (rows, columns) to (columns, rows).
pub(super) fn transpose(x: &[f32], rows: usize, columns: usize, y: &mut [f32]) {
    if rows * columns == 0 {
        return;
    }
    let blocks = y.par_chunks_mut(BLOCK * rows).enumerate();
    blocks.for_each(|(block, y)| transpose_block(&x[block * BLOCK..], rows, columns, y));
}

pub(super) fn transpose_on_this_thread(x: &[f32], rows: usize, columns: usize, y: &mut [f32]) {
    for (block, y) in y.chunks_mut(BLOCK * rows).enumerate() {
        transpose_block(&x[block * BLOCK..], rows, columns, y);
    }
}

/// Columns that are turned over together: what is read of a row then fills a cache line.
const BLOCK: usize = 16;

/// The first columns of x (rows, columns), as many as y has room for, to rows of y.
fn transpose_block(x: &[f32], rows: usize, columns: usize, y: &mut [f32]) {
    for start in (0..rows).step_by(BLOCK) {
        for (j, y) in y.chunks_exact_mut(rows).enumerate() {
            for i in start..(start + BLOCK).min(rows) {
                y[i] = x[i * columns + j];
            }
        }
    }
}

/// Moves whole rows of a batch: (a, b, n) to (b, a, n).
pub(super) fn swap_rows(x: &[f32], a: usize, b: usize, y: &mut [f32], n: usize) {
    y.par_chunks_mut(a * n).enumerate().for_each(|(j, y)| {
        for (i, y) in y.chunks_exact_mut(n).enumerate() {
            y.copy_from_slice(&x[(i * b + j) * n..][..n]);
        }
    });
}
