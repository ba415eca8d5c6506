//! For tests: a process whose first thread exited, while another one goes on.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::Proc;

/// The thread says an address in `spin`, and stays.
const PROGRAM: &str = r#"
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
__attribute__((noinline)) void *spin(void *unused) {
    printf("%p\n", (void *)((char *)spin + 4));
    fflush(stdout);
    for (;;) pause();
}
int main(void) {
    pthread_t thread;
    pthread_create(&thread, 0, spin, 0);
    syscall(SYS_exit, 0);
}
"#;

pub(crate) struct FirstThreadGone {
    child: Child,
    /// Of an instruction in the function `spin`.
    pub(crate) address: u64,
    _directory: TempDir,
}

impl FirstThreadGone {
    pub(crate) fn start() -> FirstThreadGone {
        let directory = tempfile::tempdir().expect("a directory");
        let source = directory.path().join("first_thread_gone.c");
        let program = directory.path().join("first_thread_gone");
        std::fs::write(&source, PROGRAM).expect("the source is written");
        let mut compile = Command::new("gcc");
        compile.args(["-pthread", "-O1", "-o"]);
        let compiled = compile.arg(&program).arg(&source).status();
        assert!(compiled.expect("gcc runs").success());
        let mut child = Command::new(&program)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut line = String::new();
        let output = child.stdout.as_mut().expect("it has a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let digits = line.trim().trim_start_matches("0x");
        let started = FirstThreadGone {
            address: u64::from_str_radix(digits, 16).expect("an address"),
            child,
            _directory: directory,
        };
        started.wait_until_first_thread_is_gone();
        started
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_first_thread_is_gone(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let state = || Proc::default().stat(self.pid()).expect("it is there").state;
        while state() != 'Z' {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    }

    /// Ends the other thread, too; the process stays a zombie.
    pub(crate) fn kill(&self) {
        // SAFETY: a child of this process that was not waited for.
        unsafe { libc::kill(self.pid() as i32, libc::SIGKILL) };
        let deadline = Instant::now() + Duration::from_secs(60);
        let stat = || Proc::default().stat(self.pid()).expect("it is there");
        while !stat().is_zombie() {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    }
}

impl Drop for FirstThreadGone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
