//! Where code lies on this host: what processes map, and what is installed.

use std::{
    collections::HashMap,
    fs::{File, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use leak_common::unwind::FileKey;

use crate::proc::{Mapping, Proc, open_regular};

/// Processes that are looked at.
const MAX_PROCESSES: usize = 65_536;

/// Files of one directory that are looked at.
const MAX_ENTRIES: usize = 8192;

/// A file that processes map, by one of them.
#[derive(Debug)]
pub(super) struct Mapped {
    pub(super) pid: u32,
    pub(super) mapping: Mapping,
    processes: usize,
}

/// Whether code of a file is mapped.
pub(super) fn is_code(mapping: &Mapping) -> bool {
    mapping.is_executable() && mapping.inode != 0
}

/// The files whose code processes map, those of most processes first.
pub(super) fn mapped(proc: &Proc, pids: impl IntoIterator<Item = u32>) -> Vec<Mapped> {
    let mut files: HashMap<((u32, u32), u64), Mapped> = HashMap::new();
    for pid in pids.into_iter().take(MAX_PROCESSES) {
        for mapping in proc.mappings(pid).unwrap_or_default() {
            if is_code(&mapping) {
                let file = (mapping.device, mapping.inode);
                let mapped = files.entry(file).or_insert(Mapped {
                    pid,
                    mapping,
                    processes: 0,
                });
                mapped.processes += 1;
            }
        }
    }
    let mut files: Vec<Mapped> = files.into_values().collect();
    files.sort_by_key(|mapped| (std::cmp::Reverse(mapped.processes), mapped.mapping.inode));
    files
}

/// Opens what a living process has mapped: the very file, also if it was deleted.
pub(super) fn open_mapped(proc: &Proc, pid: u32, (start, end): (u64, u64)) -> io::Result<File> {
    let process = proc.root().join(pid.to_string());
    open_regular(&process.join(format!("map_files/{start:x}-{end:x}")))
}

/// The kernel's number of a device: `MKDEV`, include/linux/kdev_t.h.
pub(super) fn device((major, minor): (u32, u32)) -> u32 {
    major << 20 | minor
}

/// What the programs call a file, unless its file system has other numbers inside
/// the kernel than it shows (overlayfs, btrfs): those are learned when its code is
/// met.
pub(super) fn key_of(metadata: &Metadata) -> FileKey {
    let number = metadata.dev();
    FileKey {
        inode: metadata.ino(),
        changed_seconds: metadata.ctime(),
        changed_nanoseconds: metadata.ctime_nsec() as u32,
        device: device((libc::major(number), libc::minor(number))),
    }
}

/// Programs and libraries where distributions install them, libraries first: more
/// programs share them.
pub(super) fn installed() -> impl Iterator<Item = PathBuf> {
    let mut files = Vec::new();
    let multiarch = format!("{}-linux-gnu", std::env::consts::ARCH);
    for directory in ["/usr/lib", "/lib", "/usr/local/lib"] {
        list(&Path::new(directory).join(&multiarch), true, &mut files);
    }
    for directory in ["/usr/lib64", "/lib64", "/usr/lib", "/lib", "/usr/local/lib"] {
        list(Path::new(directory), true, &mut files);
    }
    for directory in ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"] {
        list(Path::new(directory), false, &mut files);
    }
    files.into_iter()
}

/// The files of a directory: all that can be run, or all that look like libraries.
/// Links are left out, what they name is found where it lies.
fn list(directory: &Path, libraries: bool, files: &mut Vec<PathBuf>) {
    // A directory that is a link was listed under its name.
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    let is_link = |path: &Path| path.symlink_metadata().is_ok_and(|data| data.is_symlink());
    if is_link(directory) || directory.parent().is_some_and(is_link) {
        return;
    }
    for entry in entries.map_while(Result::ok).take(MAX_ENTRIES) {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        let name = entry.file_name();
        let shared = name.as_encoded_bytes().windows(3).any(|part| part == b".so");
        if is_file && (shared || !libraries) {
            files.push(entry.path());
        }
    }
}
