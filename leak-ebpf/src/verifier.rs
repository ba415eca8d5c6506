//! What code needs so that the kernel's verifier accepts it: bounds that it can see, and paths that
//! it does not walk again and again.

/// A function that the verifier walks by itself, whatever it is called with (global
/// functions, 5.6): walked anew at each call, or for each frame of a stack, programs
/// would be too long. It has a part of the 512 bytes of stack of its own, and takes
/// numbers only.
macro_rules! global {
    ($(fn $name:ident($($argument:ident),+) = $body:path;)+) => {
        $(
            #[unsafe(no_mangle)]
            #[inline(never)]
            pub(crate) extern "C" fn $name($($argument: u64),+) -> u64 {
                $body($($argument),+)
            }
        )+
    };
}
pub(crate) use global;

/// The same number, but the compiler knows nothing about it any more: it must
/// keep the bounds check that follows, which the verifier needs.
#[inline(always)]
pub(crate) fn opaque(value: u64) -> u64 {
    let mut value = value;
    // SAFETY: adds nothing.
    unsafe { core::arch::asm!("{0} += 0", inout(reg) value, options(pure, nomem, nostack)) };
    value
}

/// All ones where `a < b`, else zero, without a branch: each would double what the
/// verifier has to walk. Both must be below 2^63.
#[inline(always)]
pub(crate) fn mask_less(a: u64, b: u64) -> u64 {
    let mut mask = a.wrapping_sub(b);
    // SAFETY: an arithmetic shift; written out, since the compiler would turn it
    // back into a branch.
    unsafe { core::arch::asm!("{0} s>>= 63", inout(reg) mask, options(pure, nomem, nostack)) };
    mask
}

/// Through memory: the verifier forgets what it knew of the number.
#[inline(always)]
pub(crate) fn forget(slot: &mut u64, value: u64) -> u64 {
    put(slot, value);
    fresh(slot)
}

/// Loads what is in a place now: a global function that the compiler does not look into may
/// have written it.
#[inline(always)]
pub(crate) fn fresh<T: Copy>(place: &T) -> T {
    // SAFETY: a reference to a value that is copied.
    unsafe { core::ptr::read_volatile(place) }
}

/// Stores as one value: the compiler would otherwise copy byte by byte, or not at all.
#[inline(always)]
pub(crate) fn put<T: Copy>(place: &mut T, value: T) {
    // SAFETY: a reference to a value without a destructor.
    unsafe { core::ptr::write_volatile(place, value) }
}
