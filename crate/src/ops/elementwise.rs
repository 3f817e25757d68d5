//! Elementwise passes, which cost what reading and writing memory costs, and how they become vector code.

use std::mem::MaybeUninit;

use crate::team::for_each;

/// Rows of one batch that a thread takes at a time.
pub(crate) const ROWS: usize = 64;
/// Values that a thread takes at a time.
pub(crate) const CHUNK: usize = 16 * 1024;
/// Sums run in this number of lanes: the compiler may not reorder a sum of floats, so the order is written out.
pub(crate) const LANES: usize = 16;

/// Runs a loop compiled for the vector unit that this CPU has.
#[inline(always)]
pub(crate) fn vectorised<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

/// The sum of `f` over two rows of one length, on this thread.
pub(crate) fn lanes(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    vectorised(|| {
        let mut sums = [0f32; LANES];
        let (a_lanes, b_lanes) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
        let rest = a_lanes.remainder().iter().zip(b_lanes.remainder());
        for (sum, (&a, &b)) in sums.iter_mut().zip(rest) {
            *sum += f(a, b);
        }
        for (a, b) in a_lanes.zip(b_lanes) {
            for i in 0..LANES {
                sums[i] += f(a[i], b[i]);
            }
        }
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                sums[i] += sums[i + half];
            }
        }
        sums[0]
    })
}

/// y = f(y, x) for all values, on this thread. Small closures become vector code, large ones stay calls.
pub(crate) fn map(y: &mut [f32], x: &[f32], f: impl Fn(f32, f32) -> f32) {
    vectorised(|| y.iter_mut().zip(x).for_each(|(y, &x)| *y = f(*y, x)));
}

/// y = f(y, x) for all values, on all threads.
pub(crate) fn update(y: &mut [f32], x: &[f32], f: impl Fn(f32, f32) -> f32 + Sync) {
    let chunks = y.chunks_mut(CHUNK).zip(x.chunks(CHUNK));
    for_each(chunks, |(y, x)| map(y, x, &f));
}

/// y = the sum of rows of its length, each times a coefficient; or y + that where `add` is set. Terms that are 0 are left
/// out.
pub(crate) fn combine<'a>(y: &mut [f32], terms: impl Iterator<Item = (f32, &'a [f32])>, add: bool) {
    let mut rows: [(f32, &[f32]); MOST_TERMS] = [(0., &[]); MOST_TERMS];
    let mut count = 0;
    for term in terms.filter(|term| term.0 != 0.) {
        rows[count] = term;
        count += 1;
    }
    let rows = &rows[..count];
    pulp::Arch::new().dispatch(Combine { y, rows, add });
}

/// A closure of this size would stay a call, compiled without vectors.
struct Combine<'a> {
    y: &'a mut [f32],
    rows: &'a [(f32, &'a [f32])],
    add: bool,
}

impl pulp::NullaryFnOnce for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Combine { y, rows, add } = self;
        let whole = y.len() - y.len() % LANES_OF_TERMS;
        for start in (0..whole).step_by(LANES_OF_TERMS) {
            let block = start..start + LANES_OF_TERMS;
            let mut sum = [0f32; LANES_OF_TERMS];
            if add {
                sum.copy_from_slice(&y[block.clone()]);
            }
            for (coefficient, row) in rows {
                let row = &row[block.clone()];
                for i in 0..LANES_OF_TERMS {
                    sum[i] += coefficient * row[i];
                }
            }
            y[block].copy_from_slice(&sum);
        }
        for i in whole..y.len() {
            let sum: f32 = rows.iter().map(|(c, row)| c * row[i]).sum();
            y[i] = if add { y[i] + sum } else { sum };
        }
    }
}

/// Rows that [`combine`] can take.
const MOST_TERMS: usize = 8;
/// Values of a sum that are held in registers.
const LANES_OF_TERMS: usize = 4 * LANES;

/// Calls `f` with the channel and the rows of y and x, for all rows of (pixel, channel, batch); what it returns, row by
/// row.
pub(crate) fn by_row<R: Clone + Default + Send>(
    y: &mut [f32],
    x: &[f32],
    channels: usize,
    n: usize,
    f: impl Fn(usize, &mut [f32], &[f32]) -> R + Sync,
) -> Vec<R> {
    let mut results = vec![R::default(); y.len() / n];
    let chunks = y.chunks_mut(ROWS * n).zip(x.chunks(ROWS * n));
    let chunks = chunks.zip(results.chunks_mut(ROWS)).enumerate();
    for_each(chunks, |(chunk, ((y, x), results))| {
        let rows = y.chunks_exact_mut(n).zip(x.chunks_exact(n)).zip(results);
        for (row, ((y, x), result)) in rows.enumerate() {
            *result = f((chunk * ROWS + row) % channels, y, x);
        }
    });
    results
}

/// What `f` returns for each row of (pixel, channel, batch).
pub(crate) fn of_rows<R: Clone + Default + Send>(
    x: &[f32],
    n: usize,
    f: impl Fn(&[f32]) -> R + Sync,
) -> Vec<R> {
    let mut results = vec![R::default(); x.len() / n];
    let chunks = x.chunks(ROWS * n).zip(results.chunks_mut(ROWS));
    for_each(chunks, |(x, results)| {
        for (x, result) in x.chunks_exact(n).zip(results) {
            *result = f(x);
        }
    });
    results
}

/// The sums of rows' values per channel.
pub(crate) fn per_channel<const K: usize>(rows: &[[f32; K]], channels: usize) -> Vec<[f64; K]> {
    let mut sums = vec![[0.; K]; channels];
    for pixel in rows.chunks_exact(channels) {
        for (sums, row) in sums.iter_mut().zip(pixel) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += value as f64;
            }
        }
    }
    sums
}

/// Adds a value per channel to (pixel, channel, batch), and multiplies what is negative by `slope`.
pub(crate) fn bias_and_slope(y: &mut [f32], bias: Option<&[f32]>, slope: f32, n: usize) {
    let chunks = y.chunks_mut(ROWS * n).enumerate();
    for_each(chunks, |(chunk, y)| {
        vectorised(|| {
            for (row, y) in y.chunks_exact_mut(n).enumerate() {
                let shift = bias.map_or(0., |bias| bias[(chunk * ROWS + row) % bias.len()]);
                for y in y {
                    let value = *y + shift;
                    *y = if value > 0. { value } else { slope * value };
                }
            }
        })
    });
}

/// From the gradient behind a bias and an activation with output y to that in front of them, in place; the gradient of
/// the bias, where one is asked for, is added to it or put in its place.
pub(crate) fn bias_and_slope_back(
    dy: &mut [f32],
    y: &[f32],
    slope: f32,
    bias: Option<(&mut [f32], bool)>,
    n: usize,
) {
    let through = |dy: f32, y: f32| if y > 0. { dy } else { slope * dy };
    let Some((gradient, add)) = bias else {
        if slope != 1. {
            update(dy, y, through);
        }
        return;
    };
    let channels = gradient.len();
    let sums = match slope {
        1. => of_rows(dy, n, |dy| [lanes(dy, dy, |dy, _| dy)]),
        _ => by_row(dy, y, channels, n, |_, dy, y| {
            map(dy, y, through);
            [lanes(dy, dy, |dy, _| dy)]
        }),
    };
    for (gradient, [sum]) in gradient.iter_mut().zip(per_channel(&sums, channels)) {
        *gradient = if add {
            *gradient + sum as f32
        } else {
            sum as f32
        };
    }
}

/// (rows, columns) to (columns, rows).
pub(crate) fn transpose(x: &[f32], rows: usize, columns: usize, y: &mut [f32]) {
    transpose_as(x, [rows, columns], y, |value| value);
}

/// The same, as a new vector, which is not cleared first.
pub(crate) fn transposed(x: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    assert!(x.len() == rows * columns);
    let mut y = Vec::with_capacity(x.len());
    let room = &mut y.spare_capacity_mut()[..x.len()];
    transpose_as(x, [rows, columns], room, MaybeUninit::new);
    // SAFETY: each of the values has been written.
    unsafe { y.set_len(x.len()) };
    y
}

fn transpose_as<T: Send>(
    x: &[f32],
    [rows, columns]: [usize; 2],
    y: &mut [T],
    value: impl Fn(f32) -> T + Sync,
) {
    if rows * columns == 0 {
        return;
    }
    let blocks = y.chunks_mut(BLOCK * rows).enumerate();
    for_each(blocks, |(block, y)| {
        transpose_block(&x[block * BLOCK..], rows, columns, y, &value)
    });
}

pub(crate) fn transpose_on_this_thread(x: &[f32], rows: usize, columns: usize, y: &mut [f32]) {
    for (block, y) in y.chunks_mut(BLOCK * rows).enumerate() {
        transpose_block(&x[block * BLOCK..], rows, columns, y, |value| value);
    }
}

/// Columns that are turned over together: what is read of a row then fills a cache line.
const BLOCK: usize = 16;
/// Rows ahead that are fetched meanwhile: each lies in a page of its own, where the CPU does not see it coming.
const AHEAD: usize = 2 * BLOCK;

/// The first columns of x (rows, columns), as many as y has room for, to rows of y.
fn transpose_block<T>(
    x: &[f32],
    rows: usize,
    columns: usize,
    y: &mut [T],
    value: impl Fn(f32) -> T,
) {
    for start in (0..rows).step_by(BLOCK) {
        let ahead = (start + AHEAD).min(rows)..(start + AHEAD + BLOCK).min(rows);
        if !ahead.is_empty() {
            y.chunks_exact(rows).for_each(|y| prefetch(&y[ahead.start]));
            ahead.for_each(|i| prefetch(&x[i * columns]));
        }
        for (j, y) in y.chunks_exact_mut(rows).enumerate() {
            for i in start..(start + BLOCK).min(rows) {
                y[i] = value(x[i * columns + j]);
            }
        }
    }
}

/// Has the cache line of a value fetched while other things are computed.
#[inline(always)]
fn prefetch<T>(value: &T) {
    // SAFETY: it is only a hint, and changes nothing but the cache.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>((value as *const T).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Moves whole rows of a batch: (a, b, n) to (b, a, n).
pub(crate) fn swap_rows(x: &[f32], a: usize, b: usize, y: &mut [f32], n: usize) {
    for_each(y.chunks_mut(a * n).enumerate(), |(j, y)| {
        for (i, y) in y.chunks_exact_mut(n).enumerate() {
            y.copy_from_slice(&x[(i * b + j) * n..][..n]);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_moves_every_value() {
        for [rows, columns] in [[0, 3], [1, 1], [17, 33], [64, 100], [130, 5], [16, 48]] {
            let x: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let y = transposed(&x, rows, columns);
            let at = |i: usize| x[i % rows * columns + i / rows];
            assert_eq!(y, (0..rows * columns).map(at).collect::<Vec<_>>());
            let [mut all, mut alone] = [(); 2].map(|()| vec![0.; x.len()]);
            transpose(&x, rows, columns, &mut all);
            transpose_on_this_thread(&x, rows.max(1), columns, &mut alone);
            assert_eq!([&all, &alone], [&y; 2]);
        }
    }
}
