//! What `/proc` says about a process: the truth that reports are held against.

use std::collections::BTreeMap;
use std::fs;

/// How many descriptors a process has, by kind.
#[must_use]
pub fn descriptors(pid: u32) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    for entry in entries.flatten() {
        // One that was closed meanwhile is not there.
        if let Ok(target) = fs::read_link(entry.path()) {
            let directory = fs::metadata(entry.path()).is_ok_and(|data| data.is_dir());
            *counts
                .entry(kind(&target.to_string_lossy(), directory))
                .or_insert(0) += 1;
        }
    }
    counts
}

/// All kinds together.
#[must_use]
pub fn descriptor_count(pid: u32) -> u64 {
    descriptors(pid).values().sum()
}

fn kind(target: &str, directory: bool) -> &'static str {
    if directory {
        return "directory";
    }
    if target.starts_with("socket:") {
        return "socket";
    }
    if target.starts_with("pipe:") {
        return "pipe";
    }
    if target.starts_with("/memfd:") || target.contains("secretmem") {
        return "memfd";
    }
    if target.starts_with("pidfd:") {
        return "pidfd";
    }
    // Queues are files of a file system of their own.
    if target.starts_with("/leaktrace-") && target.matches('/').count() == 1 {
        return "anon";
    }
    match target.strip_prefix("anon_inode:") {
        None => "file",
        Some("[eventfd]") => "eventfd",
        Some("[eventpoll]") => "epoll",
        Some("[timerfd]") => "timerfd",
        Some("[signalfd]") => "signalfd",
        Some("inotify") => "inotify",
        Some("[pidfd]") => "pidfd",
        Some("[io_uring]") => "iouring",
        Some(_) => "anon",
    }
}

/// Bytes mapped by a process, without its heap and stack.
#[must_use]
pub fn mapped_bytes(pid: u32) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    maps.lines()
        .filter(|line| !line.ends_with("[heap]") && !line.ends_with("[stack]"))
        .filter_map(|line| {
            let (start, end) = line.split_whitespace().next()?.split_once('-')?;
            let address = |text| u64::from_str_radix(text, 16).ok();
            Some(address(end)? - address(start)?)
        })
        .sum()
}

/// Whether a process has been stopped by a signal.
#[must_use]
pub fn is_stopped(pid: u32) -> bool {
    is_in_state(pid, 'T')
}

/// Whether the third field of `/proc/PID/stat` is this.
fn is_in_state(pid: u32, state: char) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit(") ")
            .next()
            .is_some_and(|s| s.starts_with(state))
    })
}

/// Threads that a process started: the kernel's workers for its rings are listed
/// beside them.
#[must_use]
pub fn threads(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok())
        .filter(|comm| !comm.starts_with("iou-"))
        .count() as u64
}

/// Children of a process that ended and were not waited for.
#[must_use]
pub fn zombies(pid: u32) -> u64 {
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .filter(|&child| is_in_state(child, 'Z'))
        .count() as u64
}

/// System V segments that a process made.
#[must_use]
pub fn segments(pid: u32) -> u64 {
    let table = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let creator = pid.to_string();
    table
        .lines()
        .skip(1)
        .filter(|line| line.split_whitespace().nth(4) == Some(&creator))
        .count() as u64
}

/// The running kernel's version.
#[must_use]
pub fn kernel() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(|byte: char| !byte.is_ascii_digit())
        .map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// A process id that nobody has.
///
/// # Panics
/// Where all are taken.
#[must_use]
pub fn unused_pid() -> u32 {
    let most: u32 = fs::read_to_string("/proc/sys/kernel/pid_max")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(32768);
    (2..most)
        .rev()
        .find(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists())
        .expect("some process id is free")
}
