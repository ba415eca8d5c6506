//! What system calls do to resources, one module per subject.
//!
//! Each function says what its call acquires, or that it acquires nothing. Only then, and once per
//! call, the stack is taken (by the probe), and the resources are recorded with its site.

pub(crate) mod asked;
pub(crate) mod clone;
pub(crate) mod descriptor;
pub(crate) mod failure;
pub(crate) mod mapping;
pub(crate) mod message;
pub(crate) mod notification;
pub(crate) mod segment;

use aya_ebpf::{macros::map, maps::PerCpuArray};
use leak_common::{
    Class, Handle, ProcessId,
    wire::{Young, acquired},
};

use crate::{
    registers::Registers,
    site::{self, Taken, Visited},
    verifier::{fresh, put},
    young,
};

/// A system call at its end.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) registers: Registers,
    pub(crate) process: ProcessId,
    /// What it returned.
    pub(crate) result: u64,
}

/// Results from here on are errors (include/linux/err.h, MAX_ERRNO).
const FIRST_ERROR: u64 = 4096u64.wrapping_neg() + 1;

impl Call {
    /// Whether it failed.
    #[inline(always)]
    pub(crate) fn failed(self) -> bool {
        failed(self.result)
    }
}

/// Whether a result is an error.
#[inline(always)]
pub(crate) fn failed(result: u64) -> bool {
    result >= FIRST_ERROR
}

/// What a call acquires, before its stack is taken.
///
/// First stage of an acquisition: it may stand for two resources, for a task that the fork
/// tracepoint has recorded, or for descriptors in messages or events. With the site, each resource
/// becomes a [`Young`].
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Acquiring {
    /// The resource, no handle where there is none.
    pub(crate) first: Handle,
    /// Another of the same kind.
    pub(crate) second: Handle,
    pub(crate) size: u64,
    pub(crate) kind: u32,
    /// `wire::acquired` bits.
    pub(crate) flags: u32,
    /// Not 0: it made a thread or child, which the fork tracepoint has recorded.
    pub(crate) cloned: u64,
    /// What else it is, and how much of it: [`MESSAGES`], [`READ`], [`WATCH`], or 0.
    pub(crate) rest: u64,
}

/// What the call that a processor is at the end of acquires.
#[map]
static ACQUIRING: PerCpuArray<Acquiring> = PerCpuArray::with_max_entries(1, 0);

/// Descriptors arrived in that many messages.
pub(crate) const MESSAGES: u64 = 1 << 32;
/// That many descriptors were read, and noted.
pub(crate) const READ: u64 = 2 << 32;
/// The watch with that number was added to an inotify descriptor.
pub(crate) const WATCH: u64 = 3 << 32;

/// No resource.
pub(crate) const NO_HANDLE: Handle = Handle(0);

impl Acquiring {
    /// One resource.
    #[inline(always)]
    pub(crate) fn one(handle: Handle, kind: u32, size: u64, flags: u32) -> Acquiring {
        Acquiring {
            first: handle,
            second: NO_HANDLE,
            size,
            kind,
            flags,
            cloned: 0,
            rest: 0,
        }
    }

    /// None that is known yet.
    #[inline(always)]
    pub(crate) fn none() -> Acquiring {
        Self::one(NO_HANDLE, 0, 0, 0)
    }

    /// The same, through a map between the many calls and the one way on: the verifier forgets
    /// which call it was, and walks that way once.
    #[inline(always)]
    pub(crate) fn forgotten(self) -> Option<Acquiring> {
        let place = ACQUIRING.get_ptr_mut(0)?;
        // SAFETY: this processor's entry, of plain numbers. Only the end of a system call uses
        // it, and the kernel does not run a program that runs on the processor already.
        let place = unsafe { &mut *place };
        put(place, self);
        Some(fresh(place))
    }

    /// Records it all with the call's stack.
    #[inline(always)]
    pub(crate) fn record(self, call: Call, taken: Taken) {
        if self.cloned != 0 {
            clone::returned(call, taken);
        }
        let number = self.rest & 0xffff_ffff;
        match self.rest & !0xffff_ffff {
            MESSAGES => return message::record(call, taken, number, self.flags),
            READ => return message::record_read(call, taken, number),
            WATCH => return notification::record(self, call, taken),
            _ => {}
        }
        if self.first == NO_HANDLE {
            if call.failed() {
                failure::record(self, call, taken);
            }
            return;
        }
        let amount = if self.second == NO_HANDLE { 1 } else { 2 };
        let Visited { site, busy } = site::visit(taken, call.process, self.kind, amount);
        let Acquiring { size, kind, .. } = self;
        // The lowest free number is given out: it will come again.
        let is_descriptor = self.first.is(Class::Descriptor);
        let flags = self.flags | (acquired::BUSY * (busy & u32::from(is_descriptor)));
        let young = Young::new(call.process, site, kind, size, flags);
        young::acquire(self.first, young);
        if self.second != NO_HANDLE {
            young::acquire(self.second, young);
        }
    }
}
