//! What is known of processes and resources beside what happened to them. All text in it is untrusted.

use serde::{Deserialize, Serialize};

use super::report::Socket;

/// A process's name, program and place. All of it is untrusted text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
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
    /// One of which no more than its text is known.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Description {
        Description {
            text: text.into(),
            ..Description::default()
        }
    }
}
