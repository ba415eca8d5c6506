//! leaktrace finds resource leaks across a whole Linux host.
//!
//! # Data flow
//!
//! ```text
//! kernel                                         user space
//! syscalls of the table ──────┐   young table    ring buffer    decode ─> ledger ─> judge ─> report ─> text | json
//! sched fork/exec/exit/free ──┼─> (pairs that ──────────────>     ^          ^
//! io_uring submit/complete ───┘   die young                       │          └ /proc: baseline, reconciliation
//!                                 cancel here)                    └ promotion of what lived long enough
//! ```
//!
//! * **Acquisitions** are taken at the end of system calls, **releases** at their beginning: when close(2) returns,
//!   another thread may own the number already. What a call does is a row of a table
//!   ([`leak_common::syscalls::TABLE`]); two programs serve all rows.
//! * **The young table** (a hash map in the kernel) takes each acquisition. A release that finds it there within the
//!   nursery's age (1 s) ends it, and nobody hears of it. [`trace`] looks through the table every 200 ms, passes
//!   what is older to the ledger, and has the kernel take it out again unless the key has been acquired anew. So the
//!   ring carries survivors and their releases, not the churn. Descriptors of sites that acquire all the time leave
//!   their entry vacant for the next of the same number: to insert and to delete would be half of their cost.
//! * **A release is silent only if user space can not know the resource**: it was acquired after the time in the map
//!   `EMIT_BEFORE`, which user space moves on before it passes on what is older, and past every reading of `/proc`.
//!   That one rule makes promotion, baseline and reconciliation free of races with the programs.
//! * **Sites travel once.** The kernel hashes process, kind and frames; the first sight of a site sends its frames,
//!   after that it only counts. A site whose record did not fit the ring is sent again.
//! * **Stacks are walked in the kernel** by tables that [`stacks::tables`] keeps in the programs' maps, built by [`stacks::unwind`] from
//!   the files that processes map. The programs find the file behind an address by themselves. Where tables come too
//!   late, [`trace`] finishes the walk from the memory that was sent. More in `docs/stacks.md`.
//! * **Loss is counted where it happens**, by cause, with the process it may have hit; that process is compared with
//!   `/proc` before it is judged, and trusted less until then. A process's promotions and the records of the ring come
//!   out of order by about a second; the ledger keeps a log of what happened meanwhile and leads late acquisitions
//!   through it.
//! * **What fails for want of something** is counted by process and error; the first of each travels with its stack, and
//!   who holds the most is read in that moment. More in `docs/failures.md`.
//!
//! # Modules
//!
//! * [`kernel`]: loads and attaches the programs, reads their maps and the ring. Alone imports aya. [`kernel::decode`]:
//!   bytes to [`event`]s.
//! * [`ledger`]: what is outstanding, per process. [`judge`]: verdicts, one rule per file.
//! * [`analysis`]: drives both, live or from a recording, and makes the report of what it is told.
//! * [`recording::format`]: the file of a recording.
//! * [`stacks::unwind`]: unwind tables from ELF files. [`stacks::tables`]: which files have them, and where.
//!   [`stacks::runtimes`]: frames and names of interpreters, a folder for each.
//! * [`stacks::symbolize`]: names for addresses, also after a process's end. [`proc`]: everything read from `/proc`, over a
//!   root path.
//! * [`recording::writer`]: writes captures beside a trace. [`recording::reader`]: reads them into a report.
//! * [`model`]: the vocabulary, and what a report says. [`output`]: where reports go, and a writer per format.
//! * [`advice::hints`]: what bug a finding usually is. [`advice::suppressions`]: findings that someone said are all right. Both are written in
//!   TOML with the frame patterns of [`advice::pattern`], and work on a finished report, where [`advice`] puts them.
//! * [`trace`]: the driver; it owns the loop, the clock and the signals. [`commands`]: the commands, one a file.
//! * [`cli`]: the command line's types.
//!
//! # Invariants
//!
//! * decode, ledger, judge, analysis, report and unwind are pure: no files, no clock, no aya, tokio or clap. Time is an argument.
//! * Every queue and table has a bound, and a counter for what did not fit.
//! * What traced processes wrote (names, paths, symbols) is untrusted: it reaches a terminal only through
//!   [`model::escape`], and nothing in it makes a parser panic, wait or take memory without bound.
//! * A tracer that dies leaves nothing behind: programs, maps and the mount of tracefs end with its descriptors.
//!
//! # Absent on purpose
//!
//! No kprobes, fentry or LSM programs (some kernels forbid them), no `bpf_get_stackid` (its collisions drop or corrupt
//! stacks), no pinned maps, no sampling: half of a pair is worse than none.

pub mod advice;
pub mod analysis;
pub mod cli;
pub mod commands;
pub mod event;
pub mod judge;
pub mod kernel;
pub mod ledger;
pub mod model;
pub mod output;
pub mod proc;
pub mod recording;
pub mod stacks;
pub mod trace;
