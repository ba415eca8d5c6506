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
//! * **Acquisitions are taken at the end of system calls, releases at their beginning.** When close(2) returns, another
//!   thread may already own the number. What a call does is a row of a table ([`leak_common::syscalls::TABLE`]); two
//!   programs serve all rows.
//! * **The young table** (a hash map in the kernel) takes each acquisition. A release within the nursery's age (1 s) finds
//!   it there and ends it in silence. Every 200 ms [`trace`] reads the table, passes what is older to the ledger, and has
//!   the kernel delete those entries, unless their key was acquired anew meanwhile. So the ring carries survivors and
//!   their releases, not the churn. A site that acquires all the time leaves its entries vacant for the next resource of
//!   the same number: inserting and deleting would be half of the cost.
//! * **A release is silent only if user space cannot know the resource**: it was acquired after the time in the map
//!   `EMIT_BEFORE`. User space moves that time forward before it passes on what is older, and past each reading of
//!   `/proc`. This one rule keeps promotion, baseline and reconciliation free of races with the programs.
//! * **Sites travel once.** The kernel hashes process, kind and frames. The first sight of a site sends its frames; after
//!   that it is only counted. A site whose record did not fit the ring is sent again.
//! * **Stacks are walked in the kernel**, by tables that [`stacks::tables`] keeps in the programs' maps and
//!   [`stacks::unwind`] builds from the files that processes map. The programs find the file behind an address by
//!   themselves. Where a table comes too late, [`trace`] finishes the walk from a copy of the stack. See `docs/stacks.md`.
//! * **Loss is counted where it happens**, by cause, with the process that it may have hit. That process is compared with
//!   `/proc` before it is judged, and its findings are less sure. Promotions and the records of the ring arrive out of
//!   order by about a second; the ledger keeps a log of that time and applies it to late acquisitions.
//! * **A refused call** is counted by process and error. The first of each travels with its stack, and who holds the most
//!   is read at that moment. See `docs/failures.md`.
//!
//! # Rooms
//!
//! A room is a module. Which room may import which is a table, and `cargo xtask lint` holds the code to it. Start reading
//! at the file that is named.
//!
//! | room | what it is for | start at |
//! |---|---|---|
//! | [`model`] | the vocabulary: report, finding, verdict, limit, site, times, address ranges | `model/report.rs` |
//! | [`event`] | what the programs tell: events, refused calls, notices on stacks | `event/mod.rs` |
//! | [`kernel`] | loads and attaches the programs, reads their maps and the ring; alone imports aya | `kernel/mod.rs` |
//! | [`kernel::decode`] | bytes of the ring to messages | `kernel/decode/mod.rs` |
//! | [`ledger`] | what each process holds, by site | `ledger/mod.rs` |
//! | [`judge`] | verdicts: a rule is a file and a line in a list | `judge/rules/mod.rs` |
//! | [`analysis`] | drives both, live or from a recording, and makes the report of what it was told | `analysis/input.rs` |
//! | [`trace`] | the driver: owns the loop, the clock and the signals; its parts tell what they learn through one outlet | `trace/engine/mod.rs` |
//! | [`stacks`] | registers to names: unwind tables, frames of language runtimes, symbols | `stacks/tables/mod.rs` |
//! | [`proc`] | everything that is read from `/proc`, over a root path | `proc/mod.rs` |
//! | [`recording`] | the file of a recording, what writes it and what reads it | `recording/mod.rs` |
//! | [`output`] | where reports and events go; a format is a folder and a line in a list | `output/formats/mod.rs` |
//! | [`advice`] | hints and suppressions, put on a finished report | `advice/mod.rs` |
//! | [`commands`] | the commands, one a file, put together from the other rooms | `commands/trace.rs` |
//! | [`cli`] | the command line, turned into values of the other rooms | `cli/mod.rs` |
//!
//! How to add a system call, a kind of resource, a rule, a format or a runtime: `docs/extending.md`. The words are
//! explained in `docs/terms.md`.
//!
//! # Invariants
//!
//! * [`model`], [`event`], [`kernel::decode`], [`ledger`], [`judge`], [`analysis`], [`recording::format`],
//!   [`output::formats`], [`stacks::unwind`] and the parts of [`advice`] are pure: no files, no clock, no threads, no
//!   system calls. Time is an argument. So a recording gives the report that the trace gave.
//! * [`kernel`] alone imports aya; the outlet of [`trace`] alone changes the analysis of a running trace.
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
