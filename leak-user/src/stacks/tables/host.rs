//! Where code lies on this host: what processes map, and what is installed.

use std::{
    collections::HashMap,
    fs::{File, Metadata},
    io,
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use leak_common::unwind::FileKey;

use crate::proc::{Mapping, Proc, open_regular};

/// Processes that are looked at.
const MAX_PROCESSES: usize = 65_536;

/// Entries of directories that are looked at in all.
const MAX_ENTRIES: usize = 500_000;

/// Directories below those where things are installed.
const MAX_DEPTH: usize = 6;

/// Bytes of an ELF header: what is shorter is something else.
const MIN_ELF: u64 = 64;

/// A file that processes map, by one of them.
#[derive(Debug)]
pub(super) struct MappedFile {
    pub(super) pid: u32,
    pub(super) mapping: Mapping,
    processes: usize,
}

/// Whether code of a file is mapped.
pub(super) fn is_code(mapping: &Mapping) -> bool {
    mapping.is_executable() && mapping.inode != 0
}

/// The files whose code processes map, those of most processes first.
pub(super) fn mapped_files(proc: &Proc, pids: impl IntoIterator<Item = u32>) -> Vec<MappedFile> {
    let mut files: HashMap<((u32, u32), u64), MappedFile> = HashMap::new();
    for pid in pids.into_iter().take(MAX_PROCESSES) {
        for mapping in proc.mappings(pid).unwrap_or_default() {
            if is_code(&mapping) {
                let file = (mapping.device, mapping.inode);
                let mapped = files.entry(file).or_insert(MappedFile {
                    pid,
                    mapping,
                    processes: 0,
                });
                mapped.processes += 1;
            }
        }
    }
    let mut files: Vec<MappedFile> = files.into_values().collect();
    files.sort_by_key(|mapped| (std::cmp::Reverse(mapped.processes), mapped.mapping.inode));
    files
}

/// Opens the program that a living process runs.
pub(super) fn open_program(proc: &Proc, pid: u32) -> io::Result<File> {
    open_regular(&proc.program(pid))
}

/// A file that was opened where the programs met one, if it is that one: a process can
/// have mapped another there meanwhile.
pub(super) fn verified(file: File, key: FileKey) -> io::Result<File> {
    /// `OVERLAYFS_SUPER_MAGIC`, include/uapi/linux/magic.h.
    const OVERLAY: i64 = 0x794c_7630;
    let own = key_of(&file.metadata()?);
    let unchanged = own.changed_seconds == key.changed_seconds
        && own.changed_nanoseconds == key.changed_nanoseconds;
    // An overlay shows the times of the file below, but not its inode.
    if unchanged && (own.inode == key.inode || file_system(&file)? == OVERLAY) {
        Ok(file)
    } else {
        Err(io::Error::other("another file is mapped there now"))
    }
}

/// The magic number of a file's file system.
fn file_system(file: &File) -> io::Result<i64> {
    // SAFETY: plain integers, for which zero is a value.
    let mut facts: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: an open descriptor, and one live object to fill.
    match unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut facts) } {
        0 => Ok(facts.f_type),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The kernel's number of a device: `MKDEV`, include/linux/kdev_t.h.
pub(super) fn device((major, minor): (u32, u32)) -> u32 {
    major << 20 | minor
}

/// What the programs call a file that a process maps.
pub(super) fn key_of_mapped(mapping: &Mapping, metadata: &Metadata) -> FileKey {
    FileKey {
        inode: mapping.inode,
        device: device(mapping.device),
        ..key_of(metadata)
    }
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

/// Where distributions install programs and libraries.
const INSTALLED: [&str; 8] = [
    "/usr/lib",
    "/usr/bin",
    "/usr/sbin",
    "/usr/libexec",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/bin",
    "/opt",
];

/// Programs and libraries that are installed, the smallest first: most of them are
/// known when the room is used up.
pub(super) fn installed() -> impl Iterator<Item = PathBuf> {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    let mut left = MAX_ENTRIES;
    for directory in INSTALLED {
        list(Path::new(directory), MAX_DEPTH, &mut left, &mut found);
    }
    found.sort_unstable();
    found.into_iter().map(|(_, path)| path)
}

/// The files below a directory that can be run, or look like libraries. Links are
/// left out: what they name is found where it lies.
fn list(directory: &Path, depth: usize, left: &mut usize, found: &mut Vec<(u64, PathBuf)>) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    for entry in entries.map_while(Result::ok) {
        if *left == 0 {
            return;
        }
        *left -= 1;
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() && depth > 0 {
            list(&entry.path(), depth - 1, left, found);
        }
        if !kind.is_file() {
            continue;
        }
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let shared = name.windows(3).any(|part| part == b".so");
        // A script has a suffix more often than a program does.
        if !shared && name.contains(&b'.') && !directory.ends_with("bin") {
            continue;
        }
        if let Ok(metadata) = entry.metadata()
            && (shared || metadata.mode() & 0o111 != 0)
            && metadata.len() >= MIN_ELF
        {
            found.push((metadata.len(), entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_file_is_told_from_one_that_took_its_place() {
        let file = tempfile::NamedTempFile::new_in("/tmp").unwrap();
        let key = key_of(&file.as_file().metadata().unwrap());
        let open = || File::open(file.path()).unwrap();
        verified(open(), key).unwrap();
        let later = FileKey {
            changed_nanoseconds: key.changed_nanoseconds ^ 1,
            ..key
        };
        assert!(verified(open(), later).is_err());
    }

    #[test]
    fn programs_and_libraries_are_listed_the_smallest_first() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("x/bin");
        std::fs::create_dir_all(&below).unwrap();
        let write = |name: &str, bytes: usize, mode: u32| {
            use std::os::unix::fs::PermissionsExt as _;
            let path = below.join(name);
            std::fs::write(&path, vec![0; bytes]).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write("large", 900, 0o755);
        write("small.so.1", 100, 0o644);
        write("text", 500, 0o644);
        write("tiny", 10, 0o755);
        std::os::unix::fs::symlink("large", below.join("link")).unwrap();
        let (mut left, mut found) = (100, Vec::new());
        list(directory.path(), MAX_DEPTH, &mut left, &mut found);
        found.sort_unstable();
        let names: Vec<_> = found
            .iter()
            .map(|(_, path)| path.file_name().unwrap())
            .collect();
        assert_eq!(names, ["small.so.1", "large"]);
        let (mut left, mut found) = (3, Vec::new());
        list(directory.path(), MAX_DEPTH, &mut left, &mut found);
        assert!(found.len() <= 1, "bounded");
    }
}
