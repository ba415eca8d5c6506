//! The first process of a virtual machine of `cargo xtask vm-test`: mounts what a system has, runs the steps of the
//! plan, sends what came of each over the second serial port, and turns the machine off.

#[path = "../plan.rs"]
mod plan;
mod steps;

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::time::Duration;
use std::{mem, thread};

use anyhow::{Context as _, Result};

use crate::plan::{Answer, PLAN, Step};

/// Type, and where it belongs.
const FILE_SYSTEMS: [(&str, &str); 6] = [
    ("devtmpfs", "/dev"),
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("securityfs", "/sys/kernel/security"),
    ("tmpfs", "/tmp"),
];

fn main() {
    if std::process::id() != 1 {
        eprintln!("vm-guest: I am to be the first process of a virtual machine");
        std::process::exit(2);
    }
    if let Err(error) = serve() {
        println!("vm-guest: {error:#}");
    }
    power_off();
}

fn serve() -> Result<()> {
    for (kind, directory) in FILE_SYSTEMS {
        mount(kind, directory).with_context(|| format!("cannot mount {directory}"))?;
    }
    take_turns().context("cannot choose a scheduling policy")?;
    // Some victims connect to each other.
    raise_loopback().context("cannot use the loopback interface")?;
    let mut answers = Answers::open().context("cannot open the second serial port")?;
    answers.send(&Answer::Booted {
        release: fs::read_to_string("/proc/sys/kernel/osrelease")?
            .trim()
            .to_owned(),
        milliseconds: uptime()?,
    })?;
    let plan = fs::read(PLAN).with_context(|| format!("cannot read {PLAN}"))?;
    let plan: Vec<Step> = serde_json::from_slice(&plan).context("cannot understand the plan")?;
    for step in &plan {
        println!("vm-guest: {}", step.name);
        answers.send(&Answer::Done(steps::perform(step)))?;
    }
    answers.send(&Answer::End)
}

fn mount(kind: &str, directory: &str) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let kind = CString::new(kind).expect("our names have no zero byte");
    let directory = CString::new(directory).expect("our names have no zero byte");
    // SAFETY: the strings outlive the call; no data is passed.
    let result = unsafe {
        libc::mount(
            kind.as_ptr(),
            directory.as_ptr(),
            kind.as_ptr(),
            0,
            std::ptr::null(),
        )
    };
    let error = io::Error::last_os_error();
    // Kernels can be told to mount /dev themselves.
    if result != 0 && error.raw_os_error() != Some(libc::EBUSY) {
        return Err(error);
    }
    Ok(())
}

/// Makes this process and all that it starts run until they wait. Since Linux 7.0 a program can be preempted, and the
/// kernel skips it for others on that processor meanwhile: on emulated processors that loses events all the time.
fn take_turns() -> io::Result<()> {
    let parameter = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameter lives as long as the call.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &parameter) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn raise_loopback() -> io::Result<()> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: all zeroes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request names an interface and lives as long as the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Milliseconds since the kernel began.
fn uptime() -> Result<u64> {
    let uptime = fs::read_to_string("/proc/uptime")?;
    let seconds: f64 = uptime
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .parse()
        .context("/proc/uptime holds no number")?;
    Ok((seconds * 1000.0) as u64)
}

/// The second serial port: the first one's name is another where the machine has no PC's.
const ANSWERS: &str = if cfg!(target_arch = "aarch64") {
    "/dev/ttyS0"
} else {
    "/dev/ttyS1"
};

/// The way to the host.
struct Answers(File);

impl Answers {
    fn open() -> io::Result<Answers> {
        let port = OpenOptions::new().read(true).write(true).open(ANSWERS)?;
        // SAFETY: all zeroes are a valid termios, which the calls fill and read.
        unsafe {
            let mut settings: libc::termios = mem::zeroed();
            if libc::tcgetattr(port.as_raw_fd(), &mut settings) != 0 {
                return Err(io::Error::last_os_error());
            }
            libc::cfmakeraw(&mut settings);
            libc::cfsetspeed(&mut settings, libc::B115200);
            if libc::tcsetattr(port.as_raw_fd(), libc::TCSANOW, &settings) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Answers(port))
    }

    /// Sends it and waits until it has left the machine.
    fn send(&mut self, answer: &Answer) -> Result<()> {
        self.0
            .write_all(&answer.pack()?)
            .context("cannot write to the serial port")?;
        // SAFETY: the descriptor is open.
        unsafe { libc::tcdrain(self.0.as_raw_fd()) };
        Ok(())
    }
}

fn power_off() -> ! {
    // SAFETY: neither call takes a pointer.
    unsafe {
        libc::sync();
        libc::reboot(libc::RB_POWER_OFF);
    }
    // The first process must not end: the kernel would panic.
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}
