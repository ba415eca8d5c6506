//! When limits will be reached, against the pace that a victim keeps and says.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::compile::installed;
use harness::tracer::reported;
use harness::{Report, Tracer, Victim, beside_others, eventually, victim};
use serde_json::Value;
use tempfile::TempDir;

/// What a victim's pace and a trace of it came to.
struct Traced {
    victim: Victim,
    pace: f64,
    report: Report,
}

/// Traces until the victim has kept its pace for long enough to say it.
fn trace(victim: Victim) -> Traced {
    trace_until(victim, &["-i", "300ms"], || true)
}

/// The same with options of its own, and until there is something more.
fn trace_until(mut victim: Victim, options: &[&str], more: impl FnMut() -> bool) -> Traced {
    let tracer = Tracer::of(victim.pid(), options);
    victim.tell();
    let pace = victim.expect("pace").parse().unwrap();
    assert!(eventually(more), "all but the pace was waited for in vain");
    let report = tracer.stop();
    Traced {
        victim,
        pace,
        report,
    }
}

/// What processes share, in the part of a report that is about it.
fn shared<'r>(report: &'r Report, scope: &str, resource: &str) -> Option<&'r Value> {
    let limits = report.document["shared_limits"].as_array().unwrap();
    let is_it = |limit: &&Value| limit["scope"] == scope && limit["resource"] == resource;
    limits.iter().find(is_it)
}

impl Traced {
    fn limit(&self, resource: &str) -> &Value {
        let pid = self.victim.pid();
        let processes = self.report.document["processes"].as_array().unwrap();
        let process = processes.iter().find(|p| p["pid"] == pid).unwrap();
        let limits = process["limits"].as_array().unwrap();
        let limit = limits.iter().find(|limit| limit["resource"] == resource);
        limit.unwrap_or_else(|| panic!("no {resource}: {process}"))
    }

    fn shared(&self, scope: &str, resource: &str) -> &Value {
        shared(&self.report, scope, resource)
            .unwrap_or_else(|| panic!("no {scope} {resource}: {:#}", self.report.document))
    }

    /// Asserts that what is left is forecast to last as long as it will at the pace.
    fn assert_lasts(&self, limit: &Value, most: &str) {
        let number = |key: &str| {
            limit[key]
                .as_f64()
                .unwrap_or_else(|| panic!("{key}: {limit}"))
        };
        let truth = (number(most) - number("used")) / self.pace;
        let ratio = number("exhaustion_seconds") / truth;
        assert!(
            (1.0 / 1.5..1.5).contains(&ratio),
            "{} s are left, forecast was {limit}",
            truth
        );
    }
}

#[test]
fn a_leak_of_descriptors_is_forecast_with_those_from_before_counted() {
    let _turn = beside_others();
    let traced = trace(Victim::start("limits", &["descriptors", "2400", "300"]));
    let limit = traced.limit("nofile");
    assert_eq!(limit["soft"], 2400);
    // 300 from before the trace, and what it took in it.
    assert!(limit["used"].as_u64() >= Some(400), "{limit}");
    traced.assert_lasts(limit, "soft");
    let findings = traced.report.document["findings"].as_array().unwrap();
    let leak = findings.iter().find(|f| f["verdict"] != "steady").unwrap();
    assert_eq!(leak["exhaustion_seconds"], limit["exhaustion_seconds"]);
}

#[test]
fn a_process_that_gives_back_what_it_takes_has_no_forecast() {
    let _turn = beside_others();
    let traced = trace(Victim::start("limits", &["flat", "600", "300"]));
    let limit = traced.limit("nofile");
    assert!(limit["used"].as_u64() >= Some(300), "{limit}");
    assert_eq!(limit["exhaustion_seconds"], Value::Null, "{limit}");
}

/// Limits of a user or of the host that are nearer than that of the process: all traced at once.
#[test]
fn the_nearest_limit_is_told_whoever_shares_it() {
    let _turn = beside_others();
    if !harness::victim::has_user_namespaces() {
        return;
    }
    let terminals = fs::read_to_string("/proc/sys/kernel/pty/max").unwrap();
    let terminals = terminals.trim().parse().unwrap();
    let start = |what, limit| Victim::start("limits", &[what, limit, "0"]);
    let mut victims = [
        (start("terminals", "20000"), "pty.max", "host", terminals),
        (
            start("instances", "120"),
            "inotify.max_user_instances",
            "user:",
            120,
        ),
        (
            start("watches", "2000"),
            "inotify.max_user_watches",
            "user:",
            2000,
        ),
    ];
    let mut brief = start("brief-instances", "120");
    let pids: Vec<String> = victims
        .iter()
        .map(|(victim, ..)| victim.pid().to_string())
        .collect();
    let options: Vec<&str> = pids.iter().flat_map(|pid| ["-p", pid]).collect();
    let tracer = Tracer::of(brief.pid(), &[&options[..], &["-i", "300ms"]].concat());
    brief.tell();
    victims.iter_mut().for_each(|(victim, ..)| victim.tell());
    let pace = |victim: &mut Victim| victim.expect("pace").parse().unwrap();
    let paces: Vec<f64> = victims
        .iter_mut()
        .map(|(victim, ..)| pace(victim))
        .collect();
    pace(&mut brief);
    let report = tracer.stop();
    for ((victim, resource, scope, most), pace) in victims.into_iter().zip(paces) {
        let traced = Traced {
            victim,
            pace,
            report: report.clone(),
        };
        let limit = traced.limit(resource);
        assert_eq!(limit["soft"], most, "{limit}");
        assert!(limit["used"].as_u64() >= Some(50), "{limit}");
        assert!(
            limit["scope"].as_str().unwrap().starts_with(scope),
            "{limit}"
        );
        traced.assert_lasts(limit, "soft");
        let findings = report.document["findings"].as_array().unwrap();
        let pid = traced.victim.pid();
        let leak = findings
            .iter()
            .find(|f| f["pid"] == pid && f["verdict"] != "steady")
            .unwrap_or_else(|| panic!("no finding{}", report.excerpt(pid)));
        assert_eq!(leak["limit"], resource, "{leak:#}");
        assert_eq!(leak["exhaustion_seconds"], limit["exhaustion_seconds"]);
    }
    let processes = report.document["processes"].as_array().unwrap();
    let limits = |pid: u32| {
        let process = processes.iter().find(|process| process["pid"] == pid);
        process.and_then(|process| process["limits"].as_array())
    };
    let resource = |limit: &Value, name: &str| limit["resource"] == name;
    for limit in limits(brief.pid()).into_iter().flatten() {
        let own = !resource(limit, "pty.max") && limit["scope"] != "host";
        assert!(
            !own || limit["exhaustion_seconds"].is_null(),
            "{limit} of one that gives back"
        );
    }
}

/// A control group with a limit; removed at the end.
struct Group {
    directory: PathBuf,
    scope: String,
}

impl Group {
    const TASKS: [&str; 1] = ["pids.max"];
    const MEMORY: [&str; 2] = ["memory.max", "memory.limit_in_bytes"];

    /// `None` where the machine has no such controller for us.
    fn new(files: &[&str], limit: u64) -> Option<Group> {
        let name = format!("leaktrace-test-{}", std::process::id());
        let roots = [
            "/sys/fs/cgroup/pids",
            "/sys/fs/cgroup/memory",
            "/sys/fs/cgroup",
            "/sys/fs/cgroup/unified",
        ];
        let found = roots.iter().map(Path::new).find_map(|root| {
            let directory = root.join(&name);
            fs::create_dir(&directory).ok()?;
            let group = Group {
                directory,
                scope: format!("/{name}"),
            };
            let set = |file: &&str| fs::write(group.directory.join(file), limit.to_string());
            files.iter().any(|file| set(file).is_ok()).then_some(group)
        });
        if found.is_none() {
            eprintln!("skipped: no control group can have {files:?} here");
        }
        found
    }

    fn take(&self, victim: &Victim) {
        let pid = victim.pid().to_string();
        fs::write(self.directory.join("cgroup.procs"), pid).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let procs = || fs::read_to_string(self.directory.join("cgroup.procs"));
        let _ = eventually(|| procs().is_ok_and(|text| text.is_empty()));
        let _ = fs::remove_dir(&self.directory);
    }
}

#[test]
fn a_leak_of_threads_is_forecast_for_its_control_group() {
    let _turn = beside_others();
    let Some(group) = Group::new(&Group::TASKS, 2400) else {
        return;
    };
    let victim = Victim::start("limits", &["threads", "600", "0"]);
    group.take(&victim);
    let traced = trace(victim);
    let limit = traced.shared(&group.scope, "pids");
    assert_eq!(limit["limit"], 2400);
    assert!(limit["used"].as_u64() >= Some(100), "{limit}");
    let growth = limit["growth_per_second"].as_f64().unwrap();
    assert!(
        (growth / traced.pace - 1.0).abs() < 0.4,
        "{growth}: {limit}"
    );
    traced.assert_lasts(limit, "limit");
    // The process is told of it too, and of whose it is.
    let own = traced.limit("pids");
    assert_eq!(own["scope"], group.scope.as_str());
    traced.assert_lasts(own, "soft");
    let host = traced.shared("host", "threads-max");
    assert!(host["used"].as_u64() >= limit["used"].as_u64(), "{host}");
    drop(traced);
    drop(group);
}

#[test]
fn memory_that_grows_is_forecast_for_its_control_group() {
    let _turn = beside_others();
    let Some(group) = Group::new(&Group::MEMORY, 1 << 30) else {
        return;
    };
    let victim = Victim::start("limits", &["memory", "600", "0"]);
    group.take(&victim);
    let mut traced = trace(victim);
    // Bytes a second.
    traced.pace *= f64::from(128 << 10);
    traced.assert_lasts(traced.shared(&group.scope, "memory"), "limit");
    let own = traced.limit("memory");
    assert_eq!(own["scope"], group.scope.as_str());
    traced.assert_lasts(own, "soft");
    drop(traced);
    drop(group);
}

#[test]
fn a_leak_of_threads_is_forecast_for_its_user() {
    const USER: u32 = 54_321;
    let _turn = beside_others();
    let Some(prlimit) = installed("prlimit") else {
        return;
    };
    let mut command = Command::new(prlimit);
    command
        .arg("--nproc=2400")
        .arg(victim::program("limits"))
        .args(["threads", "600", "0"])
        .uid(USER);
    let mut victim = Victim::spawn(&mut command);
    victim.expect("ready");
    let scope = format!("user:{USER}");
    // At each sample some of the host's processes are asked, as many as there is time for
    // in a millisecond, so a number for each user takes several samples, and a forecast
    // several numbers: on a busy machine many seconds. The recording shows when they are there.
    let directory = TempDir::new().unwrap();
    let recording = directory.path().join("a.lkt");
    let options = ["-i", "100ms", "--record", recording.to_str().unwrap()];
    let traced = trace_until(victim, &options, || {
        let report = reported(&recording, &[]);
        shared(&report, &scope, "nproc").is_some_and(|limit| !limit["exhaustion_seconds"].is_null())
    });
    let own = traced.limit("nproc");
    assert_eq!(
        (&own["scope"], &own["soft"]),
        (&scope.as_str().into(), &2400.into())
    );
    assert!(own["used"].as_u64() >= Some(100), "{own}");
    traced.assert_lasts(own, "soft");
    traced.assert_lasts(traced.shared(&scope, "nproc"), "limit");
}

#[test]
fn an_address_space_that_grows_is_forecast_for_its_limit() {
    let _turn = beside_others();
    let Some(prlimit) = installed("prlimit") else {
        return;
    };
    let mut command = Command::new(prlimit);
    command
        .arg("--as=1073741824")
        .arg(victim::program("limits"))
        .args(["memory", "600", "0"]);
    let mut victim = Victim::spawn(&mut command);
    victim.expect("ready");
    let mut traced = trace(victim);
    // Bytes a second.
    traced.pace *= f64::from(128 << 10);
    let limit = traced.limit("as");
    assert_eq!(limit["soft"], 1 << 30);
    traced.assert_lasts(limit, "soft");
}

#[test]
fn mappings_are_forecast_by_those_that_the_kernel_has() {
    let _turn = beside_others();
    let apart = trace(Victim::start("limits", &["apart", "600", "0"]));
    apart.assert_lasts(apart.limit("max_map_count"), "soft");
    let joined = trace(Victim::start("limits", &["joined", "600", "0"]));
    let limit = joined.limit("max_map_count");
    assert!(limit["used"].as_u64() <= Some(60), "{limit}");
    assert_eq!(limit["exhaustion_seconds"], Value::Null, "{limit}");
    let pid = joined.victim.pid();
    let process = joined.report.process(pid).unwrap();
    assert!(process.outstanding["mapping"] >= 90, "{process:?}");
}
