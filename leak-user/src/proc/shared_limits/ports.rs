//! Ports that connections are made from: of a network name space, for each destination,
//! there are as many as `net.ipv4.ip_local_port_range` has. A connection that was closed
//! keeps its port for a while (TIME_WAIT).

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use super::{deadline::Deadline, is_over, limit_of};
use crate::{
    model::report::SharedLimit,
    proc::{Proc, link_text, numbers_in, read_text, socket::address},
};

/// Name spaces that are read, and processes asked for theirs.
const MAX_NAMESPACES: usize = 16;
const MAX_ASKED: usize = 4_096;

/// Bytes of a table of connections: some 150 each.
const MAX_TABLE: u64 = 32 << 20;

/// Of a name space, the destinations with the most ports are told, if they have this many.
const DESTINATIONS: usize = 3;
const LEAST_PORTS: u64 = 100;

/// A table that was read is left alone for this many times as long as reading it took.
const REST: u32 = 100;

/// Network name spaces, by a process in each.
#[derive(Debug, Default)]
pub(super) struct Ports(BTreeMap<String, Namespace>);

#[derive(Debug)]
struct Namespace {
    pid: u32,
    /// Not to be read again before.
    due: Option<Instant>,
}

impl Ports {
    /// Looks for the name spaces.
    pub(super) fn look(&mut self, proc: &Proc) {
        let Ok(pids) = numbers_in(&proc.root) else {
            return;
        };
        let mut found: BTreeMap<String, u32> = BTreeMap::new();
        for pid in pids.take(MAX_ASKED) {
            if found.len() >= MAX_NAMESPACES {
                break;
            }
            if let Ok(name) = link_text(&proc.of(pid, "ns/net")) {
                found.entry(name.replacen(":", "ns:", 1)).or_insert(pid);
            }
        }
        self.0.retain(|name, _| found.contains_key(name));
        for (name, pid) in found {
            let namespace = self.0.entry(name).or_insert(Namespace { pid, due: None });
            namespace.pid = pid;
        }
    }

    /// Reads those that are due.
    pub(super) fn read(
        &mut self,
        proc: &Proc,
        end: Option<Deadline>,
        limits: &mut Vec<SharedLimit>,
    ) {
        let Some((first, last)) = proc.port_range() else {
            return;
        };
        let size = u64::from(last - first) + 1;
        for (name, namespace) in &mut self.0 {
            let begun = Instant::now();
            let rests = end.is_some() && namespace.due.is_some_and(|due| begun < due);
            if rests || is_over(end) {
                continue;
            }
            for (peer, used) in proc.ports_of(namespace.pid, first, last) {
                limits.push(limit_of(
                    format!("{name} to {peer}"),
                    "ephemeral-ports",
                    used,
                    size,
                ));
            }
            namespace.due = Some(begun + begun.elapsed().max(Duration::from_micros(1)) * REST);
        }
    }
}

impl Proc {
    /// First and last port, inclusive, of this process's name space.
    pub(crate) fn port_range(&self) -> Option<(u16, u16)> {
        let file = self.root.join("sys/net/ipv4/ip_local_port_range");
        let text = read_text(&file, 64)?;
        let mut numbers = text.split_ascii_whitespace().map(str::parse);
        let (first, last) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        (first <= last).then_some((first, last))
    }

    /// The destinations for which the most ports are used in a process's name space.
    fn ports_of(&self, pid: u32, first: u16, last: u16) -> Vec<(String, u64)> {
        let mut used = Vec::new();
        for table in ["net/tcp", "net/tcp6"] {
            let text = read_text(&self.of(pid, table), MAX_TABLE).unwrap_or_default();
            for (peer, port) in text.lines().skip(1).filter_map(row) {
                if (first..=last).contains(&port) {
                    used.push((peer.to_owned(), port));
                }
            }
        }
        // One port to one peer from several addresses is several connections.
        let mut peers: HashMap<&str, u64> = HashMap::new();
        for (peer, _) in &used {
            *peers.entry(peer).or_default() += 1;
        }
        let mut most: Vec<(u64, &str)> = peers
            .into_iter()
            .filter(|(_, count)| *count >= LEAST_PORTS)
            .map(|(peer, count)| (count, peer))
            .collect();
        most.sort_unstable_by(|a, b| b.cmp(a));
        most.iter()
            .take(DESTINATIONS)
            .filter_map(|(_, peer)| {
                let mut ports: Vec<u16> = used
                    .iter()
                    .filter(|(other, _)| other == peer)
                    .map(|(_, port)| *port)
                    .collect();
                ports.sort_unstable();
                ports.dedup();
                Some((address(peer)?.to_string(), ports.len() as u64))
            })
            .collect()
    }
}

/// Peer and local port of a connection: `sl: LOCAL REMOTE STATE ...` in hexadecimal.
/// `None` where there is no peer, as of listeners.
fn row(line: &str) -> Option<(&str, u16)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (_, port) = fields.next()?.split_once(':')?;
    let peer = fields.next()?;
    let port = u16::from_str_radix(port, 16).ok()?;
    (!peer.ends_with(":0000")).then_some((peer, port))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{fmt::Write as _, fs, os::unix::fs::symlink, path::Path};

    use super::*;

    fn process(root: &Path, pid: &str, namespace: &str, table: &str) {
        fs::create_dir_all(root.join(pid).join("ns")).unwrap();
        fs::create_dir_all(root.join(pid).join("net")).unwrap();
        symlink(namespace, root.join(pid).join("ns/net")).unwrap();
        fs::write(root.join(pid).join("net/tcp"), table).unwrap();
    }

    fn rows(table: &mut String, ports: std::ops::Range<u16>, peer: &str, state: &str) {
        for port in ports {
            writeln!(
                table,
                "   0: 0100007F:{port:04X} {peer} {state} 00000000:00000000"
            )
            .unwrap();
        }
    }

    #[test]
    fn ports_are_counted_by_name_space_and_destination() {
        let root = tempfile::tempdir().unwrap();
        let range = root.path().join("sys/net/ipv4");
        fs::create_dir_all(&range).unwrap();
        fs::write(range.join("ip_local_port_range"), "32768\t60999\n").unwrap();
        let mut table = "  sl  local_address rem_address   st\n".to_owned();
        // Half of them are waiting; 80 are accepted connections, below the range.
        rows(&mut table, 40_000..40_100, "0200000A:1538", "01");
        rows(&mut table, 40_100..40_200, "0200000A:1538", "06");
        rows(&mut table, 8000..8080, "0200000A:1538", "01");
        rows(&mut table, 50_000..50_010, "0300000A:0050", "01");
        rows(&mut table, 50_100..50_400, "00000000:0000", "0A");
        process(root.path(), "7", "net:[1]", &table);
        process(root.path(), "8", "net:[1]", &table);
        process(root.path(), "9", "net:[2]", "");
        let proc = Proc::new(root.path());
        let mut ports = Ports::default();
        ports.look(&proc);
        assert_eq!(ports.0.len(), 2);
        let mut limits = Vec::new();
        ports.read(&proc, None, &mut limits);
        let scope = "netns:[1] to 10.0.0.2:5432".to_owned();
        assert_eq!(limits, [limit_of(scope, "ephemeral-ports", 200, 28_232)]);
        // It rests after that.
        limits.clear();
        let soon = Instant::now() + Duration::from_secs(60);
        ports
            .0
            .values_mut()
            .for_each(|namespace| namespace.due = Some(soon));
        ports.read(
            &proc,
            Some(Deadline::after(Duration::from_secs(60))),
            &mut limits,
        );
        assert_eq!(limits, []);
    }

    #[test]
    fn damaged_rows_are_left_out() {
        for line in [
            "",
            "0:",
            "0: x y",
            "0: 0100007F:ZZZZ 0100007F:0050 01",
            "0: 1 2 3",
        ] {
            assert_eq!(row(line), None, "{line:?}");
        }
    }
}
