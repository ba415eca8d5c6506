//! What is known of processes and resources beside what happened to them. All text in it is untrusted.

use serde::{Deserialize, Serialize};

use super::{report::Socket, time::Nanos};

/// A process's name, program and place. All of it is untrusted text. Name and program are
/// those of the program that ran when they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// When they were read, by the monotonic clock; 0 where that is not known: recordings
    /// of earlier versions do not have it.
    #[serde(skip_serializing_if = "is_zero")]
    pub read: Nanos,
    /// Start in ticks since boot.
    pub start_ticks: u64,
    pub comm: String,
    /// Path of the program, empty where it cannot be read.
    pub exe: String,
    /// At most 64 arguments and 4 KiB.
    pub cmdline: Vec<String>,
    /// Path of its control group.
    pub cgroup: String,
    pub container_id: Option<String>,
    /// The user whom it runs as: the name, or `uid N` where it has none here.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// The process that started it, when that was read; 0 where it is not known.
    #[serde(skip_serializing_if = "is_no_pid")]
    pub parent: u32,
}

impl Facts {
    /// Whether they tell the program. What [`Facts::of_next_program`] leaves does not.
    #[must_use]
    pub fn tell_program(&self) -> bool {
        self.read > 0 || !self.comm.is_empty()
    }

    /// Whether they are of the program that a process executed at a time, or of a later
    /// one. Where it is not known when they were read, the kernel's name of the program
    /// says so.
    #[must_use]
    pub fn are_since(&self, executed: Nanos, comm: &str) -> bool {
        match self.read {
            0 => self.comm == comm,
            read => read >= executed,
        }
    }

    /// What of them is still true when the process executes another program: its place.
    #[must_use]
    pub fn of_next_program(&self) -> Facts {
        Facts {
            start_ticks: self.start_ticks,
            cgroup: self.cgroup.clone(),
            container_id: self.container_id.clone(),
            user: self.user.clone(),
            parent: self.parent,
            ..Facts::default()
        }
    }

    /// Whether they say the same, whenever they were read.
    #[must_use]
    pub fn say_the_same(&self, other: &Facts) -> bool {
        let without_time = |facts: &Facts| Facts {
            read: 0,
            ..facts.clone()
        };
        self.tell_program() == other.tell_program() && without_time(self) == without_time(other)
    }
}

fn is_no_pid(pid: &u32) -> bool {
    *pid == 0
}

fn is_zero(time: &Nanos) -> bool {
    *time == 0
}

/// What a resource is. The text is untrusted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Description {
    /// Path, addresses, name: empty where nothing is known.
    pub text: String,
    /// The file has no name any more.
    pub deleted: bool,
    /// A deleted file that takes memory and no space on disk: its file system is tmpfs or
    /// one like it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub in_memory: bool,
    /// The other end of the pipe or pair of sockets is closed: there was one.
    pub half_closed: bool,
    pub socket: Option<Socket>,
}

impl Description {
    /// Of a mapping: whether it is of a file that has, or had, a name. Shared anonymous memory lies in
    /// files that never had one.
    #[must_use]
    pub fn maps_a_file(&self) -> bool {
        const NAMELESS: [&str; 3] = ["/SYSV", "/memfd:", "/dev/zero"];
        self.text.starts_with('/') && !NAMELESS.iter().any(|name| self.text.starts_with(name))
    }

    /// One of which no more than its text is known.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Description {
        Description {
            text: text.into(),
            ..Description::default()
        }
    }
}
