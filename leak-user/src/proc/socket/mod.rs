//! Sockets: addresses and states, from the tables of a process's network name
//! space in `/proc/PID/net`. Only rows that were asked for are kept.

mod rows;

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{BufRead, BufReader},
    ops::ControlFlow,
};

pub(super) use rows::address;
use rows::{TABLES, Table};

use super::{Proc, into_text, link_text, number_in_link, numbers_in};
use crate::model::report::Socket;

/// Most rows read of one table.
const MAX_ROWS: usize = 1 << 20;

/// A socket that was found, and the name of its protocol in lower case.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Found {
    pub(super) socket: Socket,
    pub(super) protocol: String,
}

/// The family of a protocol's sockets.
fn family_of(protocol: &str) -> String {
    let table = TABLES
        .iter()
        .find(|table| table.protocols.contains(&protocol));
    match table {
        Some(table) => table.family.to_owned(),
        None => protocol.trim_start_matches("AF_").to_ascii_lowercase(),
    }
}

/// The name people know a table's protocol by.
fn protocol_name(protocol: &str) -> String {
    let name = protocol.to_ascii_lowercase();
    match name.as_str() {
        "unix-stream" => "unix".to_owned(),
        _ => name.trim_end_matches("v6").to_owned(),
    }
}

impl Proc {
    /// Finds sockets by inode in the tables of a process's network name space.
    /// `wanted` has the name of each one's protocol where it is known; with all
    /// names known, only their tables are read. A socket without a row (never
    /// bound or connected, or of another name space) is `UNCONNECTED`.
    pub(super) fn sockets(
        &self,
        pid: u32,
        wanted: &[(u64, Option<String>)],
    ) -> HashMap<u64, Found> {
        let mut missing: HashSet<u64> = wanted.iter().map(|(inode, _)| *inode).collect();
        let names: Option<HashSet<&str>> = wanted.iter().map(|(_, name)| name.as_deref()).collect();
        let mut found = HashMap::new();
        for table in TABLES {
            let needed = names
                .as_ref()
                .is_none_or(|names| table.protocols.iter().any(|name| names.contains(name)));
            if needed && !missing.is_empty() {
                self.search(pid, table, &mut missing, &mut found);
            }
        }
        for (inode, protocol) in wanted {
            found.entry(*inode).or_insert_with(|| Found {
                socket: Socket {
                    family: protocol.as_deref().map(family_of).unwrap_or_default(),
                    state: "UNCONNECTED".to_owned(),
                    ..Socket::default()
                },
                protocol: protocol.as_deref().map(protocol_name).unwrap_or_default(),
            });
        }
        found
    }

    /// TCP sockets of a process's network name space whose peer has closed and whose
    /// owner has not: inode and peer. Reads all rows, and takes few apart.
    #[must_use]
    pub fn close_wait(&self, pid: u32) -> HashMap<u64, String> {
        let mut found = HashMap::new();
        for table in TABLES.iter().filter(|table| table.file.starts_with("tcp")) {
            self.each_row(pid, table, |row| {
                if row.windows(4).any(|word| word == b" 08 ")
                    && let Some((inode, socket)) =
                        (table.row)(into_text(row.to_vec()).trim_end(), table.family)
                    && socket.state == "CLOSE_WAIT"
                {
                    found.insert(inode, socket.peer);
                }
                ControlFlow::Continue(())
            });
        }
        found
    }

    /// Which of these sockets, by inode, a process holds: descriptors, at most `limit`.
    #[must_use]
    pub fn descriptors_of_sockets<'a>(
        &self,
        pid: u32,
        sockets: &'a HashMap<u64, String>,
        limit: usize,
    ) -> Vec<(u32, &'a str)> {
        let directory = self.of(self.memory_of(pid), "fd");
        let numbers = numbers_in(&directory).into_iter().flatten();
        let of = |number: u32| {
            let link = link_text(&directory.join(number.to_string())).ok()?;
            let peer = sockets.get(&number_in_link(&link, "socket")?)?;
            Some((number, peer.as_str()))
        };
        numbers.filter_map(of).take(limit).collect()
    }

    /// The network name space of a process, as a number.
    #[must_use]
    pub fn network_namespace(&self, pid: u32) -> Option<u64> {
        let link = link_text(&self.of(pid, "ns/net")).ok()?;
        number_in_link(&link, "net")
    }

    fn search(
        &self,
        pid: u32,
        table: &Table,
        missing: &mut HashSet<u64>,
        found: &mut HashMap<u64, Found>,
    ) {
        self.each_row(pid, table, |row| {
            let text = into_text(row.to_vec());
            if let Some((inode, socket)) = (table.row)(text.trim_end_matches('\n'), table.family)
                && missing.remove(&inode)
            {
                let protocol = table.file.trim_end_matches('6').to_owned();
                found.insert(inode, Found { socket, protocol });
            }
            match missing.is_empty() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
    }

    /// Rows with their line ends, until `each` has enough or there are too many.
    fn each_row(&self, pid: u32, table: &Table, mut each: impl FnMut(&[u8]) -> ControlFlow<()>) {
        let Ok(file) = File::open(self.of(pid, "net").join(table.file)) else {
            return;
        };
        let mut lines = BufReader::with_capacity(64 * 1024, file);
        let mut line = Vec::new();
        for _ in 0..MAX_ROWS {
            line.clear();
            if !matches!(lines.read_until(b'\n', &mut line), Ok(1..)) || each(&line).is_break() {
                return;
            }
        }
    }
}
