//! Calls that the kernel refused.

use leak_common::{Kind, ProcessId};

use crate::model::{refusal::Refusal, site::SiteId, time::Nanos};

/// The first time that the kernel refused a process something for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    pub time: Nanos,
    pub process: ProcessId,
    /// What the call would have acquired.
    pub kind: Kind,
    /// Where it was called, [`SiteId::UNKNOWN`] where its stack is not known.
    pub site: SiteId,
    /// Bytes of the mapping that was asked for, else 0.
    pub size: u64,
    pub call: Call,
    pub error: Refusal,
    /// The thread that called, 0 where io_uring did.
    pub tid: u32,
}

/// What was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// The system call with this number on this machine.
    System(u32),
    /// The operation of io_uring with this number.
    Uring(u32),
}
