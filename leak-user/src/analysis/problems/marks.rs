//! What findings of one cause have in common, as marks: findings with the same mark are compared.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash as _, Hasher as _},
};

use super::matters;
use crate::model::{
    frames::{owner::stands_out, place},
    report::{Example, Finding, Frame, Process, Report, Socket},
};

/// Something that findings of one cause have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    /// A process, and a function in it with the lines that lead to it, as a hash.
    Caller(u32, u64, u64),
    /// A program of a family, and the stack by names and the kind, as hashes.
    Sibling(String, Family, u64, u64),
    /// The two addresses of a connection, the smaller first.
    Connection(String, String),
    /// A process and one of its descriptors.
    Descriptor(u32, String),
}

/// What processes of one service have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    Parent(u32),
    Group(String),
}

impl Mark {
    /// Whether the mark says enough: workers of one program have each their own load.
    pub(super) fn needs_no_pace(&self) -> bool {
        match self {
            Mark::Sibling(..) => true,
            Mark::Caller(..) | Mark::Connection(..) | Mark::Descriptor(..) => false,
        }
    }
}

/// The marks of a finding.
#[derive(Debug)]
pub(super) struct Marks {
    pub(super) all: Vec<Mark>,
    /// The stack by names, as a hash.
    pub(super) shape: u64,
}

impl Marks {
    pub(super) fn of(report: &Report, at: usize) -> Marks {
        let finding = &report.findings[at];
        let shape = shape(&finding.stack);
        if !matters(finding) {
            return Marks {
                all: Vec::new(),
                shape,
            };
        }
        let mut all: Vec<Mark> = caller(finding).into_iter().collect();
        if let Some(process) = report.process_of(finding) {
            all.extend(siblings(finding, process, shape));
        }
        for example in &finding.examples {
            all.extend(example.socket.as_ref().and_then(connection));
            all.extend(descriptors(finding, example));
        }
        all.sort();
        all.dedup();
        Marks { all, shape }
    }
}

/// The stack by names, as a hash: where the file of its code is mapped makes no difference.
pub(super) fn shape(stack: &[Frame]) -> u64 {
    hash(|hasher| stack.iter().for_each(|frame| hash_frame(frame, hasher)))
}

fn hash(write: impl FnOnce(&mut DefaultHasher)) -> u64 {
    let mut hasher = DefaultHasher::new();
    write(&mut hasher);
    hasher.finish()
}

fn hash_frame(frame: &Frame, hasher: &mut DefaultHasher) {
    (&frame.symbol, frame.module_name(), &frame.file, frame.line).hash(hasher);
    // Two lines of a function whose lines are not known are told apart by the place in the file.
    if frame.line.is_none() {
        match frame.module_offset {
            Some(offset) => offset.hash(hasher),
            None if frame.symbol.is_empty() => frame.address.hash(hasher),
            None => {}
        }
    }
}

/// The function that a person can change, and how it is reached.
fn caller(finding: &Finding) -> Option<Mark> {
    let own = stands_out(&finding.stack).iter().position(|mine| *mine)?;
    let (frame, callers) = (&finding.stack[own], &finding.stack[own + 1..]);
    let caller = hash(|hasher| {
        (&frame.symbol, frame.module_name(), &frame.file).hash(hasher);
        if frame.symbol.is_empty() || place::is_start(frame) {
            hash_frame(frame, hasher);
            frame.address.hash(hasher);
        }
        for caller in callers {
            hash_frame(caller, hasher);
            caller.address.hash(hasher);
        }
    });
    Some(Mark::Caller(finding.pid, finding.start_time, caller))
}

/// Control groups that hold what does not belong together.
const LOOSE_GROUPS: [&str; 3] = ["", "/", "/init.scope"];

fn siblings(finding: &Finding, process: &Process, shape: u64) -> Vec<Mark> {
    let program = match process.exe.is_empty() {
        true => &process.comm,
        false => &process.exe,
    };
    let what = hash(|hasher| {
        (
            &finding.kind,
            finding.stack.is_empty().then_some(&finding.rule),
        )
            .hash(hasher)
    });
    let mark = |family| Mark::Sibling(program.clone(), family, shape, what);
    let mut marks = Vec::new();
    // Init takes in every orphan.
    if process.parent_pid > 1 {
        marks.push(mark(Family::Parent(process.parent_pid)));
    }
    if !LOOSE_GROUPS.contains(&process.cgroup.as_str()) {
        marks.push(mark(Family::Group(process.cgroup.clone())));
    }
    // The one that started the others does what they do.
    marks.push(mark(Family::Parent(process.pid)));
    marks
}

fn connection(socket: &Socket) -> Option<Mark> {
    let (local, peer) = (&socket.local, &socket.peer);
    if local.is_empty() || peer.is_empty() || local == peer {
        return None;
    }
    let (one, other) = (local.min(peer), local.max(peer));
    Some(Mark::Connection(one.clone(), other.clone()))
}

/// The descriptor of an example, and others of the same open file.
fn descriptors(finding: &Finding, example: &Example) -> Vec<Mark> {
    if example.held_by.is_empty() && !example.handle.starts_with("fd ") {
        return Vec::new();
    }
    let own = Mark::Descriptor(finding.pid, example.handle.clone());
    let others = example
        .held_by
        .iter()
        .filter(|holder| holder.count <= 1 && !holder.handle.is_empty());
    let others = others.map(|holder| Mark::Descriptor(holder.pid, holder.handle.clone()));
    [own].into_iter().chain(others).collect()
}
