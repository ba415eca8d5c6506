//! The programs that leaktrace runs in the kernel.
//!
//! Probes are thin entries (`probes/`); what a system call does to resources is
//! in `operations/`, chosen by the table that user space hands over. Acquisitions
//! wait in the young table (`young`), their sites are counted in `site`, and only
//! `emit` writes to the ring. A fault becomes a counter, never a message.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "loads are checked by the verifier; the blocks that need more say why"
)]

mod config;
mod count;
mod emit;
mod filter;
mod maps;
mod operations;
mod probes;
mod registers;
mod site;
mod snapshot;
mod stack;
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
