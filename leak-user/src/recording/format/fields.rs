//! How the fields of records are written: numbers as varints, lists with their length
//! before them. A later minor version may add fields at a record's end; a reader of this
//! version leaves them unread.

use leak_common::{
    Class, Handle, Kind, ProcessId,
    unwind::{FileKey, PythonFrame},
    wire::StackEnd,
};

use super::wire::{Cursor, put, unzigzag, zigzag};
use crate::{
    event::{Call, Registers, Uncovered},
    model::{address::AddressRange, refusal::Refusal, site::SiteId},
};

/// Something that stands in a record.
pub(super) trait Field: Sized {
    /// Appends it.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads it. `None` where the bytes end too early, or say what this version does
    /// not know.
    fn get(from: &mut Cursor<'_>) -> Option<Self>;
}

/// Implements [`Field`] for structs whose fields stand one behind the other. Behind a
/// semicolon are fields that later versions added, oldest first, of structs that end their
/// record: the record ends behind the last one that is not empty, and one that is not there is
/// empty.
macro_rules! field_by_field {
    ($($name:ident { $($field:ident),+ $(,)? $(; $($last:ident),+)? })+) => {
        $(impl $crate::recording::format::fields::Field for $name {
            fn put(&self, out: &mut Vec<u8>) {
                // Destructured: an added field that is not written does not compile.
                let $name { $($field,)+ $($($last),+)? } = self;
                $($crate::recording::format::fields::Field::put($field, out);)+
                $(
                    let mut end = out.len();
                    $(if $crate::recording::format::fields::put_last($last, out) {
                        end = out.len();
                    })+
                    out.truncate(end);
                )?
            }

            fn get(from: &mut $crate::recording::format::wire::Cursor<'_>) -> Option<Self> {
                Some($name {
                    $($field: $crate::recording::format::fields::Field::get(from)?,)+
                    $($($last: $crate::recording::format::fields::get_last(from)?),+)?
                })
            }
        })+
    };
}
pub(super) use field_by_field;

/// Appends one of a record's last fields; returns whether it says anything. The record ends
/// behind the last one that does.
pub(super) fn put_last<T: Field + Default + PartialEq>(field: &T, out: &mut Vec<u8>) -> bool {
    field.put(out);
    *field != T::default()
}

/// Reads one of a record's last fields; empty where the record ends before it.
pub(super) fn get_last<T: Field + Default>(from: &mut Cursor<'_>) -> Option<T> {
    match from.len() {
        0 => Some(T::default()),
        _ => T::get(from),
    }
}

field_by_field! {
    AddressRange { start, end }
    Registers { instruction, stack, frame, link, after_call }
    FileKey { inode, changed_seconds, changed_nanoseconds, device }
    PythonFrame { code, place }
}

impl Field for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        put(out, *self);
    }

    fn get(from: &mut Cursor<'_>) -> Option<u64> {
        from.varint()
    }
}

impl Field for u32 {
    fn put(&self, out: &mut Vec<u8>) {
        put(out, u64::from(*self));
    }

    fn get(from: &mut Cursor<'_>) -> Option<u32> {
        u32::try_from(from.varint()?).ok()
    }
}

impl Field for i64 {
    fn put(&self, out: &mut Vec<u8>) {
        put(out, zigzag(*self));
    }

    fn get(from: &mut Cursor<'_>) -> Option<i64> {
        from.varint().map(unzigzag)
    }
}

impl Field for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn get(from: &mut Cursor<'_>) -> Option<bool> {
        match from.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

/// Names that the kernel keeps, zero-padded.
impl Field for [u8; 16] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self);
    }

    fn get(from: &mut Cursor<'_>) -> Option<[u8; 16]> {
        from.array()
    }
}

impl<T: Field> Field for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn get(from: &mut Cursor<'_>) -> Option<Option<T>> {
        Some(if bool::get(from)? {
            Some(T::get(from)?)
        } else {
            None
        })
    }
}

impl Field for Box<[u8]> {
    fn put(&self, out: &mut Vec<u8>) {
        put(out, self.len() as u64);
        out.extend(&**self);
    }

    fn get(from: &mut Cursor<'_>) -> Option<Box<[u8]>> {
        let length = usize::try_from(from.varint()?).ok()?;
        from.take(length).map(Box::from)
    }
}

impl Field for String {
    fn put(&self, out: &mut Vec<u8>) {
        put(out, self.len() as u64);
        out.extend_from_slice(self.as_bytes());
    }

    fn get(from: &mut Cursor<'_>) -> Option<Self> {
        let length = usize::try_from(from.varint()?).ok()?;
        String::from_utf8(from.take(length)?.to_vec()).ok()
    }
}

impl<T: Field, U: Field> Field for (T, U) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn get(from: &mut Cursor<'_>) -> Option<(T, U)> {
        Some((T::get(from)?, U::get(from)?))
    }
}

impl<T: Field> Field for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put(out, self.len() as u64);
        for each in self {
            each.put(out);
        }
    }

    fn get(from: &mut Cursor<'_>) -> Option<Vec<T>> {
        let length = usize::try_from(from.varint()?).ok()?;
        // Each element takes a byte at least, so a length beyond what is left is a lie.
        // Nothing is allocated for it.
        if length > from.len() {
            return None;
        }
        let mut all = Vec::new();
        for _ in 0..length {
            all.push(T::get(from)?);
        }
        Some(all)
    }
}

impl Field for Box<[PythonFrame]> {
    fn put(&self, out: &mut Vec<u8>) {
        put(out, self.len() as u64);
        for frame in self {
            frame.put(out);
        }
    }

    fn get(from: &mut Cursor<'_>) -> Option<Box<[PythonFrame]>> {
        Vec::get(from).map(Vec::into_boxed_slice)
    }
}

/// Addresses of frames: each as its difference from the one before, since callers are
/// often near.
impl Field for Box<[u64]> {
    fn put(&self, out: &mut Vec<u8>) {
        put(out, self.len() as u64);
        let mut last = 0u64;
        for &address in self {
            put(out, zigzag(address.wrapping_sub(last) as i64));
            last = address;
        }
    }

    fn get(from: &mut Cursor<'_>) -> Option<Box<[u64]>> {
        let length = usize::try_from(from.varint()?).ok()?;
        if length > from.len() {
            return None;
        }
        let mut last = 0u64;
        let mut addresses = Vec::with_capacity(length);
        for _ in 0..length {
            last = last.wrapping_add(unzigzag(from.varint()?) as u64);
            addresses.push(last);
        }
        Some(addresses.into())
    }
}

impl Field for ProcessId {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.0.to_le_bytes());
    }

    fn get(from: &mut Cursor<'_>) -> Option<ProcessId> {
        Some(ProcessId(u64::from_le_bytes(from.array()?)))
    }
}

impl Field for SiteId {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.0.to_le_bytes());
    }

    fn get(from: &mut Cursor<'_>) -> Option<SiteId> {
        Some(SiteId(u64::from_le_bytes(from.array()?)))
    }
}

impl Field for Handle {
    fn put(&self, out: &mut Vec<u8>) {
        out.push((self.0 >> 56) as u8);
        put(out, self.value());
    }

    fn get(from: &mut Cursor<'_>) -> Option<Handle> {
        let class = from.byte()?;
        let value = from.varint()?;
        (value >> 56 == 0).then_some(Handle(u64::from(class) << 56 | value))
    }
}

impl Field for Kind {
    fn put(&self, out: &mut Vec<u8>) {
        put(out, *self as u64);
    }

    fn get(from: &mut Cursor<'_>) -> Option<Kind> {
        u32::get(from).and_then(Kind::from_wire)
    }
}

impl Field for Class {
    fn put(&self, out: &mut Vec<u8>) {
        put(out, *self as u64);
    }

    fn get(from: &mut Cursor<'_>) -> Option<Class> {
        u32::get(from).and_then(Class::from_wire)
    }
}

impl Field for StackEnd {
    fn put(&self, out: &mut Vec<u8>) {
        put(out, *self as u64);
    }

    fn get(from: &mut Cursor<'_>) -> Option<StackEnd> {
        u16::try_from(from.varint()?)
            .ok()
            .and_then(StackEnd::from_wire)
    }
}

impl Field for Uncovered {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Uncovered::Compat => 1,
            Uncovered::UringClose => 2,
            Uncovered::UringUnseen => 3,
        });
    }

    fn get(from: &mut Cursor<'_>) -> Option<Uncovered> {
        match from.byte()? {
            1 => Some(Uncovered::Compat),
            2 => Some(Uncovered::UringClose),
            3 => Some(Uncovered::UringUnseen),
            _ => None,
        }
    }
}

impl Field for Call {
    fn put(&self, out: &mut Vec<u8>) {
        let (number, word) = match self {
            Call::System(word) => (1, word),
            Call::Uring(word) => (2, word),
        };
        out.push(number);
        word.put(out);
    }

    fn get(from: &mut Cursor<'_>) -> Option<Call> {
        match from.byte()? {
            1 => u32::get(from).map(Call::System),
            2 => u32::get(from).map(Call::Uring),
            _ => None,
        }
    }
}

impl Field for Refusal {
    fn put(&self, out: &mut Vec<u8>) {
        self.number().put(out);
    }

    fn get(from: &mut Cursor<'_>) -> Option<Refusal> {
        u32::get(from).and_then(Refusal::from_number)
    }
}
