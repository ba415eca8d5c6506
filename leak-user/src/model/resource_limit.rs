//! Limits that a command is started with, as `--limit` names them.

use std::{fmt, str::FromStr};

use super::size::bytes;

/// What setrlimit(2) limits, by the names of prlimit(1) and `/proc/PID/limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Bytes of address space.
    As,
    /// Bytes of a core file.
    Core,
    /// Seconds of processor time.
    Cpu,
    /// Bytes of data segment and private anonymous memory.
    Data,
    /// Bytes of a file that is written.
    Fsize,
    /// Bytes that may be locked.
    Memlock,
    /// Bytes in POSIX message queues of the user.
    Msgqueue,
    /// Open descriptors.
    Nofile,
    /// Threads and processes of the user.
    Nproc,
    /// Bytes of a stack.
    Stack,
}

impl Resource {
    /// All of them, in the order of their names.
    pub const ALL: [Resource; 10] = [
        Resource::As,
        Resource::Core,
        Resource::Cpu,
        Resource::Data,
        Resource::Fsize,
        Resource::Memlock,
        Resource::Msgqueue,
        Resource::Nofile,
        Resource::Nproc,
        Resource::Stack,
    ];

    /// As `--limit` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Resource::As => "as",
            Resource::Core => "core",
            Resource::Cpu => "cpu",
            Resource::Data => "data",
            Resource::Fsize => "fsize",
            Resource::Memlock => "memlock",
            Resource::Msgqueue => "msgqueue",
            Resource::Nofile => "nofile",
            Resource::Nproc => "nproc",
            Resource::Stack => "stack",
        }
    }
}

/// A limit of a command, soft and hard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceLimit {
    pub resource: Resource,
    /// Bytes, seconds or a number, as the resource has it.
    pub value: u64,
}

impl fmt::Display for ResourceLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.resource.name(), self.value)
    }
}

impl FromStr for ResourceLimit {
    type Err = String;

    /// Reads `nofile=256` or `as=2G`.
    fn from_str(text: &str) -> Result<ResourceLimit, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or("a limit is a name and a value, such as nofile=256 or as=2G")?;
        let resource = Resource::ALL.into_iter().find(|one| one.name() == name);
        let resource = resource.ok_or_else(|| {
            let names = Resource::ALL.map(Resource::name);
            format!("'{name}' is no limit; there are {}", names.join(", "))
        })?;
        // The long units speak of bytes, and most limits are on something else.
        let is_short = value.ends_with(|last: char| last.is_ascii_digit() || "KMG".contains(last));
        let value = bytes(value).filter(|_| is_short).ok_or_else(|| {
            format!("'{value}' is no value for {name}; give a number, or 64K, 512M, 2G")
        })?;
        Ok(ResourceLimit { resource, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_written() {
        for (text, resource, value) in [
            ("nofile=256", Resource::Nofile, 256),
            ("as=2G", Resource::As, 2 << 30),
            ("nproc=0", Resource::Nproc, 0),
            ("stack=64K", Resource::Stack, 64 << 10),
        ] {
            let expected = ResourceLimit { resource, value };
            assert_eq!(text.parse(), Ok(expected));
            assert_eq!(expected.to_string().parse(), Ok(expected));
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, message) in [
            ("nofile", "such as nofile=256"),
            ("files=3", "'files' is no limit; there are as, core"),
            ("nofile=many", "'many' is no value for nofile"),
            ("nofile=-1", "no value"),
            ("as=1GG", "no value"),
            ("as=99999999999G", "no value"),
            ("as=", "no value"),
        ] {
            let error = text.parse::<ResourceLimit>().expect_err(text);
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
