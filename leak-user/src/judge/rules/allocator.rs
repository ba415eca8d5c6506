//! Memory that an allocator maps: it grows for good reasons for a while (arenas, caches, a
//! collector's heap), so it takes longer until it is a leak.
//!
//! It lowers the verdict of growth, which stays the rule that decided.

use leak_common::Kind;

use super::{Rule, unjoined_threads::are_thread_stacks};
use crate::judge::Judged;
use crate::judge::evidence::named::Named;
use crate::model::report::Verdict;

/// Growth of an allocator's memory is a leak after this many seconds of it.
const ALLOCATOR_SECONDS: f64 = 100.0;

/// Beginnings of the names of functions that allocators map memory in.
const ALLOCATORS: &[&str] = &[
    "malloc",
    "calloc",
    "realloc",
    "__libc_malloc",
    "__libc_calloc",
    "__libc_realloc",
    "_int_malloc",
    "sysmalloc",
    "new_heap",
    "arena_get",
    "posix_memalign",
    "aligned_alloc",
    "je_",
    "mi_",
    "tc_",
    "_mi_",
    "v8::",
    "node::",
    "os::",
    "runtime.mmap",
    "runtime.sysAlloc",
    "runtime.sysReserve",
    "_PyObject_Arena",
    "_PyMem_",
    "PyObject_Malloc",
    "zend_mm_",
];

/// Beginnings of the names of files that are allocators, or bring their own.
const ALLOCATOR_FILES: &[&str] = &[
    "libjvm.so",
    "libjemalloc",
    "libtcmalloc",
    "libmimalloc",
    "libv8",
    "libnode",
    "node",
    "libcoreclr.so",
    "libruby",
];

/// Calls an allocator's memory a suspicion at first.
#[derive(Default)]
pub(super) struct Allocator;

impl Rule for Allocator {
    fn name() -> &'static str {
        "allocator"
    }

    fn add_names(named: &Named<'_>, judged: &mut Judged) {
        let fits = judged.kind == Kind::Mapping
            && !are_thread_stacks(judged.kind, named)
            && (named.calls(ALLOCATORS) || named.files().any(is_allocator));
        if !fits || judged.verdict != Verdict::Leak || judged.observed >= ALLOCATOR_SECONDS {
            return;
        }
        judged.verdict = Verdict::Suspect;
        judged.confidence *= 0.5;
        judged.waits_for = Some(format!(
            "a leak if it goes on like this for {:.0} s more: an allocator maps it, and heaps grow at \
             first",
            (ALLOCATOR_SECONDS - judged.observed).max(1.0).ceil()
        ));
    }
}

/// Whether the file of this name is an allocator, or brings its own. Names of libraries may
/// go on with a version, those of programs are whole.
fn is_allocator(name: &str) -> bool {
    ALLOCATOR_FILES
        .iter()
        .any(|file| match file.contains('.') || file.starts_with("lib") {
            true => name.starts_with(file),
            false => name == *file,
        })
}
