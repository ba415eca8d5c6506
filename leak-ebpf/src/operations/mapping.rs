//! Memory mappings. A process may unmap, replace or move any part of what it has mapped, so only
//! a release of exactly one young mapping is settled here; all others go to user space, which knows
//! the ranges.

use aya_ebpf::{macros::map, maps::LruHashMap};
use leak_common::{
    Class, Handle, Kind, ProcessId,
    wire::{RangeReleased, RecordType, Remapped, range},
};

use super::{Acquiring, Call};
use crate::{
    clock::now,
    emit::{self, emit, head},
    entries::Entries,
    maps::YOUNG,
    stack,
    young::{self, Found},
};

const MAP_FIXED: u64 = 0x10;
const MAP_ANONYMOUS: u64 = 0x20;
const MAP_FIXED_NOREPLACE: u64 = 0x10_0000;
const PROT_EXEC: u64 = 4;
const MREMAP_FIXED: u64 = 2;
const MREMAP_DONTUNMAP: u64 = 4;

/// When a process last mapped something at a fixed address.
#[map]
static FIXED: LruHashMap<ProcessId, u64> = LruHashMap::with_max_entries(4096, 0);

/// Lengths are rounded up to 4 KiB; larger base pages (aarch64) are rounded
/// further by user space, which knows them.
const PAGE: u64 = 4096;

#[inline(always)]
pub(crate) fn round(length: u64) -> u64 {
    length.wrapping_add(PAGE - 1) & !(PAGE - 1)
}

fn mapping(address: u64, length: u64) -> Acquiring {
    Acquiring::one(
        Handle::new(Class::Mapping, address),
        Kind::Mapping as u32,
        length,
        0,
    )
}

/// mmap.
#[inline(always)]
pub(crate) fn maps(call: Call) -> Option<Acquiring> {
    if call.registers.argument(2) & PROT_EXEC != 0 {
        let end = call.result.wrapping_add(round(call.registers.argument(1)));
        let (descriptor, offset) = (call.registers.argument(4), call.registers.argument(5));
        if call.registers.argument(3) & MAP_ANONYMOUS == 0 {
            stack::maps(call.process, descriptor, (call.result, end, offset));
        } else {
            stack::changed(call.process);
        }
    }
    if !young::wants(Kind::Mapping) {
        return None;
    }
    let length = round(call.registers.argument(1));
    let flags = call.registers.argument(3);
    if flags & MAP_FIXED != 0 && flags & MAP_FIXED_NOREPLACE == 0 {
        // Whatever was mapped there is gone.
        unmapped(call.process, call.result, length);
        let _ = FIXED.insert(call.process, now(), 0);
    }
    Some(mapping(call.result, length))
}

/// munmap, at its beginning.
#[inline(always)]
pub(crate) fn unmaps(process: ProcessId, address: u64, length: u64) {
    if !young::wants(Kind::Mapping) || length == 0 || address & (PAGE - 1) != 0 {
        return;
    }
    let length = round(length);
    let handle = Handle::new(Class::Mapping, address);
    // Silent only for a whole young mapping that nothing was mapped into since.
    let whole = YOUNG
        .copy(young::key(process, handle))
        .is_some_and(|young| young.size == length && !mapped_into(process, young.time));
    if !whole {
        unmapped(process, address, length);
        return;
    }
    if let Found::Old { acquired } = young::take(process, handle) {
        emit::released(process, handle, acquired);
    }
}

/// Whether a process has mapped at a fixed address since a time.
#[inline(always)]
fn mapped_into(process: ProcessId, since: u64) -> bool {
    FIXED.copy(process).is_some_and(|time| time >= since)
}

fn unmapped(process: ProcessId, address: u64, length: u64) {
    let record = RangeReleased {
        head: head(RecordType::RangeReleased, Class::Mapping as u32, process),
        first: address,
        last: address.wrapping_add(length).wrapping_sub(1),
        flags: 0,
        reserved: 0,
    };
    emit(&record, process);
}

/// mremap: user space moves what it knows, so a young mapping is sent first. An old length of 0 maps the same pages
/// a second time.
#[inline(always)]
pub(crate) fn remaps(call: Call) -> Option<Acquiring> {
    if call.registers.argument(3) & MREMAP_FIXED != 0 {
        // It may be code that was moved, onto other code.
        stack::changed(call.process);
    }
    if !young::wants(Kind::Mapping) {
        return None;
    }
    let registers = call.registers;
    let old_length = round(registers.argument(1));
    let new_length = round(registers.argument(2));
    if old_length == 0 {
        return Some(mapping(call.result, new_length));
    }
    let old = Handle::new(Class::Mapping, registers.argument(0));
    young::promote(young::key(call.process, old));
    let record = Remapped {
        head: head(RecordType::Remapped, Class::Mapping as u32, call.process),
        old: registers.argument(0),
        old_length,
        new: call.result,
        new_length,
        flags: (registers.argument(3) & MREMAP_DONTUNMAP) as u32,
        reserved: 0,
    };
    emit(&record, call.process);
    None
}

/// shmat: the segment's size is not among the arguments.
#[inline(always)]
pub(crate) fn attaches(call: Call) -> Option<Acquiring> {
    young::wants(Kind::Mapping).then(|| mapping(call.result, 0))
}

/// shmdt, at its beginning.
#[inline(always)]
pub(crate) fn detaches(process: ProcessId, address: u64) {
    if !young::wants(Kind::Mapping) {
        return;
    }
    let handle = Handle::new(Class::Mapping, address);
    match young::take(process, handle) {
        Found::Young => {}
        Found::Old { acquired } => emit::released(process, handle, acquired),
        Found::Nothing => {
            let record = RangeReleased {
                head: head(RecordType::RangeReleased, Class::Mapping as u32, process),
                first: address,
                last: address,
                flags: range::ATTACHMENT,
                reserved: 0,
            };
            emit(&record, process);
        }
    }
}
