//! The first failure because something ran out: of whom, where, how often, and who has
//! the most of it. Twins that run into no limit have none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::report::Failure;
use harness::{
    BRIEF_NURSERY, Report, Tracer, Victim, be_taken_over, beside_others, eventually, grow_old,
};

/// How often a victim fails.
const TIMES: u64 = 7;

/// What came of a victim that ran into a limit.
struct Ran {
    report: Report,
    pid: u32,
    /// How many it got before.
    held: u64,
}

impl Ran {
    /// The process's only failure.
    fn failure(&self) -> &Failure {
        match self.report.failures_of(self.pid).as_slice() {
            [failure] => failure,
            other => panic!("{} failures{}", other.len(), self.report.excerpt(self.pid)),
        }
    }
}

/// Traces with these options while a victim fails in a way.
fn fail_with(options: &[&str], way: &str, prepare: impl FnOnce(&Victim)) -> Ran {
    let mut victim = Victim::start("failing", &[way, &TIMES.to_string()]);
    prepare(&victim);
    // A process alone, so that nothing else keeps the tracer busy.
    let pid = victim.pid().to_string();
    let own = if options.contains(&"-p") {
        &[][..]
    } else {
        &["-p", &pid]
    };
    let tracer = Tracer::start(&[options, own, &BRIEF_NURSERY[..]].concat());
    victim.tell();
    let held = victim.expect("held").parse().unwrap();
    grow_old();
    Ran {
        report: tracer.stop(),
        pid: victim.pid(),
        held,
    }
}

fn fail(way: &str) -> Ran {
    let _turn = beside_others();
    fail_with(&[], way, |_| {})
}

/// Asserts what a failure is said to be, and returns it.
fn assert_failure<'r>(ran: &'r Ran, error: &str, calls: &[&str], function: &str) -> &'r Failure {
    let failure = ran.failure();
    let excerpt = ran.report.excerpt(ran.pid);
    assert_eq!(failure.error, error, "{excerpt}");
    assert!(calls.contains(&failure.call.as_str()), "{excerpt}");
    assert_eq!(failure.count, TIMES, "{excerpt}");
    assert!(
        failure.stack.iter().any(|frame| frame.symbol == function),
        "{excerpt}"
    );
    let outermost = failure.stack.last().map(|frame| frame.symbol.as_str());
    assert_eq!(outermost, Some("_start"), "{excerpt}");
    assert_eq!(failure.comm, "failing", "{excerpt}");
    assert!(failure.after_seconds >= 0.0 && failure.after_seconds <= ran.report.window.seconds);
    failure
}

/// Asserts that a full table of descriptors is told with what fills it.
fn assert_full(way: &str, call: &str, function: &str, kind: &str, limit: u64) {
    let ran = fail(way);
    let failure = assert_failure(&ran, "EMFILE", &[call], function);
    let meaning = format!("limit of {limit} open descriptors (RLIMIT_NOFILE)");
    assert!(failure.meaning.contains(&meaning), "{failure:?}");
    let all: u64 = failure.holders.iter().map(|holder| holder.count).sum();
    // One that was inherited may have a number beyond the limit.
    assert!((limit..limit + 4).contains(&all), "{failure:?}");
    assert!(failure.holders.iter().all(|holder| holder.pid == ran.pid));
    let most = &failure.holders[0];
    assert_eq!(
        (most.what.as_str(), &most.comm),
        (kind, &failure.comm),
        "{failure:?}"
    );
    assert!(most.count >= ran.held, "{failure:?}");
    // The failures are no acquisitions.
    let acquired: u64 = ran
        .report
        .findings
        .iter()
        .filter(|finding| finding.pid == ran.pid && finding.passes(function))
        .map(|finding| finding.acquired)
        .sum();
    assert_eq!(acquired, ran.held, "{}", ran.report.excerpt(ran.pid));
}

#[test]
fn a_file_that_cannot_be_opened_is_a_failure() {
    assert_full("open", "openat", "fail_open", "file", 40);
}

#[test]
fn a_socket_that_cannot_be_made_is_a_failure() {
    assert_full("socket", "socket", "fail_socket", "socket", 40);
}

#[test]
fn a_connection_that_cannot_be_accepted_is_a_failure() {
    assert_full("accept", "accept4", "fail_accept", "socket", 20);
}

#[test]
fn a_descriptor_that_cannot_be_duplicated_is_a_failure() {
    assert_full("dup", "dup", "fail_dup", "pipe", 40);
}

#[test]
fn a_request_of_io_uring_that_fails_is_a_failure() {
    if harness::proc::kernel() < (5, 15) {
        eprintln!("skipped: this kernel shows no stacks of io_uring's requests");
        return;
    }
    let ran = fail("ring");
    let failure = assert_failure(&ran, "EMFILE", &["io_uring openat"], "fail_ring");
    assert!(failure.meaning.contains("RLIMIT_NOFILE"), "{failure:?}");
}

#[test]
fn a_watch_that_cannot_be_added_is_a_failure() {
    let ran = fail("watch");
    let failure = assert_failure(&ran, "ENOSPC", &["inotify_add_watch"], "fail_watch");
    assert!(failure.meaning.contains("max_user_watches"), "{failure:?}");
    assert_eq!(ran.held, 20);
    let holder = &failure.holders[0];
    let told = (holder.pid, holder.what.as_str(), holder.count);
    assert_eq!(told, (ran.pid, "inotify watch", 20), "{failure:?}");
}

/// Asserts that a limit on tasks is told with who has them.
fn assert_no_tasks(ran: &Ran, function: &str, limit: &str) {
    let failure = assert_failure(
        ran,
        "EAGAIN",
        &["clone3", "clone", "fork", "vfork"],
        function,
    );
    assert!(failure.meaning.contains(limit), "{failure:?}");
    let all: u64 = failure.holders.iter().map(|holder| holder.count).sum();
    assert_eq!(all, ran.held + 1, "{failure:?}");
    assert!(failure.holders.iter().all(|holder| holder.what == "thread"));
    assert!(failure.holders.iter().any(|holder| holder.pid == ran.pid));
}

#[test]
fn a_thread_that_cannot_be_made_is_a_failure() {
    let ran = fail("thread");
    assert_no_tasks(
        &ran,
        "fail_thread",
        "4 processes and threads (RLIMIT_NPROC)",
    );
    assert_eq!(ran.failure().holders[0].count, 4, "{:?}", ran.failure());
}

#[test]
fn a_process_that_cannot_be_made_is_a_failure() {
    let ran = fail("fork");
    assert_no_tasks(&ran, "fail_fork", "4 processes and threads (RLIMIT_NPROC)");
}

/// A control group with a limit on tasks; removed when dropped.
struct Group {
    path: PathBuf,
    version: u32,
}

impl Group {
    /// `None` where there is no controller for tasks that may be used.
    fn new(limit: u32) -> Option<Group> {
        let mounts = fs::read_to_string("/proc/mounts").ok()?;
        let usable = |line: &str| {
            let fields: Vec<&str> = line.split(' ').collect();
            let (mount, kind, options) = (fields.get(1)?, fields.get(2)?, fields.get(3)?);
            let version = match *kind {
                "cgroup2" => 2,
                "cgroup" if options.split(',').any(|option| option == "pids") => 1,
                _ => return None,
            };
            let mount = PathBuf::from(mount);
            if version == 2 {
                // Fails where the controller is not to be had.
                let _ = fs::write(mount.join("cgroup.subtree_control"), "+pids");
            }
            let path = mount.join(format!("leaktrace-failures-{}", std::process::id()));
            fs::create_dir(&path).ok()?;
            let group = Group { path, version };
            fs::write(group.path.join("pids.max"), limit.to_string()).ok()?;
            Some(group)
        };
        mounts.lines().find_map(usable)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Busy until the kernel has let go of its last process.
        let _ = eventually(|| fs::remove_dir(&self.path).is_ok());
    }
}

#[test]
fn a_control_group_that_is_full_is_told() {
    let _turn = beside_others();
    let Some(group) = Group::new(4) else {
        eprintln!("skipped: there is no controller of tasks here");
        return;
    };
    let ran = fail_with(&[], "group", |victim| {
        let procs = group.path.join("cgroup.procs");
        fs::write(procs, victim.pid().to_string()).unwrap();
    });
    eprintln!("control groups of version {}", group.version);
    assert_no_tasks(&ran, "fail_fork", "4 processes and threads (pids.max)");
}

#[test]
fn memory_that_cannot_be_mapped_is_a_failure() {
    let ran = fail("map");
    let failure = assert_failure(&ran, "ENOMEM", &["mmap"], "fail_map");
    let limit = format!("{} bytes of address space (RLIMIT_AS)", 200 << 20);
    assert!(failure.meaning.contains(&limit), "{failure:?}");
    let [holder] = failure.holders.as_slice() else {
        panic!("{failure:?}");
    };
    assert_eq!((holder.pid, holder.what.as_str()), (ran.pid, "bytes"));
    let (least, most) = (ran.held * (64 << 20), 200 << 20);
    assert!((least..=most).contains(&holder.count), "{failure:?}");
}

#[test]
fn an_inotify_instance_that_cannot_be_made_is_a_failure_of_the_users_limit() {
    if !harness::victim::has_user_namespaces() {
        return;
    }
    let ran = fail("inotify");
    let failure = assert_failure(&ran, "EMFILE", &["inotify_init1"], "fail_inotify");
    let limit = "limit of 4 inotify instances (user.max_inotify_instances of its user name space)";
    assert!(failure.meaning.contains(limit), "{failure:?}");
    let [holder] = failure.holders.as_slice() else {
        panic!("{failure:?}");
    };
    assert_eq!(
        (holder.pid, holder.what.as_str(), holder.count),
        (ran.pid, "inotify", ran.held)
    );
}

#[test]
fn who_stays_below_the_limit_has_no_failure() {
    let ran = fail("twin");
    assert!(
        ran.report.failures_of(ran.pid).is_empty(),
        "{}",
        ran.report.excerpt(ran.pid)
    );
}

#[test]
fn a_call_that_need_not_wait_is_no_failure() {
    let ran = fail("again");
    assert!(
        ran.report.failures_of(ran.pid).is_empty(),
        "{}",
        ran.report.excerpt(ran.pid)
    );
}

#[test]
fn filters_hold_for_failures() {
    let _turn = beside_others();
    let without = fail_with(&["-k", "socket"], "open", |_| {});
    assert!(without.report.failures_of(without.pid).is_empty());
    let with = fail_with(&["-k", "file"], "open", |_| {});
    assert_failure(&with, "EMFILE", &["openat"], "fail_open");
    let mut other = Victim::start("failing", &["open", "3"]);
    let chosen = fail_with(&["-p", &other.pid().to_string()], "open", |_| {});
    assert!(
        chosen.report.failures.is_empty(),
        "{:?}",
        chosen.report.failures
    );
    other.tell();
    other.expect("held");
}

#[test]
fn a_process_that_has_ended_keeps_its_failure() {
    let _turn = beside_others();
    let mut victim = Victim::start("failing", &["open", &TIMES.to_string()]);
    // The trace goes on without the victim, since there is another process.
    let idle = Victim::start("baseline", &[]);
    let pids = [victim.pid(), idle.pid()].map(|pid| pid.to_string());
    let own = ["-p", &pids[0], "-p", &pids[1]];
    let tracer = Tracer::start(&[&own, &BRIEF_NURSERY[..]].concat());
    victim.tell();
    let held = victim.expect("held").parse().unwrap();
    be_taken_over();
    assert!(victim.end().success());
    // What the trace keeps of a process that is gone it drops after twice the nursery's age.
    be_taken_over();
    be_taken_over();
    let ran = Ran {
        report: tracer.stop(),
        pid: victim.pid(),
        held,
    };
    let failure = ran.failure();
    let excerpt = ran.report.excerpt(ran.pid);
    assert_eq!(
        (failure.error.as_str(), failure.count),
        ("EMFILE", TIMES),
        "{excerpt}"
    );
    assert!(
        failure
            .stack
            .iter()
            .any(|frame| frame.symbol == "fail_open"),
        "{excerpt}"
    );
    assert_eq!(failure.comm, "failing", "{excerpt}");
}

#[test]
fn a_script_is_shown_with_its_line() {
    let _turn = beside_others();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("victims/failing.py");
    let text = fs::read_to_string(&script).unwrap();
    let line = text
        .lines()
        .position(|line| line.contains("# fails here"))
        .unwrap() as u32
        + 1;
    let Some(python) = [
        "/usr/bin/python3.13",
        "/usr/bin/python3.12",
        "/usr/bin/python3",
    ]
    .into_iter()
    .find(|path| fs::exists(path).unwrap_or(false)) else {
        eprintln!("skipped: Python is not installed");
        return;
    };
    let mut victim = Victim::spawn(Command::new(python).arg(&script));
    victim.expect("ready");
    let pid = victim.pid();
    let tracer = Tracer::of(pid, &[]);
    victim.tell();
    assert_eq!(victim.expect("held"), "24");
    grow_old();
    let report = tracer.stop();
    let failures = report.failures_of(pid);
    let [failure] = failures.as_slice() else {
        panic!("{}", report.excerpt(pid));
    };
    assert_eq!(
        (failure.error.as_str(), failure.call.as_str()),
        ("EMFILE", "openat")
    );
    let frame = failure
        .stack
        .iter()
        .find(|frame| frame.symbol == "fail_open");
    let frame = frame.unwrap_or_else(|| panic!("{}", report.excerpt(pid)));
    assert!(
        frame.file.as_deref().unwrap().ends_with("failing.py"),
        "{frame:?}"
    );
    assert_eq!(frame.line, Some(line), "{frame:?}");
}
