//! owners PATTERN: leaks and their correct twins as Rust programs have them: what is
//! forgotten or turned into a raw descriptor, children never waited for, cycles.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::rc::Rc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

/// Calls the work at this rate, per second.
fn paced(per_second: f64, mut work: impl FnMut(usize)) {
    let start = Instant::now();
    for n in 0.. {
        work(n);
        let next = Duration::from_secs_f64((n + 1) as f64 / per_second);
        thread::sleep(next.saturating_sub(start.elapsed()));
    }
}

#[inline(never)]
fn forget_file() {
    std::mem::forget(File::open("/etc/passwd").expect("readable"));
}

#[inline(never)]
fn raw_descriptor() -> i32 {
    File::open("/etc/hosts").expect("readable").into_raw_fd()
}

/// The child ends by itself; dropping its handle does not wait for it.
#[inline(never)]
fn start_and_drop() {
    drop(Command::new("true").spawn().expect("true starts"));
}

struct Node {
    next: RefCell<Option<Rc<Node>>>,
    _stream: UnixStream,
}

#[inline(never)]
fn link_in_a_circle() {
    let (one, two) = UnixStream::pair().expect("a pair");
    let one = Rc::new(Node { next: RefCell::new(None), _stream: one });
    let two = Rc::new(Node { next: RefCell::new(Some(Rc::clone(&one))), _stream: two });
    *one.next.borrow_mut() = Some(two);
}

/// A thread that waits for a sender that never sends.
#[inline(never)]
fn start_receiver(kept: &mut Vec<std::sync::mpsc::SyncSender<()>>) {
    let (sender, receiver) = sync_channel::<()>(1);
    kept.push(sender);
    thread::spawn(move || receiver.recv());
}

fn lru() {
    let mut cache = VecDeque::new();
    paced(8.0, |_| {
        cache.push_back(File::open("/etc/passwd").expect("readable"));
        if cache.len() > 20 {
            cache.pop_front();
        }
    });
}

fn children_in_turn() {
    let mut running: VecDeque<Child> = VecDeque::new();
    paced(4.0, |_| {
        running.push_back(Command::new("sleep").arg("1").spawn().expect("sleep starts"));
        if running.len() > 8 {
            running.pop_front().expect("not empty").wait().expect("a child");
        }
    });
}

/// A fixed number of threads that take work from a channel.
fn thread_pool() {
    let (sender, receiver) = sync_channel::<usize>(16);
    let receiver = std::sync::Arc::new(std::sync::Mutex::new(receiver));
    for _ in 0..6 {
        let receiver = std::sync::Arc::clone(&receiver);
        thread::spawn(move || {
            loop {
                let taken = receiver.lock().expect("not poisoned").recv();
                let _file = File::open("/etc/hosts").expect("readable");
                thread::sleep(Duration::from_millis(1200));
                if taken.is_err() {
                    break;
                }
            }
        });
    }
    paced(4.0, |n| sender.send(n).expect("workers live"));
}

/// Threads that live for a while in a scope.
fn scoped() {
    loop {
        thread::scope(|scope| {
            for n in 0..4 {
                scope.spawn(move || {
                    let _file = File::open("/etc/hosts").expect("readable");
                    thread::sleep(Duration::from_millis(1000 + n * 400));
                });
            }
        });
    }
}

/// A server of threads and its clients, each connection three seconds long.
fn server() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut stream = std::io::BufReader::new(stream);
                let mut line = String::new();
                while matches!(stream.read_line(&mut line), Ok(1..)) {
                    line.clear();
                }
            });
        }
    });
    let mut clients = VecDeque::new();
    paced(4.0, |_| {
        let mut client = TcpStream::connect(address).expect("it listens");
        client.write_all(b"hello\n").expect("connected");
        clients.push_back(client);
        if clients.len() > 12 {
            clients.pop_front();
        }
    });
}

fn main() {
    let program = std::env::args().nth(1).unwrap_or_default();
    println!("ready");
    let mut word = String::new();
    if std::io::stdin().read_line(&mut word).unwrap_or(0) == 0 {
        return;
    }
    match program.as_str() {
        "forget" => paced(6.0, |_| forget_file()),
        "raw" => paced(3.0, |_| {
            raw_descriptor();
        }),
        "dropped-children" => paced(5.0, |_| start_and_drop()),
        "circle" => paced(3.0, |_| link_in_a_circle()),
        "receivers" => {
            let mut kept = Vec::new();
            paced(5.0, |_| start_receiver(&mut kept));
        }
        "lru" => lru(),
        "children-in-turn" => children_in_turn(),
        "thread-pool" => thread_pool(),
        "scoped" => scoped(),
        "server" => server(),
        _ => std::process::exit(2),
    }
}
