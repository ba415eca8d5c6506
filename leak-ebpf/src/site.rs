//! Sites: a stack of one process that acquires one kind of resource.
//!
//! Each acquisition is counted at its site (`site_count`). The first one sends the site to user space, with its
//! frames; later records name it by 8 bytes. How a stack is walked is for `stack`.

use leak_common::{
    Counter, ProcessId,
    config::flags,
    identity,
    limits::BUSY_SITE,
    wire::{Interpreted, RecordType, Site, SiteCount, StackEnd},
};

use crate::{
    config::has,
    count::{count_at, current, lost},
    emit::{emit_followed, head},
    maps::SITES,
    registers::Registers,
    site_count::Counts,
    stack::{self, Scratch, Slot, Stack, Walks},
    stack_sample, unfinished,
    verifier::global,
    young,
};

/// The user's present stack is in the scratch of this slot.
#[derive(Clone, Copy)]
pub(crate) struct Taken {
    slot: Slot,
}

/// Takes the user's stack: once per call, however many resources it acquires.
#[inline(always)]
pub(crate) fn take<M: Walks>(
    slot: Slot,
    registers: Option<Registers>,
    process: ProcessId,
) -> Option<Taken> {
    let scratch = Scratch::of(slot as u64)?;
    stack::take::<M>(registers, slot as u32, scratch, process);
    unfinished::mark(scratch);
    if has(flags::STACK_SAMPLES)
        && let Some(registers) = registers
    {
        stack::write_frames(slot as u64);
        stack_sample::send(scratch, registers, process);
    }
    Some(Taken { slot })
}

/// The site of an acquisition.
#[derive(Clone, Copy)]
pub(crate) struct Visited {
    /// Its identity, 0 where there is none.
    pub(crate) site: u64,
    /// 1 if it has acquired often, else 0.
    pub(crate) busy: u32,
}

/// Counts `amount` acquisitions of `kind` at a stack, and returns the site.
#[inline(always)]
pub(crate) fn visit(taken: Taken, process: ProcessId, kind: u32, amount: u64) -> Visited {
    if !young::wanted(kind) {
        return Visited { site: 0, busy: 0 };
    }
    let visited = visit_site(taken.slot as u64, process.0, u64::from(kind), amount);
    // Bit 0 of an identity is always set; in between it says whether the site is busy.
    Visited {
        site: visited | u64::from(visited != 0),
        busy: visited as u32 & 1,
    }
}

global! {
    fn visit_site(slot, process, kind, amount) = visit_taken;
}

/// The same for the stack in a slot of the scratch. Bit 0 of the result is set only if
/// the site is busy.
#[inline(always)]
fn visit_taken(slot: u64, process: u64, kind: u64, amount: u64) -> u64 {
    let process = ProcessId(process);
    let Some(scratch) = Scratch::of(slot) else {
        return 0;
    };
    let Stack {
        hash, end, frames, ..
    } = scratch.stack;
    let site = identity::site(hash, kind as u32);
    if let Some(counts) = Counts::of(site) {
        counts.acquired.add(amount);
        // Any recent count will do.
        let busy = counts.acquired.get() >= BUSY_SITE;
        return site & !1 | u64::from(busy);
    }
    let count = SiteCount {
        acquired: amount,
        released: 0,
    };
    if SITES.insert(site, count, 0).is_err() {
        lost(Counter::SitesFull, process);
        return 0;
    }
    stack::write_frames(slot);
    if end != StackEnd::Complete as u64 {
        count_at(Counter::StackBroken as u64 + end - StackEnd::Broken as u64);
    }
    let kind = kind as u32;
    let python_frames = scratch.stack.python_frames;
    if python_frames != 0 {
        scratch.interpreted.record = Interpreted {
            head: head(RecordType::Interpreted, kind, process),
            site,
            layout: scratch.stack.python_layout as u32,
            frames: python_frames as u32,
        };
        emit_followed(&mut scratch.interpreted, python_frames, process);
    }
    scratch.site.record = Site {
        head: head(RecordType::Site, kind, process),
        site,
        tid: current().1,
        frames: frames as u16,
        end: end as u16,
    };
    if !emit_followed(&mut scratch.site, frames, process) {
        // Not known to user space: the next acquisition tries again.
        let _ = SITES.remove(site);
        return site & !1;
    }
    unfinished::send(scratch, kind, process, site);
    site & !1
}
