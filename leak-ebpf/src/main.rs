//! The programs that leaktrace runs in the kernel.
//!
//! Where to begin reading: `probes/` has the entries, one for each hook. What a system call does to
//! resources is in `operations/`, chosen by the table that user space hands over. Its stack is taken
//! by `stack/` and counted in `site`; the resource waits in the young table (`young`); only `emit`
//! writes to the ring.
//!
//! Invariants: a fault becomes a counter, never a message. Nothing waits or allocates. What the
//! verifier has to walk is bounded on every kernel from 5.10 on (`verifier`).
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod clock;
mod config;
mod count;
mod emit;
mod entries;
mod filter;
mod maps;
mod memory;
mod operations;
mod probes;
mod registers;
mod site;
mod site_count;
mod stack;
mod stack_sample;
mod task;
mod unfinished;
mod verifier;
mod young;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
