//! The tables of `/proc/PID/net`, and what a row of each says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::model::report::Socket;

/// A table and the protocols (`system.sockprotoname`) whose sockets are in it.
pub(super) struct Table {
    pub(super) file: &'static str,
    pub(super) family: &'static str,
    pub(super) protocols: &'static [&'static str],
    pub(super) row: fn(&str, &'static str) -> Option<(u64, Socket)>,
}

const fn inet(
    file: &'static str,
    family: &'static str,
    protocols: &'static [&'static str],
) -> Table {
    Table {
        file,
        family,
        protocols,
        row: inet_row,
    }
}

pub(super) const TABLES: &[Table] = &[
    Table {
        file: "tcp",
        family: "inet",
        protocols: &["TCP"],
        row: tcp_row,
    },
    Table {
        file: "tcp6",
        family: "inet6",
        protocols: &["TCPv6"],
        row: tcp_row,
    },
    inet("udp", "inet", &["UDP"]),
    inet("udp6", "inet6", &["UDPv6"]),
    inet("udplite", "inet", &["UDP-Lite"]),
    inet("udplite6", "inet6", &["UDPLITEv6"]),
    inet("raw", "inet", &["RAW"]),
    inet("raw6", "inet6", &["RAWv6"]),
    inet("icmp", "inet", &["PING"]),
    inet("icmp6", "inet6", &["PINGv6"]),
    Table {
        file: "unix",
        family: "unix",
        protocols: &["UNIX", "UNIX-STREAM"],
        row: unix_row,
    },
    Table {
        file: "netlink",
        family: "netlink",
        protocols: &["NETLINK"],
        row: netlink_row,
    },
    Table {
        file: "packet",
        family: "packet",
        protocols: &["PACKET"],
        row: packet_row,
    },
];

/// The kernel's word for a TCP state (include/net/tcp_states.h).
fn tcp_state(number: u8) -> &'static str {
    match number {
        1 => "ESTABLISHED",
        2 => "SYN_SENT",
        3 => "SYN_RECV",
        4 => "FIN_WAIT1",
        5 => "FIN_WAIT2",
        6 => "TIME_WAIT",
        7 => "CLOSE",
        8 => "CLOSE_WAIT",
        9 => "LAST_ACK",
        10 => "LISTEN",
        11 => "CLOSING",
        12 => "NEW_SYN_RECV",
        13 => "BOUND_INACTIVE",
        _ => "",
    }
}

fn tcp_row(line: &str, family: &'static str) -> Option<(u64, Socket)> {
    row_of_addresses(line, family, tcp_state)
}

/// Protocols without connections borrow two of TCP's states.
fn inet_row(line: &str, family: &'static str) -> Option<(u64, Socket)> {
    row_of_addresses(line, family, |number| match number {
        1 => "ESTABLISHED",
        _ => "UNCONNECTED",
    })
}

/// `sl: LOCAL REMOTE STATE queues timer retransmits uid timeout INODE ...`
fn row_of_addresses(
    line: &str,
    family: &'static str,
    state: fn(u8) -> &'static str,
) -> Option<(u64, Socket)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = address(fields.next()?)?;
    let peer = address(fields.next()?)?;
    let number = u8::from_str_radix(fields.next()?, 16).ok()?;
    let inode = fields.nth(9 - 4)?.parse().ok()?;
    let no_peer = peer.port() == 0 && peer.ip().is_unspecified();
    let socket = Socket {
        family: family.to_owned(),
        local: local.to_string(),
        peer: if no_peer {
            String::new()
        } else {
            peer.to_string()
        },
        state: state(number).to_owned(),
    };
    Some((inode, socket))
}

/// Address words in the host's byte order as hexadecimal, a colon, the port.
pub(in crate::proc) fn address(field: &str) -> Option<SocketAddr> {
    let (address, port) = field.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |index: usize| {
        let digits = address.get(index * 8..index * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(index)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

/// `Num: RefCount Protocol Flags Type St Inode Path`
fn unix_row(line: &str, family: &'static str) -> Option<(u64, Socket)> {
    /// It listens (`__SO_ACCEPTCON`).
    const ACCEPTS: u32 = 1 << 16;
    let mut fields = line.split_ascii_whitespace();
    let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
    let state = fields.nth(1)?;
    let inode = fields.next()?;
    // The path may hold spaces: it is all that follows the inode's column.
    let path = fields.next().map_or("", |first| {
        let start = first.as_ptr() as usize - line.as_ptr() as usize;
        &line[start..]
    });
    let state = match state {
        _ if flags & ACCEPTS != 0 => "LISTEN",
        "01" => "UNCONNECTED",
        "02" => "CONNECTING",
        "03" => "CONNECTED",
        "04" => "DISCONNECTING",
        _ => "",
    };
    let socket = Socket {
        family: family.to_owned(),
        local: path.to_owned(),
        peer: String::new(),
        state: state.to_owned(),
    };
    Some((inode.parse().ok()?, socket))
}

/// `sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode`
fn netlink_row(line: &str, family: &'static str) -> Option<(u64, Socket)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let protocol: u32 = fields.next()?.parse().ok()?;
    let port = fields.next()?;
    let inode = fields.nth(9 - 3)?.parse().ok()?;
    // include/uapi/linux/netlink.h
    let name = match protocol {
        0 => "route",
        4 => "sock_diag",
        5 => "nflog",
        6 => "xfrm",
        7 => "selinux",
        9 => "audit",
        10 => "fib_lookup",
        11 => "connector",
        12 => "netfilter",
        15 => "kobject_uevent",
        16 => "generic",
        21 => "crypto",
        _ => "",
    };
    let local = match name {
        "" => format!("{protocol}:{port}"),
        _ => format!("{name}:{port}"),
    };
    let socket = Socket {
        family: family.to_owned(),
        local,
        ..Socket::default()
    };
    Some((inode, socket))
}

/// `sk RefCnt Type Proto Iface R Rmem User Inode`
fn packet_row(line: &str, family: &'static str) -> Option<(u64, Socket)> {
    let mut fields = line.split_ascii_whitespace().skip(3);
    let protocol = fields.next()?;
    let interface = fields.next()?;
    let inode = fields.nth(8 - 5)?.parse().ok()?;
    let socket = Socket {
        family: family.to_owned(),
        local: format!("protocol 0x{protocol}, interface {interface}"),
        ..Socket::default()
    };
    Some((inode, socket))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn socket(family: &str, local: &str, peer: &str, state: &str) -> Socket {
        Socket {
            family: family.into(),
            local: local.into(),
            peer: peer.into(),
            state: state.into(),
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn rows_of_every_table_are_read() {
        let v4 = "   0: 0100007F:1F90 0200007F:C350 08 00000000:00000000 00:00000000 00000000  0  0 4711 1 x";
        assert_eq!(
            tcp_row(v4, "inet"),
            Some((
                4711,
                socket("inet", "127.0.0.1:8080", "127.0.0.2:50000", "CLOSE_WAIT")
            ))
        );
        let v6 = "   0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 12 1 x";
        assert_eq!(
            tcp_row(v6, "inet6"),
            Some((12, socket("inet6", "[::1]:80", "", "LISTEN")))
        );
        let udp = " 9: 0100007F:0035 00000000:0000 07 0:0 0:0 0 0 0 13 2 x 0";
        assert_eq!(
            inet_row(udp, "inet"),
            Some((13, socket("inet", "127.0.0.1:53", "", "UNCONNECTED")))
        );
        let listening = "0000: 00000002 00000000 00010000 0001 01 15135 /run/a b.sock";
        assert_eq!(
            unix_row(listening, "unix"),
            Some((15135, socket("unix", "/run/a b.sock", "", "LISTEN")))
        );
        let nameless = "0000: 00000003 00000000 00000000 0001 03  1678";
        assert_eq!(
            unix_row(nameless, "unix"),
            Some((1678, socket("unix", "", "", "CONNECTED")))
        );
        let netlink = "0000 15 77 00000001 0 0 0 2 0 1590";
        assert_eq!(
            netlink_row(netlink, "netlink"),
            Some((1590, socket("netlink", "kobject_uevent:77", "", "")))
        );
        let packet = "0000 3 3 0003 2 1 0 0 99";
        assert_eq!(
            packet_row(packet, "packet"),
            Some((99, socket("packet", "protocol 0x0003, interface 2", "", "")))
        );
    }

    #[test]
    fn headings_and_damaged_rows_are_none() {
        let lines = [
            "",
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
            "Num       RefCount Protocol Flags    Type St Inode Path",
            "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode",
            "0: 0100007F:1F90 é 01",
            "0: ééééé:1F90 0100007F:1F90",
        ];
        for table in TABLES {
            for line in lines {
                assert_eq!((table.row)(line, table.family), None, "{line}");
            }
        }
    }
}
