//! Servers, asked over sockets of this machine.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use harness::compile::installed;
use harness::{Victim, eventually};
use tempfile::TempDir;

use crate::workload::{again, once};

const NGINX: &str = "
daemon off; user root; worker_processes 2; pid DIR/pid; error_log DIR/error.log;
events { worker_connections 128; }
http {
  access_log DIR/access.log; open_file_cache off;
  client_body_temp_path DIR/body; proxy_temp_path DIR/proxy;
  fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
  server {
    listen 127.0.0.1:PORT; root DIR/html;
    location /again/ { proxy_pass http://127.0.0.1:PORT/; }
  }
}";

pub(crate) fn nginx(time: Duration) -> Option<()> {
    let program = installed("nginx")?;
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path();
    fs::create_dir(path.join("html")).expect("a temporary directory is writable");
    fs::write(path.join("html/index.html"), "hello").expect("a temporary file");
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("the loopback interface has free ports")
        .port();
    let configuration = NGINX
        .replace("DIR", &path.to_string_lossy())
        .replace("PORT", &port.to_string());
    let file = path.join("nginx.conf");
    fs::write(&file, configuration).expect("a temporary file can be written");
    let mut command = Command::new(program);
    command.arg("-p").arg(path).arg("-c").arg(&file);
    let _server = Victim::spawn(&mut command);
    let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    assert!(eventually(listens), "nginx does not listen");
    until(time, || {
        for page in ["/", "/again/"] {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("nginx listens");
            ask(
                &mut stream,
                &format!("GET {page} HTTP/1.0\r\nHost: localhost\r\n\r\n"),
            );
        }
    });
    Some(())
}

/// Each database runs as the user that was made for it: it refuses to as root.
pub(crate) fn postgres(time: Duration) -> Option<()> {
    let (server, initdb) = (installed("postgres")?, installed("initdb")?);
    let bench = installed("pgbench")?;
    let Some(user) = user("postgres") else {
        eprintln!("skipped: there is no user postgres");
        return None;
    };
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path();
    chown(path, Some(user), None).expect("root can give a directory away");
    let data = path.join("data");
    let mut command = Command::new(initdb);
    once(command.uid(user).current_dir(path).arg("-D").arg(&data));
    let mut command = Command::new(server);
    command.uid(user).current_dir(path).arg("-D").arg(&data);
    command
        .arg("-k")
        .arg(path)
        .args(["-c", "listen_addresses="]);
    let _server = Victim::spawn(&mut command);
    let client = |arguments: &[&str]| {
        let mut command = Command::new(&bench);
        command.uid(user).current_dir(path).arg("-h").arg(path);
        command.args(arguments).arg("postgres");
        command
    };
    let socket = path.join(".s.PGSQL.5432");
    let listens = || UnixStream::connect(&socket).is_ok();
    assert!(eventually(listens), "postgres does not listen");
    let ready = || {
        client(&["-i", "-q"])
            .output()
            .is_ok_and(|o| o.status.success())
    };
    assert!(eventually(ready), "postgres takes no queries");
    again(time, || client(&["-C", "-c", "2", "-t", "50", "-n"]));
    Some(())
}

fn user(name: &str) -> Option<u32> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let line = users
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

pub(crate) fn redis(time: Duration) -> Option<()> {
    let program = installed("redis-server")?;
    let directory = TempDir::new().expect("a temporary directory");
    let socket = directory.path().join("redis.sock");
    let mut command = Command::new(program);
    command
        .args(["--port", "0", "--appendonly", "yes", "--daemonize", "no"])
        .arg("--unixsocket")
        .arg(&socket)
        .current_dir(directory.path());
    let _server = Victim::spawn(&mut command);
    let connect = || UnixStream::connect(&socket);
    assert!(eventually(|| connect().is_ok()), "redis does not listen");
    until(time, || {
        for request in ["PING", "EVAL \"return redis.call('incr','x')\" 0", "BGSAVE"] {
            let mut stream = connect().expect("redis listens");
            ask(&mut stream, &format!("{request}\r\nQUIT\r\n"));
        }
    });
    Some(())
}

/// Sends a request and reads the answer to its end.
fn ask(stream: &mut (impl Read + Write), request: &str) {
    let mut answer = Vec::new();
    stream
        .write_all(request.as_bytes())
        .and_then(|()| stream.read_to_end(&mut answer))
        .expect("the server answers");
    assert!(!answer.is_empty(), "no answer to {request:?}");
}

/// Does something a hundred times a second at most, for so long.
fn until(time: Duration, mut request: impl FnMut()) {
    let start = Instant::now();
    while start.elapsed() < time {
        request();
        std::thread::sleep(Duration::from_millis(10));
    }
}
