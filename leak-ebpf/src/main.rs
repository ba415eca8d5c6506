//! The programs that leaktrace runs in the kernel.
//!
//! Probes are thin entries (`probes/`); what a system call does to resources is
//! in `operations/`, chosen by the table that user space hands over. Acquisitions
//! wait in the young table (`young`), their sites are counted in `site`, and only
//! `emit` writes to the ring. A fault becomes a counter, never a message.
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
