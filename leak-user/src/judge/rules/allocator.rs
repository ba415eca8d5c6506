//! Memory that an allocator maps: it grows for good reasons for a while (arenas, caches, a
//! collector's heap), so it takes longer until it is a leak. A mapping of a file is no heap.
//!
//! It lowers the verdict of growth, which stays the rule that decided.

use leak_common::Kind;

use super::{Rule, unjoined_threads::are_thread_stacks};
use crate::judge::Judged;
use crate::judge::evidence::named::{Named, any_called, file_name};
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

/// Beginnings of the names of the functions that load libraries.
const LOADER: &[&str] = &["_dl_map", "_dl_open"];

/// Calls an allocator's memory a suspicion at first.
#[derive(Default)]
pub(super) struct Allocator;

impl Rule for Allocator {
    fn name() -> &'static str {
        "allocator"
    }

    fn add_names(named: &Named<'_>, judged: &mut Judged) {
        let grows = judged.kind == Kind::Mapping && judged.verdict == Verdict::Leak;
        if !grows || judged.observed >= ALLOCATOR_SECONDS || are_thread_stacks(judged.kind, named) {
            return;
        }
        let Some(why) = why_it_may_grow(named, judged) else {
            return;
        };
        judged.verdict = Verdict::Suspect;
        judged.confidence *= 0.5;
        judged.waits_for = Some(format!(
            "a leak if it goes on like this for {:.0} s more: {why}",
            (ALLOCATOR_SECONDS - judged.observed).max(1.0).ceil()
        ));
    }
}

/// Why mappings may grow in number for a while in a correct program; `None` for those that are as
/// any resource.
fn why_it_may_grow(named: &Named<'_>, judged: &Judged) -> Option<&'static str> {
    let of_files = are_of_files(named);
    if !of_files && is_mapped_by_allocator(named) {
        return Some("an allocator maps it, and heaps grow at first");
    }
    match (judged.ways.is_empty(), of_files) {
        (true, _) => None,
        (false, true) => named
            .calls(LOADER)
            .then_some("libraries are loaded there, and programs load theirs at first"),
        // An allocator that is not known by name looks like this.
        (false, false) => {
            Some("many places get memory by one call, and what hands it out grows at first")
        }
    }
}

/// Whether mappings are those of files: no heap is.
fn are_of_files(named: &Named<'_>) -> bool {
    named.of_files * 2 > named.described
}

/// Whether an allocator called for the memory. Who is further out does not matter: everything in a
/// virtual machine is called by it, also what maps files.
fn is_mapped_by_allocator(named: &Named<'_>) -> bool {
    let frames = named.caller();
    any_called(frames, ALLOCATORS) || frames.iter().map(file_name).any(is_allocator)
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
