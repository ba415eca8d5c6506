//! The entries, one module per kind of hook. Each is a thin shell around a body
//! that leaves by `?`.

mod expire;
mod lifecycle;
mod syscall_enter;
mod syscall_exit;
mod uring;
