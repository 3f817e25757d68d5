//! Large pages for large vectors: a product that walks through 25 MB of weights in pages of 4 KiB spends a fifth of its
//! time on looking up where they are.

use candle_core::{CpuStorage, Storage, Tensor};

/// Asks the system to keep these values in pages of 2 MiB as far as they fill any. It may refuse; nothing else changes.
pub(super) fn prefer_large<T>(values: &[T]) {
    let values = values.as_ptr_range();
    let start = (values.start as usize).next_multiple_of(LARGE);
    let end = values.end as usize / LARGE * LARGE;
    if start < end {
        advise(start, end - start);
    }
}

/// The same for the values of a tensor on the CPU.
pub(crate) fn prefer_large_pages(tensor: &Tensor) {
    let (storage, _) = tensor.storage_and_layout();
    if let Storage::Cpu(CpuStorage::F32(values)) = &*storage {
        prefer_large(values);
    }
}

const LARGE: usize = 2 << 20;

#[cfg(target_os = "linux")]
fn advise(start: usize, len: usize) {
    // First for memory that nobody has touched yet, then for what lies in small pages already (Linux 6.1).
    for advice in [libc::MADV_HUGEPAGE, libc::MADV_COLLAPSE] {
        // SAFETY: the range lies inside of memory that the caller has borrowed, and neither changes what is in it.
        unsafe { libc::madvise(start as *mut libc::c_void, len, advice) };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise(_: usize, _: usize) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Whether the mapping in which this address lies asks for large pages: `hg` among its flags.
    fn asks(address: usize) -> bool {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        for line in maps.lines() {
            let range = line.split(' ').next().unwrap().split_once('-');
            let range = range.map(|(a, b)| [a, b].map(|at| usize::from_str_radix(at, 16)));
            if let Some([Ok(start), Ok(end)]) = range {
                inside = (start..end).contains(&address);
            } else if inside && line.starts_with("VmFlags:") {
                return line.split(' ').any(|flag| flag == "hg");
            }
        }
        panic!("{address:x} is mapped nowhere");
    }

    #[test]
    fn large_vectors_ask_for_large_pages_and_keep_their_values() {
        if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
            return println!("this kernel has no large pages");
        }
        let values: Vec<usize> = (0..4 << 20).collect();
        let middle = &values[values.len() / 2] as *const usize as usize;
        assert!(!asks(middle));
        prefer_large(&values);
        assert!(asks(middle));
        assert!(values.iter().enumerate().all(|(i, &value)| i == value));
        prefer_large(&values[..1]);
        prefer_large::<f32>(&[]);
    }
}
