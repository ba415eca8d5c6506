//! Leaks a file every 100 ms and a socket every 150 ms, and uses as many of each properly: the program that
//! `cargo xtask run` traces. Runs until killed; after ten minutes it ends by itself.

use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(50);
const TICKS: u32 = 12_000;

fn main() -> io::Result<()> {
    let settings = File::open("/etc/passwd")?;
    for tick in 0..TICKS {
        if tick % 2 == 0 {
            share_settings_and_forget_the_file(&settings)?;
            share_settings(&settings)?;
        }
        if tick % 3 == 0 {
            query_server_and_forget_the_socket()?;
            query_server()?;
        }
        thread::sleep(TICK);
    }
    Ok(())
}

#[inline(never)]
fn share_settings_and_forget_the_file(settings: &File) -> io::Result<()> {
    let mut file = settings.try_clone()?;
    let _ = file.read(&mut [0])?;
    mem::forget(file);
    Ok(())
}

#[inline(never)]
fn share_settings(settings: &File) -> io::Result<()> {
    settings.try_clone()?.read(&mut [0]).map(drop)
}

#[inline(never)]
fn query_server_and_forget_the_socket() -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect("127.0.0.1:9")?;
    mem::forget(socket);
    Ok(())
}

#[inline(never)]
fn query_server() -> io::Result<()> {
    UdpSocket::bind("127.0.0.1:0")?.connect("127.0.0.1:9")
}
