//! Which BPF objects a process holds, and which of them the kernel still has.

use std::collections::BTreeSet;
use std::fs;

/// An object of the kernel's BPF subsystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    Program(u32),
    Map(u32),
    Link(u32),
}

/// What the descriptors of a process refer to.
#[must_use]
pub fn objects_of(pid: u32) -> BTreeSet<Object> {
    let entries = fs::read_dir(format!("/proc/{pid}/fdinfo"))
        .into_iter()
        .flatten();
    entries
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .flat_map(|text| text.lines().filter_map(object).collect::<Vec<_>>())
        .collect()
}

fn object(line: &str) -> Option<Object> {
    let (key, number) = line.split_once(':')?;
    let number = number.trim().parse().ok()?;
    match key {
        "prog_id" => Some(Object::Program(number)),
        "map_id" => Some(Object::Map(number)),
        "link_id" => Some(Object::Link(number)),
        _ => None,
    }
}

impl Object {
    /// Whether the kernel has it.
    #[must_use]
    pub fn exists(self) -> bool {
        // BPF_PROG_GET_FD_BY_ID, BPF_MAP_GET_FD_BY_ID, BPF_LINK_GET_FD_BY_ID
        let (command, id): (libc::c_long, u32) = match self {
            Object::Program(id) => (13, id),
            Object::Map(id) => (14, id),
            Object::Link(id) => (30, id),
        };
        let attributes = [id, 0, 0];
        // SAFETY: the attributes outlive the call and their size is given; the
        // descriptor that comes back is ours to close.
        unsafe {
            let fd = libc::syscall(
                libc::SYS_bpf,
                command,
                attributes.as_ptr(),
                size_of_val(&attributes),
            );
            if fd < 0 {
                return std::io::Error::last_os_error().raw_os_error() != Some(libc::ENOENT);
            }
            libc::close(fd as i32);
        }
        true
    }
}
