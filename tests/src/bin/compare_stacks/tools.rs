//! Programs that work on files, and interpreters.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::compile::{installed, source};
use tempfile::TempDir;

use crate::workload::{again, once};

/// Pipes, here-documents, substitutions, traps: forks and signals.
const BASH: &str = r#"
trap 'exec 7</dev/null; exec 7<&-' USR1
count() { local file; for file in /etc/host*; do read -r line <"$file" || true; done; }
deep() { if [ "$1" -gt 0 ]; then deep $(($1 - 1)); else count; fi; }
for i in 1 2 3 4 5 6 7 8; do
    x=$(echo "$i" | cat); y=$(cat <<END
$x
END
)
    deep 10; kill -USR1 $$; cat <(echo "$y") >/dev/null; (count)
done
"#;

const PYTHON: &str = "
import json, os, signal, socket, sqlite3, subprocess, sys, tempfile, threading, time
signal.signal(signal.SIGUSR1, lambda *_: open(os.devnull).close())
def recursive(depth):
    if depth:
        return max([depth], key=lambda _: recursive(depth - 1) or 0)
    with open(__file__) as file:
        return len(file.read())
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    recursive(12)
    a, b = socket.socketpair()
    a.close(), b.close()
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps(dict(os.environ)).encode())
    sqlite3.connect(':memory:').execute('create table t (x)').close()
    thread = threading.Thread(target=recursive, args=(5,))
    thread.start()
    thread.join()
    subprocess.run(['true'], check=True)
    os.kill(os.getpid(), signal.SIGUSR1)
";

const NODE: &str = "
const fs = require('fs'), http = require('http'), child = require('child_process');
const end = Date.now() + Number(process.argv[2]) * 1000;
const deep = n => n ? [n].map(() => deep(n - 1))[0] : fs.closeSync(fs.openSync(__filename));
const server = http.createServer((request, response) => {
  fs.readFile(__filename, (error, data) => response.end(data));
}).listen(0, '127.0.0.1', async () => {
  while (Date.now() < end) {
    for (let i = 0; i < 50; i++) deep(20);
    await new Promise(done => http.get({ port: server.address().port, agent: false },
      response => response.resume().on('end', done)));
    child.spawnSync('true');
    await fs.promises.stat(__filename);
    await fs.promises.open(__filename).then(file => file.close());
  }
  server.close();
});
";

const JAVA: &str = r#"
import java.io.*;
import java.net.*;
import java.nio.file.*;
import java.util.stream.*;

public class Work {
    static int deep(int depth) throws IOException {
        if (depth > 0) return deep(depth - 1) + 1;
        try (InputStream file = new FileInputStream("/dev/null")) { return file.read(); }
    }
    public static void main(String[] arguments) throws Exception {
        long end = System.nanoTime() + Long.parseLong(arguments[0]) * 1_000_000_000L;
        try (ServerSocket server = new ServerSocket(0)) {
            while (System.nanoTime() < end) {
                for (int i = 0; i < 100; i++) deep(20);
                IntStream.range(0, 20).parallel().forEach(i -> {
                    try { deep(i); } catch (IOException error) { throw new UncheckedIOException(error); }
                });
                try (Socket one = new Socket("127.0.0.1", server.getLocalPort());
                     Socket other = server.accept()) { one.getOutputStream().write(1); }
                try (Stream<Path> files = Files.list(Path.of("/etc"))) { files.count(); }
                new ProcessBuilder("true").start().waitFor();
            }
        }
    }
}
"#;

/// Writes a script and runs it with the seconds it may take.
fn script(program: &Path, name: &str, text: &str, time: Duration) {
    let directory = TempDir::new().expect("a temporary directory");
    let file = directory.path().join(name);
    fs::write(&file, text).expect("a temporary file can be written");
    let mut command = Command::new(program);
    once(command.arg(&file).arg(time.as_secs().to_string()));
}

pub(crate) fn bash(time: Duration) -> Option<()> {
    let program = installed("bash")?;
    again(time, || {
        let mut command = Command::new(&program);
        command.args(["-c", BASH]);
        command
    });
    Some(())
}

pub(crate) fn python(time: Duration) -> Option<()> {
    // Version managers put a script in its place.
    let output = Command::new(installed("python3")?)
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .expect("python3 starts");
    let path = String::from_utf8_lossy(&output.stdout);
    script(Path::new(path.trim()), "work.py", PYTHON, time);
    Some(())
}

pub(crate) fn node(time: Duration) -> Option<()> {
    script(&installed("node")?, "work.js", NODE, time);
    Some(())
}

pub(crate) fn java(time: Duration) -> Option<()> {
    let program = installed("java")?;
    installed("javac")?;
    script(&program, "Work.java", JAVA, time);
    Some(())
}

pub(crate) fn gcc(time: Duration) -> Option<()> {
    let program = installed("gcc")?;
    let directory = TempDir::new().expect("a temporary directory");
    again(time, || {
        let mut command = Command::new(&program);
        command.args(["-O2", "-g", "-pthread", "-o"]);
        command.arg(directory.path().join("ways"));
        command.arg(source("ways.c"));
        command
    });
    Some(())
}

pub(crate) fn git(time: Duration) -> Option<()> {
    let program = installed("git")?;
    let directory = TempDir::new().expect("a temporary directory");
    let git = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command
            .current_dir(directory.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .args(["-c", "user.name=test", "-c", "user.email=test@localhost"])
            .args(arguments);
        command
    };
    once(&mut git(&["init", "-q"]));
    let mut number = 0;
    again(time, || {
        number += 1;
        for file in 0..20 {
            let path = directory.path().join(format!("file-{file}"));
            fs::write(path, format!("{number} {file}\n")).expect("a temporary file");
        }
        once(&mut git(&["add", "-A"]));
        once(&mut git(&["commit", "-q", "-m", "more"]));
        once(&mut git(&["log", "--stat", "-n", "5"]));
        git(&["gc", "-q"])
    });
    Some(())
}

pub(crate) fn cargo(time: Duration) -> Option<()> {
    let program = installed("cargo")?;
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path();
    let write = |name: &str, text: &str| {
        fs::write(path.join(name), text).expect("a temporary file can be written");
    };
    fs::create_dir(path.join("src")).expect("a temporary directory is writable");
    write(
        "Cargo.toml",
        "[package]\nname = \"work\"\nedition = \"2021\"\n[workspace]\n",
    );
    write("build.rs", "fn main() {}\n");
    let mut number = 0;
    again(time, || {
        number += 1;
        write(
            "src/main.rs",
            &format!("fn main() {{ println!(\"{number}\"); }}\n"),
        );
        let mut command = Command::new(&program);
        command
            .current_dir(path)
            .env("CARGO_TARGET_DIR", path.join("target"))
            .args(["run", "--offline", "-q"]);
        command
    });
    Some(())
}
