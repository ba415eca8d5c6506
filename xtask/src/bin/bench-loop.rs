//! What `cargo xtask bench` times: one thread that makes one kind of system call in a tight loop, or at a given pace,
//! and prints nanoseconds per turn and turns per second. `hold` opens descriptors and keeps them until stdin ends.

use std::ffi::CStr;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

const USAGE: &str = "usage: bench-loop open|dup|socket|getppid|read|readwrite|ioctl|getsockopt SECONDS [TURNS_PER_SECOND]\n       bench-loop hold COUNT";
/// Turns between two looks at the clock.
const BATCH: u32 = 256;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match perform(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-loop: {error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(words: &[&str]) -> io::Result<()> {
    let usage = || io::Error::new(io::ErrorKind::InvalidInput, USAGE);
    match words {
        ["hold", count] => hold(count.parse().map_err(|_| usage())?),
        [name, seconds, pace @ ..] if pace.len() <= 1 => {
            let seconds = seconds.parse().map_err(|_| usage())?;
            let pace = pace.first().map(|pace| pace.parse::<f64>()).transpose();
            let mut turn = turn(name)?.ok_or_else(usage)?;
            measure(&mut turn, seconds, pace.map_err(|_| usage())?)
        }
        _ => Err(usage()),
    }
}

fn measure(turn: &mut dyn FnMut() -> bool, seconds: f64, pace: Option<f64>) -> io::Result<()> {
    pin_to_last_cpu();
    let start = Instant::now();
    let length = Duration::from_secs_f64(seconds);
    let mut turns = 0u64;
    let mut elapsed = Duration::ZERO;
    while elapsed < length {
        for _ in 0..BATCH {
            if !turn() {
                return Err(io::Error::last_os_error());
            }
        }
        turns += u64::from(BATCH);
        elapsed = start.elapsed();
        if let Some(pace) = pace {
            let due = Duration::from_secs_f64(turns as f64 / pace);
            // Sleeping is too coarse below this; the debt is made good by the batches that follow.
            if due > elapsed + Duration::from_millis(1) {
                thread::sleep(due - elapsed);
                elapsed = start.elapsed();
            }
        }
    }
    let seconds = elapsed.as_secs_f64();
    println!(
        "{} {}",
        seconds * 1e9 / turns as f64,
        turns as f64 / seconds
    );
    Ok(())
}

/// One turn of a loop; it tells whether its system calls succeeded.
type Turn = Box<dyn FnMut() -> bool>;

fn turn(name: &str) -> io::Result<Option<Turn>> {
    Ok(Some(match name {
        "open" => Box::new(|| close(open(c"/dev/null"))),
        "dup" => {
            let null = open(c"/dev/null");
            if null < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: dup takes no pointers.
            Box::new(move || close(unsafe { libc::dup(null) }))
        }
        "socket" => Box::new(|| {
            // SAFETY: socket takes no pointers.
            close(unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) })
        }),
        "getppid" => Box::new(|| {
            // SAFETY: getppid takes nothing and cannot fail.
            unsafe { libc::getppid() >= 0 }
        }),
        "read" => {
            let zero = open(c"/dev/zero");
            Box::new(move || {
                let mut byte = 0u8;
                // SAFETY: the call gets the address of one byte that outlives it, and its length.
                unsafe { libc::read(zero, (&raw mut byte).cast(), 1) == 1 }
            })
        }
        "ioctl" => {
            let mut ends = [0; 2];
            // SAFETY: the call gets the address of two descriptors.
            if unsafe { libc::pipe(ends.as_mut_ptr()) } != 0 {
                return Err(io::Error::last_os_error());
            }
            Box::new(move || {
                let mut waiting: libc::c_int = 0;
                // SAFETY: FIONREAD takes the address of an int.
                unsafe { libc::ioctl(ends[0], libc::FIONREAD, &raw mut waiting) == 0 }
            })
        }
        "getsockopt" => {
            // SAFETY: socket takes no pointers.
            let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) };
            if socket < 0 {
                return Err(io::Error::last_os_error());
            }
            Box::new(move || {
                let mut error: libc::c_int = 0;
                let mut length = size_of::<libc::c_int>() as libc::socklen_t;
                // SAFETY: the call gets the addresses of an int and of its length.
                unsafe {
                    libc::getsockopt(
                        socket,
                        libc::SOL_SOCKET,
                        libc::SO_ERROR,
                        (&raw mut error).cast(),
                        &raw mut length,
                    ) == 0
                }
            })
        }
        "readwrite" => {
            let (zero, null) = (open(c"/dev/zero"), open(c"/dev/null"));
            if zero < 0 || null < 0 {
                return Err(io::Error::last_os_error());
            }
            Box::new(move || {
                let mut byte = 0u8;
                // SAFETY: both calls get the address of one byte that outlives them, and its length.
                unsafe {
                    libc::read(zero, (&raw mut byte).cast(), 1) == 1
                        && libc::write(null, (&raw const byte).cast(), 1) == 1
                }
            })
        }
        _ => return Ok(None),
    }))
}

fn open(path: &CStr) -> i32 {
    // SAFETY: the path is a C string that outlives the call.
    unsafe { libc::open(path.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) }
}

fn close(descriptor: i32) -> bool {
    // SAFETY: the descriptor is the caller's own, or negative, which close refuses.
    unsafe { libc::close(descriptor) == 0 }
}

/// The tracer is left the other processors.
fn pin_to_last_cpu() {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    // SAFETY: the set is plain bits, all zero is the empty set; the calls get its address and size. A refusal only makes
    // the figures noisier.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpus - 1, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

fn hold(count: usize) -> io::Result<()> {
    for _ in 0..count {
        if open(c"/dev/null") < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    println!("ready");
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
