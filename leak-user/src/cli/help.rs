//! Longer texts of the help. Lines that begin with two spaces and `leaktrace`
//! are examples, and a test parses each of them.

pub(super) const ABOUT: &str = "Finds resource leaks across a whole Linux host";

pub(super) const LONG_ABOUT: &str = "\
Finds resource leaks across a whole Linux host: descriptors, sockets, mappings, threads, child \
processes and shared memory that were acquired and never given back, with the stack that acquired \
them. Programs need no change and no restart.";

pub(super) const TOP: &str = "\
Examples:
  The whole host for 30 seconds:
  leaktrace trace -d 30s

  A service that is running:
  leaktrace trace -p 1234

  A command from its first instruction, for a build that must not leak:
  leaktrace run --fail-on leak -- ./server --self-test

  What a change made worse:
  leaktrace diff before.json after.json

  What this machine allows:
  leaktrace doctor

Exit codes:
  0  fine
  1  error
  2  wrong usage
  3  leaks were found, or more of them (only with --fail-on)
  4  the kernel lacks something that is needed
  5  a privilege is missing";

pub(super) const TRACE: &str = "\
Without -p, --comm and --cgroup the whole system is traced. A process must match every one of these \
options that is given, and any of the values of one option. Without -d, Ctrl-C (or SIGTERM, or SIGHUP) \
ends the trace with a report; a second Ctrl-C aborts. When all processes of -p and their descendants have ended, the trace does too.

Examples:
  Everything for 30 seconds:
  leaktrace trace -d 30s

  Two processes and the descendants they will have, until Ctrl-C:
  leaktrace trace -p 1234 -p 5678

  Sockets and pipes of processes named nginx, for two minutes:
  leaktrace trace --comm nginx -k socket,pipe -d 2m

  A profile of what is outstanding, for `go tool pprof`:
  leaktrace trace -d 1m -f pprof -o leaks.pb.gz

  A service's cgroup, as JSON, into a file named by host and time:
  leaktrace trace --cgroup /sys/fs/cgroup/system.slice/web.service -d 5m -f json -o %h-%t.json

  What a process acquires and releases, as it happens, what lives for a moment too:
  leaktrace trace -p 1234 --events --all-events -f jsonl

Exit codes:
  0 fine, 1 error, 2 wrong usage, 4 the kernel lacks something, 5 a privilege is missing";

pub(super) const RUN: &str = "\
The command is traced from its first instruction, with its descendants; --comm and --cgroup narrow \
that to some of them. The trace ends with the command, or after -d: the command then goes on \
untraced, and leaktrace waits for it.

Examples:
  A test that must not leak:
  leaktrace run --fail-on leak -- ./server --self-test

  The same, but for what a file says is all right:
  leaktrace run --fail-on leak --suppressions leaktrace.toml -- ./server --self-test

  Descriptors only, and bounded pools and caches too:
  leaktrace run -k file,socket,pipe --all -- python3 job.py

Exit codes:
  that of the command (128 + signal where one ended it), unless
  1 error, 2 wrong usage, 3 leaks were found (only with --fail-on),
  4 the kernel lacks something, 5 a privilege is missing";

pub(super) const DIFF: &str = "\
A site is the same in both reports if its kind, its program's file name and the functions of its stack \
are; processes of a program are summed. It grew if its verdict is worse, or its pace by more than a \
quarter; where nothing grows, what is outstanding counts.

Examples:
  What the new version does worse than the old one:
  leaktrace diff before.json after.json

  A recording of today against one of last week:
  leaktrace diff monday.lkt today.lkt

  A build that must not leak more than the last one:
  leaktrace run -f json -o after.json -- ./server --self-test
  leaktrace diff --fail-on leak before.json after.json

  All of it, for a program:
  leaktrace diff -f json -o diff.json before.json after.json

Exit codes:
  0 fine, 1 error, 2 wrong usage, 3 something is worse (only with --fail-on)";

pub(super) const DOCTOR: &str = "\
Examples:
  leaktrace doctor
  leaktrace doctor -f json

Exit codes:
  0 tracing is possible, 4 the kernel lacks something, 5 a privilege is missing";

pub(super) const COMPLETIONS: &str = "\
Examples:
  leaktrace completions bash
  leaktrace completions zsh";

pub(super) const RECORD: &str = "\
The report comes later, from `leaktrace report FILE`, on any machine. The recording is complete at \
every moment: if it is killed or the disk is full, what was written until then can be read.

Examples:
  The whole host for ten minutes:
  leaktrace record -d 10m -o %h-%t.lkt

  A service, a file an hour, those of the last day:
  leaktrace record --comm nginx -o web-%t.lkt --rotate 1h --keep 24

  Only when something goes wrong, with what led to it:
  leaktrace record -o %h-%t.lkt --on-trigger 'nofile>80%|findings|EMFILE'

  A command, for someone else to look at:
  leaktrace record --redact -o job.lkt -- ./job --all

Exit codes:
  that of the command, unless 1 error (also: the disk is full), 2 wrong usage,
  4 the kernel lacks something, 5 a privilege is missing";

pub(super) const REPORT: &str = "\
What is damaged or missing in a file is counted as lost, and named in the report; everything else is \
used. Of a rotated recording each file can be read alone; with several, those of --from and --to are \
found among them.

Examples:
  leaktrace report job.lkt

  Two minutes of it, sockets only, as JSON:
  leaktrace report web.lkt --from 10m --to 12m -k socket -f json

  For a build that must not leak:
  leaktrace report job.lkt --fail-on leak

  What a process did, event by event:
  leaktrace report web.lkt --events -f jsonl -p 1234

Exit codes:
  0 fine, 1 error, 2 wrong usage, 3 leaks were found (only with --fail-on)";

pub(super) const VERIFY: &str = "\
Every frame of a recording carries a checksum and a link of a chain of hashes. The chain's last value, \
kept elsewhere, proves later that nothing was altered.

Examples:
  leaktrace verify web.lkt

Exit codes:
  0 whole, 1 damaged, altered or cut off";
