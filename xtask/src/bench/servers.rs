//! Servers under load on loopback: nginx that opens a file for each request, and redis.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::load::{self, Load};
use super::options::Options;
use super::process::Process;

const CONNECTIONS: &str = "32";

/// The servers and the loads on them; they end with the value.
pub(super) struct Servers {
    pub(super) loads: Vec<Load>,
    _running: [Process; 2],
    _files: Directory,
}

/// Starts both servers and waits until they answer.
pub(super) fn start(options: &Options) -> Result<Servers> {
    let files = Directory::new()?;
    let (web, store) = (free_port()?, free_port()?);
    let running = [start_nginx(&files.0, web)?, start_redis(&files.0, store)?];
    answers(web)?;
    answers(store)?;
    let seconds = options.server_seconds();
    Ok(Servers {
        loads: vec![
            Load::new("nginx, a file per request, keep-alive", move || {
                nginx(web, seconds, &[])
            }),
            Load::new("nginx, a connection per request", move || {
                nginx(web, seconds, &["-H", "Connection: close"])
            }),
            Load::new("redis, GET", move || redis(store, seconds)),
        ],
        _running: running,
        _files: files,
    })
}

fn start_nginx(directory: &Path, port: u16) -> Result<Process> {
    fs::write(directory.join("index.html"), [b'x'; 512])?;
    let configuration = format!(
        "daemon off; user root; worker_processes 1; pid {directory}/nginx.pid; error_log stderr error;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {directory}/body;\n\
         proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;\n\
         uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;\n\
         server {{ listen 127.0.0.1:{port}; root {directory}; }} }}\n",
        directory = directory.display(),
    );
    let file = directory.join("nginx.conf");
    fs::write(&file, configuration)?;
    Process::start(
        Command::new("nginx")
            .arg("-p")
            .arg(directory)
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null()),
    )
}

fn start_redis(directory: &Path, port: u16) -> Result<Process> {
    Process::start(
        Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null()),
    )
}

/// Requests per second.
fn nginx(port: u16, seconds: u32, headers: &[&str]) -> Result<f64> {
    let output = load::output(
        Command::new("wrk")
            .args(["-t", "1", "-c", CONNECTIONS, "-d", &format!("{seconds}s")])
            .args(headers)
            .arg(format!("http://127.0.0.1:{port}/index.html")),
    )?;
    requests_per_second(&output)
        .with_context(|| format!("wrk did not say how many requests were served: {output}"))
}

fn requests_per_second(output: &str) -> Option<f64> {
    output
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"))?
        .trim()
        .parse()
        .ok()
}

/// Requests per second.
fn redis(port: u16, seconds: u32) -> Result<f64> {
    // redis-benchmark counts requests, not time: as many as a fast machine answers in that time.
    let requests = seconds * 100_000;
    let output = load::output(
        Command::new("redis-benchmark")
            .args(["-p", &port.to_string(), "-c", CONNECTIONS, "-t", "get"])
            .args(["-n", &requests.to_string(), "--csv"]),
    )?;
    csv_rate(&output).with_context(|| format!("redis-benchmark printed no rate: {output}"))
}

fn csv_rate(output: &str) -> Option<f64> {
    let line = output.lines().find(|line| line.starts_with("\"GET\""))?;
    line.split(',').nth(1)?.trim_matches('"').parse().ok()
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot find a free port")?;
    Ok(listener.local_addr()?.port())
}

fn answers(port: u16) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > deadline {
            bail!("no server answers on 127.0.0.1:{port}");
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A directory that goes with the value.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Result<Directory> {
        let path = std::env::temp_dir().join(format!("leaktrace-bench-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // The servers keep nothing in it that matters.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_from_what_the_tools_print() {
        assert_eq!(
            requests_per_second("  1 threads\nRequests/sec:  41234.50\n"),
            Some(41234.5)
        );
        assert_eq!(requests_per_second("unable to connect"), None);
        let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"GET\",\"125000.00\",\"0.14\"\n";
        assert_eq!(csv_rate(csv), Some(125_000.0));
    }
}
