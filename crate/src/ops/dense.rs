//! The dense layer: one matrix product with the bias added inside it.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail, utils};
use gemm::{Parallelism, gemm};

use super::{fast, read, slice};

/// `x` (batch, inputs) times `weight` (inputs, units), plus `bias` (units,): (batch, units).
pub(crate) fn dense(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    if !fast(&[x, weight]) {
        let y = x.matmul(weight)?;
        return match bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        };
    }
    let ((_, inputs), (rows, units)) = (x.dims2()?, weight.dims2()?);
    if inputs != rows || bias.is_some_and(|bias| bias.dims() != [units]) {
        bail!(
            "dense: {:?} does not fit a weight of {:?}",
            x.dims(),
            weight.dims()
        );
    }
    let bias = match bias {
        Some(bias) => bias.contiguous()?,
        None => Tensor::zeros(units, x.dtype(), x.device())?,
    };
    x.contiguous()?
        .apply_op3(&weight.contiguous()?, &bias, Dense)
}

struct Dense;

impl CustomOp3 for Dense {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let ((batch, inputs), (_, units)) =
            (x_layout.shape().dims2()?, weight_layout.shape().dims2()?);
        let mut y = slice(bias, bias_layout)?.repeat(batch);
        product(
            Matrix::rows(slice(x, x_layout)?, inputs),
            Matrix::rows(slice(weight, weight_layout)?, units),
            [batch, inputs, units],
            &mut y,
        );
        Ok((CpuStorage::F32(y), (batch, units).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, dw) = gradients(x, weight, dy)?;
        let db = match bias.track_op() {
            true => Some(sum_rows(dy)?),
            false => None,
        };
        Ok((dx, dw, db))
    }
}

/// The gradients of the input and of the weight, each only if somebody asks for it.
fn gradients(x: &Tensor, weight: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let ((batch, inputs), units) = (x.dims2()?, weight.dim(1)?);
    let of = |wanted: &Tensor, a: &Tensor, b: &Tensor, transposed: bool| {
        if !wanted.track_op() {
            return Ok(None);
        }
        let mut gradient = vec![0.; wanted.elem_count()];
        read(a, |a| {
            read(b, |b| {
                if transposed {
                    // dx = dy · weightᵀ
                    let (a, b) = (Matrix::rows(a, units), Matrix::rows(b, units).transposed());
                    product(a, b, [batch, units, inputs], &mut gradient);
                } else {
                    // dw = xᵀ · dy
                    let (a, b) = (Matrix::rows(a, inputs).transposed(), Matrix::rows(b, units));
                    product(a, b, [inputs, batch, units], &mut gradient);
                }
                Ok(())
            })
        })?;
        Tensor::from_vec(gradient, wanted.shape(), wanted.device()).map(Some)
    };
    Ok((of(x, dy, weight, true)?, of(weight, x, dy, false)?))
}

fn sum_rows(dy: &Tensor) -> Result<Tensor> {
    let units = dy.dim(1)?;
    let mut sum = vec![0.; units];
    read(dy, |dy| {
        for row in dy.chunks_exact(units) {
            sum.iter_mut().zip(row).for_each(|(sum, dy)| *sum += dy);
        }
        Ok(())
    })?;
    Tensor::from_vec(sum, units, dy.device())
}

/// A matrix as the strides of its values.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    values: &'a [f32],
    row: usize,
    column: usize,
}

impl<'a> Matrix<'a> {
    fn rows(values: &'a [f32], columns: usize) -> Self {
        Matrix {
            values,
            row: columns,
            column: 1,
        }
    }

    fn transposed(self) -> Self {
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

/// Adds `a` (m, k) times `b` (k, n) to `y` (m, n, row-major).
fn product(a: Matrix, b: Matrix, [m, k, n]: [usize; 3], y: &mut [f32]) {
    assert!(a.end(m, k) <= a.values.len() && b.end(k, n) <= b.values.len() && m * n == y.len());
    let threads = match utils::get_num_threads() {
        1 => Parallelism::None,
        threads => Parallelism::Rayon(threads),
    };
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
            true,
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
            threads,
        )
    }
}
