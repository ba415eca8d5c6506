#![allow(clippy::unwrap_used, reason = "tests")]
//! Descriptions of real resources of this process.

use std::{
    fs::File,
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::net::UnixListener,
    },
};

use leak_common::ProcessId;

use super::*;

fn describe(descriptor: &impl AsRawFd, kind: Kind) -> Description {
    let handle = Handle::new(Class::Descriptor, descriptor.as_raw_fd() as u64);
    Proc::default().describe(std::process::id(), handle, kind)
}

fn socket_of(descriptor: &impl AsRawFd) -> Socket {
    describe(descriptor, Kind::Socket).socket.unwrap()
}

#[test]
fn a_deleted_file_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("held (deleted)");
    std::fs::write(&path, "12345").unwrap();
    let file = File::open(&path).unwrap();
    let name = path.to_str().unwrap();
    let before = describe(&file, Kind::File);
    assert_eq!((before.text.as_str(), before.deleted), (name, false));
    std::fs::remove_file(&path).unwrap();
    let after = describe(&file, Kind::File);
    assert_eq!(
        (after.text, after.deleted),
        (format!("{name} (deleted), 5 bytes"), true)
    );
}

#[test]
fn a_deleted_file_in_memory_says_so() {
    let mounts = "21 1 0:19 / /run rw shared:5 - tmpfs tmpfs rw\n\
                  22 1 0:20 / /a rw - fuse.tmpfs tmpfs rw\n\
                  23 1 8:1 / / rw - ext4 /dev/sda1 rw\n";
    let is_in_memory = |minor| is_device_in_memory(mounts, minor);
    assert!(is_in_memory(19));
    assert!(!is_in_memory(20) && !is_in_memory(21) && !is_device_in_memory(mounts, 8 << 32 | 1));
    let file = tempfile::tempfile_in("/dev/shm").unwrap();
    let shared = describe(&file, Kind::File);
    assert!(shared.deleted && shared.in_memory, "{shared:?}");
    let named = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
    assert!(!describe(named.as_file(), Kind::File).in_memory);
}

#[test]
fn tcp_sockets_have_addresses_and_states() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    let (server, _) = listener.accept().unwrap();
    let listening = socket_of(&listener);
    assert_eq!(
        (listening.state.as_str(), listening.peer.as_str()),
        ("LISTEN", "")
    );
    let connected = socket_of(&client);
    assert_eq!(
        (connected.family.as_str(), connected.state.as_str()),
        ("inet", "ESTABLISHED")
    );
    assert_eq!(connected.peer, address.to_string());
    drop(server);
    let mut state = String::new();
    for _ in 0..10_000 {
        state = socket_of(&client).state;
        if state == "CLOSE_WAIT" {
            break;
        }
    }
    assert_eq!(state, "CLOSE_WAIT");
    assert!(
        describe(&client, Kind::Socket)
            .text
            .ends_with(&format!("-> {address} CLOSE_WAIT"))
    );
}

#[test]
fn other_families_are_described_too() {
    let udp = UdpSocket::bind("[::1]:0").unwrap();
    let socket = socket_of(&udp);
    assert_eq!(
        (socket.family.as_str(), socket.state.as_str()),
        ("inet6", "UNCONNECTED")
    );
    assert_eq!(socket.local, udp.local_addr().unwrap().to_string());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a socket");
    let listener = UnixListener::bind(&path).unwrap();
    let socket = socket_of(&listener);
    assert_eq!(
        (
            socket.family.as_str(),
            socket.local.as_str(),
            socket.state.as_str()
        ),
        ("unix", path.to_str().unwrap(), "LISTEN")
    );
    // SAFETY: no pointers; the descriptor is owned at once.
    let unbound =
        unsafe { OwnedFd::from_raw_fd(libc::socket(libc::AF_INET6, libc::SOCK_STREAM, 0)) };
    let socket = socket_of(&unbound);
    assert_eq!(
        (socket.family.as_str(), socket.state.as_str()),
        ("inet6", "UNCONNECTED")
    );
}

#[test]
fn anonymous_descriptors_say_what_they_hold() {
    let (reader, writer) = std::io::pipe().unwrap();
    assert!(describe(&reader, Kind::Pipe).text.ends_with(", read end"));
    assert!(describe(&writer, Kind::Pipe).text.ends_with(", write end"));
    // SAFETY: constant strings or no pointers; the descriptors are owned at once.
    let (memfd, eventfd, epoll, pidfd) = unsafe {
        (
            OwnedFd::from_raw_fd(libc::memfd_create(c"my buffer".as_ptr(), 0)),
            OwnedFd::from_raw_fd(libc::eventfd(7, 0)),
            OwnedFd::from_raw_fd(libc::epoll_create1(0)),
            OwnedFd::from_raw_fd(libc::syscall(libc::SYS_pidfd_open, std::process::id(), 0) as i32),
        )
    };
    assert_eq!(
        describe(&memfd, Kind::Memfd).text,
        "memfd my buffer, 0 bytes"
    );
    assert!(
        describe(&eventfd, Kind::Eventfd)
            .text
            .starts_with("eventfd, count ")
    );
    assert_eq!(
        describe(&epoll, Kind::Epoll).text,
        "eventpoll, watches 0 descriptors"
    );
    assert_eq!(
        describe(&pidfd, Kind::Pidfd).text,
        format!("pidfd, of pid {}", std::process::id())
    );
}

#[test]
fn mappings_threads_and_children_are_described() {
    let proc = Proc::default();
    let pid = std::process::id();
    let address = describe_mapping as *const () as u64;
    let code = proc.describe(pid, Handle::new(Class::Mapping, address), Kind::Mapping);
    let exe = std::env::current_exe().unwrap();
    assert_eq!(code.text, format!("{} r-xp", exe.display()));
    let own = proc.identity(pid).unwrap();
    let thread = proc.describe(pid, Handle::task(Class::Thread, own), Kind::Thread);
    assert_eq!(thread.text, proc.stat(pid).unwrap().comm);
    let other = ProcessId::new(pid, u64::from(own.start_ticks()) + 1);
    let reused = proc.describe(pid, Handle::task(Class::Thread, other), Kind::Thread);
    assert_eq!(reused, Description::default());
    let process = proc.describe(pid, Handle::task(Class::Process, own), Kind::Process);
    assert_eq!(process.text, proc.stat(pid).unwrap().comm);
}

#[test]
fn a_mapping_is_described_by_what_its_guard_lies_before() {
    let mapping = |line| Mapping::parse(line).unwrap();
    let guard = mapping("1000-3000 ---p 0 00:00 0 ");
    let stack = mapping("3000-9000 rw-p 0 00:00 0 ");
    let apart = mapping("a000-b000 rw-p 0 00:00 0 ");
    let file = mapping("3000-4000 r--p 0 fe:00 7 /x");
    let text = |from: &[Mapping]| describe_mapping(from).unwrap().text;
    assert_eq!(
        text(&[guard.clone(), stack.clone()]),
        "[anon] rw-p behind a guard of 8192 bytes"
    );
    for next in [apart, file, guard.clone()] {
        assert_eq!(text(&[guard.clone(), next]), "[anon] ---p");
    }
    assert_eq!(text(&[stack, guard]), "[anon] rw-p");
}

#[test]
fn what_is_gone_has_no_description() {
    let proc = Proc::default();
    let resources = [
        (Handle::new(Class::Descriptor, 999_999), Kind::File),
        (Handle::new(Class::Mapping, 0x1000), Kind::Mapping),
        (Handle::new(Class::Heap, 0x1000), Kind::Heap),
        (Handle::shm(0xf000_0000, u32::MAX), Kind::Shm),
        (Handle(u64::MAX), Kind::Socket),
    ];
    let descriptions = proc.describe_many(std::process::id(), &resources);
    assert_eq!(descriptions, vec![Description::default(); resources.len()]);
}

#[test]
fn ends_whose_other_end_is_closed_say_so() {
    let (reader, writer) = std::io::pipe().unwrap();
    assert!(!describe(&reader, Kind::Pipe).half_closed);
    drop(writer);
    let alone = describe(&reader, Kind::Pipe);
    assert!(alone.half_closed && alone.text.ends_with("read end, the other is closed"));
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    assert!(!describe(&one, Kind::Socket).half_closed);
    drop(other);
    assert!(describe(&one, Kind::Socket).half_closed);
}

#[test]
fn what_never_had_another_end_is_not_half_closed() {
    let new = |family, sort| {
        // SAFETY: no pointers; the descriptor is owned at once.
        unsafe { OwnedFd::from_raw_fd(libc::socket(family, sort, 0)) }
    };
    for sort in [libc::SOCK_STREAM, libc::SOCK_SEQPACKET, libc::SOCK_DGRAM] {
        for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6] {
            if (family, sort) == (libc::AF_UNIX, libc::SOCK_SEQPACKET)
                || sort != libc::SOCK_SEQPACKET
            {
                let socket = new(family, sort);
                assert!(
                    !describe(&socket, Kind::Socket).half_closed,
                    "family {family}, type {sort}"
                );
            }
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("listening");
    let listener = UnixListener::bind(&path).unwrap();
    assert!(!describe(&listener, Kind::Socket).half_closed);
}

#[test]
fn a_socket_was_connected_before_its_other_end_closed() {
    use std::os::unix::net::UnixStream;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("listening");
    let listener = UnixListener::bind(&path).unwrap();
    let client = UnixStream::connect(&path).unwrap();
    let (server, _) = listener.accept().unwrap();
    // It sends no more, but takes what is sent.
    server.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(!describe(&client, Kind::Socket).half_closed);
    drop(server);
    assert!(describe(&client, Kind::Socket).half_closed);
    let (reader, writer) = std::io::pipe().unwrap();
    assert!(!describe(&writer, Kind::Pipe).half_closed);
    drop(reader);
    assert!(describe(&writer, Kind::Pipe).half_closed);
}

#[test]
fn sockets_that_their_peer_closed_are_found_by_name_space() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mine = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    let peer = mine.peer_addr().unwrap().to_string();
    drop(theirs);
    let proc = Proc::new("/proc");
    let pid = std::process::id();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let number = u32::try_from(mine.as_raw_fd()).unwrap();
    loop {
        let closed = proc.close_wait(pid);
        let held = proc.descriptors_of_sockets(pid, &closed, 100);
        if held.contains(&(number, peer.as_str())) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{held:?}");
    }
}
