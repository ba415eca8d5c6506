//! What a report says about a process as a whole.

use std::{collections::HashMap, fs, sync::OnceLock};

use super::{Proc, container_id, into_text, link_text, read_start};
use crate::model::facts::Facts;

/// Most arguments and bytes kept of a command line.
const MAX_ARGUMENTS: usize = 64;
const MAX_ARGUMENT_BYTES: u64 = 4096;

impl Proc {
    /// Name, program, command line and container of a process. When that was read is left
    /// to the caller, who has a clock.
    #[must_use]
    pub fn status_facts(&self, pid: u32) -> Option<Facts> {
        let stat = self.stat(pid)?;
        let memory = self.memory_of(pid);
        let cgroup = cgroup_path(&self.text_of(pid, "cgroup").unwrap_or_default());
        Some(Facts {
            read: 0,
            start_ticks: stat.start_ticks,
            comm: stat.comm,
            exe: link_text(&self.of(memory, "exe")).unwrap_or_default(),
            cmdline: read_start(&self.of(memory, "cmdline"), MAX_ARGUMENT_BYTES)
                .map(|bytes| arguments(&bytes))
                .unwrap_or_default(),
            user: self.user_of(pid, container_id(&cgroup).is_some()),
            parent: stat.parent,
            container_id: container_id(&cgroup),
            cgroup,
        })
    }
}

impl Proc {
    /// The user whom a process runs as. The users of a container have names of their own.
    fn user_of(&self, pid: u32, is_contained: bool) -> String {
        let Some(uid) = effective_uid(&self.text_of(pid, "status").unwrap_or_default()) else {
            return String::new();
        };
        static NAMES: OnceLock<HashMap<u32, String>> = OnceLock::new();
        let names = NAMES.get_or_init(|| {
            let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
            names_of_users(&text)
        });
        match names.get(&uid) {
            Some(name) if !is_contained || uid == 0 => name.clone(),
            _ => format!("uid {uid}"),
        }
    }
}

/// The effective user of a process, in the second field of `Uid:` (proc_pid_status(5)).
fn effective_uid(status: &str) -> Option<u32> {
    let fields = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The names in `/etc/passwd` (passwd(5)). Of several names of a user the first.
fn names_of_users(text: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(Ok(uid))) = (fields.next(), fields.nth(1).map(str::parse)) {
            names.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    names
}

/// Splits a command line. The last argument may be cut.
fn arguments(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    let words = bytes.split(|byte| *byte == 0).take(MAX_ARGUMENTS);
    words.map(|word| into_text(word.to_vec())).collect()
}

/// The path that says most in `/proc/PID/cgroup`: that of the unified hierarchy,
/// or where that is unused (version 1, hybrid) the deepest of the others.
fn cgroup_path(text: &str) -> String {
    let paths = || text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let unified = text.lines().find_map(|line| line.strip_prefix("0::"));
    match unified {
        Some(path) if path != "/" => path.to_owned(),
        _ => paths()
            .max_by_key(|path| (container_id(path).is_some(), path.len()))
            .unwrap_or_default()
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_unified_path_wins_unless_it_is_the_root() {
        assert_eq!(
            cgroup_path("0::/system.slice/a.service\n"),
            "/system.slice/a.service"
        );
        let hybrid = "9:name=systemd:/\n8:pids:/docker/x:y\n4:memory:/docker\n0::/\n";
        assert_eq!(cgroup_path(hybrid), "/docker/x:y");
        assert_eq!(cgroup_path("0::/\n"), "/");
        assert_eq!(cgroup_path(""), "");
    }

    #[test]
    fn the_user_is_named() {
        assert_eq!(
            effective_uid("Name:\ta\nUid:\t0\t33\t0\t0\nGid:\t0\n"),
            Some(33)
        );
        assert_eq!(effective_uid(""), None);
        let names = names_of_users("root:x:0:0::/:/bin/sh\ntoor:x:0:0\nwww-data:x:33:33\nbroken\n");
        assert_eq!(names[&0], "root");
        assert_eq!(names[&33], "www-data");
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn a_command_line_is_bounded() {
        assert_eq!(arguments(b"a\0\0b c\0"), ["a", "", "b c"]);
        assert_eq!(arguments(b""), Vec::<String>::new());
        assert_eq!(arguments(&[b'x', 0].repeat(1000)).len(), MAX_ARGUMENTS);
        assert_eq!(arguments(b"\xff\0"), ["\u{fffd}"]);
    }

    #[test]
    fn this_process_has_facts() {
        let facts = Proc::default().status_facts(std::process::id()).unwrap();
        assert_eq!(
            facts.exe,
            std::env::current_exe().unwrap().to_str().unwrap()
        );
        assert!(!facts.cmdline.is_empty() && facts.start_ticks > 0);
        assert_eq!(Proc::default().status_facts(u32::MAX), None);
    }
}
