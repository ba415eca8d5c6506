//! Frames of CPython: a list in the process's memory. The process stands still while it is read,
//! since it is in the system call. Offsets come from user space, which knows the version.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, macros::map, maps::LruHashMap};
use leak_common::{
    config::ABSENT,
    identity::with_python_frame,
    limits::MAX_PYTHON_FRAMES,
    unwind::{PythonFrame, PythonLayout},
};

use super::{Scratch, StackScratch};
use crate::{
    config::config,
    entries::Entries,
    maps::PYTHON_LAYOUTS,
    memory::{copy_from_user, kernel_or_zero, user},
    task::Task,
    verifier::{forget, global, opaque},
};

/// Where the walk is.
#[repr(C)]
pub(super) struct Interpreter {
    thread: u64,
    frame: u64,
    left: u64,
    hash: u64,
    /// The beginning of a frame.
    words: [u64; FRAME_WORDS],
}

/// Words of a frame's beginning that are kept: the fields that are read lie in them. A power of
/// two.
const FRAME_WORDS: usize = 16;
/// Bytes of a frame that are read: all that the layouts name.
const FRAME_BYTES: u32 = PythonLayout::FRAME_BYTES;
const _: () = assert!(FRAME_BYTES as usize <= FRAME_WORDS * 8);

/// Threads that are looked through for the current one.
const MAX_THREADS: u32 = 128;

/// The interpreter's state of a thread.
#[map]
static PYTHON_THREADS: LruHashMap<u64, u64> = LruHashMap::with_max_entries(4096, 0);

/// A word of the process's memory, 0 where it cannot be read.
#[inline(always)]
fn word(address: u64) -> u64 {
    user(address).unwrap_or(0)
}

global! {
    fn walk_interpreter(slot) = walk;
}

/// Adds the current thread's frames to the stack in a slot of the scratch, if its
/// process has an interpreter that is known. Returns 0.
#[inline(always)]
fn walk(slot: u64) -> u64 {
    if let Some(scratch) = Scratch::of(slot) {
        add(scratch);
    }
    0
}

#[inline(always)]
fn add(scratch: &mut Scratch) {
    let Scratch {
        stack,
        interpreted,
        walk: StackScratch { walk, python, .. },
        ..
    } = scratch;
    let number = walk.python_layout;
    let Some(layout) = PYTHON_LAYOUTS.get(number as u32) else {
        return;
    };
    if !find_thread(python, layout, walk.python_runtime) {
        return;
    }
    python.hash = stack.hash;
    let mut taken = 0;
    while taken < MAX_PYTHON_FRAMES {
        let frame = python.frame;
        if frame == 0 {
            break;
        }
        // SAFETY: fewer bytes than the words have.
        if unsafe { copy_from_user(python.words.as_mut_ptr(), FRAME_BYTES, frame) }.is_err() {
            break;
        }
        let word = |offset: u32| {
            python.words[(opaque(u64::from(offset) >> 3) & (FRAME_WORDS as u64 - 1)) as usize]
        };
        let code = word(layout.frame_code);
        let previous = word(layout.frame_previous);
        let mut place = word(layout.frame_instruction);
        if layout.lasti != 0 {
            place = place >> (u64::from(layout.frame_instruction & 4) * 8) & 0xffff_ffff;
        }
        let mut entry = 1;
        if layout.frame_entry != ABSENT {
            let byte = word(layout.frame_entry) >> (u64::from(layout.frame_entry & 7) * 8) & 0xff;
            entry = u64::from(byte == u64::from(layout.frame_entry_value));
        }
        place = place & !PythonFrame::ENTRY | entry << 63;
        let taken_frame = PythonFrame { code, place };
        interpreted.rest[taken] = taken_frame;
        taken += 1;
        let hash = with_python_frame(python.hash, taken_frame);
        forget(&mut python.hash, hash);
        forget(&mut python.frame, previous);
    }
    stack.python_frames = taken as u64;
    stack.python_layout = number;
    stack.hash = python.hash;
}

/// The innermost frame of a thread's state, 0 where it runs nothing.
#[inline(always)]
fn first_frame(layout: &PythonLayout, thread: u64) -> u64 {
    let frame = word(thread.wrapping_add(u64::from(layout.thread_frame)));
    if layout.cframe_frame == ABSENT {
        return frame;
    }
    word(frame.wrapping_add(u64::from(layout.cframe_frame)))
}

/// Finds the interpreter's state of the current thread, and its innermost frame. The thread is known by its
/// thread pointer, which is what CPython keeps as `pthread_self()`.
#[inline(always)]
fn find_thread(python: &mut Interpreter, layout: &PythonLayout, runtime: u64) -> bool {
    let pointer: u64 = kernel_or_zero(
        Task::current().address(),
        config!(offsets.task_thread_pointer),
    );
    if pointer == 0 {
        return false;
    }
    let id = u64::from(layout.thread_id);
    let tid = bpf_get_current_pid_tgid();
    if let Some(known) = PYTHON_THREADS.copy(tid) {
        python.frame = first_frame(layout, known);
        if python.frame != 0 && word(known.wrapping_add(id)) == pointer {
            return true;
        }
    }
    let interpreter = word(runtime.wrapping_add(u64::from(layout.runtime_interpreters)));
    python.thread = word(interpreter.wrapping_add(u64::from(layout.interpreter_threads)));
    python.left = interpreter;
    let mut tries = 0;
    while tries < MAX_THREADS {
        let thread = python.thread;
        if thread == 0 {
            // The next interpreter of the process.
            let next = word(python.left.wrapping_add(u64::from(layout.interpreter_next)));
            if next == 0 {
                return false;
            }
            forget(&mut python.left, next);
            let first = word(next.wrapping_add(u64::from(layout.interpreter_threads)));
            forget(&mut python.thread, first);
        } else {
            if word(thread.wrapping_add(id)) == pointer {
                // A thread has a state in each interpreter that it ever ran; where
                // it does not run, there is no frame.
                python.frame = first_frame(layout, thread);
                if python.frame != 0 {
                    let _ = PYTHON_THREADS.insert(tid, thread, 0);
                    return true;
                }
            }
            let next = word(thread.wrapping_add(u64::from(layout.thread_next)));
            forget(&mut python.thread, next);
        }
        tries += 1;
    }
    false
}
