//! What the names of frames and of resources add to a verdict: they come after it, as
//! only what is to be shown is looked up.
//!
//! * Memory that an allocator maps grows for good reasons for a while (arenas, caches, a
//!   collector's heap): it takes longer until it is a leak.
//! * Stacks of threads that ended stay mapped if nobody joins them.
//! * A pipe or a pair of sockets of which one end is closed is of no use any more.
//! * Deleted files that are held open keep their disk space.

use super::Judged;
use crate::model::report::{Frame, Verdict};
use leak_common::Kind;

/// Growth of an allocator's memory is a leak after so many seconds of it.
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

/// Beginnings of the names of functions that map a thread's stack.
const THREAD_STACKS: &[&str] = &["pthread_create", "__pthread_create", "allocate_stack"];

/// What is known of a finding by names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Named<'a> {
    /// Innermost first.
    pub stack: &'a [Frame],
    /// Of the examples, how many are known, and how many are deleted files.
    pub described: usize,
    pub deleted: usize,
    /// Pipes and pairs of sockets whose other end is closed.
    pub half_closed: usize,
    /// Threads that the process has.
    pub threads: u64,
}

/// Adds what names say to a verdict.
pub fn weigh(judged: &mut Judged, named: &Named<'_>) {
    match judged.kind {
        Kind::Mapping if has(named.stack, THREAD_STACKS) => unjoined(judged, named.threads),
        Kind::Mapping if is_allocator(named.stack) => allocator(judged),
        Kind::File => deleted(judged, named),
        Kind::Pipe | Kind::Socket => half_closed(judged, named),
        _ => {}
    }
}

fn has(stack: &[Frame], names: &[&str]) -> bool {
    stack
        .iter()
        .any(|frame| names.iter().any(|name| frame.symbol.starts_with(name)))
}

fn is_allocator(stack: &[Frame]) -> bool {
    let file = |frame: &Frame| {
        let name = frame.module.rsplit('/').next().unwrap_or_default();
        ALLOCATOR_FILES
            .iter()
            .any(|file| match file.contains('.') || file.starts_with("lib") {
                true => name.starts_with(file),
                false => name == *file,
            })
    };
    has(stack, ALLOCATORS) || stack.iter().any(file)
}

fn unjoined(judged: &mut Judged, threads: u64) {
    if judged.verdict == Verdict::Steady || judged.outstanding <= threads {
        return;
    }
    judged.rule = "unjoined-threads";
    judged.evidence.push(format!(
        "{} stacks of threads are mapped, and the process has {threads} threads: those of the others \
         ended and were neither joined nor detached",
        judged.outstanding
    ));
}

fn allocator(judged: &mut Judged) {
    if judged.verdict == Verdict::Leak && judged.observed < ALLOCATOR_SECONDS {
        judged.verdict = Verdict::Suspect;
        judged.confidence *= 0.5;
        judged.waits_for = Some(format!(
            "a leak if it goes on like this for {:.0} s more: an allocator maps it, and heaps grow at \
             first",
            (ALLOCATOR_SECONDS - judged.observed).max(1.0).ceil()
        ));
    }
}

fn deleted(judged: &mut Judged, named: &Named<'_>) {
    if named.deleted == 0 {
        return;
    }
    if judged.verdict != Verdict::Steady && named.deleted * 2 > named.described {
        judged.rule = "deleted-files";
    }
    judged.evidence.push(format!(
        "{} of {} that were looked at are deleted files: their space on disk comes back when they are \
         closed",
        named.deleted, named.described
    ));
}

fn half_closed(judged: &mut Judged, named: &Named<'_>) {
    if named.half_closed == 0 {
        return;
    }
    if judged.verdict != Verdict::Steady && named.half_closed * 2 > named.described {
        judged.rule = "half-closed";
    }
    judged.evidence.push(format!(
        "of {} of {} that were looked at, the other end is closed: nothing can come through them any \
         more",
        named.half_closed, named.described
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::SiteKey;
    use leak_common::ProcessId;

    fn judged(kind: Kind, observed: f64) -> Judged {
        Judged {
            key: SiteKey::Unknown(ProcessId::new(7, 70), kind),
            process: ProcessId::new(7, 70),
            kind,
            verdict: Verdict::Leak,
            confidence: 0.9,
            acquired: 90,
            released: 0,
            outstanding: 90,
            bytes: 0,
            growth_per_second: 5.0,
            oldest_age: observed,
            observed,
            rule: "growth",
            evidence: Vec::new(),
            waits_for: None,
            history: Vec::new(),
            samples: Vec::new(),
            exited: None,
            ways: Vec::new(),
        }
    }

    fn stack(symbols: &[&str]) -> Vec<Frame> {
        let frame = |symbol: &&str| Frame {
            symbol: (*symbol).to_owned(),
            ..Frame::default()
        };
        symbols.iter().map(frame).collect()
    }

    fn weighed(kind: Kind, observed: f64, named: &Named<'_>) -> Judged {
        let mut judged = judged(kind, observed);
        weigh(&mut judged, named);
        judged
    }

    #[test]
    fn an_allocators_memory_is_a_leak_only_after_a_while() {
        let stack = stack(&["mmap", "sysmalloc", "malloc", "grow", "main"]);
        let named = Named {
            stack: &stack,
            ..Named::default()
        };
        let young = weighed(Kind::Mapping, 20.0, &named);
        assert_eq!(young.verdict, Verdict::Suspect);
        assert!(young.waits_for.is_some());
        assert_eq!(weighed(Kind::Mapping, 150.0, &named).verdict, Verdict::Leak);
        assert_eq!(weighed(Kind::File, 20.0, &named).verdict, Verdict::Leak);
    }

    #[test]
    fn memory_that_a_program_maps_itself_is_as_any_resource() {
        let stack = stack(&["mmap", "load_tile", "main"]);
        let named = Named {
            stack: &stack,
            ..Named::default()
        };
        assert_eq!(weighed(Kind::Mapping, 20.0, &named).verdict, Verdict::Leak);
    }

    #[test]
    fn stacks_without_threads_are_those_of_threads_not_joined() {
        let stack = stack(&["mmap", "pthread_create@@GLIBC_2.34", "main"]);
        let named = Named {
            stack: &stack,
            threads: 3,
            ..Named::default()
        };
        assert_eq!(
            weighed(Kind::Mapping, 20.0, &named).rule,
            "unjoined-threads"
        );
        let named = Named {
            threads: 91,
            ..named
        };
        assert_eq!(weighed(Kind::Mapping, 20.0, &named).rule, "growth");
    }

    #[test]
    fn ends_without_another_end_are_told() {
        let named = Named {
            described: 5,
            half_closed: 5,
            ..Named::default()
        };
        let judged = weighed(Kind::Pipe, 20.0, &named);
        assert_eq!(judged.rule, "half-closed");
        assert_eq!(weighed(Kind::Epoll, 20.0, &named).rule, "growth");
    }

    #[test]
    fn deleted_files_are_told() {
        let named = Named {
            described: 5,
            deleted: 4,
            ..Named::default()
        };
        let judged = weighed(Kind::File, 20.0, &named);
        assert_eq!(judged.rule, "deleted-files");
        assert!(judged.evidence[0].starts_with("4 of 5"));
    }
}
