//! From an address to the unwind tables of the file it lies in.
//!
//! What was found is remembered per page and address space, until the process maps code again.
//! Files without tables are asked for here; user space makes the tables.

#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "what is handed over by value is copied to the stack, which has 512 bytes"
)]

use aya_ebpf::{
    macros::map,
    maps::{Array, LruHashMap},
};
use leak_common::{
    ProcessId,
    identity::mix,
    limits::{CHANGE_COUNTERS, CODE_PAGE_ENTRIES, SPACE_ENTRIES},
    unwind::{FileCode, FileKey, PAGE_BITS, file_state},
    wire::{CodeMapped, RecordType, StackEnd},
};

use super::{
    mapping::{Mapping, Mappings, Searched, key},
    walk::Walk,
};
use crate::{
    clock::now,
    config::config,
    emit::{emit, emit_at_once, head},
    entries::{Entries, Word, Words},
    maps::FILES,
    memory::kernel_or_zero,
    task::Task,
    verifier::global,
};

/// A process's address space as far as its code goes.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct CodeSpace {
    /// Its number, and no other's, ever.
    number: u64,
    /// Address of `_PyRuntime`, once code of an interpreter was met.
    python_runtime: u64,
    /// Number of the interpreter's layout, 0 for none.
    python_layout: u64,
}

/// A page of 4 KiB of a space.
#[repr(C)]
#[derive(Clone, Copy)]
struct CodePage {
    space: u64,
    /// Address over 4096.
    page: u64,
}

/// Number in the directory of a page of a process's code.
#[map]
static CODE_PAGES: LruHashMap<CodePage, u64> = LruHashMap::with_max_entries(CODE_PAGE_ENTRIES, 0);

/// The code of processes.
#[map]
static SPACES: LruHashMap<ProcessId, CodeSpace> = LruHashMap::with_max_entries(SPACE_ENTRIES, 0);

/// How often processes mapped code, by a hash of the process.
#[map]
static CHANGES: Array<u64> = Array::with_max_entries(CHANGE_COUNTERS, 0);

/// Stands for a number in the directory where there are no tables.
pub(super) const BARE: u64 = u64::MAX;

/// The same where nothing is mapped.
pub(super) const UNMAPPED: u64 = u64::MAX - 1;

/// Code was mapped into a process, or it runs another program: what is known of
/// its pages is void.
#[inline(always)]
pub(crate) fn changed(process: ProcessId) {
    let _ = SPACES.remove(process);
    if let Some(changes) = CHANGES.word(counter(process)) {
        changes.add(1);
    }
}

/// How often code was mapped into a process, and into those that share its counter.
#[inline(always)]
pub(super) fn changes(process: ProcessId) -> u64 {
    CHANGES.word(counter(process)).map_or(0, Word::get)
}

#[inline(always)]
fn counter(process: ProcessId) -> u32 {
    const SHIFT: u32 = 64 - CHANGE_COUNTERS.ilog2();
    (process.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> SHIFT) as u32
}

/// The process's space, a new one if there is none. Tables that are full make room
/// by themselves: a space that was dropped for it gets a new number.
#[inline(always)]
pub(super) fn space(process: ProcessId, walk: &mut Walk) {
    if let Some(space) = SPACES.copy(process) {
        walk.space = space.number;
        walk.python_runtime = space.python_runtime;
        walk.python_layout = space.python_layout;
        return;
    }
    let number = mix(process.0, now());
    walk.space = number;
    walk.python_runtime = 0;
    walk.python_layout = 0;
    walk.fresh.number = number;
    let _ = SPACES.insert(process, &walk.fresh, 0);
}

/// Number in the directory of the first entry of an address's page, [`BARE`] or
/// [`UNMAPPED`].
#[inline(always)]
pub(super) fn directory<M: Mappings>(
    walk: &mut Walk,
    mapping: &mut Mapping,
    process: ProcessId,
    address: u64,
) -> Result<u64, StackEnd> {
    let page = CodePage {
        space: walk.space,
        page: address >> 12,
    };
    if let Some(directory) = CODE_PAGES.copy(page) {
        return Ok(directory);
    }
    match M::find(address, mapping) {
        Searched::Found if mapping.is_executable() => {}
        Searched::Found => return Err(StackEnd::Broken),
        Searched::Nothing => return Ok(UNMAPPED),
        Searched::Locked => return Err(StackEnd::Locked),
    }
    let directory = if mapping.has_file() || mapping.is_vdso() {
        in_file(walk, mapping, process, address)?
    } else {
        BARE
    };
    let _ = CODE_PAGES.insert(page, directory, 0);
    Ok(directory)
}

#[inline(always)]
fn in_file(
    walk: &mut Walk,
    mapping: &mut Mapping,
    process: ProcessId,
    address: u64,
) -> Result<u64, StackEnd> {
    if !mapping.has_file() {
        mapping.key = FileKey::VDSO;
        mapping.offset = 0;
    }
    let now = now();
    let Some(file) = FILES.get_ptr_mut(&mapping.key) else {
        if first_sight(&mapping.key, now) {
            want(mapping, process);
        }
        return Err(StackEnd::NoTable);
    };
    // SAFETY: an entry of the map, of plain numbers. User space replaces whole entries, and
    // readers of the old one see the old tables, which outlive them.
    let file = unsafe { &mut *file };
    file.used = now;
    if file.state == file_state::BARE {
        return Ok(BARE);
    }
    if file.state != file_state::LOADED {
        if now.wrapping_sub(file.asked) > WANT_AGAIN {
            file.asked = now;
            want(mapping, process);
        }
        return Err(if file.state == file_state::EVICTED {
            StackEnd::Evicted
        } else {
            StackEnd::NoTable
        });
    }
    if file.python_layout != 0 {
        walk.python_layout = u64::from(file.python_layout);
        walk.python_runtime = mapping
            .start
            .wrapping_sub(mapping.offset)
            .wrapping_add(file.python_runtime);
        if let Some(space) = SPACES.get_ptr_mut(process) {
            // SAFETY: an entry of the map. Two threads may write at once: both write the same.
            unsafe {
                (*space).python_runtime = walk.python_runtime;
                (*space).python_layout = walk.python_layout;
            }
        }
    }
    let offset = address
        .wrapping_sub(mapping.start)
        .wrapping_add(mapping.offset);
    let page = (offset >> PAGE_BITS & !7).wrapping_sub(u64::from(file.first_page));
    if page >= u64::from(file.pages) {
        return Ok(BARE);
    }
    Ok(u64::from(file.directory) + page)
}

static WANTED: FileCode = FileCode::without_tables(file_state::WANTED);

#[inline(always)]
fn first_sight(key: &FileKey, now: u64) -> bool {
    if FILES.insert(key, &WANTED, 0).is_err() {
        return false;
    }
    if let Some(file) = FILES.get_ptr_mut(key) {
        // SAFETY: an entry of the map; whose time of the two is there does not matter.
        unsafe {
            (*file).used = now;
            (*file).asked = now;
        }
    }
    true
}

/// A process begins to run a program: if its tables are missing, they are asked for
/// before it has done anything.
#[inline(always)]
pub(crate) fn begins(task: Task, process: ProcessId) {
    let memory: u64 = kernel_or_zero(task.address(), config!(offsets.task_mm));
    let file: u64 = kernel_or_zero(memory, config!(offsets.mm_program));
    let key = key(file);
    if key.inode != 0 && is_unknown(&key) {
        tell(process, key, (0, 0, 0), true);
    }
}

/// A process maps code of the file behind a descriptor: user space learns what lies
/// there, and that tables are wanted if they are missing.
#[inline(always)]
pub(crate) fn maps(process: ProcessId, descriptor: u64, (start, end, offset): (u64, u64, u64)) {
    maps_file(process.0, descriptor, start, end, offset);
}

global! {
    fn maps_file(process, descriptor, start, end, offset) = tell_of_file;
}

#[inline(always)]
fn tell_of_file(process: u64, descriptor: u64, start: u64, end: u64, offset: u64) -> u64 {
    let process = ProcessId(process);
    changed(process);
    if let Some(file) = Task::current().file(descriptor) {
        let key = key(file);
        if key.inode != 0 {
            tell(process, key, (start, end, offset), is_unknown(&key));
        }
    }
    0
}

/// Whether a file was not met before; it has been now.
#[inline(always)]
fn is_unknown(key: &FileKey) -> bool {
    FILES.get_ptr(key).is_none() && first_sight(key, now())
}

#[inline(always)]
fn tell(process: ProcessId, file: FileKey, (start, end, offset): (u64, u64, u64), wanted: bool) {
    let record = CodeMapped {
        head: head(RecordType::CodeMapped, 0, process),
        file,
        start,
        end,
        offset,
        wanted: u32::from(wanted),
        reserved: 0,
    };
    if wanted {
        emit_at_once(&record, process);
    } else {
        emit(&record, process);
    }
}

/// Nanoseconds until a file whose tables are missing is asked for again: a request may have
/// been lost.
const WANT_AGAIN: u64 = 1_000_000_000;

#[inline(always)]
fn want(mapping: &mut Mapping, process: ProcessId) {
    mapping.wanted = CodeMapped {
        head: head(RecordType::CodeMapped, 0, process),
        file: mapping.key,
        start: mapping.start,
        end: mapping.end,
        offset: mapping.offset,
        wanted: 1,
        reserved: 0,
    };
    emit_at_once(&mapping.wanted, process);
}
