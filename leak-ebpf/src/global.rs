//! Functions that the verifier walks once each.

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
