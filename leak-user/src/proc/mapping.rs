//! Memory mappings.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::PathBuf,
};

use super::{Proc, into_text, open_regular};
use crate::model::address::AddressRange;

/// Most mappings taken of one process: a multiple of the usual
/// `vm.max_map_count` of 65530.
const MAX_MAPPINGS: usize = 1 << 20;

/// The path of the mapping with the code that the kernel gives every process (vdso(7)).
pub const VDSO: &str = "[vdso]";

/// One line of `/proc/PID/maps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub range: AddressRange,
    /// `r`, `w`, `x` and `p` (private) or `s` (shared), `-` for what is missing.
    pub permissions: [u8; 4],
    /// Offset in the file, bytes.
    pub offset: u64,
    /// Device of the file: major and minor number.
    pub device: (u32, u32),
    /// Inode of the file, 0 where there is none.
    pub inode: u64,
    /// Path or the kernel's name in brackets; empty for anonymous memory.
    pub path: String,
}

impl Mapping {
    /// Reads a line of `/proc/PID/maps`.
    #[must_use]
    pub fn parse(line: &str) -> Option<Mapping> {
        let mut rest = line;
        let mut field = || {
            let (field, tail) = rest.split_once(' ').unwrap_or((rest, ""));
            rest = tail;
            field
        };
        let (start, end) = field().split_once('-')?;
        let permissions = field().as_bytes().try_into().ok()?;
        let offset = u64::from_str_radix(field(), 16).ok()?;
        let (major, minor) = field().split_once(':')?;
        let inode = field().parse().ok()?;
        Some(Mapping {
            range: AddressRange {
                start: u64::from_str_radix(start, 16).ok()?,
                end: u64::from_str_radix(end, 16).ok()?,
            },
            permissions,
            offset,
            device: (
                u32::from_str_radix(major, 16).ok()?,
                u32::from_str_radix(minor, 16).ok()?,
            ),
            inode,
            // Padded to a column; a path begins with '/' or '['.
            path: rest.trim_start_matches(' ').to_owned(),
        })
    }

    /// Whether code may run in it.
    #[must_use]
    pub fn is_executable(&self) -> bool {
        self.permissions[2] == b'x'
    }

    /// Whether a call of mmap may have made it: not what the kernel gives every
    /// process, nor the heap of brk.
    #[must_use]
    pub fn may_be_from_mmap(&self) -> bool {
        // `[anon:NAME]` and `[anon_shmem:NAME]` are mappings that were named (prctl).
        !self.path.starts_with('[') || self.path.starts_with("[anon")
    }

    /// Whether nobody may touch it, and it lies before memory of which this is not so:
    /// both may be from one call of mmap.
    pub(super) fn guards(&self, next: &Mapping) -> bool {
        let anonymous = self.path.is_empty() && next.path.is_empty();
        let forbidden = |mapping: &Mapping| mapping.permissions.starts_with(b"---");
        anonymous && self.range.end == next.range.start && forbidden(self) && !forbidden(next)
    }

    /// The permissions as the kernel writes them.
    #[must_use]
    pub fn permissions(&self) -> &str {
        std::str::from_utf8(&self.permissions).unwrap_or("????")
    }
}

impl Proc {
    /// The mappings of a process by address, also when its first thread exited.
    /// `None` where it is gone, a zombie or may not be read.
    #[must_use]
    pub fn mappings(&self, pid: u32) -> Option<Vec<Mapping>> {
        let mut mappings = Vec::new();
        self.each_mapping(pid, |mapping| mappings.push(mapping))?;
        Some(mappings)
    }

    /// Opens the file of a mapping: the very file, also if it was deleted. Nothing
    /// says that it is still the one that was mapped when the addresses were read.
    ///
    /// # Errors
    /// It is not a regular file, the process is gone, or this one may not
    /// (`CAP_CHECKPOINT_RESTORE`).
    pub(crate) fn open_mapped(&self, pid: u32, range: AddressRange) -> io::Result<File> {
        open_regular(&self.mapped_file(pid, range))
    }

    /// The link to the file of a mapping.
    pub(crate) fn mapped_file(&self, pid: u32, range: AddressRange) -> PathBuf {
        let AddressRange { start, end } = range;
        self.of(self.memory_of(pid), &format!("map_files/{start:x}-{end:x}"))
    }

    /// The addresses of the mappings that mmap may have made.
    #[must_use]
    pub fn mapping_ranges(&self, pid: u32) -> Option<Vec<AddressRange>> {
        let mut ranges = Vec::new();
        self.each_mapping(pid, |mapping| {
            if mapping.may_be_from_mmap() {
                ranges.push(mapping.range);
            }
        })?;
        Some(ranges)
    }

    /// How many mappings a process has.
    #[must_use]
    pub fn count_mappings(&self, pid: u32) -> Option<u64> {
        let mut count = 0;
        self.each_mapping(pid, |_| count += 1)?;
        Some(count)
    }

    fn each_mapping(&self, pid: u32, mut take: impl FnMut(Mapping)) -> Option<()> {
        let mut reader = pid;
        if !self.take_mappings(pid, &mut take)? {
            reader = self.thread_with_memory(pid).filter(|tid| *tid != pid)?;
            if !self.take_mappings(reader, &mut take)? {
                return None;
            }
        }
        (!self.is_ending(reader)).then_some(())
    }

    /// Whether a process or thread shows any; `None` where it ended after the first.
    fn take_mappings(&self, pid: u32, take: &mut impl FnMut(Mapping)) -> Option<bool> {
        let Ok(file) = File::open(self.of(pid, "maps")) else {
            return Some(false);
        };
        let mut lines = BufReader::with_capacity(64 * 1024, file);
        let mut line = Vec::new();
        let mut any = false;
        for _ in 0..MAX_MAPPINGS {
            line.clear();
            match lines.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => {}
                Err(_) if any => return None,
                Err(_) => break,
            }
            any = true;
            let text = into_text(std::mem::take(&mut line));
            if let Some(mapping) = Mapping::parse(text.trim_end_matches('\n')) {
                take(mapping);
            }
        }
        Some(any)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_line_is_read_whole() {
        let line = "7f1000-7f3000 r-xp 00001000 fe:00 325843      /usr/lib/a b.so (deleted)";
        let mapping = Mapping::parse(line).unwrap();
        assert_eq!(mapping.range, (0x7f_1000..0x7f_3000).into());
        assert_eq!(
            (mapping.offset, mapping.device, mapping.inode),
            (0x1000, (0xfe, 0), 325_843)
        );
        assert_eq!(mapping.path, "/usr/lib/a b.so (deleted)");
        assert_eq!(mapping.permissions(), "r-xp");
        assert!(mapping.is_executable() && mapping.may_be_from_mmap());
        let anonymous = Mapping::parse("1000-2000 rw-p 00000000 00:00 0 ").unwrap();
        assert_eq!(anonymous.path, "");
        assert!(!anonymous.is_executable());
    }

    #[test]
    fn what_the_kernel_gives_everybody_is_not_from_mmap() {
        for (path, expected) in [
            ("[heap]", false),
            ("[stack]", false),
            ("[vdso]", false),
            ("[vvar_vclock]", false),
            ("[vsyscall]", false),
            ("[uprobes]", false),
            ("[anon:glibc: malloc]", true),
            ("[anon_shmem:x]", true),
            ("/SYSV00000000 (deleted)", true),
        ] {
            let mapping = Mapping::parse(&format!("1000-2000 rw-p 0 00:00 0   {path}")).unwrap();
            assert_eq!(mapping.may_be_from_mmap(), expected, "{path}");
        }
    }

    #[test]
    fn damaged_lines_are_none() {
        for line in [
            "",
            "x",
            "1-2",
            "1-2 rwxp",
            "1-2 rwx 0 0:0 0",
            "1-2 rwxp 0 0 0",
            "1-2 rwxp 0 0:0 x",
        ] {
            assert_eq!(Mapping::parse(line), None, "{line}");
        }
    }

    #[test]
    fn own_code_lies_in_an_executable_mapping() {
        let mappings = Proc::default().mappings(std::process::id()).unwrap();
        let address = own_code_lies_in_an_executable_mapping as *const () as u64;
        let covering = mappings
            .iter()
            .find(|mapping| mapping.range.contains(address));
        assert!(covering.unwrap().is_executable());
        assert_eq!(Proc::default().mappings(u32::MAX), None);
    }

    #[test]
    fn mappings_are_read_through_another_thread_when_the_first_one_has_none() {
        let root = tempfile::tempdir().unwrap();
        let line = "1000-2000 r-xp 00000000 fe:00 1 /a\n";
        for (path, text) in [
            ("7/maps", ""),
            ("7/statm", "0 0 0 0 0 0 0\n"),
            ("7/task/7/statm", "0 0 0 0 0 0 0\n"),
            ("7/task/8/statm", "0 0 0 0 0 0 0\n"),
            ("7/task/9/statm", "2 1 1 1 0 1 0\n"),
            ("9/maps", line),
        ] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let proc = Proc::new(root.path());
        assert_eq!(proc.memory_of(7), 9);
        assert_eq!(
            proc.mappings(7),
            Mapping::parse(line.trim_end()).map(|one| vec![one])
        );
        assert_eq!(proc.count_mappings(7), Some(1));
        std::fs::remove_dir_all(root.path().join("9")).unwrap();
        assert_eq!(proc.mappings(7), None);
        std::fs::remove_dir_all(root.path().join("7/task/9")).unwrap();
        assert_eq!((proc.memory_of(7), proc.mappings(7)), (7, None));
    }
}
