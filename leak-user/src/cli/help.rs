//! Longer texts of the help. Lines that begin with two spaces and `leaktrace`
//! are examples, and a test parses each of them.
//!
//! Options that a first use needs stand under "Options"; the others have the headings below.

pub(super) const REPORTS: &str = "What the report shows";
pub(super) const EVENTS: &str = "Recording and single events";
pub(super) const RECORDINGS: &str = "What is recorded";
pub(super) const COST: &str = "Precision and cost";
pub(super) const MESSAGES: &str = "Messages";

pub(super) const ABOUT: &str = "Finds resource leaks across a whole Linux host";

pub(super) const LONG_ABOUT: &str = "\
Finds resource leaks across a whole Linux host: descriptors, sockets, mappings, threads, child \
processes and shared memory that were acquired and never released, with the stack that acquired \
them. Programs need no change and no restart.";

pub(super) const TOP_SHORT: &str = "\
What leaks on this host? As root:
  leaktrace trace -d 1m

More examples and the exit codes: leaktrace --help";

pub(super) const TOP: &str = "\
Examples:
  What leaks on this host? Trace all of it for a minute, as root:
  leaktrace trace -d 1m

  What leaks in a running service?
  leaktrace trace -d 1m -p 1234

  Does a test leak? Trace it from its first instruction:
  leaktrace run --fail-on leak -- ./server --self-test

  What did a change make worse?
  leaktrace diff before.json after.json

  Can this machine trace, and what is missing?
  leaktrace doctor

Exit codes:
  0  success
  1  error
  2  wrong usage
  3  leaks were found, or more of them (only with --fail-on)
  4  the kernel lacks something that is needed
  5  a privilege is missing";

pub(super) const TRACE_SHORT: &str = "\
What leaks on this host?
  leaktrace trace -d 1m

More examples: leaktrace trace --help";

pub(super) const TRACE: &str = "\
A process is traced if it matches every one of -p, --comm and --cgroup that is given; of several \
values of one option, one is enough. Ctrl-C (or SIGTERM, or SIGHUP) ends the trace with a report; a \
second Ctrl-C aborts without one. With -p, the trace also ends when these processes and their \
descendants have exited.

Examples:
  The whole host for a minute; after 20 seconds fast leaks are found, after a minute slow ones:
  leaktrace trace -d 1m

  Two processes and the descendants they start from now on, until Ctrl-C:
  leaktrace trace -p 1234 -p 5678

  Sockets and pipes of processes named nginx, for two minutes:
  leaktrace trace --comm nginx -k socket,pipe -d 2m

  The report as a page with charts, for a browser:
  leaktrace trace -d 5m -f html -o report.html

  A profile of outstanding resources, for `go tool pprof`:
  leaktrace trace -d 1m -f pprof -o leaks.pb.gz

  A service by its cgroup, as JSON, into a file named by host and time:
  leaktrace trace --cgroup /sys/fs/cgroup/system.slice/web.service -d 5m -f json -o %h-%t.json

  Every acquisition and release of a process, as it happens:
  leaktrace trace -p 1234 --events --all-events -f jsonl

Exit codes:
  0 success, 1 error, or no process matched (see --allow-empty), 2 wrong usage,
  4 the kernel lacks something, 5 a privilege is missing";

pub(super) const RUN: &str = "\
--comm and --cgroup restrict the trace to some of the command's processes. --limit takes as, core, cpu, \
data, fsize, memlock, msgqueue, nofile, nproc and stack, as setrlimit(2) has them; root has no nproc. The trace ends when the \
command exits, or after -d; then the command runs on untraced, and leaktrace waits for it.

Examples:
  A test that must not leak:
  leaktrace run --fail-on leak -- ./server --self-test

  The same in a build: notes at the lines of a pull request, and test results:
  leaktrace run --fail-on leak --ci github -f junit -o leaks.xml -- ./server --self-test

  The same, without the findings that a file names as reviewed:
  leaktrace run --fail-on leak --suppressions leaktrace.toml -- ./server --self-test

  Which line runs into a low limit first?
  leaktrace run --limit nofile=256,as=2G -- ./server --self-test

  Only files, sockets and pipes; pools and caches that do not grow too:
  leaktrace run -k file,socket,pipe --all -- python3 job.py

Exit codes:
  that of the command (128 + the signal's number if a signal ended it), except:
  1 error, 2 wrong usage, 3 leaks were found (only with --fail-on),
  4 the kernel lacks something, 5 a privilege is missing";

pub(super) const DIFF: &str = "\
A site is the same in both reports if its kind, its program's file name and the functions of its stack \
are the same; all processes of a program are summed. A site grew if its verdict is worse or it grows \
faster by more than a quarter; if it grows in neither report, the number outstanding is compared.

Examples:
  What does the new version do worse than the old one?
  leaktrace diff before.json after.json

  Today's recording against Monday's:
  leaktrace diff monday.lkt today.lkt

  A build must not leak more than the one before:
  leaktrace run -f json -o after.json -- ./server --self-test
  leaktrace diff --fail-on leak before.json after.json

  All sites, for a program to read:
  leaktrace diff -f json -o diff.json before.json after.json

Exit codes:
  0 success, 1 error, 2 wrong usage, 3 something is worse (only with --fail-on)";

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

pub(super) const MAN: &str = "\
Examples:
  leaktrace man /usr/local/share/man/man1";

pub(super) const RECORD: &str = "\
`leaktrace report FILE` makes the report later, on any machine. If the recorder is killed or the disk \
is full, everything written so far can be read.

Examples:
  The whole host for ten minutes:
  leaktrace record -d 10m -o %h-%t.lkt

  A service, one file per hour, the last 24 files kept:
  leaktrace record --comm nginx -o web-%t.lkt --rotate 1h --keep 24

  Only when something goes wrong, with the time before it:
  leaktrace record -o %h-%t.lkt --on-trigger 'nofile>80%|findings|EMFILE'

  A command, for someone else to look at:
  leaktrace record --redact -o job.lkt -- ./job --all

Exit codes:
  0 success, or that of the command; 1 error (a full disk too), 2 wrong usage,
  4 the kernel lacks something, 5 a privilege is missing";

pub(super) const REPORT: &str = "\
Damaged or missing parts of a recording are counted as lost and named in the report; everything else \
is used. Each file of a rotated recording can be read alone; of several, leaktrace finds the one that \
--from and --to need.

Examples:
  leaktrace report job.lkt

  Two minutes of a recording, sockets only, as JSON:
  leaktrace report web.lkt --from 10m --to 12m -k socket -f json

  Exit with code 3 if something leaked:
  leaktrace report job.lkt --fail-on leak

  Every event of a process:
  leaktrace report web.lkt --events -f jsonl -p 1234

Exit codes:
  0 success, 1 error, 2 wrong usage, 3 leaks were found (only with --fail-on)";

pub(super) const VERIFY: &str = "\
Each frame of a recording has a checksum and a link in a chain of hashes. Keep the chain's last value, \
which `record` prints, in another place: it proves later that nothing was altered.

Examples:
  leaktrace verify web.lkt

Exit codes:
  0 complete and unaltered, 1 damaged, altered or cut off";
