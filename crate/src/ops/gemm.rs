//! Matrix products, the bulk of all arithmetic.

use gemm::{
    DEFAULT_LHS_PACKING_THRESHOLD_SINGLE_THREAD as PACKED, Parallelism, gemm,
    get_lhs_packing_threshold_single_thread as packing,
    set_lhs_packing_threshold_single_thread as set_packing,
};

/// Products of so few columns read `b` where it is, which gemm would copy first.
const UNPACKED_COLUMNS: usize = 256;
/// gemm's largest setting: no copy up to 6 times this number of rows.
const UNPACKED: usize = 256;

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
pub(crate) fn product(
    a: Matrix,
    b: Matrix,
    [m, k, n]: [usize; 3],
    y: &mut [f32],
    add: bool,
    threads: usize,
) {
    assert!(a.end(m, k) <= a.values.len() && b.end(k, n) <= b.values.len() && m * n == y.len());
    let parallelism = match threads {
        0 | 1 => Parallelism::None,
        threads => Parallelism::Rayon(threads),
    };
    // A setting of the whole process, which changes no result: where two threads disagree, one product copies for nothing.
    let wanted = if n <= UNPACKED_COLUMNS {
        UNPACKED
    } else {
        PACKED
    };
    if packing() != wanted {
        set_packing(wanted);
    }
    // SAFETY: the assertion above keeps every index that the sizes and strides reach inside its slice, and `y`
    // is borrowed mutably, so that nothing else reads or writes it meanwhile.
    unsafe {
        gemm(
            m,
            n,
            k,
            y.as_mut_ptr(),
            1,
            n as isize,
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
            parallelism,
        )
    }
}
