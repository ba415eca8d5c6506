//! `leaktrace man`: a manual page for each command.

use std::{fs, path::Path};

use anyhow::Context as _;

use crate::{
    cli::{exit_code, manual_pages},
    model::escape::escape,
};

pub(super) fn run(directory: &Path) -> anyhow::Result<u8> {
    let shown = || escape(&directory.to_string_lossy());
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make the directory {}", shown()))?;
    let pages = manual_pages();
    for (name, page) in &pages {
        fs::write(directory.join(name), page)
            .with_context(|| format!("cannot write {name} in {}", shown()))?;
    }
    println!("wrote {} manual pages into {}", pages.len(), shown());
    Ok(exit_code::FINE)
}
