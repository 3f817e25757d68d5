//! Whether parameters are still those that a forward pass has seen.
//!
//! A backward pass reads them again, so that gradients would be silently wrong if they had changed in between. PyTorch
//! counts the changes of a tensor for the same reason.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, Layout, MetalStorage, Result, Shape, Tensor,
    backend::BackendStorage,
};

use crate::Error;

/// Counts the changes of one network's parameters.
pub(crate) struct Version {
    /// The network's name.
    pub name: String,
    changes: AtomicU64,
}

/// The parameters' version at a forward pass.
#[derive(Clone)]
pub(crate) struct Seen {
    version: Arc<Version>,
    changes: u64,
}

impl Version {
    pub(crate) fn new(name: &str) -> Arc<Self> {
        Arc::new(Version {
            name: name.into(),
            changes: AtomicU64::new(0),
        })
    }

    /// To be called after every change in place.
    pub(crate) fn bump(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn seen(self: &Arc<Self>) -> Seen {
        Seen {
            version: self.clone(),
            changes: self.changes.load(Ordering::Relaxed),
        }
    }
}

impl Seen {
    /// Errors if the parameters have changed since.
    pub(super) fn check(&self) -> Result<()> {
        if self.version.changes.load(Ordering::Relaxed) == self.changes {
            return Ok(());
        }
        Err(Error::Value(format!(
            "the parameters of the {name} have changed since the forward pass that this loss comes from (by an \
             optimizer's step, set or restore), so that its gradients would be wrong: compute the output of the \
             {name} again, after the change",
            name = self.version.name
        ))
        .into())
    }

    /// `y`, whose backward pass fails if the parameters have changed by then: for what candle's own ops compute.
    pub(crate) fn guard(&self, y: &Tensor) -> Result<Tensor> {
        // CUDA has no kernels of no threads, and no values have no gradient.
        match y.track_op() && y.elem_count() > 0 {
            true => y.apply_op1(Guard(self.clone())),
            false => Ok(y.clone()),
        }
    }
}

struct Guard(Seen);

impl CustomOp1 for Guard {
    fn name(&self) -> &'static str {
        "version of the parameters"
    }

    fn cpu_fwd(&self, y: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        copy(y, layout)
    }

    fn cuda_fwd(&self, y: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        copy(y, layout)
    }

    fn metal_fwd(&self, y: &MetalStorage, layout: &Layout) -> Result<(MetalStorage, Shape)> {
        copy(y, layout)
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        self.0.check()?;
        Ok(Some(dy.clone()))
    }
}

/// A contiguous copy, on any device.
fn copy<S: BackendStorage>(y: &S, layout: &Layout) -> Result<(S, Shape)> {
    Ok((y.affine(layout, 1., 0.)?, layout.shape().clone()))
}
