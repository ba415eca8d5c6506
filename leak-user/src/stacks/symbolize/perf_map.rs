//! Names of code that a running program made, from `/tmp/perf-PID.map`: lines of
//! first address, size and name, appended as code is made. Read while the process
//! is alive, kept after its end.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use crate::proc::{Proc, open_beneath};

/// Most bytes read, most functions and the longest name kept.
const MAX_BYTES: u64 = 32 << 20;
const MAX_FUNCTIONS: usize = 500_000;
const MAX_NAME: usize = 512;

/// How far back a lookup goes for a function that contains others.
const MAX_NESTING: usize = 16;

/// The functions of one map.
#[derive(Debug, Default)]
pub(super) struct PerfMap {
    /// By first address.
    functions: Vec<Function>,
    text: String,
    /// Inode and size of the file, to see whether it grew.
    version: (u64, u64),
}

#[derive(Clone, Copy, Debug)]
struct Function {
    start: u64,
    size: u64,
    /// Where in the text the name is.
    name: (u32, u32),
}

impl PerfMap {
    /// Reads a process's map, as found in its own root directory and under its
    /// own pid. `Ok(None)` where it is still the one already `known`.
    ///
    /// # Errors
    /// Where there is none, or it belongs to another user.
    pub(super) fn read(
        proc: &Proc,
        pid: u32,
        known: Option<&PerfMap>,
    ) -> io::Result<Option<PerfMap>> {
        let status = proc.text_of(pid, "status").ok_or(io::ErrorKind::NotFound)?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let own_pid = field("NSpid:").and_then(|pids| pids.split_ascii_whitespace().last());
        let own_pid = own_pid.map_or_else(|| pid.to_string(), str::to_owned);
        let root = proc.root_directory(pid);
        let file = open_beneath(&root, &PathBuf::from(format!("tmp/perf-{own_pid}.map")))?;
        let metadata = file.metadata()?;
        let mut users = field("Uid:").unwrap_or_default().split_ascii_whitespace();
        // Anybody may put a file of that name there.
        if metadata.uid() != 0 && !users.any(|user| user == metadata.uid().to_string()) {
            return Err(io::Error::other("a perf map of another user"));
        }
        let version = (metadata.ino(), metadata.len());
        if known.is_some_and(|known| known.version == version) {
            return Ok(None);
        }
        Ok(Some(PerfMap {
            version,
            ..PerfMap::parse(&read_start(file)?)
        }))
    }

    /// The functions in the text of a map; damaged lines are skipped.
    fn parse(bytes: &[u8]) -> PerfMap {
        let mut map = PerfMap::default();
        for line in bytes.split(|byte| *byte == b'\n').take(MAX_FUNCTIONS) {
            map.add(&String::from_utf8_lossy(line));
        }
        // Stable: of two at one address the later one, which replaced the other,
        // stays behind.
        map.functions.sort_by_key(|function| function.start);
        map
    }

    fn add(&mut self, line: &str) -> Option<()> {
        let mut fields = line.splitn(3, ' ');
        let mut number = || {
            let digits = fields.next()?;
            u64::from_str_radix(digits.trim_start_matches("0x"), 16).ok()
        };
        let (start, size) = (number()?, number()?);
        let name = fields.next()?.trim();
        let name = &name[..name.floor_char_boundary(MAX_NAME)];
        let at = u32::try_from(self.text.len()).ok()?;
        self.text.push_str(name);
        self.functions.push(Function {
            start,
            size,
            name: (at, at + name.len() as u32),
        });
        Some(())
    }

    /// The function that covers an address.
    pub(super) fn name(&self, address: u64) -> Option<&str> {
        let end = self
            .functions
            .partition_point(|function| function.start <= address);
        let before = self.functions[..end].iter().rev().take(MAX_NESTING);
        let covering = before.into_iter().find(|function| {
            // Some write no size: the address must then be the start.
            address - function.start < function.size.max(1)
        })?;
        self.text
            .get(covering.name.0 as usize..covering.name.1 as usize)
    }

    /// Bytes of memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + self.functions.len() * size_of::<Function>()
    }
}

fn read_start(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    // A cut last line would name the wrong function.
    if bytes.len() as u64 == MAX_BYTES {
        let whole = bytes.iter().rposition(|byte| *byte == b'\n');
        bytes.truncate(whole.unwrap_or(0));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_that_covers_an_address_is_found() {
        let map = PerfMap::parse(
            b"7f00 10 py::main:<a b>\n0x8000 20 Function:~f\n8000 8 replaced\nx y z\n9000 0 stub\n\xff\n8100 4",
        );
        assert_eq!(map.name(0x7f00), Some("py::main:<a b>"));
        assert_eq!(map.name(0x7f0f), Some("py::main:<a b>"));
        assert_eq!(map.name(0x7f10), None);
        assert_eq!(map.name(0x8007), Some("replaced"));
        assert_eq!(map.name(0x8008), Some("Function:~f"));
        assert_eq!(map.name(0x9000), Some("stub"));
        assert_eq!(map.name(0x9001), None);
        assert_eq!(map.name(0), None);
        assert_eq!(map.name(u64::MAX), None);
    }

    #[test]
    fn long_names_are_cut() {
        let line = format!("10 10 {}", "é".repeat(1000));
        let map = PerfMap::parse(line.as_bytes());
        assert_eq!(map.name(0x10).map(str::len), Some(MAX_NAME));
    }
}
