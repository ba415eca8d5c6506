//! Bodies of fuzz targets: anything may come in, nothing may panic, and what must hold
//! of every file is asserted. Property tests call them; `docs/capture.md` says how to
//! run them under a fuzzer.

use super::{
    Item, ReadError, Reader,
    frame::{Chain, Header, Version, file_id, flag, kind},
    verify,
};

/// A file of any bytes.
pub fn file(bytes: &[u8]) {
    let verified = verify(bytes);
    match items(bytes) {
        Ok(read) => {
            let verified = verified.expect("what can be read can be checked");
            // Checking does not decode, so it finds no more than reading does.
            assert!(read.damages >= verified.damaged);
            assert!(read.records <= verified.records);
        }
        Err(_) => assert!(verified.is_err()),
    }
}

/// A segment of any bytes, in frames that are sound: this reaches the records.
pub fn segment(bytes: &[u8]) {
    let file = sound(bytes, 0, bytes.len(), bytes.len());
    let read = items(&file).expect("the frames are sound");
    // The header announces as many records as there are bytes: what does not come is lost.
    assert!(bytes.len() < 3 || read.damages > 0 || read.records > 0);
}

/// A whole file with one segment, stored as `payload`, that claims to have `raw`
/// bytes and `records` records.
pub fn sound(payload: &[u8], flags: u8, raw: usize, records: usize) -> Vec<u8> {
    let beginning = b"{}".as_slice();
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let mut file = Vec::new();
    let mut chain = Chain::default();
    let mut first_record = 0;
    for (sequence, kind) in [kind::BEGINNING, kind::SEGMENT, kind::END]
        .into_iter()
        .enumerate()
    {
        let (flags, payload, raw, records) = match kind {
            kind::BEGINNING => (0, beginning, beginning.len(), 0),
            kind::SEGMENT => (flags, payload, raw, records),
            _ => (0, [].as_slice(), 0, 0),
        };
        let mut header = Header {
            version: Version::CURRENT,
            kind,
            flags,
            stored: length(payload.len()),
            raw: length(raw),
            records: length(records),
            sequence: sequence as u64,
            first_record,
            file: file_id(beginning),
            earliest: 0,
            latest: 0,
            chain,
            payload_crc: crc32c::crc32c(payload),
        };
        chain = header.next_chain(&chain, payload);
        header.chain = chain;
        first_record += u64::from(header.records);
        file.extend(header.encode());
        file.extend(payload);
    }
    file
}

/// The flag of a payload that is compressed.
pub const ZSTD: u8 = flag::ZSTD;

#[derive(Default)]
struct Read {
    records: u64,
    damages: u64,
}

fn items(bytes: &[u8]) -> Result<Read, ReadError> {
    let mut read = Read::default();
    Reader::new(bytes)?.visit(|item| match item {
        Item::Input(_) => read.records += 1,
        Item::Unknown(unknown) => read.records += unknown.records,
        Item::Damage(_) => read.damages += 1,
    })?;
    Ok(read)
}
