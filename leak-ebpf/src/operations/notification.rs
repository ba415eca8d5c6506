//! fanotify, whose events bring a descriptor each, and inotify, whose watches are bounded though
//! they are no descriptors.

use leak_common::{Counter, syscalls::Effect, wire::WatchKey};

use super::{Acquiring, Call, READ, WATCH, descriptor, message};
use crate::{
    count::{count, lost},
    entries::{Word, Words},
    maps::{FANOTIFY, WATCHES},
    memory::user,
    site::{self, Taken},
    task::Task,
    verifier::global,
    young,
};

/// Events of one read that are looked at.
const EVENTS: u32 = 256;
/// `struct fanotify_event_metadata`, include/uapi/linux/fanotify.h.
const METADATA_BYTES: u64 = 24;
/// Records behind an event's metadata that are looked at: two names and a descriptor.
const RECORDS: u32 = 5;
/// `FAN_EVENT_INFO_TYPE_PIDFD`: with `FAN_REPORT_PIDFD` (5.15) each event brings one.
const PIDFD: u64 = 4;

/// Whether a read may bring descriptors: a fanotify descriptor is known.
#[inline(always)]
pub(crate) fn may_be_read() -> bool {
    FANOTIFY.word(0).is_some_and(|known| known.get() != 0)
}

/// fanotify_init: from now on reads may bring descriptors.
#[inline(always)]
pub(crate) fn notifies(call: Call, effect: Effect) -> Option<Acquiring> {
    learn(call.result);
    descriptor::returns(call, effect)
}

/// Learns from a fanotify descriptor of the current process how all of them are known.
#[inline(always)]
pub(crate) fn learn(descriptor: u64) {
    let operations = Task::current().file_operations(descriptor & 0xffff_ffff);
    if let Some(known) = FANOTIFY.word(0)
        && operations != 0
    {
        known.set(operations);
    }
}

/// read: the descriptors in the events of a fanotify descriptor.
#[inline(always)]
pub(crate) fn reads(call: Call) -> Option<Acquiring> {
    let known = FANOTIFY.word(0).map_or(0, Word::get);
    let descriptor = call.registers.argument(0) & 0xffff_ffff;
    if Task::current().file_operations(descriptor) != known {
        return None;
    }
    let events = call.registers.argument(1);
    let number = note_events(events, call.result, call.process.0);
    (number != 0).then(|| Acquiring {
        rest: READ | number,
        ..Acquiring::none()
    })
}

global! {
    fn note_events(events, bytes, process) = note_all;
    fn note_event(event, left) = note_one;
}

/// Notes the descriptors of all events, and returns how many they are.
#[inline(always)]
fn note_all(events: u64, bytes: u64, process: u64) -> u64 {
    message::note_none();
    let (mut event, mut left, mut index) = (events, bytes, 0);
    while index < EVENTS {
        index += 1;
        let length = note_event(event, left);
        if length == 0 || length >= left {
            return message::noted();
        }
        event = event.wrapping_add(length);
        left -= length;
    }
    lost(Counter::TooManyReceived, leak_common::ProcessId(process));
    message::noted()
}

/// Notes the descriptors of an event, and returns its length, 0 if it is none.
#[inline(always)]
fn note_one(event: u64, left: u64) -> u64 {
    if left < METADATA_BYTES {
        return 0;
    }
    let Ok([lengths, _mask, descriptor]) = user::<[u64; 3]>(event) else {
        count(Counter::Unreadable);
        return 0;
    };
    let (length, mut at) = (lengths & 0xffff_ffff, lengths >> 48);
    if length < METADATA_BYTES || at < METADATA_BYTES {
        return 0;
    }
    message::note(descriptor as u32);
    let mut index = 0;
    while index < RECORDS {
        index += 1;
        if at + 8 > length {
            break;
        }
        let Ok([header, descriptor]) = user::<[u32; 2]>(event.wrapping_add(at)) else {
            break;
        };
        if u64::from(header) & 0xff == PIDFD {
            message::note(descriptor);
        }
        let size = u64::from(header) >> 16;
        if size == 0 {
            break;
        }
        at += size;
    }
    length
}

/// inotify_add_watch: its stack is kept, since a watch counts for the user's limit.
#[inline(always)]
pub(crate) fn watches(call: Call, effect: Effect) -> Option<Acquiring> {
    let kind = u32::from(effect.kind);
    young::wanted(kind).then(|| Acquiring {
        kind,
        rest: WATCH | call.result & 0xffff_ffff,
        ..Acquiring::none()
    })
}

/// Remembers which stack added a watch.
#[inline(always)]
pub(super) fn record(acquiring: Acquiring, call: Call, taken: Taken) {
    // No descriptor was acquired at the site.
    let site = site::visit(taken, call.process, acquiring.kind, 0).site;
    let descriptor = call.registers.argument(0) as u32;
    let key = WatchKey::new(call.process, descriptor, acquiring.rest as u32);
    // The latest are kept.
    let _ = WATCHES.insert(key, site, 0);
}
