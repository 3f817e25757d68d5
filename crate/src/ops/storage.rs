//! The values of tensors, to be read and changed.

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Storage, Tensor, bail};

/// The values of a contiguous operand. The ops' entry points make their arguments contiguous, so an error
/// here is a mistake in this module.
pub(super) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("a fast op was given a non-contiguous operand"),
    }
}

/// Calls `f` with the values of a tensor, row-major; they are copied only if it is not contiguous.
pub(super) fn read<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(slice(storage, layout)?),
        _ => bail!("a fast op was given an operand that is not on the CPU"),
    }
}

/// Calls `f` with the values of a contiguous tensor, to be changed in place.
pub(super) fn write<R>(tensor: &Tensor, f: impl FnOnce(&mut [f32]) -> Result<R>) -> Result<R> {
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
