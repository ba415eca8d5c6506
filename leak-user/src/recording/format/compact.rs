//! Compact records: acquisitions and releases, by far the most of what a recording of
//! all events holds, in a few bytes each. Who acquires and where is an entry of a
//! dictionary, which is written once in a segment and then named by its number; times
//! are differences from the one before.

use leak_common::{Class, Handle, Kind, ProcessId};

use super::wire::{Cursor, put, unzigzag, zigzag};
use crate::{
    event::{Acquired, Event, Released},
    model::{hash::Map, site::SiteId, time::Nanos},
};

/// Bits of a record's first byte.
pub(super) mod tag {
    /// Set in these records, clear in those that state their length.
    pub(in crate::recording::format) const COMPACT: u8 = 0x80;
    /// Of a later minor version: the length follows.
    pub(in crate::recording::format) const LATER: u8 = 0x40;
    /// A release, else an acquisition.
    pub(in crate::recording::format) const RELEASED: u8 = 0x20;
    /// A new entry of the dictionary follows, else an entry's number.
    pub(in crate::recording::format) const NEW: u8 = 0x10;
    /// An acquisition's size follows, or a release's age.
    pub(in crate::recording::format) const EXTRA: u8 = 0x08;
    /// Always clear in version 1.
    pub(in crate::recording::format) const CLEAR: u8 = 0x07;
}

/// Bits of an acquisition's flags.
mod acquired {
    pub(super) const CLOSE_ON_EXEC: u8 = 1;
    pub(super) const KIND_GUESSED: u8 = 2;
    pub(super) const MAYBE_EXISTED: u8 = 4;
}

/// Most entries of a segment's dictionaries, both together.
pub(super) const MAX_ENTRIES: usize = 1 << 16;

/// An entry of the dictionary of acquisitions: what those of one site have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct AcquisitionEntry {
    process: ProcessId,
    site: SiteId,
    /// A [`Kind`], unless it is one of a later version.
    kind: u32,
    class: u8,
    flags: u8,
}

/// An entry of the dictionary of releases: what those in one process have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ReleaseEntry {
    process: ProcessId,
    class: u8,
}

/// The last time and handles: the next ones are written as differences from them.
#[derive(Debug, Default)]
struct Bases {
    time: Nanos,
    /// By the class's lower three bits.
    handles: [u64; 8],
}

impl Bases {
    fn put_time(&mut self, out: &mut Vec<u8>, time: Nanos) {
        put(out, zigzag(time.wrapping_sub(self.time) as i64));
        self.time = time;
    }

    #[inline]
    fn time(&mut self, from: &mut Cursor<'_>) -> Option<Nanos> {
        self.time = self.time.wrapping_add(unzigzag(from.varint()?) as u64);
        Some(self.time)
    }

    fn put_handle(&mut self, out: &mut Vec<u8>, handle: Handle) {
        let class = class_byte(handle);
        if is_numbered(class) {
            return put(out, handle.value());
        }
        let base = &mut self.handles[usize::from(class & 7)];
        put(out, zigzag(handle.value().wrapping_sub(*base) as i64));
        *base = handle.value();
    }

    #[inline]
    fn handle(&mut self, from: &mut Cursor<'_>, class: u8) -> Option<Handle> {
        let number = from.varint()?;
        if is_numbered(class) {
            return Some(handle(class, number));
        }
        let base = &mut self.handles[usize::from(class & 7)];
        let handle = handle(class, base.wrapping_add(unzigzag(number) as u64));
        *base = handle.value();
        Some(handle)
    }
}

/// Descriptors are small numbers by themselves.
#[inline]
fn is_numbered(class: u8) -> bool {
    class == Class::Descriptor as u8
}

fn class_byte(handle: Handle) -> u8 {
    (handle.0 >> 56) as u8
}

#[inline]
fn handle(class: u8, value: u64) -> Handle {
    Handle(u64::from(class) << 56 | (value & ((1 << 56) - 1)))
}

/// Writes compact records, within one segment.
#[derive(Debug, Default)]
pub(super) struct CompactEncoder {
    acquisitions: Map<AcquisitionEntry, u32>,
    releases: Map<ReleaseEntry, u32>,
    bases: Bases,
}

impl CompactEncoder {
    /// Forgets everything: the next segment begins.
    pub(super) fn clear(&mut self) {
        self.acquisitions.clear();
        self.releases.clear();
        self.bases = Bases::default();
    }

    /// Whether the dictionaries have no room for another entry.
    pub(super) fn is_full(&self) -> bool {
        self.acquisitions.len() + self.releases.len() >= MAX_ENTRIES
    }

    /// Appends an acquisition.
    pub(super) fn acquired(&mut self, out: &mut Vec<u8>, event: &Acquired) {
        let Acquired {
            time,
            process,
            kind,
            handle,
            site,
            size,
            close_on_exec,
            kind_guessed,
            maybe_existed,
        } = *event;
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let entry = AcquisitionEntry {
            process,
            site,
            kind: kind as u32,
            class: class_byte(handle),
            flags: bit(close_on_exec, acquired::CLOSE_ON_EXEC)
                | bit(kind_guessed, acquired::KIND_GUESSED)
                | bit(maybe_existed, acquired::MAYBE_EXISTED),
        };
        let extra = bit(size != 0, tag::EXTRA);
        if let Some(&number) = self.acquisitions.get(&entry) {
            out.push(tag::COMPACT | extra);
            put(out, u64::from(number));
        } else {
            out.push(tag::COMPACT | tag::NEW | extra);
            out.extend(entry.process.0.to_le_bytes());
            out.extend(entry.site.0.to_le_bytes());
            put(out, u64::from(entry.kind));
            out.extend([entry.class, entry.flags]);
            let number = self.acquisitions.len() as u32;
            self.acquisitions.insert(entry, number);
        }
        self.bases.put_time(out, time);
        self.bases.put_handle(out, handle);
        if size != 0 {
            put(out, size);
        }
    }

    /// Appends a release.
    pub(super) fn released(&mut self, out: &mut Vec<u8>, event: &Released) {
        let Released {
            time,
            process,
            handle,
            acquired,
        } = *event;
        let entry = ReleaseEntry {
            process,
            class: class_byte(handle),
        };
        let extra = if acquired.is_some() { tag::EXTRA } else { 0 };
        if let Some(&number) = self.releases.get(&entry) {
            out.push(tag::COMPACT | tag::RELEASED | extra);
            put(out, u64::from(number));
        } else {
            out.push(tag::COMPACT | tag::RELEASED | tag::NEW | extra);
            out.extend(entry.process.0.to_le_bytes());
            out.push(entry.class);
            let number = self.releases.len() as u32;
            self.releases.insert(entry, number);
        }
        self.bases.put_time(out, time);
        self.bases.put_handle(out, handle);
        if let Some(acquired) = acquired {
            put(out, zigzag(time.wrapping_sub(acquired) as i64));
        }
    }
}

/// Reads compact records, within one segment.
#[derive(Debug, Default)]
pub(super) struct CompactDecoder {
    acquisitions: Vec<AcquisitionEntry>,
    releases: Vec<ReleaseEntry>,
    bases: Bases,
}

/// Bytes that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl CompactDecoder {
    /// Forgets everything: the next segment begins.
    pub(super) fn clear(&mut self) {
        self.acquisitions.clear();
        self.releases.clear();
        self.bases = Bases::default();
    }

    /// Reads what follows the first byte `tag`. `None` where it is sound, but of a kind
    /// that this version does not know.
    #[inline]
    pub(super) fn decode(
        &mut self,
        tag: u8,
        from: &mut Cursor<'_>,
    ) -> Result<Option<Event>, Malformed> {
        if tag & tag::CLEAR != 0 {
            return Err(Malformed);
        }
        if tag & tag::RELEASED != 0 {
            let released = self.released(tag, from).ok_or(Malformed)?;
            return Ok(Some(Event::Released(released)));
        }
        let acquired = self.acquired(tag, from).ok_or(Malformed)?;
        Ok(acquired.map(Event::Acquired))
    }

    #[inline]
    fn acquired(&mut self, tag: u8, from: &mut Cursor<'_>) -> Option<Option<Acquired>> {
        let entry = if tag & tag::NEW != 0 {
            self.new_acquisition_entry(from)?
        } else {
            *self
                .acquisitions
                .get(usize::try_from(from.varint()?).ok()?)?
        };
        let time = self.bases.time(from)?;
        let handle = self.bases.handle(from, entry.class)?;
        let size = if tag & tag::EXTRA != 0 {
            from.varint()?
        } else {
            0
        };
        Some(Kind::from_wire(entry.kind).map(|kind| Acquired {
            time,
            process: entry.process,
            kind,
            handle,
            site: entry.site,
            size,
            close_on_exec: entry.flags & acquired::CLOSE_ON_EXEC != 0,
            kind_guessed: entry.flags & acquired::KIND_GUESSED != 0,
            maybe_existed: entry.flags & acquired::MAYBE_EXISTED != 0,
        }))
    }

    #[inline]
    fn released(&mut self, tag: u8, from: &mut Cursor<'_>) -> Option<Released> {
        let entry = if tag & tag::NEW != 0 {
            self.new_release_entry(from)?
        } else {
            *self.releases.get(usize::try_from(from.varint()?).ok()?)?
        };
        let time = self.bases.time(from)?;
        let handle = self.bases.handle(from, entry.class)?;
        let acquired = if tag & tag::EXTRA != 0 {
            Some(time.wrapping_sub(unzigzag(from.varint()?) as u64))
        } else {
            None
        };
        Some(Released {
            time,
            process: entry.process,
            handle,
            acquired,
        })
    }

    #[cold]
    fn new_acquisition_entry(&mut self, from: &mut Cursor<'_>) -> Option<AcquisitionEntry> {
        self.room()?;
        let entry = AcquisitionEntry {
            process: ProcessId(u64::from_le_bytes(from.array()?)),
            site: SiteId(u64::from_le_bytes(from.array()?)),
            kind: u32::try_from(from.varint()?).ok()?,
            class: from.byte()?,
            flags: from.byte()?,
        };
        self.acquisitions.push(entry);
        Some(entry)
    }

    #[cold]
    fn new_release_entry(&mut self, from: &mut Cursor<'_>) -> Option<ReleaseEntry> {
        self.room()?;
        let entry = ReleaseEntry {
            process: ProcessId(u64::from_le_bytes(from.array()?)),
            class: from.byte()?,
        };
        self.releases.push(entry);
        Some(entry)
    }

    fn room(&self) -> Option<()> {
        (self.acquisitions.len() + self.releases.len() < MAX_ENTRIES).then_some(())
    }
}
