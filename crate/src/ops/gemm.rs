//! Matrix products, the bulk of all arithmetic.

use std::ops::Range;

use gemm::{Parallelism, gemm};

use super::buffer::Pool;
use crate::team::{for_each, threads};

/// A matrix as the strides of its values.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    row: usize,
    column: usize,
}

impl<'a> Matrix<'a> {
    /// Row after row of `columns` values.
    pub(crate) fn new(values: &'a [f32], columns: usize) -> Self {
        Matrix {
            values,
            row: columns,
            column: 1,
        }
    }

    pub(crate) fn transposed(self) -> Self {
        Matrix {
            row: self.column,
            column: self.row,
            ..self
        }
    }

    /// What lies from this row and column on.
    fn from(self, row: usize, column: usize) -> Self {
        Matrix {
            values: &self.values[row * self.row + column * self.column..],
            ..self
        }
    }

    /// Whether it is turned over, and its rows of memory begin a multiple of [`FAR`] values apart.
    fn is_far(&self) -> bool {
        self.row == 1 && self.column > 0 && self.column.is_multiple_of(FAR)
    }

    /// One past the last index that a matrix of this size reads.
    fn end(&self, rows: usize, columns: usize) -> usize {
        match rows * columns {
            0 => 0,
            _ => (rows - 1) * self.row + (columns - 1) * self.column + 1,
        }
    }
}

/// `y` (m, n, row after row) = `a` (m, k) times `b` (k, n), or `y` + that where `add` is set. Each value is
/// summed in one order, whatever the number of threads.
pub(crate) fn product(a: Matrix, b: Matrix, [m, k, n]: [usize; 3], y: &mut [f32], add: bool) {
    assert!(m * n == y.len());
    // SAFETY: `y` is borrowed mutably, so that nothing else reads or writes it meanwhile.
    unsafe { block(a, b, [m, k, n], (y.as_mut_ptr(), n), add) }
}

/// The same on all threads: each has its share of the rows of `y`, which are of `a` what only it reads. Or of the columns,
/// where there are few rows, and where a long `b` is turned over: gemm copies that value by value, and each thread what it
/// reads.
pub(crate) fn shared_product(
    a: Matrix,
    b: Matrix,
    [m, k, n]: [usize; 3],
    y: &mut [f32],
    add: bool,
    pool: &Pool,
) {
    assert!(m * n == y.len());
    let [enough_rows, enough_columns] = [m, n].map(|len| len >= 2 * LEAST[0]);
    let much_to_turn = b.column != 1 && k >= MUCH;
    let by_rows = enough_rows && !(much_to_turn && enough_columns);
    let parts = match m * k * n < WORTH_SHARING || m.min(n) < LEAST[1] {
        true => 1,
        false => threads(),
    };
    let start = Start(y.as_mut_ptr());
    for_each(ranges(if by_rows { m } else { n }, parts), |part| {
        let [row, column] = if by_rows {
            [part.start, 0]
        } else {
            [0, part.start]
        };
        let size = if by_rows {
            [part.len(), k, n]
        } else {
            [m, k, part.len()]
        };
        // SAFETY: the parts are different rows or columns of `y`, which is borrowed mutably: nobody else reads or writes
        // them meanwhile. The first value of each lies inside.
        unsafe {
            let y = start.get().add(row * n + column);
            let (a, b) = (a.from(row, 0), b.from(0, column));
            near_block(a, b, size, (y, n), add, pool);
        }
    });
}

/// A `b` of so many values in a column is long.
const MUCH: usize = 512;
/// A product of fewer multiply-adds is not shared.
const WORTH_SHARING: usize = 64 * 1024;
/// A part's edges lie at multiples of this, which suits the kernels.
const UNIT: usize = 16;
/// A part has at least so many rows or columns, and so many of the other: gemm sums smaller products in another order
/// (up to 64 by 64, and up to 256 values).
const LEAST: [usize; 2] = [5 * UNIT, 4];

/// At most so many parts of a range, all but the last of whole units.
fn ranges(len: usize, parts: usize) -> impl ExactSizeIterator<Item = Range<usize>> + Send {
    let units = len / UNIT;
    let parts = parts.min(len / LEAST[0]).max(1);
    let edge = move |i| match i == parts {
        true => len,
        false => i * units / parts * UNIT,
    };
    (0..parts).map(move |i| edge(i)..edge(i + 1))
}

/// Where a matrix begins that several threads write, each another part.
struct Start(*mut f32);

// SAFETY: it is only a number; who writes there says why that is sound.
unsafe impl Sync for Start {}

impl Start {
    fn get(&self) -> *mut f32 {
        self.0
    }
}

/// A row that begins so many values behind another lies in the same place of the cache: 4 KiB.
const FAR: usize = 1024;
/// Values that gemm sums at most, before it adds them to what is there.
const DEPTH: usize = 512;

/// [`block`], in which gemm reads an `a` that is turned over column by column. Where its rows of memory are far apart, each
/// would drive the last ones out of the cache, so that they are copied beside each other first.
///
/// # Safety
/// As for [`block`].
unsafe fn near_block(
    a: Matrix,
    b: Matrix,
    [m, k, n]: [usize; 3],
    (y, stride): (*mut f32, usize),
    add: bool,
    pool: &Pool,
) {
    if k == 0 || !a.is_far() {
        // SAFETY: as the caller's.
        return unsafe { block(a, b, [m, k, n], (y, stride), add) };
    }
    let depth = k.div_ceil(k.div_ceil(DEPTH)); // as gemm would divide the sum
    let width = m.next_multiple_of(UNIT) + UNIT;
    let mut copy = pool.get(depth * width);
    for start in (0..k).step_by(depth) {
        let depth = depth.min(k - start);
        let rows = a.values[start * a.column..].chunks(a.column);
        for (copy, row) in copy.chunks_exact_mut(width).zip(rows).take(depth) {
            copy[..m].copy_from_slice(&row[..m]);
        }
        let near = Matrix::new(&copy, width).transposed();
        let add = add || start > 0;
        // SAFETY: as the caller's.
        unsafe { block(near, b.from(start, 0), [m, depth, n], (y, stride), add) };
    }
}

/// A product on this thread; the rows of y lie `stride` values apart.
///
/// # Safety
/// Nothing else may read or write these m rows of n values.
unsafe fn block(
    a: Matrix,
    b: Matrix,
    [m, k, n]: [usize; 3],
    (y, stride): (*mut f32, usize),
    add: bool,
) {
    assert!(a.end(m, k) <= a.values.len() && b.end(k, n) <= b.values.len());
    // SAFETY: the assertion above keeps every index that the sizes and strides reach inside its slice, and the caller
    // vouches for `y`.
    unsafe {
        gemm(
            m,
            n,
            k,
            y,
            1,
            stride as isize,
            add,
            a.values.as_ptr(),
            a.column as isize,
            a.row as isize,
            b.values.as_ptr(),
            b.column as isize,
            b.row as isize,
            1.,
            1.,
            false,
            false,
            false,
            Parallelism::None,
        )
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn a_shared_product_has_the_bits_of_one_thread() {
        let values = |len: usize| (0..len).map(|i| (i as f32).sin()).collect::<Vec<_>>();
        let pools = [1, 2, 3].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build());
        let [alone, pools @ ..] = pools.map(Result::unwrap);
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        for (round, pool) in (0..300).zip(pools.iter().cycle()) {
            let few = [5, 400][round % 2]; // gemm has paths of its own for few rows or columns
            let mut size = [400, 600, few].map(|most| rng.random_range(1..=most));
            if round % 3 == 0 {
                size.swap(0, 2);
            }
            if round % 7 == 0 {
                size[0] = FAR;
            }
            let [m, k, n] = size;
            let (a, b) = (values(m * k), values(n * k));
            let all_a = [Matrix::new(&a, k), Matrix::new(&a, m).transposed()];
            let all_b = [Matrix::new(&b, n), Matrix::new(&b, k).transposed()];
            for (i, (a, b)) in all_a
                .iter()
                .flat_map(|a| all_b.map(|b| (*a, b)))
                .enumerate()
            {
                let share = |pool: &rayon::ThreadPool| {
                    let mut y = values(m * n);
                    pool.install(|| shared_product(a, b, size, &mut y, i > 1, &Pool::default()));
                    y
                };
                let shared = share(pool);
                assert_eq!(share(&alone), shared, "{size:?}, {i}");
                let mut one = values(m * n);
                product(a, b, size, &mut one, i > 1);
                if a.is_far() && k > DEPTH {
                    // On some CPUs gemm divides the sum elsewhere.
                    let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5 * k as f32;
                    assert!(one.iter().zip(&shared).all(close), "{size:?}, {i}");
                } else {
                    assert_eq!(one, shared, "{size:?}, {i}");
                }
            }
        }
    }

    #[test]
    fn parts_cover_a_range() {
        for (len, parts) in [(0, 3), (1, 2), (64, 2), (129, 2), (1000, 3), (1000, 1)] {
            let ranges: Vec<_> = ranges(len, parts).collect();
            assert!(ranges.len() <= parts);
            assert_eq!((ranges[0].start, ranges.last().unwrap().end), (0, len));
            for pair in ranges.windows(2) {
                assert_eq!(pair[0].end, pair[1].start);
                assert!(pair.iter().all(|part| part.len() >= LEAST[0]));
            }
        }
    }
}
