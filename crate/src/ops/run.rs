//! A whole network as one operation of candle's.

use std::sync::{Arc, Mutex};

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};

use super::collect::collected;
use super::pending::Pending;
use super::plan::{Plan, Tape};
use super::precision::Precision;
use super::step::{Gradient, Statistics};
use super::storage::{read, slice, write};
use super::version::Seen;
use crate::rng::Rng;
use crate::team::{for_each, lock};

/// Samples computed at a time where no gradient is wanted: enough for full speed, few enough for the cache.
const CHUNK: usize = 512;

/// What a network's pass is given beside its input.
#[derive(Clone)]
pub(crate) struct Call {
    pub plan: Arc<Plan>,
    /// A row, as the running statistics in `state`, which move if `statistics` says so.
    pub parameters: Tensor,
    pub seen: Seen,
    pub state: Tensor,
    pub statistics: Statistics,
    pub precision: Precision,
    pub rng: Rng,
}

/// The output (batch, `output`...) of a network for `x` (batch, ...), differentiable in `x` and in the parameters.
pub(crate) fn run(call: Call, x: &Tensor, output: &[usize]) -> Result<Tensor> {
    if x.dtype() != DType::F32 {
        bail!(
            "networks take f32, not {:?}: convert the input with .to_dtype(DType::F32)?",
            x.dtype()
        );
    }
    let x = x.contiguous()?;
    let mut shape = vec![x.dim(0)?];
    shape.extend(output);
    if call.statistics == Statistics::Running && !x.track_op() || x.elem_count() == 0 {
        let y = evaluate(&call, &x)?;
        return Tensor::from_vec(y, shape, x.device());
    }
    let parameters = call.parameters.clone();
    let op = Run {
        call,
        shape: shape.into(),
        tape: Mutex::new(None),
    };
    x.apply_op2(&parameters, op)
}

/// The output where no gradient is wanted, in chunks of the batch.
fn evaluate(call: &Call, x: &Tensor) -> Result<Vec<f32>> {
    let values = x.elem_count() / x.dim(0)?.max(1);
    let (plan, statistics, rng) = (&call.plan, call.statistics, &call.rng);
    let precision = call.precision;
    read(x, |x| {
        read(&call.parameters, |parameters| {
            read(&call.state, |state| {
                let chunks = x.chunks((CHUNK * values).max(1));
                let mut outputs = vec![Vec::new(); chunks.len()];
                for_each(chunks.zip(&mut outputs), |(x, output)| {
                    let state = &mut state.to_vec(); // stays as it is
                    let tape = plan.forward(x, parameters, state, statistics, precision, rng);
                    *output = plan.output(&tape);
                });
                Ok(outputs.concat())
            })
        })
    })
}

struct Run {
    call: Call,
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
        let call = &self.call;
        let (tape, y) = write(&call.state, |state| {
            let Call {
                plan,
                statistics,
                precision,
                rng,
                ..
            } = call;
            let tape = plan.forward(x, parameters, state, *statistics, *precision, rng);
            let y = plan.output(&tape);
            Ok((tape, y))
        })?;
        *lock(&self.tape) = Some(Arc::new(tape));
        Ok((CpuStorage::F32(y), self.shape.clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        p: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let tape = lock(&self.tape).clone();
        let Some(tape) = tape else {
            bail!("network: backward without forward")
        };
        self.call.seen.check()?;
        let back = |gradient: Option<Gradient>| {
            read(p, |p| {
                read(dy, |dy| {
                    let wants_dx = x.track_op();
                    Ok(self.call.plan.backward(&tape, p, dy, gradient, wants_dx))
                })
            })
        };
        let into = |row: &Tensor, add, pending: Option<&mut Vec<Pending>>| {
            write(row, |row| back(Some(Gradient { row, add, pending })))
        };
        let (dx, dp) = if !p.track_op() {
            (back(None)?, None)
        } else if let Some(dx) = collected(p, into) {
            (dx?, None)
        } else {
            let gradient = p.zeros_like()?;
            (into(&gradient, false, None)?, Some(gradient))
        };
        let dx = dx.filter(|_| x.track_op());
        Ok((
            dx.map(|dx| Tensor::from_vec(dx, x.shape(), x.device()))
                .transpose()?,
            dp,
        ))
    }
}
