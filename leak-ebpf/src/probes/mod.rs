//! The programs that the kernel runs, one module per kind of hook. Each is a thin shell around a
//! body that leaves by `?`: where something is missing there is nothing to record.

mod descriptor_uses;
mod expire;
mod learn;
mod lifecycle;
mod socket_sent;
mod syscall_enter;
mod syscall_exit;
mod table_counts;
mod uring;
