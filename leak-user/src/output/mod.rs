//! Where reports and events go: standard output, a file that is written whole or not at all, or something special such
//! as a pipe. [`formats`] makes the bytes; only this room opens files and asks the terminal.

mod destination;
mod events;
pub mod formats;
mod partitions;
mod report;
mod style;

pub use events::{EventOutput, Rows};
pub use report::ReportOutput;
pub use style::{Color, Style};

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, IsTerminal, Write},
    os::{
        fd::AsFd,
        unix::{
            ffi::OsStrExt,
            fs::{FileTypeExt, OpenOptionsExt},
        },
    },
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, bail};
use tempfile::NamedTempFile;

use crate::model::{
    escape::{escape, escape_bytes},
    file_name::expand,
};
use formats::{Document, Format};

/// An open place for one document.
#[derive(Debug)]
pub struct Output(Target);

#[derive(Debug)]
enum Target {
    Stdout,
    Stderr,
    /// A device, pipe or socket: written as it is.
    Direct(File, PathBuf),
    /// A temporary file that becomes the file of that path. It is removed where
    /// it does not.
    Replace(NamedTempFile, PathBuf),
}

impl Output {
    /// Standard output.
    #[must_use]
    pub fn stdout() -> Output {
        Output(Target::Stdout)
    }

    /// Standard error.
    #[must_use]
    pub fn stderr() -> Output {
        Output(Target::Stderr)
    }

    /// Opens a file for a report, so that a place that cannot be written is known
    /// before the work begins. Nothing is seen at `path` before
    /// [`write`](Self::write) has succeeded; an older file stays until then. A
    /// symbolic link is replaced and not followed: in a shared directory another
    /// user may have put it there. `-` and `/dev/stdout` are standard output.
    ///
    /// Opening a named pipe waits for its reader.
    ///
    /// # Errors
    ///
    /// Where the path is a directory, or no file can be made there.
    pub fn file(path: &Path) -> anyhow::Result<Output> {
        if path == Path::new("-") || path == Path::new("/dev/stdout") {
            return Ok(Output::stdout());
        }
        let shown = shown(path);
        if is_special(path) {
            // Appending: a redirected /dev/stderr may be a file that has content.
            let file = OpenOptions::new()
                .append(true)
                .custom_flags(libc::O_NOCTTY)
                .open(path)
                .with_context(|| format!("cannot open {shown} for the report"))?;
            return Ok(Output(Target::Direct(file, path.to_owned())));
        }
        if path.is_dir() && !path.is_symlink() || path.file_name().is_none() {
            bail!("cannot write the report to {shown}: it is a directory; name a file in it");
        }
        let temporary = temporary(directory(path)).with_context(|| {
            let directory = directory(path).to_string_lossy();
            format!(
                "cannot make a file for the report {shown}: the directory {} must exist and be \
                 writable",
                escape(&directory)
            )
        })?;
        Ok(Output(Target::Replace(temporary, path.to_owned())))
    }

    /// Opens what `--output` names, with its `%` fields filled in, or standard
    /// output where it names nothing.
    ///
    /// # Errors
    ///
    /// As [`Output::file`].
    pub fn open(path: Option<&Path>, host: &str) -> anyhow::Result<Output> {
        match path {
            None => Ok(Output::stdout()),
            Some(path) => {
                let now = SystemTime::now();
                let name = expand(path.as_os_str(), host, std::process::id(), now);
                Output::file(Path::new(&name))
            }
        }
    }

    /// Writes the report with `content` and puts it in its place. A reader that
    /// has closed its pipe has what it wanted: that is no error.
    ///
    /// # Errors
    ///
    /// Where the place is full or fails; a file of that name is then as it was.
    pub fn write(
        self,
        content: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        match self.0 {
            Target::Stdout => quiet_pipe(buffered(&mut io::stdout(), content))
                .context("cannot write the report to standard output"),
            Target::Stderr => quiet_pipe(buffered(&mut io::stderr(), content))
                .context("cannot write to standard error"),
            Target::Direct(mut file, path) => quiet_pipe(buffered(&mut file, content))
                .with_context(|| format!("cannot write the report to {}", shown(&path))),
            Target::Replace(mut file, path) => {
                let done = buffered(file.as_file_mut(), content)
                    .and_then(|()| file.as_file().sync_all())
                    .and_then(|()| file.persist(&path).map_err(|error| error.error))
                    .and_then(|_| sync_directory(&path));
                done.with_context(|| {
                    format!(
                        "cannot write the report to {}; make room or name another file with -o",
                        shown(&path)
                    )
                })
            }
        }
    }

    /// Writes a document in a format, and puts it in its place.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), and where the format does not write such documents.
    pub fn write_document<T: Document>(
        self,
        format: &Format,
        document: &T,
        style: Style,
    ) -> anyhow::Result<()> {
        let options = style.resolve(&self);
        self.write(|out| format.write(document, &options, out))
    }

    /// Whether it is a terminal, where a person looks.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.direct()
            .is_some_and(|descriptor| descriptor.as_fd().is_terminal())
    }

    /// Whether it is standard output.
    #[must_use]
    pub fn is_stdout(&self) -> bool {
        matches!(self.0, Target::Stdout)
    }

    /// What could be a terminal.
    fn direct(&self) -> Option<Box<dyn AsFd + '_>> {
        match &self.0 {
            Target::Stdout => Some(Box::new(io::stdout())),
            Target::Stderr => Some(Box::new(io::stderr())),
            Target::Direct(file, _) => Some(Box::new(file)),
            Target::Replace(..) => None,
        }
    }
}

/// Whether the path names something that a file must not replace: a device, a
/// pipe, a socket, or a descriptor of this process.
fn is_special(path: &Path) -> bool {
    if path.starts_with("/dev") && !path.starts_with("/dev/shm") || path.starts_with("/proc") {
        return true;
    }
    fs::symlink_metadata(path).is_ok_and(|metadata| {
        let kind = metadata.file_type();
        kind.is_fifo() || kind.is_char_device() || kind.is_block_device() || kind.is_socket()
    })
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A file that is removed when it is dropped, unless it gets another name.
fn temporary(directory: &Path) -> io::Result<NamedTempFile> {
    let made = tempfile::Builder::new()
        .prefix(".leaktrace-")
        .suffix(".tmp")
        .tempfile_in(directory);
    // The message would name the temporary file, which the user does not know.
    made.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => io::Error::from_raw_os_error(libc::ENOENT),
        io::ErrorKind::PermissionDenied => io::Error::from_raw_os_error(libc::EACCES),
        _ => error,
    })
}

/// Makes sure that the new name is there after a power cut.
fn sync_directory(path: &Path) -> io::Result<()> {
    match File::open(directory(path)).and_then(|directory| directory.sync_all()) {
        // Some file systems cannot, and a directory may be writable but not
        // readable; the file itself is complete and in its place.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EINVAL | libc::ENOTSUP | libc::EACCES)
            ) =>
        {
            Ok(())
        }
        result => result,
    }
}

fn buffered(
    out: &mut (dyn Write + Send),
    content: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = BufWriter::with_capacity(1 << 16, out);
    let result = content(&mut buffer).and_then(|()| buffer.flush());
    // If it were dropped, it would try to write the bytes that failed once more.
    let _ = buffer.into_parts();
    result
}

fn quiet_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// The path as a message shows it.
fn shown(path: &Path) -> String {
    let name = escape_bytes(path.as_os_str().as_bytes());
    format!("'{name}'")
}

#[cfg(test)]
mod tests;
