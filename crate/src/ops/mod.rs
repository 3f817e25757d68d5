//! What makes a training step fast on a CPU: a whole network as one operation of candle's, with its gradient.
//!
//! Nothing above this module knows how: [`run`] and [`input_gradient`] take and return ordinary tensors, and [`adam`]
//! and [`average`] move them.

mod adam;
mod average;
mod buffer;
mod conv;
mod elementwise;
mod gemm;
mod norm;
mod plan;
mod tangent;
mod winograd;

pub(crate) use adam::{AdamStep, adam};
pub(crate) use average::average;
pub(crate) use conv::{Conv, Size};
pub(crate) use gemm::{Matrix, product};
pub(crate) use plan::{Plan, Statistics, Step};
pub(crate) use tangent::input_gradient;

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use candle_core::{
    CpuStorage, CustomOp2, DType, InplaceOp1, Layout, Result, Shape, Storage, Tensor, TensorId,
    bail,
};

use rayon::prelude::*;

use crate::rng::Rng;
use plan::{Gradient, Tape};

/// Samples computed at a time where no gradient is wanted: enough for full speed, few enough for the cache.
const CHUNK: usize = 512;

/// The output (batch, `output`...) of a network for `x` (batch, ...), differentiable in `x` and in the row of
/// `parameters`. `state` holds the running statistics, which move if `statistics` says so.
pub(crate) fn run(
    plan: &Arc<Plan>,
    x: &Tensor,
    parameters: &Tensor,
    state: &Tensor,
    statistics: Statistics,
    rng: &Rng,
    output: &[usize],
) -> Result<Tensor> {
    if x.dtype() != DType::F32 {
        bail!(
            "networks take f32, not {:?}: convert the input with .to_dtype(DType::F32)?",
            x.dtype()
        );
    }
    let x = x.contiguous()?;
    let mut shape = vec![x.dim(0)?];
    shape.extend(output);
    if statistics == Statistics::Running && !x.track_op() || x.elem_count() == 0 {
        let values = x.elem_count() / x.dim(0)?.max(1);
        let y = read(&x, |x| {
            read(parameters, |parameters| {
                read(state, |state| {
                    let chunks = x.par_chunks((CHUNK * values).max(1));
                    let outputs = chunks.map(|x| {
                        let state = &mut state.to_vec(); // stays as it is
                        plan.output(&plan.forward(x, parameters, state, statistics, rng))
                    });
                    Ok(outputs.collect::<Vec<_>>().concat())
                })
            })
        })?;
        return Tensor::from_vec(y, shape, x.device());
    }
    let op = Run {
        plan: plan.clone(),
        state: state.clone(),
        statistics,
        rng: rng.clone(),
        shape: shape.into(),
        tape: Mutex::new(None),
    };
    x.apply_op2(parameters, op)
}

struct Run {
    plan: Arc<Plan>,
    state: Tensor,
    statistics: Statistics,
    rng: Rng,
    shape: Shape,
    tape: Mutex<Option<Arc<Tape>>>,
}

impl CustomOp2 for Run {
    fn name(&self) -> &'static str {
        "network"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        p: &CpuStorage,
        pl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, parameters) = (slice(x, xl)?, slice(p, pl)?);
        let (tape, y) = write(&self.state, |state| {
            Ok(on_the_pool(|| {
                let (plan, rng) = (&self.plan, &self.rng);
                let tape = plan.forward(x, parameters, state, self.statistics, rng);
                let y = plan.output(&tape);
                (tape, y)
            }))
        })?;
        *self.tape.lock().unwrap_or_else(|e| e.into_inner()) = Some(Arc::new(tape));
        Ok((CpuStorage::F32(y), self.shape.clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        p: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let tape = self.tape.lock().unwrap_or_else(|e| e.into_inner()).clone();
        let Some(tape) = tape else {
            bail!("network: backward without forward")
        };
        let back = |gradient: Option<Gradient>| {
            read(p, |p| {
                read(dy, |dy| {
                    let wants_dx = x.track_op();
                    let back = || self.plan.backward(&tape, p, dy, gradient, wants_dx);
                    Ok(on_the_pool(back))
                })
            })
        };
        let into = |row: &Tensor, add| write(row, |row| back(Some(Gradient { row, add })));
        let (dx, dp) = if !p.track_op() {
            (back(None)?, None)
        } else if let Some((sum, add)) = collected(p) {
            (into(&sum, add)?, None)
        } else {
            let gradient = p.zeros_like()?;
            (into(&gradient, false)?, Some(gradient))
        };
        let dx = dx.filter(|_| x.track_op());
        Ok((
            dx.map(|dx| Tensor::from_vec(dx, x.shape(), x.device()))
                .transpose()?,
            dp,
        ))
    }
}

/// Runs a whole pass on a thread of rayon's pool: from there each of its many parallel loops starts at once, where
/// from outside each would wait for a thread to wake up.
fn on_the_pool<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| f())
}

thread_local! {
    /// What [`collect`] sums up.
    static COLLECTION: RefCell<Option<Collection>> = const { RefCell::new(None) };
}

struct Collection {
    parameters: TensorId,
    sum: Tensor,
    found: bool,
}

/// Calls `f`, in which the gradients of `parameters` from networks' backward passes are summed in `sum`, and not given
/// to candle, which would clear and add the whole row once more for each. Also returns whether there were any; if not,
/// `sum` is as it was.
pub(crate) fn collect<R>(parameters: &Tensor, sum: &Tensor, f: impl FnOnce() -> R) -> (R, bool) {
    let collection = Collection {
        parameters: parameters.id(),
        sum: sum.clone(),
        found: false,
    };
    let outer = COLLECTION.replace(Some(collection));
    let result = f();
    let collection = COLLECTION.replace(outer);
    (
        result,
        collection.is_some_and(|collection| collection.found),
    )
}

/// Where gradients of these parameters are collected, if they are, and whether to add to what is there.
fn collected(parameters: &Tensor) -> Option<(Tensor, bool)> {
    COLLECTION.with_borrow_mut(|collection| {
        let collection = collection
            .as_mut()
            .filter(|collection| collection.parameters == parameters.id())?;
        let add = std::mem::replace(&mut collection.found, true);
        Some((collection.sum.clone(), add))
    })
}

/// The values of a contiguous operand. The ops' entry points make their arguments contiguous, so an error
/// here is a mistake in this module.
fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("a fast op was given a non-contiguous operand"),
    }
}

/// Calls `f` with the values of a tensor, row-major; they are copied only if it is not contiguous.
fn read<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(slice(storage, layout)?),
        _ => bail!("a fast op was given an operand that is not on the CPU"),
    }
}

/// Calls `f` with the values of a contiguous tensor, to be changed in place.
fn write<R>(tensor: &Tensor, f: impl FnOnce(&mut [f32]) -> Result<R>) -> Result<R> {
    struct Write<F, R>(RefCell<(Option<F>, Option<R>)>);

    impl<R, F: FnOnce(&mut [f32]) -> Result<R>> InplaceOp1 for Write<F, R> {
        fn name(&self) -> &'static str {
            "write"
        }

        fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
            let Some((start, end)) = layout.contiguous_offsets() else {
                bail!("a fast op was given a non-contiguous operand");
            };
            let CpuStorage::F32(values) = storage else {
                bail!("a fast op was given an operand that is not f32");
            };
            let f = self.0.borrow_mut().0.take().expect("called once");
            let result = f(&mut values[start..end])?;
            self.0.borrow_mut().1 = Some(result);
            Ok(())
        }
    }

    let op = Write(RefCell::new((Some(f), None)));
    tensor.inplace_op1(&op)?;
    Ok(op.0.into_inner().1.expect("set by cpu_fwd"))
}
