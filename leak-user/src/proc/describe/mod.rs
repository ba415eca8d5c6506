//! What a single resource is, for the examples of a finding. Asked late and of
//! few: this reads links, socket tables and mappings.

#[cfg(test)]
mod tests;

use std::{collections::HashMap, path::PathBuf};

use leak_common::{Class, Handle, Kind};

use super::{
    Mapping, Proc,
    descriptor::asked::{other_end_closed, socket_protocol},
    file_state::{FileState, file_state},
    link_text, number_in_link, read_text,
    socket::Found,
};
use crate::model::{facts::Description, report::Socket};

/// Most bytes read of a descriptor's `fdinfo`: an epoll's lists all it watches.
const MAX_FDINFO: u64 = 256 * 1024;

/// Most bytes read of a process's mounts: some 150 bytes each.
const MAX_MOUNTINFO: u64 = 1024 * 1024;

/// A descriptor's link, and the inode of the socket behind it.
struct Link {
    path: PathBuf,
    target: String,
    socket: Option<u64>,
}

impl Proc {
    /// What one resource of a process is.
    #[must_use]
    pub fn describe(&self, pid: u32, handle: Handle, kind: Kind) -> Description {
        self.describe_many(pid, &[(handle, kind)])
            .pop()
            .unwrap_or_default()
    }

    /// What resources of a process are, in the order given; each table is read
    /// once. What is gone has an empty description.
    #[must_use]
    pub fn describe_many(&self, pid: u32, resources: &[(Handle, Kind)]) -> Vec<Description> {
        let pid = self.memory_of(pid);
        let links: HashMap<u32, Link> = resources
            .iter()
            .filter_map(|(handle, _)| handle.descriptor())
            .filter_map(|number| Some((number, self.link(pid, number)?)))
            .collect();
        let wanted: Vec<_> = links
            .values()
            .filter_map(|link| Some((link.socket?, socket_protocol(&link.path))))
            .collect();
        let sockets = match wanted.as_slice() {
            [] => HashMap::new(),
            wanted => self.sockets(pid, wanted),
        };
        let has = |class: Class| {
            let mut classes = resources.iter().map(|(_, kind)| kind.class());
            classes.any(|other| other == class)
        };
        let mappings = match has(Class::Mapping) {
            true => self.mappings(pid).unwrap_or_default(),
            false => Vec::new(),
        };
        let segments = match has(Class::Shm) {
            true => self.shm_segments(),
            false => Vec::new(),
        };
        let describe = |(handle, kind): &(Handle, Kind)| match kind.class() {
            Class::Descriptor => handle
                .descriptor()
                .and_then(|number| Some((number, links.get(&number)?)))
                .map(|(number, link)| self.descriptor(pid, number, link, &sockets)),
            Class::Mapping => describe_mapping(from_address(&mappings, handle.value())),
            Class::Thread => self.thread(pid, *handle),
            Class::Process => self.child(*handle),
            Class::Shm => {
                let id = handle.value() as u32;
                let segment = segments.iter().find(|segment| segment.id == id);
                segment.map(|segment| {
                    Description::text(format!(
                        "key 0x{:08x}, {} bytes, {} attached, created by pid {}",
                        segment.key, segment.size, segment.attached, segment.creator
                    ))
                })
            }
            Class::Heap => None,
        };
        let describe = |resource| describe(resource).unwrap_or_default();
        resources.iter().map(describe).collect()
    }

    fn link(&self, pid: u32, number: u32) -> Option<Link> {
        let path = self.of(pid, &format!("fd/{number}"));
        let target = link_text(&path).ok()?;
        Some(Link {
            path,
            socket: number_in_link(&target, "socket"),
            target,
        })
    }

    fn descriptor(
        &self,
        pid: u32,
        number: u32,
        link: &Link,
        sockets: &HashMap<u64, Found>,
    ) -> Description {
        if let Some(found) = link.socket.and_then(|inode| sockets.get(&inode)) {
            let half_closed = found.socket.family == "unix"
                && found.socket.state != "LISTEN"
                && other_end_closed(pid, number) == Some(true);
            return Description {
                half_closed,
                ..describe_socket(found)
            };
        }
        let target = link.target.as_str();
        if let Some(name) = target.strip_prefix("anon_inode:") {
            let name = name.trim_start_matches('[').trim_end_matches(']');
            let detail = self.fdinfo(pid, number, |line| detail(name, line));
            return Description::text(match summarise(name, &detail) {
                Some(summary) => format!("{name}, {summary}"),
                None => name.to_owned(),
            });
        }
        if target.starts_with("pipe:") {
            let end = self.pipe_end(pid, number);
            let half_closed = other_end_closed(pid, number) == Some(true);
            let end = end.map_or_else(String::new, |end| format!(", {end} end"));
            let other = if half_closed {
                ", the other is closed"
            } else {
                ""
            };
            return Description {
                half_closed,
                ..Description::text(format!("{target}{end}{other}"))
            };
        }
        self.describe_file(pid, link)
    }

    fn describe_file(&self, pid: u32, link: &Link) -> Description {
        let state = file_state(&link.path).ok();
        let size = state.map_or(0, |state| state.size);
        if let Some(name) = link.target.strip_prefix("/memfd:") {
            let name = name.strip_suffix(" (deleted)").unwrap_or(name);
            return Description::text(format!("memfd {name}, {size} bytes"));
        }
        // The link alone is no proof: a file's name may end like that.
        let deleted = state
            .filter(|state| state.links == 0)
            .filter(|_| link.target.ends_with(" (deleted)"));
        let is_regular = state.is_some_and(|state| state.mode & libc::S_IFMT == libc::S_IFREG);
        Description {
            text: match deleted.is_some() && is_regular {
                true => format!("{}, {size} bytes", link.target),
                false => link.target.clone(),
            },
            deleted: deleted.is_some(),
            in_memory: deleted.is_some_and(|state| self.is_in_memory(pid, &state)),
            ..Description::default()
        }
    }

    /// Whether a file that a process has open lies in memory, by the mounts that the
    /// process sees. statfs(2) would ask the file system, and one in user space may never
    /// answer.
    fn is_in_memory(&self, pid: u32, file: &FileState) -> bool {
        file.unnamed_device
            && read_text(&self.of(pid, "mountinfo"), MAX_MOUNTINFO)
                .is_some_and(|mounts| is_device_in_memory(&mounts, file.identity.0))
    }

    /// Which end of a pipe it is, by the mode it was opened with.
    fn pipe_end(&self, pid: u32, number: u32) -> Option<&'static str> {
        let flags = self.fdinfo(pid, number, |line| line.strip_prefix("flags:"));
        let flags = i32::from_str_radix(flags.first()?.trim(), 8).ok()?;
        match flags & libc::O_ACCMODE {
            libc::O_RDONLY => Some("read"),
            libc::O_WRONLY => Some("write"),
            _ => None,
        }
    }

    /// The watches of an inotify descriptor: their numbers, 0 where one is not to be read.
    #[must_use]
    pub fn inotify_watches(&self, pid: u32, number: u32) -> Vec<u32> {
        let watches = self.fdinfo(self.memory_of(pid), number, |line| {
            line.strip_prefix("inotify wd:")?.split(' ').next()
        });
        let number = |hex: &String| u32::from_str_radix(hex, 16).unwrap_or(0);
        watches.iter().map(number).collect()
    }

    /// Whether a descriptor is one of fanotify.
    #[must_use]
    pub fn is_fanotify(&self, pid: u32, number: u32) -> bool {
        let link = super::link_text(&self.of(pid, &format!("fd/{number}")));
        link.is_ok_and(|link| link == "anon_inode:[fanotify]")
    }

    /// The parts of `fdinfo` lines that `pick` takes.
    fn fdinfo(&self, pid: u32, number: u32, pick: impl Fn(&str) -> Option<&str>) -> Vec<String> {
        let path = self.of(pid, &format!("fdinfo/{number}"));
        let text = read_text(&path, MAX_FDINFO).unwrap_or_default();
        text.lines().filter_map(pick).map(str::to_owned).collect()
    }

    fn thread(&self, pid: u32, handle: Handle) -> Option<Description> {
        let task = handle.as_task()?;
        let tid = task.pid();
        let stat = super::Stat::parse(&self.text_of(pid, &format!("task/{tid}/stat"))?)?;
        // The handle keeps 56 bits of the identity.
        (Handle::task(Class::Thread, stat.id) == handle).then(|| Description::text(stat.comm))
    }

    fn child(&self, handle: Handle) -> Option<Description> {
        let stat = self.stat(handle.as_task()?.pid())?;
        if Handle::task(Class::Process, stat.id) != handle {
            return None;
        }
        Some(Description::text(match stat.is_zombie() {
            true => format!("{}, zombie", stat.comm),
            false => stat.comm,
        }))
    }
}

fn describe_socket(found: &Found) -> Description {
    let Socket {
        family,
        local,
        peer,
        state,
    } = &found.socket;
    let name = match found.protocol.as_str() {
        "" => family,
        protocol => protocol,
    };
    let addresses = match (local.as_str(), peer.as_str()) {
        (local, "") => local.to_owned(),
        (local, peer) => format!("{local} -> {peer}"),
    };
    let parts = [name, addresses.as_str(), state.as_str()];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    Description {
        text: parts.join(" "),
        socket: Some(found.socket.clone()),
        ..Description::default()
    }
}

/// Whether a device number is that of a file system in memory, by the text of `mountinfo`:
/// `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS TAGS - TYPE SOURCE OPTIONS` (proc(5)).
fn is_device_in_memory(mounts: &str, device: u64) -> bool {
    let (major, minor) = (device >> 32, device & u64::from(u32::MAX));
    let device = format!("{major}:{minor}");
    let of_device = |line: &&str| line.split(' ').nth(2) == Some(device.as_str());
    let mount = mounts.lines().find(of_device);
    let behind = mount.and_then(|line| Some(line.split_once(" - ")?.1));
    let file_system = behind.and_then(|behind| behind.split(' ').next());
    matches!(
        file_system,
        Some("tmpfs" | "ramfs" | "devtmpfs" | "hugetlbfs")
    )
}

/// The mapping that an address lies in, and those behind it; none where nothing is mapped.
fn from_address(mappings: &[Mapping], address: u64) -> &[Mapping] {
    let index = mappings.partition_point(|mapping| mapping.range.end <= address);
    match &mappings[index..] {
        from @ [first, ..] if first.range.start <= address => from,
        _ => &[],
    }
}

/// Describes the first of some mappings, by what follows if it only guards that: a
/// thread's stack begins so.
fn describe_mapping(from: &[Mapping]) -> Option<Description> {
    let (mapping, guard) = match from {
        [first, second, ..] if first.guards(second) => (second, first.range.length()),
        [first, ..] => (first, 0),
        [] => return None,
    };
    let name = match mapping.path.as_str() {
        "" => "[anon]",
        path => path,
    };
    // Shared anonymous memory lies in a file that never had a name.
    let nameless =
        name.starts_with("/SYSV") || name.starts_with("/memfd:") || name.starts_with("/dev/zero");
    let behind = match guard {
        0 => String::new(),
        bytes => format!(" behind a guard of {bytes} bytes"),
    };
    Some(Description {
        text: format!("{name} {}{behind}", mapping.permissions()),
        deleted: name.ends_with(" (deleted)") && !nameless,
        ..Description::default()
    })
}

/// The line of `fdinfo` that says most about an anonymous descriptor.
fn detail<'a>(name: &str, line: &'a str) -> Option<&'a str> {
    match name {
        "eventpoll" => line.strip_prefix("tfd:"),
        "inotify" => line.strip_prefix("inotify wd:"),
        "pidfd" => line.strip_prefix("Pid:"),
        "eventfd" => line.strip_prefix("eventfd-count:"),
        "bpf-map" => line.strip_prefix("map_id:"),
        "bpf-prog" => line.strip_prefix("prog_id:"),
        _ => None,
    }
}

fn summarise(name: &str, details: &[String]) -> Option<String> {
    let first = details.first().map(|detail| detail.trim());
    match (name, first) {
        ("eventpoll", _) => Some(format!("watches {} descriptors", details.len())),
        ("inotify", _) => Some(format!("{} watches", details.len())),
        ("pidfd", Some("-1")) => Some("of an exited process".to_owned()),
        ("pidfd", Some(pid)) => Some(format!("of pid {pid}")),
        ("eventfd", Some(count)) => Some(format!("count {count}")),
        ("bpf-map" | "bpf-prog", Some(id)) => Some(format!("id {id}")),
        _ => None,
    }
}
