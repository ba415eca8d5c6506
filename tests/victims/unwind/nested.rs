//! nested COUNT: keeps COUNT files, opened by the standard library, for a while.

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
    let count = std::env::args().nth(1).and_then(|text| text.parse().ok());
    black_box(outer(count.expect("a count is given")));
    std::thread::sleep(std::time::Duration::from_secs(1));
}
