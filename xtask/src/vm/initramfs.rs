//! The initial file system of the virtual machines: an archive in cpio's "newc" format, not compressed (unpacking it
//! under emulation takes longer than reading it).

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

const DIRECTORY: u32 = 0o040_755;
const EXECUTABLE: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// An archive being written.
pub(crate) struct Archive<W> {
    out: W,
    /// Paths that it has, without the leading slash.
    written: BTreeSet<PathBuf>,
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(out: W) -> Archive<W> {
        Archive {
            out,
            written: BTreeSet::new(),
        }
    }

    /// Adds a file with the directories that lead to it; a path that is there already is left alone.
    pub(crate) fn file(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        self.entry(
            Path::new(path.trim_start_matches('/')),
            EXECUTABLE,
            (0, 0),
            content,
        )
    }

    /// Adds a character device.
    pub(crate) fn device(&mut self, path: &str, number: (u32, u32)) -> io::Result<()> {
        let path = Path::new(path.trim_start_matches('/'));
        self.entry(path, CHARACTER_DEVICE, number, &[])
    }

    /// Adds a file of this machine under another name.
    pub(crate) fn copy(&mut self, path: &str, file: &Path) -> Result<()> {
        let content = read(file)?;
        self.file(path, &content)?;
        Ok(())
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.write("TRAILER!!!", 0, (0, 0), &[])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn entry(
        &mut self,
        path: &Path,
        mode: u32,
        device: (u32, u32),
        content: &[u8],
    ) -> io::Result<()> {
        if !self.written.insert(path.to_owned()) {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        if parent != Path::new("") {
            self.entry(parent, DIRECTORY, (0, 0), &[])?;
        }
        self.write(&path.to_string_lossy(), mode, device, content)
    }

    fn write(
        &mut self,
        name: &str,
        mode: u32,
        device: (u32, u32),
        content: &[u8],
    ) -> io::Result<()> {
        let length = u32::try_from(content.len()).map_err(io::Error::other)?;
        // Inode, mode, user, group, links, time, length, device twice, length of the name, checksum. Nothing looks at
        // inodes of files with one link.
        let fields = [
            0,
            mode,
            0,
            0,
            1,
            0,
            length,
            0,
            0,
            device.0,
            device.1,
            name.len() as u32 + 1,
            0,
        ];
        let mut header = String::from("070701");
        for field in fields {
            header.push_str(&format!("{field:08x}"));
        }
        header.push_str(name);
        header.push('\0');
        self.out.write_all(header.as_bytes())?;
        self.pad(header.len())?;
        self.out.write_all(content)?;
        self.pad(content.len())
    }

    /// Everything begins at a multiple of four.
    fn pad(&mut self, length: usize) -> io::Result<()> {
        self.out.write_all(&[0; 3][..length.wrapping_neg() % 4])
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The libraries that a program of this machine loads, and the loader.
pub(crate) fn libraries(program: &Path) -> Result<Vec<String>> {
    let output = Command::new("ldd")
        .env("LC_ALL", "C")
        .arg(program)
        .output()
        .context("cannot start `ldd`")?;
    let listed = String::from_utf8_lossy(&output.stdout);
    if let Some(line) = listed.lines().find(|line| line.contains("not found")) {
        bail!("{} cannot run: {}", program.display(), line.trim());
    }
    Ok(paths(&listed))
}

/// The paths in what ldd prints: `libc.so.6 => /lib/libc.so.6 (0x7f)` or `/lib64/ld.so.2 (0x7f)`.
fn paths(listed: &str) -> Vec<String> {
    listed
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_archive_is_one_that_cpio_would_write() {
        let mut archive = Archive::new(Vec::new());
        archive.file("/a/b", b"hello").unwrap();
        archive.file("/a/b", b"again").unwrap();
        archive.device("/a/tty", (5, 1)).unwrap();
        let bytes = archive.finish().unwrap();
        let header = |mode: &str, length: u32, major: u32, minor: u32, name: u32| {
            format!(
                "07070100000000{mode}0000000000000000000000010000000\
                 0{length:08x}0000000000000000{major:08x}{minor:08x}{name:08x}00000000"
            )
        };
        let expected = [
            header("000041ed", 0, 0, 0, 2),
            "a\0".to_owned(),
            header("000081ed", 5, 0, 0, 4),
            "a/b\0\0\0hello\0\0\0".to_owned(),
            header("00002180", 0, 5, 1, 6),
            "a/tty\0".to_owned(),
            header("00000000", 0, 0, 0, 11),
            "TRAILER!!!\0\0\0\0".to_owned(),
        ];
        assert_eq!(String::from_utf8(bytes).unwrap(), expected.concat());
    }

    #[test]
    fn libraries_are_read_from_what_ldd_prints() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                      \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(
            paths(listed),
            [
                "/lib/x86_64-linux-gnu/libc.so.6",
                "/lib64/ld-linux-x86-64.so.2"
            ]
        );
        assert!(paths("\tstatically linked\n").is_empty());
    }
}
