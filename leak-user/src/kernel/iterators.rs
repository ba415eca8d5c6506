//! Iterators: programs that the kernel runs over all of its tasks or descriptors when user space
//! reads from them (Documentation/bpf/bpf_iterators.rst, Linux 5.8). They are optional.

use std::{
    io::{self, Read as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd as _, BorrowedFd},
    sync::atomic::{AtomicBool, Ordering},
};

use aya::{maps::Array, programs::Iter};
use leak_common::wire::{DescriptorUse, TableCount};

use super::{Tracer, sys};

/// Bytes read at once: the kernel fills at most eight pages (kernel/bpf/bpf_iter.c).
const BUFFER: usize = 32 << 10;

/// Whether this kernel lacks iterators over one process: found at the first attempt.
static LACKS_ONE: AtomicBool = AtomicBool::new(false);

/// The name of the program in the object, and the hook's.
pub(super) const DESCRIPTOR_USES: (&str, &str) = ("descriptor_uses", "iter:task_file");

pub(super) const TABLE_COUNTS: (&str, &str) = ("table_counts", "iter:task");

/// A descriptor with when it was used last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Its number.
    pub descriptor: u32,
    /// What the kernel knows the open file by: duplicates of a descriptor have the same.
    pub file: u64,
    pub last: Last,
    /// Of a connected TCP socket.
    pub connection: Option<Connection>,
}

/// A connected TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// What the kernel knows it by.
    pub socket: u64,
    /// The other end.
    pub peer: SocketAddr,
    /// Nanoseconds since it sent data last, and since it received some; of what never happened,
    /// since it was established.
    pub sent_ago: u64,
    pub received_ago: u64,
    /// Whether any data were received.
    pub has_received: bool,
}

/// When a descriptor was used last, as far as the kernel knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// A connected TCP socket: nanoseconds since it sent or received data, or was established
    /// where it never did; and its local port.
    Data { ago: u64, local_port: u16 },
    /// A TCP socket that listens on this port.
    Listens { local_port: u16 },
    /// A regular file: where its next read or write begins.
    Position(u64),
    /// Nothing is known.
    Unknown,
}

impl Tracer {
    /// Whether [`descriptor_uses`](Self::descriptor_uses) can tell anything.
    #[must_use]
    pub fn knows_descriptor_uses(&self) -> bool {
        self.has(DESCRIPTOR_USES.0)
    }

    /// Every open descriptor of a process, with when it was used last.
    ///
    /// # Errors
    /// The kernel refused the program or the pass.
    pub fn descriptor_uses(&mut self, tgid: u32) -> anyhow::Result<Vec<Used>> {
        Array::<_, u32>::try_from(
            self.ebpf
                .map_mut("LOOK_AT")
                .expect("the object has this map"),
        )?
        .set(0, tgid, 0)?;
        let program = self.ebpf.program(DESCRIPTOR_USES.0);
        let program = program.expect("the object has this program");
        let program: &Iter = program.try_into()?;
        let tick = sys::tick();
        let mut uses = Vec::new();
        each_row(program.fd()?.as_fd(), Some(tgid), |bytes| {
            let row = row::<DescriptorUse, { size_of::<DescriptorUse>() }>(bytes);
            if let Some(row) = row.filter(|row| row.tgid == tgid) {
                uses.push(used(&row, tick));
            }
        })?;
        Ok(uses)
    }

    /// How many descriptors each process of the host has, one row for each table; `None` where the
    /// kernel has no such iterator. A process may have several rows of one table.
    ///
    /// # Errors
    /// The kernel refused the pass.
    pub fn table_counts(&self) -> anyhow::Result<Option<Vec<TableCount>>> {
        if !self.has(TABLE_COUNTS.0) {
            return Ok(None);
        }
        let program = self.ebpf.program(TABLE_COUNTS.0);
        let program = program.expect("the object has this program");
        let program: &Iter = program.try_into()?;
        let mut counts = Vec::new();
        each_row(program.fd()?.as_fd(), None, |bytes| {
            counts.extend(row::<TableCount, { size_of::<TableCount>() }>(bytes));
        })?;
        Ok(Some(counts))
    }
}

/// Runs an iterator over one process, or over all, and hands on what it writes in pieces of
/// a row. Before 6.1 it goes through all in any case: the program leaves others out.
fn each_row<const N: usize>(
    program: BorrowedFd<'_>,
    tgid: Option<u32>,
    mut each: impl FnMut(&[u8; N]),
) -> io::Result<()> {
    let tgid = tgid.filter(|_| !LACKS_ONE.load(Ordering::Relaxed));
    let link = match (sys::link_iterator(program, tgid), tgid) {
        (Err(error), Some(_)) if is_too_old(&error) => {
            LACKS_ONE.store(true, Ordering::Relaxed);
            sys::link_iterator(program, None)?
        }
        (link, _) => link?,
    };
    let mut pass = sys::iterate(link.as_fd())?;
    let mut buffer = vec![0; BUFFER];
    let mut filled = 0;
    loop {
        let count = match pass.read(&mut buffer[filled..]) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        filled += count;
        let (rows, rest) = buffer[..filled].as_chunks();
        rows.iter().for_each(&mut each);
        let (from, left) = (filled - rest.len(), rest.len());
        buffer.copy_within(from..filled, 0);
        filled = left;
    }
}

/// What a kernel says to a longer `union bpf_iter_link_info` than it knows.
fn is_too_old(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::E2BIG | libc::EINVAL))
}

/// What an iterator wrote.
trait Row: Copy {}
impl Row for DescriptorUse {}
impl Row for TableCount {}

fn row<T: Row, const N: usize>(bytes: &[u8; N]) -> Option<T> {
    // SAFETY: the types are integers alone, any bytes of their size are a value.
    (N == size_of::<T>()).then(|| unsafe { std::ptr::read_unaligned(bytes.as_ptr().cast()) })
}

/// What a row tells. `tick` is the length of a tick in nanoseconds.
fn used(row: &DescriptorUse, tick: u64) -> Used {
    const TYPE: u32 = 0o170_000;
    const REGULAR: u32 = 0o100_000;
    const TCP: u16 = 6;
    // enum in include/net/tcp_states.h.
    const SYN_SENT: u16 = 2;
    const SYN_RECEIVED: u16 = 3;
    const CLOSED: u16 = 7;
    const LISTEN: u16 = 10;
    let local_port = row.local_port;
    let last = match (row.protocol, row.state) {
        (TCP, LISTEN) => Last::Listens { local_port },
        (TCP, SYN_SENT | SYN_RECEIVED) => Last::Unknown,
        // Closed by the other end it still has its times; one that never was connected has none.
        (TCP, CLOSED) if row.sent == 0 => Last::Unknown,
        (TCP, _) => {
            let ago = ago(row, row.sent, tick).min(ago(row, row.received, tick));
            Last::Data { ago, local_port }
        }
        _ if row.mode & TYPE == REGULAR => Last::Position(row.position),
        _ => Last::Unknown,
    };
    Used {
        descriptor: row.descriptor,
        file: row.file,
        last,
        connection: matches!(last, Last::Data { .. }).then(|| connection(row, tick)),
    }
}

/// How long ago a time was. Ticks wrap around; a time just ahead is now.
fn ago(row: &DescriptorUse, then: u32, tick: u64) -> u64 {
    match row.now.wrapping_sub(then) {
        ago if ago > u32::MAX / 2 => 0,
        ago => u64::from(ago).saturating_mul(tick),
    }
}

fn connection(row: &DescriptorUse, tick: u64) -> Connection {
    const INET: u16 = 2;
    let [first, second, third, fourth] = row.remote_address.map(u32::to_ne_bytes);
    let address: IpAddr = match row.family {
        INET => Ipv4Addr::from(first).into(),
        _ => {
            let words = [first, second, third, fourth];
            let octets: Vec<u8> = words.into_iter().flatten().collect();
            let octets: [u8; 16] = octets.try_into().expect("four words");
            Ipv6Addr::from(octets).to_canonical()
        }
    };
    Connection {
        socket: row.socket,
        peer: SocketAddr::new(address, u16::from_be(row.remote_port)),
        sent_ago: ago(row, row.sent, tick),
        received_ago: ago(row, row.received, tick),
        has_received: row.bytes_received > 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: DescriptorUse = DescriptorUse {
        tgid: 7,
        descriptor: 3,
        mode: 0o140_777,
        now: 1000,
        sent: 400,
        received: 900,
        family: 2,
        protocol: 6,
        state: 1,
        local_port: 80,
        position: 0,
        bytes_sent: 0,
        bytes_received: 0,
        socket: 0x8000,
        file: 0x9000,
        remote_address: [u32::from_ne_bytes([10, 0, 0, 7]), 0, 0, 0],
        remote_port: 5432u16.to_be(),
        reserved: [0; 3],
    };

    #[test]
    fn a_connection_has_another_end_and_two_times() {
        let used = used(&ROW, 4_000_000).connection;
        let connection = used.expect("a connected socket");
        assert_eq!(connection.peer.to_string(), "10.0.0.7:5432");
        assert_eq!(connection.sent_ago, 600 * 4_000_000);
        assert_eq!(connection.received_ago, 100 * 4_000_000);
        assert!(!connection.has_received);
        let mapped = DescriptorUse {
            family: 10,
            remote_address: [
                0,
                0,
                u32::from_ne_bytes([0, 0, 0xff, 0xff]),
                u32::from_ne_bytes([10, 0, 0, 7]),
            ],
            ..ROW
        };
        let of_mapped = super::used(&mapped, 1).connection;
        assert_eq!(of_mapped.map(|one| one.peer), Some(connection.peer));
    }

    fn last(row: DescriptorUse) -> Last {
        used(&row, 4_000_000).last
    }

    #[test]
    fn a_connection_was_used_when_it_sent_or_received_last() {
        let data = |ago| Last::Data {
            ago,
            local_port: 80,
        };
        assert_eq!(last(ROW), data(400_000_000));
        let wrapped = DescriptorUse {
            now: 10,
            sent: u32::MAX,
            received: u32::MAX - 5,
            ..ROW
        };
        assert_eq!(last(wrapped), data(44_000_000));
        let just_now = DescriptorUse { sent: 1001, ..ROW };
        assert_eq!(last(just_now), data(0));
    }

    #[test]
    fn what_was_never_connected_has_no_time() {
        for state in [2, 3] {
            assert_eq!(last(DescriptorUse { state, ..ROW }), Last::Unknown);
        }
        let fresh = DescriptorUse {
            state: 7,
            sent: 0,
            received: 0,
            ..ROW
        };
        assert_eq!(last(fresh), Last::Unknown);
        let listens = DescriptorUse { state: 10, ..ROW };
        assert_eq!(last(listens), Last::Listens { local_port: 80 });
        let unix = DescriptorUse {
            family: 1,
            protocol: 0,
            ..ROW
        };
        assert_eq!(last(unix), Last::Unknown);
    }

    #[test]
    fn a_file_has_a_position_and_a_pipe_has_none() {
        let file = DescriptorUse {
            mode: 0o100_644,
            family: 0,
            protocol: 0,
            state: 0,
            position: 42,
            ..ROW
        };
        assert_eq!(last(file), Last::Position(42));
        let pipe = DescriptorUse {
            mode: 0o010_600,
            ..file
        };
        assert_eq!(last(pipe), Last::Unknown);
    }
}
