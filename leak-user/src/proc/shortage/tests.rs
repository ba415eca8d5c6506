#![allow(clippy::unwrap_used, reason = "tests")]
use std::{fs, os::fd::OwnedFd, os::unix::fs::symlink, path::Path};

use super::*;

/// A made-up `/proc`.
struct Made(tempfile::TempDir);

impl Made {
    fn new() -> Made {
        Made(tempfile::tempdir().unwrap())
    }

    fn write(&self, path: &str, text: &str) -> &Made {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// A process with soft limits, and this many threads.
    fn process(&self, pid: u32, comm: &str, threads: u64, limits: &str) -> &Made {
        let head = format!(
            "{:<26}{:<21}{:<21}{:<10}\n",
            "Limit", "Soft Limit", "Hard Limit", "Units"
        );
        let names = [
            ("Max cpu time", "seconds"),
            ("Max file size", "bytes"),
            ("Max data size", "bytes"),
            ("Max stack size", "bytes"),
            ("Max core file size", "bytes"),
            ("Max resident set", "bytes"),
            ("Max processes", "processes"),
            ("Max open files", "files"),
            ("Max locked memory", "bytes"),
            ("Max address space", "bytes"),
            ("Max file locks", "locks"),
            ("Max pending signals", "signals"),
            ("Max msgqueue size", "bytes"),
            ("Max nice priority", ""),
            ("Max realtime priority", ""),
            ("Max realtime timeout", "us"),
        ];
        let lines = names.map(|(name, unit)| {
            let soft = limits
                .split(", ")
                .find_map(|limit| limit.strip_prefix(name))
                .map_or("unlimited", str::trim);
            format!("{name:<26}{soft:<21}{:<21}{unit:<10}\n", "unlimited")
        });
        let stat =
            format!("{pid} ({comm}) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 1{pid} 1 2 3");
        self.write(&format!("{pid}/stat"), &stat)
            .write(&format!("{pid}/statm"), "10 1 1 1 0 1 0")
            .write(&format!("{pid}/limits"), &(head + &lines.concat()))
    }

    fn descriptor(&self, pid: u32, number: u32, link: &str) -> &Made {
        let directory = self.0.path().join(format!("{pid}/fd"));
        fs::create_dir_all(&directory).unwrap();
        symlink(link, directory.join(number.to_string())).unwrap();
        self
    }

    fn shortage(&self, pid: u32, call: &str, error: Refusal, size: u64) -> Shortage {
        let proc = Proc::new(self.0.path()).with_cgroups(self.0.path().join("cgroups"));
        proc.shortage(Refused {
            pid,
            call,
            error,
            size,
        })
    }
}

fn held(shortage: &Shortage) -> Vec<(u32, &str, u64)> {
    let holders = shortage.holders.iter();
    holders
        .map(|holder| (holder.pid, holder.what.as_str(), holder.count))
        .collect()
}

#[test]
fn a_full_table_is_told_by_kind() {
    let made = Made::new();
    made.process(7, "server", 1, "Max open files 4");
    for number in 0..3 {
        made.descriptor(7, number, &format!("socket:[{number}]"));
    }
    made.descriptor(7, 3, "pipe:[9]");
    let shortage = made.shortage(7, "accept4", Refusal::Files, 0);
    assert_eq!(
        shortage.meaning,
        "the process reached its limit of 4 open descriptors (RLIMIT_NOFILE); every further \
         open, socket or accept fails until it closes some"
    );
    assert_eq!(held(&shortage), [(7, "socket", 3), (7, "pipe", 1)]);
    assert_eq!(shortage.holders[0].comm, "server");
}

#[test]
fn inotify_has_a_limit_of_its_own() {
    let made = Made::new();
    made.process(7, "watcher", 1, "Max open files 1024")
        .descriptor(7, 0, "anon_inode:inotify")
        .write("7/status", "Uid:\t1000\t1000\t1000\t1000\n")
        .descriptor(8, 3, "anon_inode:inotify")
        .descriptor(8, 4, "anon_inode:inotify")
        .write("8/status", "Uid:\t1000\t1000\t1000\t1000\n")
        .descriptor(9, 3, "anon_inode:inotify")
        .write("9/status", "Uid:\t2000\t2000\t2000\t2000\n")
        .write("sys/fs/inotify/max_user_instances", "128\n");
    let shortage = made.shortage(7, "inotify_init1", Refusal::Files, 0);
    assert!(
        shortage
            .meaning
            .contains("limit of 128 inotify instances (fs.inotify.max_user_instances)"),
        "{shortage:?}"
    );
    assert_eq!(held(&shortage), [(8, "inotify", 2), (7, "inotify", 1)]);
}

#[test]
fn a_process_that_is_gone_leaves_a_sentence() {
    let made = Made::new();
    for error in Refusal::ALL {
        let shortage = made.shortage(7, "openat", error, 0);
        assert!(!shortage.meaning.is_empty(), "{error:?}");
        assert_eq!(shortage.holders, [], "{error:?}");
    }
}

#[test]
fn a_full_host_is_told_by_process() {
    let made = Made::new();
    made.process(7, "small", 1, "").process(8, "large", 1, "");
    for number in 0..4 {
        made.descriptor(8, number, "/dev/null");
    }
    made.descriptor(7, 0, "/dev/null")
        .write("sys/fs/file-nr", "99\t0\t100\n")
        .write("sys/fs/file-max", "100\n");
    let shortage = made.shortage(7, "openat", Refusal::HostFiles, 0);
    assert!(
        shortage.meaning.contains("limit of 100 open files"),
        "{shortage:?}"
    );
    assert_eq!(
        held(&shortage),
        [(8, "descriptor", 4), (7, "descriptor", 1)]
    );
}

#[test]
fn the_limit_on_tasks_with_least_room_is_the_one() {
    let made = Made::new();
    made.process(7, "parent", 3, "")
        .process(8, "worker", 40, "");
    made.process(9, "elsewhere", 900, "")
        .write("7/status", "Uid:\t0\t0\t0\t0\n")
        .write("7/cgroup", "0::/a/b\n")
        .write("cgroups/a/pids.max", "43\n")
        .write("cgroups/a/pids.current", "43\n")
        .write("cgroups/a/b/cgroup.procs", "7\n8\n")
        .write("loadavg", "0 0 0 1/943 9\n")
        .write("sys/kernel/threads-max", "10000\n");
    let shortage = made.shortage(7, "clone3", Refusal::Tasks, 0);
    assert_eq!(
        shortage.meaning,
        "the control group reached its limit of 43 processes and threads (pids.max); no more \
         can be made in it"
    );
    assert_eq!(held(&shortage), [(8, "thread", 40), (7, "thread", 3)]);
    made.write("cgroups/a/pids.current", "5\n");
    let shortage = made.shortage(7, "clone3", Refusal::Tasks, 0);
    assert!(
        shortage.meaning.contains("pids, of which 5 of 43 are used"),
        "{shortage:?}"
    );
}

#[test]
fn memory_has_several_limits() {
    let made = Made::new();
    let mebibyte = 1 << 20;
    made.process(7, "mapper", 1, "Max address space 104857600")
        .write(
            "7/status",
            "VmSize:\t  51200 kB\nVmData:\t 1024 kB\nVmRSS:\t 512 kB\n",
        )
        .write("7/maps", "")
        .write("sys/vm/max_map_count", "65530\n")
        .write("meminfo", "MemTotal: 4194304 kB\nSwapTotal: 0 kB\n");
    let shortage = made.shortage(7, "mmap", Refusal::Memory, 60 * mebibyte);
    assert!(
        shortage
            .meaning
            .contains("104857600 bytes of address space"),
        "{shortage:?}"
    );
    assert_eq!(held(&shortage), [(7, "bytes", 50 * mebibyte)]);
    made.write("sys/vm/max_map_count", "3\n");
    let shortage = made.shortage(7, "mmap", Refusal::Memory, mebibyte);
    assert!(
        shortage.meaning.contains("vm.max_map_count"),
        "{shortage:?}"
    );
    made.write("sys/vm/max_map_count", "65530\n")
        .process(7, "mapper", 1, "");
    let shortage = made.shortage(7, "mmap", Refusal::Memory, 1 << 50);
    assert!(
        shortage.meaning.contains("more than the host has"),
        "{shortage:?}"
    );
    assert_eq!(held(&shortage), [(7, "bytes", 512 * 1024)]);
}

#[test]
fn one_that_gave_back_some_mappings_since_it_was_refused_is_still_told_of_their_limit() {
    let made = Made::new();
    let lines: String = (0..990)
        .map(|n| {
            format!(
                "{:08x}-{:08x} r--p 00000000 00:00 0\n",
                n * 8192,
                n * 8192 + 4096
            )
        })
        .collect();
    made.process(7, "mapper", 1, "")
        .write("7/maps", &lines)
        .write("meminfo", "MemTotal: 4194304 kB\nSwapTotal: 0 kB\n");
    for (limit, is_it) in [("1000\n", true), ("1100\n", false)] {
        made.write("sys/vm/max_map_count", limit);
        let meaning = made.shortage(7, "mmap", Refusal::Memory, 4096).meaning;
        assert_eq!(meaning.contains("vm.max_map_count"), is_it, "{meaning}");
    }
}

#[test]
fn this_process_is_found_to_have_room() {
    let pid = std::process::id();
    let file = OwnedFd::from(fs::File::open(Path::new("/dev/null")).unwrap());
    let shortage = Proc::default().shortage(Refused {
        pid,
        call: "openat",
        error: Refusal::Files,
        size: 0,
    });
    drop(file);
    let total: u64 = shortage.holders.iter().map(|holder| holder.count).sum();
    assert!(total > 0 && shortage.holders.iter().all(|holder| holder.pid == pid));
}
