//! The files of a recording: their names, how they are made, and which are kept.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{self, IsTerminal as _, Write},
    os::{fd::AsFd as _, unix::fs::FileTypeExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, bail};

use super::Options;
use crate::model::{escape::escape_bytes, file_name::expand};

/// An open file of a recording.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// It can be cut and removed.
    pub(super) is_regular: bool,
}

impl Write for Opened {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Makes the files of one recording.
#[derive(Debug)]
pub(super) struct Files {
    pattern: PathBuf,
    host: String,
    rotates: bool,
    keep: Option<usize>,
    force: bool,
    /// Those there are, oldest first.
    made: VecDeque<PathBuf>,
}

impl Files {
    pub(super) fn new(options: &Options) -> Files {
        Files {
            pattern: options.path.clone(),
            host: options.host.clone(),
            rotates: options.rotate.is_some(),
            keep: options.keep.and_then(|keep| usize::try_from(keep).ok()),
            force: options.force,
            made: VecDeque::new(),
        }
    }

    /// Fails where no file can be made: it is better to know before the trace begins.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let path = self.path_now();
        if path == Path::new("-") {
            return Ok(());
        }
        if let Some(older) = self.older(&path) {
            bail!(
                "{} exists already: name another file, such as %h-%t.lkt, or replace it with --force",
                shown(&older)
            );
        }
        let directory = directory(&path);
        tempfile::tempfile_in(directory)
            .map(drop)
            .with_context(|| cannot(&path))
    }

    /// A file with content that this recording would replace.
    fn older(&self, path: &Path) -> Option<PathBuf> {
        let has_content = |path: &Path| {
            std::fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() > 0)
        };
        if self.force {
            return None;
        }
        if !self.rotates {
            return has_content(path).then(|| path.to_owned());
        }
        // Of an older recording any part may be left.
        let entries = std::fs::read_dir(directory(path)).ok()?;
        let mut entries = entries.flatten().map(|entry| entry.path());
        entries.find(|entry| is_part(entry, path) && has_content(entry))
    }

    /// The path that the pattern gives at this moment.
    fn path_now(&self) -> PathBuf {
        let now = SystemTime::now();
        PathBuf::from(expand(
            self.pattern.as_os_str(),
            &self.host,
            std::process::id(),
            now,
        ))
    }

    /// Makes the file of a part. An older one of its name is replaced, a link not
    /// followed: anyone may have put it into a shared directory.
    pub(super) fn open(&mut self, part: u32) -> anyhow::Result<Opened> {
        let path = self.path_now();
        if path == Path::new("-") {
            return stdout();
        }
        let path = match self.rotates {
            true => numbered(&path, part),
            false => path,
        };
        let kind = std::fs::symlink_metadata(&path).map(|found| found.file_type());
        if kind.is_ok_and(|kind| kind.is_fifo() || kind.is_char_device() || kind.is_socket()) {
            let file = OpenOptions::new().write(true).open(&path);
            return Ok(Opened {
                file: file.with_context(|| cannot(&path))?,
                path,
                is_regular: false,
            });
        }
        if path.is_dir() && !path.is_symlink() || path.file_name().is_none() {
            bail!(
                "cannot record to {}: it is a directory; name a file in it",
                shown(&path)
            );
        }
        // A temporary file has mode 0600.
        let file = tempfile::Builder::new()
            .prefix(".leaktrace-")
            .tempfile_in(directory(&path))
            .with_context(|| cannot(&path))?
            .persist(&path)
            .with_context(|| cannot(&path))?;
        // Tells readers that it is not finished. Without it they take the missing end for damage.
        if let Err(error) = file.try_lock() {
            tracing::debug!("cannot lock {}: {error}", shown(&path));
        }
        self.made.push_back(path.clone());
        while self.keep.is_some_and(|keep| self.made.len() > keep) {
            if let Some(oldest) = self.made.pop_front()
                && let Err(error) = std::fs::remove_file(&oldest)
            {
                tracing::warn!("cannot remove {}: {error}", shown(&oldest));
            }
        }
        Ok(Opened {
            file,
            path,
            is_regular: true,
        })
    }

    pub(super) fn made(&self) -> Vec<PathBuf> {
        self.made.iter().cloned().collect()
    }
}

fn stdout() -> anyhow::Result<Opened> {
    let stdout = io::stdout();
    if stdout.is_terminal() {
        bail!("a recording is binary and is not written to a terminal; name a file with -o");
    }
    let file = stdout.as_fd().try_clone_to_owned()?;
    Ok(Opened {
        file: file.into(),
        path: PathBuf::from("-"),
        is_regular: false,
    })
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn cannot(path: &Path) -> String {
    format!(
        "cannot record to {}: its directory must exist and be writable",
        shown(path)
    )
}

/// The path as a message shows it.
pub(super) fn shown(path: &Path) -> String {
    format!("'{}'", escape_bytes(path.as_os_str().as_encoded_bytes()))
}

/// `web.lkt` as `web-0003.lkt`.
fn numbered(path: &Path, part: u32) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{part:04}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Whether a file has the name of some part of the recording `path`.
fn is_part(file: &Path, path: &Path) -> bool {
    let number = |file: &Path| -> Option<u32> {
        let stem = file.file_stem()?.to_str()?;
        let digits = stem
            .strip_prefix(path.file_stem()?.to_str()?)?
            .strip_prefix('-')?;
        digits.parse().ok()
    };
    number(file).is_some_and(|part| file.file_name() == numbered(path, part).file_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_numbered_before_the_extension() {
        assert_eq!(
            numbered(Path::new("/a/b.lkt"), 3),
            Path::new("/a/b-0003.lkt")
        );
        assert_eq!(numbered(Path::new("b"), 12345), Path::new("b-12345"));
        assert_eq!(numbered(Path::new("a.b/c"), 0), Path::new("a.b/c-0000"));
    }

    #[test]
    fn parts_are_known_by_their_names() {
        let recording = Path::new("/a/web.lkt");
        for (name, is) in [
            ("web-0003.lkt", true),
            ("web-12345.lkt", true),
            ("web-3.lkt", false),
            ("web.lkt", false),
            ("web-0003.json", false),
            ("other-0003.lkt", false),
            ("web-x.lkt", false),
        ] {
            assert_eq!(
                is_part(&Path::new("/a").join(name), recording),
                is,
                "{name}"
            );
        }
    }
}
