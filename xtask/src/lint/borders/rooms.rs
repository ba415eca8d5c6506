//! The rooms of leak-user, and their borders: the one place that says which room may import which, and what of the
//! outside a room must not touch.
//!
//! To let a room import another, add the other to its `imports`; it has to stand above, so that there are no circles. A
//! directory that gets a second subject becomes a room of its own by a line here.

/// A room: a module of leak-user with everything below it that is no room itself.
#[derive(Debug)]
pub(super) struct Room {
    /// Its path, as that of the directory below `leak-user/src`.
    pub(super) name: &'static str,
    /// The rooms that it may import, besides itself. `leak_common` is open to all.
    pub(super) imports: &'static [&'static str],
    /// Why not more: what the message says.
    pub(super) why: &'static str,
    /// What of the outside it must not mention.
    pub(super) bans: &'static [Ban],
}

/// Names of the outside that some rooms must not mention.
#[derive(Debug)]
pub(super) struct Ban {
    /// Modules, items or macros, with all that is below them; a star at the end stands for any further letters.
    pub(super) paths: &'static [&'static str],
    pub(super) why: &'static str,
}

const FILES: Ban = Ban {
    paths: &[
        "std::fs",
        "std::net",
        "std::process",
        "std::env",
        "std::os::fd",
        "std::os::unix::fs",
        "std::os::unix::net",
        "std::os::unix::process",
        // Methods such as `exists` read files, and calls of methods cannot be seen here.
        "std::path",
        "blazesym",
        "procfs",
        "tempfile",
    ],
    why: "a pure room reaches no files, processes or networks: live and from a recording the same code runs on the same input",
};

const CLOCKS: Ban = Ban {
    paths: &[
        "std::time::Instant",
        "std::time::SystemTime",
        "time::OffsetDateTime::now*",
        "time::UtcDateTime::now*",
    ],
    why: "a pure room has no clock: time is an argument, and a recording is judged by its own",
};

const STREAMS: Ban = Ban {
    paths: &[
        "std::io::stdin",
        "std::io::stdout",
        "std::io::stderr",
        "print!",
        "println!",
        "eprint!",
        "eprintln!",
        "std::print*",
        "std::eprint*",
    ],
    why: "a pure room returns what it has to say: who calls it knows where that goes",
};

const THREADS: Ban = Ban {
    paths: &[
        "std::thread",
        "std::sync::atomic",
        "std::sync::mpsc",
        "std::sync::Barrier",
        "std::sync::Condvar",
        "std::sync::Mutex",
        "std::sync::RwLock",
        "std::thread_local!",
        "thread_local!",
        "tokio",
    ],
    why: "a pure room has neither threads nor tasks: the same input gives the same result",
};

const SYSTEM_CALLS: Ban = Ban {
    paths: &["libc"],
    why: "a pure room makes no system calls",
};

const AYA: Ban = Ban {
    paths: &["aya", "aya_log", "aya_obj"],
    why: "`kernel` alone loads programs and reads their maps",
};

const CLAP: Ban = Ban {
    paths: &["clap", "clap_complete"],
    why: "`cli` alone knows the command line; others get values",
};

/// For rooms that work on what they are given.
const PURE: &[Ban] = &[FILES, CLOCKS, STREAMS, THREADS, SYSTEM_CALLS, AYA, CLAP];

/// For rooms that deal with the machine.
const WORLDLY: &[Ban] = &[AYA, CLAP];

const fn room(
    name: &'static str,
    imports: &'static [&'static str],
    bans: &'static [Ban],
    why: &'static str,
) -> Room {
    Room {
        name,
        imports,
        why,
        bans,
    }
}

/// Every room, those below before those that build on them: a room imports only rooms above it in this list.
#[rustfmt::skip]
pub(super) const ROOMS: &[Room] = &[
    // Words.
    room("model", &[], PURE,
        "the vocabulary: all use it, it uses none"),
    room("event", &["model"], PURE,
        "what the programs tell, in words of the model"),

    // From bytes to verdicts.
    room("kernel/decode", &["model", "event"], PURE,
        "bytes become messages, wherever they come from"),
    room("ledger", &["model", "event"], PURE,
        "it counts what events say, whatever is concluded from that"),
    room("judge", &["model", "event", "ledger"], PURE,
        "it judges what the ledger holds, wherever that comes from"),
    room("analysis", &["model", "event", "ledger", "judge"], PURE,
        "it is told everything, live or from a recording"),

    // Recordings and reports.
    room("recording/format", &["model", "event", "ledger", "judge", "analysis"], PURE,
        "the file's format holds what an analysis is told, whatever writes or reads it"),
    room("recording/reader", &["model", "event", "analysis", "recording/format"], WORLDLY,
        "a recording is read without the machine that it was made on"),
    room("recording/writer", &["model", "event", "analysis", "recording/format"], WORLDLY,
        "it writes what it is told beside a trace, and does not know who traces"),
    room("recording", &[], WORLDLY,
        "it has rooms and nothing of its own"),
    room("output/formats", &["model", "event"], PURE,
        "a format turns a report into bytes, wherever they go"),
    room("output", &["model", "event", "recording/reader", "output/formats"], WORLDLY,
        "it brings reports and events to their places, and does not make them"),
    room("advice/pattern", &["model"], PURE,
        "patterns are held against the frames of a report"),
    room("advice/hints", &["model", "advice/pattern"], PURE,
        "hints work on a finished report"),
    room("advice/suppressions", &["model", "advice/pattern"], PURE,
        "suppressions work on a finished report"),
    room("advice", &["model", "analysis", "advice/hints", "advice/suppressions"], WORLDLY,
        "advice works on a finished report"),

    // The machine.
    room("proc", &["model", "event"], WORLDLY,
        "it reads /proc, whatever that is needed for"),
    room("kernel", &["model", "event", "kernel/decode"], &[CLAP],
        "it has the programs and their maps; what messages mean is decided elsewhere"),

    // Stacks.
    room("stacks", &["model", "event"], PURE,
        "where code is mapped, for the rooms below it"),
    room("stacks/unwind", &["model", "event"], PURE,
        "tables are made of the bytes of a file, however they were read"),
    room("stacks/runtimes", &["model", "proc"], WORLDLY,
        "it knows the memory of interpreters, and nothing of who asks for it"),
    room("stacks/tables", &["model", "event", "proc", "kernel", "stacks", "stacks/unwind", "stacks/runtimes"], WORLDLY,
        "it keeps tables in the programs' maps, and does not judge what they are for"),
    room("stacks/symbolize", &["model", "event", "proc", "stacks"], WORLDLY,
        "addresses become names, live and afterwards"),

    // Who drives.
    room("trace", &[
            "model", "event", "kernel/decode", "ledger", "judge", "analysis", "recording/writer", "output", "proc",
            "kernel", "stacks", "stacks/unwind", "stacks/runtimes", "stacks/tables", "stacks/symbolize",
        ], WORLDLY,
        "the driver owns the loop, the clock and the signals; commands and advice come after it"),
    room("cli", &["model", "recording/writer", "output/formats", "output", "advice"], &[AYA],
        "it turns words of the command line into values of other rooms: none of them knows it"),
    room("commands", &[
            "model", "event", "recording/format", "recording/reader", "recording/writer", "output/formats", "output",
            "advice", "proc", "kernel", "stacks/tables", "trace", "cli",
        ], &[AYA],
        "a command puts together what others can do"),
    room("lib", &[], WORLDLY,
        "it has rooms and nothing of its own"),
    room("main", &["cli", "kernel", "commands"], WORLDLY,
        "it starts a command and turns its errors into exit codes"),
];
