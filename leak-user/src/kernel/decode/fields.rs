//! Fields of a record, one after the other.

use leak_common::{Handle, unwind::FileKey};

use super::DecodeError;

/// What is left of a record.
pub(super) struct Fields<'r>(pub(super) &'r [u8]);

impl Fields<'_> {
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(*field)
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_ne_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_ne_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_ne_bytes)
    }
}

pub(super) fn handle(number: u64) -> Result<Handle, DecodeError> {
    let handle = Handle(number);
    match handle.class() {
        Some(_) => Ok(handle),
        None => Err(DecodeError::Unknown("class", (number >> 56) as u32)),
    }
}

pub(super) fn file_key(fields: &mut Fields<'_>) -> Result<FileKey, DecodeError> {
    Ok(FileKey {
        inode: fields.u64()?,
        changed_seconds: fields.u64()?.cast_signed(),
        changed_nanoseconds: fields.u32()?,
        device: fields.u32()?,
    })
}
