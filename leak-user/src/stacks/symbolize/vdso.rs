//! The code that the kernel maps into every process (vDSO). All of the same kind
//! have the same, so it is copied from this process's own memory.

use std::{
    fs::File,
    io::{self, Write as _},
};

use super::memory_file::memory_file;
use crate::proc::own_vdso;

/// A copy of this process's in memory. `None` where it has none.
pub(super) fn copy() -> Option<File> {
    let bytes = own_vdso()?;
    let write = || -> io::Result<File> {
        let mut file = memory_file(c"leaktrace-vdso")?;
        file.write_all(bytes)?;
        Ok(file)
    };
    write().ok()
}
