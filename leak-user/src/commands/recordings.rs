//! Recordings that the command line names.

use std::{
    fs::File,
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
        });
    }
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        bail!("{name} is a directory: name a recording in it");
    }
    Ok(Source {
        name,
        content: Box::new(file),
    })
}
