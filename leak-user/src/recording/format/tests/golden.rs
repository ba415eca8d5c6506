//! Files of every version of the format that was ever written can be read.

use std::collections::BTreeSet;

use leak_common::{
    Class, Handle, Kind, ProcessId,
    unwind::{FileKey, PythonFrame},
    wire::StackEnd,
};

use super::made::{Read, beginning, read, recording};
use crate::{
    analysis::{FirstFailure, Input, SavedAnalysis},
    event::{
        Acquired, Call, CodeMapped, Event, Executed, Failed, Forked, Interpreted, Notice,
        RangeReleased, Registers, Released, Remapped, Site, StackSample, Uncovered, Unfinished,
    },
    judge::{Borrows, GeneratedCode, LastUses, Observation, PoolUses, Pooled},
    ledger::{BaselineProcess, SavedLedger, Shown, SiteCounts},
    model::{
        facts::{Description, Facts},
        hex::Hex,
        refusal::Refusal,
        report::{Failure, Frame, Full, FullGroup, Health, Holder, Limit, SharedLimit, Socket},
        site::SiteId,
    },
    recording::format::{
        Version,
        frame::{flag, kind},
        frames::{Frames, Next},
        inputs, kinds, verify,
    },
};

/// A recording as version 1.0 wrote it. Never make it anew: to change what is written,
/// add a file for a new version.
const V1_0: &[u8] = include_bytes!("../golden/v1.0.lkt");

const PARENT: ProcessId = ProcessId::new(41, 1000);
const CHILD: ProcessId = ProcessId::new(42, 2000);
const SITE: SiteId = SiteId(0x1234_5678_9abc_def1);
const COMM: [u8; 16] = *b"golden\0\0\0\0\0\0\0\0\0\0";
const FILE: FileKey = FileKey {
    inode: 77,
    changed_seconds: -5,
    changed_nanoseconds: 999,
    device: 0x80_0001,
};

fn descriptor(number: u64) -> Handle {
    Handle::new(Class::Descriptor, number)
}

fn compact() -> Vec<Event> {
    let acquired = Acquired {
        time: 5_000_000_100,
        process: CHILD,
        kind: Kind::Socket,
        handle: descriptor(12),
        site: SITE,
        size: 0,
        close_on_exec: true,
        kind_guessed: false,
        maybe_existed: false,
    };
    let mapped = Acquired {
        time: 5_000_000_090,
        kind: Kind::Mapping,
        handle: Handle::new(Class::Mapping, 0x7f12_3456_7000),
        size: 8192,
        close_on_exec: false,
        kind_guessed: true,
        maybe_existed: true,
        ..acquired
    };
    let released = Released {
        time: 5_000_000_900,
        process: CHILD,
        handle: descriptor(12),
        acquired: Some(5_000_000_100),
    };
    vec![
        Event::Acquired(acquired),
        Event::Acquired(mapped),
        Event::Acquired(Acquired {
            time: 5_000_000_150,
            handle: descriptor(13),
            ..acquired
        }),
        Event::Released(released),
        Event::Released(Released {
            handle: Handle::task(Class::Process, PARENT),
            process: ProcessId::NONE,
            acquired: None,
            ..released
        }),
        Event::Released(Released {
            handle: descriptor(13),
            acquired: Some(6_000_000_000),
            ..released
        }),
    ]
}

fn rare() -> Vec<Event> {
    let (time, process) = (5_000_001_000, CHILD);
    vec![
        Event::Site(Site {
            time,
            process,
            kind: Kind::File,
            id: SITE,
            tid: 43,
            frames: [0x5555_0000_1000, 0x5555_0000_0800, 0x7fff_ffff_ffff].into(),
            end: StackEnd::TooDeep,
        }),
        Event::RangeReleased(RangeReleased {
            time,
            process,
            class: Class::Descriptor,
            first: 3,
            last: u64::from(u32::MAX),
            unshare: true,
            close_on_exec: false,
            attachment: true,
        }),
        Event::Remapped(Remapped {
            time,
            process,
            old: 4096,
            old_length: 8192,
            new: 1 << 40,
            new_length: 4096,
            site: SITE,
            keeps_old: true,
        }),
        Event::Forked(Forked {
            time,
            parent: PARENT,
            child: CHILD,
            shares_files: false,
            shares_memory: true,
            comm: COMM,
        }),
        Event::Executed(Executed {
            time,
            process,
            comm: COMM,
        }),
        Event::Exited { time, process },
        Event::Uncovered {
            time,
            process,
            cause: Uncovered::Compat,
        },
        Event::Uncovered {
            time,
            process,
            cause: Uncovered::UringClose,
        },
    ]
}

fn of_stacks_and_failures() -> Vec<Input> {
    let (time, process) = (5_000_001_000, CHILD);
    vec![
        Input::Notice(Notice::CodeMapped(CodeMapped {
            time,
            process,
            file: FILE,
            start: 1 << 20,
            end: 2 << 20,
            offset: 4096,
            wanted: true,
        })),
        Input::Notice(Notice::Interpreted(Interpreted {
            time,
            process,
            site: SITE,
            layout: 2,
            frames: [PythonFrame {
                code: 0x7f00_0000_0008,
                place: PythonFrame::ENTRY | 5,
            }]
            .into(),
        })),
        Input::Notice(Notice::StackSample(Box::new(StackSample {
            time,
            process,
            tid: 44,
            instruction: 1,
            stack_pointer: 2,
            frame_pointer: 3,
            link: 4,
            frames: [1, 9].into(),
            end: StackEnd::Locked,
            memory: [1, 2, 3].into(),
        }))),
        Input::Notice(Notice::Unfinished(Box::new(Unfinished {
            time,
            process,
            kind: Kind::Pipe,
            site: SITE,
            last: Registers {
                instruction: 5,
                stack: 6,
                frame: 7,
                link: Some(8),
                after_call: true,
            },
            file: FILE,
            start: 4096,
            end: 8192,
            offset: 0,
            memory: [0xff; 20].into(),
        }))),
        Input::Failed(Failed {
            time,
            process,
            kind: Kind::Socket,
            site: SiteId::UNKNOWN,
            size: 0,
            call: Call::System(41),
            error: Refusal::Files,
            tid: 43,
        }),
        Input::Failed(Failed {
            time,
            process,
            kind: Kind::Mapping,
            site: SITE,
            size: 1 << 33,
            call: Call::Uring(18),
            error: Refusal::Memory,
            tid: 0,
        }),
    ]
}

fn others() -> Vec<Input> {
    let (time, process) = (5_000_002_000, CHILD);
    vec![
        Input::Baseline(Box::new(BaselineProcess {
            id: PARENT,
            parent: None,
            comm: COMM,
            time,
            descriptors: vec![(0, Kind::Anon), (1, Kind::Pipe)],
            mappings: vec![(4096..8192).into()],
            threads: vec![Handle::task(Class::Thread, ProcessId::new(45, 1))],
            children: vec![Handle::task(Class::Process, CHILD)],
            zombies: Vec::new(),
        })),
        Input::Compared {
            process,
            shown: Box::new(Shown {
                time,
                descriptors: Some(vec![(900, Kind::Epoll)]),
                mappings: None,
                threads: Some(vec![]),
                young: vec![descriptor(7)],
                adopt_as_preexisting: true,
            }),
        },
        Input::Gone(process),
        Input::Lost(Some(process)),
        Input::Lost(None),
        Input::Horizon(time),
        Input::Counted {
            site: SITE,
            counts: SiteCounts {
                acquired: 1_000_000,
                ..SiteCounts::default()
            },
        },
        Input::Sample(time),
        Input::Facts(
            process,
            Box::new(Facts {
                start_ticks: 2000,
                comm: "golden".into(),
                exe: "/usr/bin/gölden\n".into(),
                cmdline: vec!["golden".into(), String::new()],
                cgroup: "/".into(),
                container_id: Some("c0ffee".into()),
                ..Facts::default()
            }),
        ),
        Input::Stack {
            site: SITE,
            frames: vec![Frame {
                address: Hex(0x55),
                symbol: "main".into(),
                module: "/usr/bin/golden".into(),
                file: Some("main.c".into()),
                line: Some(7),
                inlined: true,
                build_id: Some("abcd".into()),
                module_offset: Some(Hex(0x5)),
            }],
        },
        Input::Described {
            time,
            process,
            handle: descriptor(12),
            kind: Kind::Socket,
            description: Box::new(Description {
                text: "1.2.3.4:5".into(),
                deleted: false,
                socket: Some(Socket {
                    family: "inet".into(),
                    local: "1.2.3.4:5".into(),
                    peer: String::new(),
                    state: "LISTEN".into(),
                }),
                ..Description::default()
            }),
        },
        Input::Limits(
            process,
            vec![Limit {
                resource: "nofile".into(),
                used: 12,
                soft: 1024,
                exhaustion_seconds: Some(0.1),
                ..Limit::default()
            }],
        ),
        Input::SharedLimits(vec![SharedLimit {
            scope: "host".into(),
            resource: "file-max".into(),
            used: 1,
            limit: 2,
            growth_per_second: 1e-3,
            exhaustion_seconds: None,
        }]),
        Input::Health(Box::new(Health {
            events: 20,
            lost: 1,
            lost_by_cause: [("ring_full".to_owned(), 1)].into(),
            ..Health::default()
        })),
        Input::Ended {
            time,
            wall: 1_700_000_001_000_000_000,
        },
        Input::FirstFailure(Box::new(FirstFailure {
            time,
            process,
            error: Refusal::Files,
            failure: Failure {
                pid: 42,
                comm: "golden".into(),
                error: "EMFILE".into(),
                count: 3,
                ..Failure::default()
            },
        })),
        Input::Shared {
            time,
            process,
            handle: descriptor(12),
            holders: vec![Holder {
                pid: 41,
                comm: "golden".into(),
                handle: "fd 3".into(),
                count: 1,
                ..Holder::default()
            }],
        },
        Input::Observed(Box::new(Observation {
            time,
            process,
            close_wait: vec![(descriptor(12), "5.6.7.8:9".into())],
            watches: vec![(descriptor(9), 100)],
            stacks: Vec::new(),
            adders: Vec::new(),
        })),
        Input::Restored(Box::new(SavedAnalysis::Latest(time))),
        Input::Restored(Box::new(SavedAnalysis::History {
            process: CHILD.0,
            points: vec![(time, 12), (time + 5, u64::MAX)],
        })),
        Input::Restored(Box::new(SavedAnalysis::Ledger(SavedLedger::Clock(
            Box::default(),
        )))),
    ]
}

/// What is in the file: every kind of record.
fn inputs() -> Vec<Input> {
    let events = [compact(), rare()].concat();
    let mut inputs: Vec<_> = events.into_iter().map(Input::Event).collect();
    inputs.extend(of_stacks_and_failures());
    inputs.extend(others());
    inputs
}

/// Kinds of records that came later: the file of version 1.0 does not have them.
fn later_kinds() -> Vec<Input> {
    let full = Full {
        pid: 42,
        start_time: 2000,
        comm: "golden".into(),
        resource: "nofile".into(),
        used: 60,
        limit: 60,
        groups: vec![FullGroup {
            kind: "file".into(),
            what: "/tmp/*".into(),
            state: "deleted".into(),
            count: 56,
            oldest: "fd 4".into(),
        }],
        others: 4,
        ..Full::default()
    };
    vec![
        Input::LastUses(Box::new(LastUses {
            time: 5_000_000_300,
            site: SITE,
            accepted: true,
            resources: vec![(5_000_000_100, 5_000_000_200)],
        })),
        Input::Full(CHILD, Box::new(full)),
        Input::GeneratedCode(Box::new(GeneratedCode {
            process: CHILD,
            ranges: vec![(0x7f00_0000_0000..0x7f00_0100_0000).into()],
        })),
        Input::PoolUses(Box::new(PoolUses {
            time: 5_000_000_400,
            process: CHILD.0,
            peer: "10.0.0.7:5432".to_owned(),
            site: SITE,
            connections: vec![Pooled {
                handle: Handle::new(Class::Descriptor, 9),
                acquired: 5_000_000_100,
                used: 5_000_000_200,
                borrower: SITE,
            }],
            others: 0,
            borrows: vec![Borrows {
                borrower: SITE,
                count: 3,
                followed: 2,
            }],
            worked: 700,
            waiting: vec![5_000_000_300],
        })),
    ]
}

#[test]
fn version_1_0_is_read() {
    let expected = Read {
        beginning: Some(beginning()),
        inputs: inputs(),
        ..Read::default()
    };
    assert_eq!(read(V1_0).unwrap(), expected);
    let verified = verify(V1_0).unwrap();
    assert!(verified.intact());
    assert_eq!(verified.version, Version { major: 1, minor: 0 });
    assert_eq!(verified.segments, 5);
    let chain: String = verified
        .chain
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        chain,
        "c777746adda2924f1e12d8cf3f361aac02edce7b49f391f1e64690fc00580baf"
    );
}

#[test]
fn what_is_written_today_is_what_the_file_of_this_version_has() {
    // But for the compression, which may change with the library.
    assert_eq!(
        read(&recording(&inputs(), 10)).unwrap(),
        read(V1_0).unwrap()
    );
}

#[test]
fn every_kind_of_record_has_a_row_in_the_document() {
    let document = include_str!("../../../../docs/capture.md");
    for (name, number) in kinds::ALL {
        let row = document
            .lines()
            .find_map(|line| line.strip_prefix(&format!("| {number} | ")));
        assert!(
            row.is_some(),
            "docs/capture.md has no row for kind {number}, {name}"
        );
    }
}

#[test]
fn every_kind_of_record_but_fragments_is_written_and_read() {
    let mut kinds: BTreeSet<u8> = kinds::ALL.iter().map(|(_, number)| *number).collect();
    // A fragment is no input: it is of a record of any other kind.
    kinds.remove(&kinds::FRAGMENT);
    let is_compact =
        |input: &Input| matches!(input, Input::Event(Event::Acquired(_) | Event::Released(_)));
    let mut written = BTreeSet::new();
    let all = inputs().into_iter().chain(later_kinds());
    for input in all.filter(|input| !is_compact(input)) {
        let mut payload = Vec::new();
        let (kind, _) = inputs::put(&mut payload, &input).expect("it is short");
        written.insert(kind);
        assert_eq!(inputs::get(kind, &payload), Some(input));
    }
    assert_eq!(written, kinds);
}

/// The records of a file's segments, decompressed, one segment each.
fn segments(file: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Frames::new(file);
    let mut segments = Vec::new();
    loop {
        match frames.next().unwrap() {
            Next::Frame(header) if header.kind != kind::SEGMENT => {}
            Next::Frame(header) if header.flags & flag::ZSTD == 0 => {
                segments.push(frames.payload().to_vec());
            }
            Next::Frame(header) => {
                let raw = zstd::bulk::decompress(frames.payload(), header.raw as usize);
                segments.push(raw.unwrap());
            }
            Next::Damage(damage) => panic!("{damage}"),
            Next::Over => return segments,
        }
    }
}

#[test]
fn every_byte_of_a_record_is_what_version_1_0_wrote() {
    assert_eq!(segments(&recording(&inputs(), 10)), segments(V1_0));
}

#[test]
#[ignore = "makes the file of a new version"]
fn make() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/recording/format/golden/new.lkt"
    );
    std::fs::write(path, recording(&inputs(), 10)).unwrap();
}
