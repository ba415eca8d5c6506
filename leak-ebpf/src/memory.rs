//! Reads of memory by its address. The kernel's helpers check every address, and say where there
//! is nothing to read. Memory whose type the verifier knows is read in `task` and `registers`.

use aya_ebpf::helpers::{bpf_probe_read_kernel, bpf_probe_read_user, generated};

/// Values that any bytes are one of.
///
/// # Safety
/// Every bit pattern of the type's size is a value of the type.
pub(crate) unsafe trait Plain: Copy + 'static {}

// SAFETY: an integer.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for u16 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for i32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl Plain for i64 {}
// SAFETY: a pointer that is never followed without a check.
unsafe impl Plain for *const u8 {}
// SAFETY: an array of what is plain.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// The memory could not be read: the helper's error. (A type without it would take the
/// programs more instructions.)
pub(crate) type Unreadable = i32;

/// A value in the memory of the current process.
#[inline(always)]
pub(crate) fn user<T: Plain>(address: u64) -> Result<T, Unreadable> {
    // SAFETY: the helper checks the address, and any bytes are a value of the type.
    unsafe { bpf_probe_read_user(address as *const T) }
}

/// Reads `bytes` from the memory of the current process to the beginning of `into`.
///
/// # Safety
/// `into` is memory that the program may write, and has room for as many bytes.
#[inline(always)]
pub(crate) unsafe fn copy_from_user<T: Plain>(
    into: *mut T,
    bytes: u32,
    address: u64,
) -> Result<(), Unreadable> {
    // SAFETY: the caller vouches for `into`; the helper checks the address.
    let result = unsafe { generated::bpf_probe_read_user(into.cast(), bytes, address as *const _) };
    if result == 0 {
        Ok(())
    } else {
        Err(result as i32)
    }
}

/// A value in the kernel's memory.
#[inline(always)]
pub(crate) fn kernel<T: Plain>(address: u64) -> Result<T, Unreadable> {
    // SAFETY: the helper checks the address, and any bytes are a value of the type.
    unsafe { bpf_probe_read_kernel(address as *const T) }
}

/// A field of a structure of the kernel; zero where it cannot be read.
#[inline(always)]
pub(crate) fn kernel_or_zero<T: Plain + Default>(base: u64, offset: u32) -> T {
    let mut value = T::default();
    let from = base.wrapping_add(u64::from(offset)) as *const _;
    // SAFETY: `value` has the size that is read; the helper checks the address, and zeroes
    // `value` where it fails.
    unsafe {
        generated::bpf_probe_read_kernel((&raw mut value).cast(), size_of::<T>() as u32, from)
    };
    value
}
