//! nested COUNT: keeps COUNT files, opened by the standard library, from a line on
//! stdin to its end.

use std::hint::black_box;

#[inline(never)]
fn leak_file(path: &str) {
    let file = std::fs::File::open(path).expect("the null device is there");
    std::mem::forget(black_box(file));
}

#[inline(never)]
fn middle(room: &mut [u64; 100]) {
    leak_file(black_box("/dev/null"));
    room[black_box(7)] += 1;
}

#[inline(never)]
fn outer(count: usize) -> u64 {
    let mut room = [1; 100];
    for _ in 0..count {
        middle(&mut room);
    }
    room.iter().sum()
}

fn main() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("stdin can be read");
    let count = std::env::args().nth(1).and_then(|text| text.parse().ok());
    black_box(outer(count.expect("a count is given")));
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).expect("stdin can be read");
}
