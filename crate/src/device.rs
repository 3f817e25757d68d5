//! Which device to compute on.

use candle_core::Device;
use candle_core::utils::{cuda_is_available, metal_is_available};

/// [`Device`] with a choice: `Device::best()`.
pub trait BestDevice {
    /// The first CUDA or Metal device if the crate is built for it (features `cuda`, `metal`) and there is one, else the
    /// CPU, which is what everything is tested on.
    ///
    /// ```
    /// use digit_gan::prelude::*;
    /// let network = Sequential::new("line", [1]).dense(1).build_on(&Rng::seed(1), &Device::best())?;
    /// # Ok::<(), digit_gan::Error>(())
    /// ```
    fn best() -> Device;
}

impl BestDevice for Device {
    fn best() -> Device {
        let found = if cuda_is_available() {
            Device::new_cuda(0)
        } else if metal_is_available() {
            Device::new_metal(0)
        } else {
            Ok(Device::Cpu)
        };
        // Built for a GPU, but there is none: fall back to the CPU.
        found.unwrap_or(Device::Cpu)
    }
}
