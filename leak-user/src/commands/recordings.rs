//! Recordings that the command line names.

use std::{
    fs::{File, TryLockError},
    io::{self, Read},
    path::Path,
};

use anyhow::{Context as _, bail};

use crate::recording::reader::Source;

/// Opens a recording; `-` is standard input.
pub(super) fn open(path: &Path) -> anyhow::Result<Source<Box<dyn Read>>> {
    let name = path.to_string_lossy().into_owned();
    if path == Path::new("-") {
        return Ok(Source {
            name: "standard input".to_owned(),
            content: Box::new(io::stdin()),
            is_being_written: false,
        });
    }
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        bail!("{name} is a directory: name a recording in it");
    }
    Ok(Source {
        name,
        is_being_written: is_locked(&file),
        content: Box::new(file),
    })
}

/// Whether a recorder holds its lock on the file. Copies and other machines do not see it.
pub(super) fn is_locked(file: &File) -> bool {
    match file.try_lock_shared() {
        Ok(()) => {
            // A file system may not know locks: then nobody holds one.
            let _ = file.unlock();
            false
        }
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(_)) => false,
    }
}
