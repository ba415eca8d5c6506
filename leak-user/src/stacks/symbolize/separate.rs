//! Debug information apart from the program, found by build id or by the name in
//! `.gnu_debuglink`: in the host's debug directory, which is its administrator's
//! and trusted, or among the files of the process, which are as untrusted as the
//! program.

use std::{
    ffi::OsStr,
    fs::File,
    os::unix::{ffi::OsStrExt, fs::FileExt},
    path::{Component, Path, PathBuf},
};

use super::elf::{Elf, read_range, u32_at};
use crate::proc::open_beneath;

/// Most bytes of a link, and of a file whose checksum is worked out.
const MAX_LINK: u64 = 4096;
const MAX_FILE: u64 = 1 << 30;

/// `.gnu_debuglink`: a file's name and checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Link {
    name: PathBuf,
    checksum: u32,
}

impl Link {
    fn read(file: &File, elf: &Elf) -> Option<Link> {
        let section = elf.section(".gnu_debuglink")?;
        Link::parse(&read_range(file, section.offset, section.size, MAX_LINK)?)
    }

    /// Name, zeros up to a multiple of four bytes, checksum.
    fn parse(bytes: &[u8]) -> Option<Link> {
        let end = bytes.iter().position(|byte| *byte == 0)?;
        let name = PathBuf::from(OsStr::from_bytes(&bytes[..end]));
        let mut components = name.components();
        let is_name = matches!(
            (components.next(), components.next()),
            (Some(Component::Normal(_)), None)
        );
        let checksum = u32_at(bytes, (end + 1).next_multiple_of(4))?;
        is_name.then_some(Link { name, checksum })
    }
}

/// Where debug information may be, and how to know that it is the right one.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    build_id: Option<String>,
    link: Option<Link>,
    /// Directory of the program, without `/` before it.
    directory: PathBuf,
}

impl Wanted {
    /// What a program asks for. `path` is where it lies, as its own process sees
    /// it. `None` where it needs nothing or says nothing.
    pub(super) fn by(file: &File, elf: &Elf, path: &Path) -> Option<Wanted> {
        if elf.section(".debug_info").is_some() {
            return None;
        }
        let link = Link::read(file, elf);
        let build_id = elf.build_id.clone();
        if link.is_none() && build_id.is_none() {
            return None;
        }
        let directory = path.parent()?.components();
        let directory = directory.filter(|part| matches!(part, Component::Normal(_)));
        Some(Wanted {
            build_id,
            link,
            directory: directory.collect(),
        })
    }

    /// Paths below a debug directory.
    fn installed(&self) -> impl Iterator<Item = PathBuf> {
        let id = self
            .build_id
            .as_deref()
            .and_then(|id| id.split_at_checked(2));
        let by_id = id.map(|(start, rest)| {
            let directory = Path::new(".build-id").join(start);
            directory.join(format!("{rest}.debug"))
        });
        let link = self.link.as_ref();
        by_id
            .into_iter()
            .chain(link.map(|link| self.directory.join(&link.name)))
    }

    /// The file in the host's debug directory. It is used where it lies.
    pub(super) fn on_host(&self, debug_directory: &Path) -> Option<PathBuf> {
        self.installed()
            .map(|path| debug_directory.join(path))
            .find(|path| {
                let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
                is_file && File::open(path).is_ok_and(|file| self.matches(&file))
            })
    }

    /// Opens a file that may be it below the root directory of a process: beside
    /// the program, or in the debug directory there. Whether it [is](Self::matches)
    /// takes longer to say.
    pub(super) fn beneath(&self, root: &Path, debug_directory: &Path) -> Option<File> {
        let beside = self.link.iter().flat_map(|link| {
            let hidden = self.directory.join(".debug").join(&link.name);
            [self.directory.join(&link.name), hidden]
        });
        let installed = self.installed().map(|path| debug_directory.join(path));
        let mut files = beside
            .chain(installed)
            .filter_map(|path| open_beneath(root, &path).ok());
        // A name without more may be that of the program itself.
        files.find(|file| {
            Elf::read(file).is_some_and(|elf| {
                elf.section(".debug_info").is_some() || elf.section(".symtab").is_some()
            })
        })
    }

    /// Whether a file belongs to the program: by its build id where both have
    /// one, else by its checksum.
    pub(super) fn matches(&self, file: &File) -> bool {
        let Some(elf) = Elf::read(file) else {
            return false;
        };
        match (&self.build_id, &elf.build_id, &self.link) {
            (Some(wanted), Some(own), _) => wanted == own,
            (_, _, Some(link)) => checksum(file) == Some(link.checksum),
            _ => false,
        }
    }
}

/// CRC-32 of a whole file.
fn checksum(file: &File) -> Option<u32> {
    let mut checksum = flate2::Crc::new();
    let mut chunk = vec![0; 1 << 16];
    let mut at = 0;
    while at < MAX_FILE {
        match file.read_at(&mut chunk, at).ok()? {
            0 => return Some(checksum.sum()),
            length => {
                checksum.update(&chunk[..length]);
                at += length as u64;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_file_name_is_a_link() {
        let link = |name: &[u8]| {
            let mut bytes = name.to_vec();
            bytes.resize((name.len() + 1).next_multiple_of(4), 0);
            bytes.extend(7u32.to_ne_bytes());
            Link::parse(&bytes)
        };
        let found = link(b"a.debug").map(|link| (link.name, link.checksum));
        assert_eq!(found, Some((PathBuf::from("a.debug"), 7)));
        for name in [&b""[..], b".", b"..", b"/a", b"../a", b"a/b", b"/"] {
            assert_eq!(link(name), None, "{name:?}");
        }
        assert_eq!(Link::parse(b"a.debug\0"), None);
        assert_eq!(Link::parse(b"a.debug"), None);
        assert_eq!(Link::parse(b""), None);
    }
}
