//! Reading a recording takes little memory, however long or hostile its file is.
//!
//! ```sh
//! cargo test -p leak-user --test recording_memory
//! ```
//!
//! A program of its own, with one test: its allocator counts what the whole program
//! allocates.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    io::Read,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use leak_common::{Class, Handle, ProcessId, identity::mix};
use leak_user::{
    analysis::{Beginning, Input},
    event::{Event, Released},
    recording::format::{Item, MAX_RAW, MAX_STORED, Reader, Writer, fuzz, verify},
};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: each call goes to the system's allocator as it came, which keeps the contract;
// counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(now, Relaxed);
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps to the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that was allocated at a time while `run` ran, beyond what was there before.
fn most(run: impl FnOnce()) -> usize {
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    run();
    MOST.load(Relaxed) - before
}

fn read(file: impl Read) -> (u64, u64) {
    let (mut inputs, mut damages) = (0, 0);
    Reader::new(file)
        .unwrap()
        .visit(|item| match item {
            Item::Input(_) => inputs += 1,
            Item::Damage(_) => damages += 1,
            Item::Unknown(_) => {}
        })
        .unwrap();
    (inputs, damages)
}

/// The file of a recording of `count` releases.
fn recording(count: u64) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &Beginning::default()).unwrap();
    for number in 0..count {
        // Noise does not compress.
        let noise = mix(number, 1);
        let released = Released {
            time: number * 1000 + noise % 1000,
            process: ProcessId::new(7, number % 5),
            handle: Handle::new(Class::Descriptor, noise >> 32 & 1023),
            acquired: Some((number * 1000).wrapping_sub(noise % 5000)),
        };
        writer
            .input(&Input::Event(Event::Released(released)))
            .unwrap();
    }
    writer.finish().unwrap().0
}

// One test, since a second one would allocate at the same time and be counted too.
#[test]
fn reading_takes_as_much_memory_for_a_long_or_hostile_file_as_for_a_short_one() {
    const FRAME: usize = (MAX_RAW + MAX_STORED) as usize;

    let long = recording(600_000);
    assert!(long.len() > 2 << 20);
    let taken = most(|| assert_eq!(read(&*long), (600_000, 0)));
    assert!(taken < FRAME / 2, "{taken} bytes for a long file");
    let taken = most(|| assert!(verify(&*long).unwrap().intact()));
    assert!(taken < FRAME / 2, "{taken} bytes to verify a long file");

    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
    for stated in [64, MAX_RAW as usize] {
        let file = fuzz::sound(&bomb, fuzz::ZSTD, stated, 64);
        let taken = most(|| assert_eq!(read(&*file), (0, 1)));
        assert!(taken < 2 * FRAME, "{taken} bytes for a segment that grows");
    }

    // Records of every kind there can be, whose lengths are lies.
    for kind in 0..128 {
        for length in [u64::MAX, 1 << 40, 5 << 20, 100] {
            let mut segment = vec![kind];
            varint(&mut segment, length);
            for _ in 0..12 {
                varint(&mut segment, length);
            }
            segment.resize(segment.len() + 100, 1);
            let file = fuzz::sound(&segment, 0, segment.len(), 3);
            let taken = most(|| {
                read(&*file);
            });
            assert!(
                taken < FRAME / 2,
                "{taken} bytes for a record of kind {kind}"
            );
        }
    }

    let noise: Vec<u8> = (0..4u32 << 20)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let mut file = long[..5000].to_vec();
    file.extend(noise);
    file.extend(&long[5000..]);
    let taken = most(|| assert!(read(&*file).1 > 0));
    assert!(taken < FRAME, "{taken} bytes for a file with much noise");
}

fn varint(out: &mut Vec<u8>, value: u64) {
    let mut value = value;
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
