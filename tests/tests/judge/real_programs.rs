//! Programs that other people wrote: healthy servers under load are not called
//! leaking, leaking scripts are.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use harness::compile::installed;
use harness::{BRIEF_NURSERY, Report, Tracer, Victim, beside_others, eventually, grow_old};
use tempfile::TempDir;

/// Requests of a load: 20 a second for 8 s, long enough for growth to show.
const REQUESTS: u32 = 160;
const TURN: Duration = Duration::from_millis(50);

/// Makes the requests, each at its time by the clock: where one comes late, the next ones
/// follow at once.
fn load(mut request: impl FnMut(u32)) {
    let start = Instant::now();
    for number in 0..REQUESTS {
        std::thread::sleep((TURN * number).saturating_sub(start.elapsed()));
        request(number);
    }
    std::thread::sleep((TURN * REQUESTS).saturating_sub(start.elapsed()));
}

/// One request on a connection of its own; the body is not looked at.
fn get(port: u16) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1."), "{answer:?}");
}

/// The interpreter, or nothing where none is installed. Version managers put a
/// script in its place, hence the question.
pub(super) fn python(script: &str) -> Option<Command> {
    let output = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .ok()?;
    let mut command = Command::new(String::from_utf8(output.stdout).ok()?.trim());
    command.arg(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("victims")
            .join(script),
    );
    Some(command)
}

/// Traces a process, its children and those they will have during a load.
fn traced(pid: u32, load: impl FnOnce()) -> Report {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let pid = pid.to_string();
    let mut options = vec!["-p", &pid];
    for child in children.split_whitespace() {
        options.extend(["-p", child]);
    }
    options.extend(BRIEF_NURSERY);
    let tracer = Tracer::start(&options);
    load();
    grow_old();
    tracer.stop()
}

fn assert_healthy(report: &Report) {
    assert_eq!(report.health.lost, 0, "{:?}", report.health);
    assert!(!report.processes.is_empty(), "{:#}", report.document);
    for finding in &report.findings {
        assert_ne!(finding.verdict, "leak", "{}", report.excerpt(finding.pid));
    }
    for process in report.processes.iter().filter(|process| !process.exited) {
        assert_eq!(
            process.descriptors(),
            harness::proc::descriptor_count(process.pid),
            "{}",
            report.excerpt(process.pid)
        );
    }
}

#[test]
fn a_healthy_python_server_does_not_leak() {
    let _turn = beside_others();
    let Some(mut command) = python("server.py") else {
        eprintln!("skipped: python3 is not installed");
        return;
    };
    let mut server = Victim::spawn(command.arg("healthy"));
    let port = server.expect("ready").parse().unwrap();
    let report = traced(server.pid(), || load(|_| get(port)));
    assert_healthy(&report);
}

#[test]
fn a_python_server_that_keeps_its_files_leaks_them() {
    let _turn = beside_others();
    let Some(mut command) = python("server.py") else {
        eprintln!("skipped: python3 is not installed");
        return;
    };
    let mut server = Victim::spawn(command.arg("leak"));
    let port = server.expect("ready").parse().unwrap();
    // What has just begun may be starting up: it takes some seconds more to tell.
    let report = traced(server.pid(), || {
        load(|_| get(port));
        load(|_| get(port));
    });
    let leaks = report.leaks_of(server.pid());
    assert!(
        !leaks.is_empty() && leaks.iter().all(|leak| leak.kind == "file"),
        "{}",
        report.excerpt(server.pid())
    );
    let example = &leaks[0].examples[0];
    assert!(
        example.description.ends_with("server.py"),
        "the file is not named: {example:?}"
    );
}

#[test]
fn a_python_script_that_keeps_files_and_sockets_leaks_both() {
    let _turn = beside_others();
    let Some(mut command) = python("leaky.py") else {
        eprintln!("skipped: python3 is not installed");
        return;
    };
    let mut script = Victim::spawn(command.arg("16"));
    script.expect("ready");
    let pid = script.pid();
    let report = traced(pid, || {
        script.tell();
        script.expect("held");
    });
    let mut kinds: Vec<&str> = report
        .leaks_of(pid)
        .iter()
        .map(|leak| leak.kind.as_str())
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, ["file", "socket"], "{}", report.excerpt(pid));
    let process = report.process(pid).expect("the process is in the report");
    for kind in kinds {
        assert_eq!(
            process.outstanding.get(kind),
            Some(&320),
            "{}",
            report.excerpt(pid)
        );
    }
}

#[test]
fn redis_does_not_leak() {
    let _turn = beside_others();
    let Some(program) = installed("redis-server") else {
        return;
    };
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("redis.sock");
    let mut command = Command::new(program);
    command
        .args(["--port", "0", "--save", "", "--appendonly", "no"])
        .args(["--daemonize", "no", "--loglevel", "warning"])
        .arg("--unixsocket")
        .arg(&socket)
        .current_dir(directory.path());
    let server = Victim::spawn(&mut command);
    assert!(
        eventually(|| UnixStream::connect(&socket).is_ok()),
        "redis does not listen"
    );
    let report = traced(server.pid(), || {
        // A pool of connections, as clients keep one, and one for each request.
        let mut pool: Vec<_> = (0..8)
            .map(|_| UnixStream::connect(&socket).unwrap())
            .collect();
        load(|number| {
            ping(&mut pool[number as usize % 8]);
            ping(&mut UnixStream::connect(&socket).unwrap());
        });
    });
    assert_healthy(&report);
}

fn ping(stream: &mut UnixStream) {
    let mut answer = [0; 7];
    stream.write_all(b"PING\r\n").unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
}

const NGINX: &str = "
daemon off; user root; worker_processes 2; pid DIR/pid; error_log DIR/error.log;
events { worker_connections 128; }
http {
  access_log DIR/access.log;
  client_body_temp_path DIR/body; proxy_temp_path DIR/proxy;
  fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
  server { listen 127.0.0.1:PORT; root DIR/html; }
}";

#[test]
fn nginx_does_not_leak() {
    let _turn = beside_others();
    let Some(program) = installed("nginx") else {
        return;
    };
    let directory = TempDir::new().unwrap();
    let path = directory.path().to_str().unwrap();
    fs::create_dir(directory.path().join("html")).unwrap();
    fs::write(directory.path().join("html/index.html"), "hello").unwrap();
    // Free a moment ago; nothing else here takes ports at random.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let configuration = NGINX
        .replace("DIR", path)
        .replace("PORT", &port.to_string());
    let file = directory.path().join("nginx.conf");
    fs::write(&file, configuration).unwrap();
    let mut command = Command::new(program);
    command.arg("-p").arg(path).arg("-c").arg(&file);
    let server = Victim::spawn(&mut command);
    assert!(
        eventually(|| TcpStream::connect(("127.0.0.1", port)).is_ok()),
        "nginx does not listen: {:?}",
        fs::read_to_string(directory.path().join("error.log"))
    );
    let report = traced(server.pid(), || load(|_| get(port)));
    assert_healthy(&report);
}
