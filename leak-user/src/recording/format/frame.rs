//! A frame's header. Its layout is the same in every major version, so that any reader
//! can say of which version a file is. `docs/capture.md` describes it byte by byte.

use sha2::{Digest as _, Sha256};

/// Where a frame begins. The first byte is not ASCII, so nobody takes the file for text;
/// and a transfer as text changes the line ends in it, so that the marker is not found.
pub const MARKER: [u8; 8] = *b"\x89LEAK\r\n\x1a";

/// Bytes of a header.
pub(super) const HEADER: usize = 104;

/// Most bytes of a payload as it is stored.
pub const MAX_STORED: u32 = 1 << 20;

/// Most bytes of a payload once it is decompressed.
pub const MAX_RAW: u32 = 4 << 20;

/// Version of the format: readers of a major version read all its minor versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u8,
    pub minor: u8,
}

impl Version {
    /// What is written.
    pub const CURRENT: Version = Version { major: 1, minor: 0 };
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What a frame holds.
pub(super) mod kind {
    pub(in crate::recording::format) const BEGINNING: u8 = 1;
    pub(in crate::recording::format) const SEGMENT: u8 = 2;
    pub(in crate::recording::format) const END: u8 = 3;
}

/// Bits of [`Header::flags`].
pub(super) mod flag {
    /// The payload is compressed with zstd.
    pub(in crate::recording::format) const ZSTD: u8 = 1;
    /// A reader that does not know one of these bits cannot read the payload. The upper
    /// four may be ignored.
    pub(in crate::recording::format) const MUST_KNOW: u8 = 0x0f;
}

/// A value of the chain: the hash of the value before, of the header and of the
/// payload.
pub type Chain = [u8; 32];

/// A chain as people compare it.
#[must_use]
pub fn hexadecimal(chain: &Chain) -> String {
    chain.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: Version,
    /// One of [`kind`], or of a later version.
    pub(super) kind: u8,
    /// A set of [`flag`] bits.
    pub(super) flags: u8,
    /// Bytes of the payload in the file.
    pub(super) stored: u32,
    /// Bytes of the payload once decompressed.
    pub(super) raw: u32,
    /// Records in it.
    pub(super) records: u32,
    /// Counts frames from 0.
    pub(super) sequence: u64,
    /// Records in all frames before.
    pub(super) first_record: u64,
    /// Tells the frames of one file from those of another: [`file_id`].
    pub(super) file: [u8; 8],
    /// The least and the greatest time in it, both 0 where it has none.
    pub(super) earliest: u64,
    pub(super) latest: u64,
    pub(super) chain: Chain,
    /// CRC32C of the payload as it is stored.
    pub(super) payload_crc: u32,
}

impl Header {
    /// The header's bytes, its CRC included.
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..64].copy_from_slice(&self.chained());
        bytes[64..96].copy_from_slice(&self.chain);
        bytes[96..100].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..100]);
        bytes[100..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The bytes of the header that go into the chain: all but chain and checksums.
    fn chained(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..8].copy_from_slice(&MARKER);
        bytes[8] = self.version.major;
        bytes[9] = self.version.minor;
        bytes[10] = self.kind;
        bytes[11] = self.flags;
        bytes[12..16].copy_from_slice(&self.stored.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.raw.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.records.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first_record.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.file);
        bytes[48..56].copy_from_slice(&self.earliest.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.latest.to_le_bytes());
        bytes
    }

    /// The header in `bytes`, if that is one and undamaged.
    pub(super) fn decode(bytes: &[u8; HEADER]) -> Option<Header> {
        if bytes[..8] != MARKER || crc32c::crc32c(&bytes[..100]) != u32_at(bytes, 100) {
            return None;
        }
        Some(Header {
            version: Version {
                major: bytes[8],
                minor: bytes[9],
            },
            kind: bytes[10],
            flags: bytes[11],
            stored: u32_at(bytes, 12),
            raw: u32_at(bytes, 16),
            records: u32_at(bytes, 20),
            sequence: u64_at(bytes, 24),
            first_record: u64_at(bytes, 32),
            file: array_at(bytes, 40),
            earliest: u64_at(bytes, 48),
            latest: u64_at(bytes, 56),
            chain: array_at(bytes, 64),
            payload_crc: u32_at(bytes, 96),
        })
    }

    /// The chain's value after this frame, made of `before`, the value after the frame
    /// before it.
    pub(super) fn next_chain(&self, before: &Chain, payload: &[u8]) -> Chain {
        let mut hash = Sha256::new();
        hash.update(before);
        hash.update(self.chained());
        hash.update(payload);
        hash.finalize().into()
    }

    /// Whether the lengths are within what any frame may have.
    pub(super) fn is_bounded(&self) -> bool {
        let compressed = self.flags & flag::ZSTD != 0;
        self.stored <= MAX_STORED
            && self.raw <= MAX_RAW
            && (compressed || self.stored == self.raw)
            && self.records <= self.raw
            // So that nothing overflows where they are counted on.
            && self.sequence < 1 << 63
            && self.first_record < 1 << 63
    }

    /// The least and the greatest time in it, if it has any.
    pub(super) fn times(&self) -> Option<(u64, u64)> {
        (self.latest != 0).then_some((self.earliest, self.latest))
    }
}

/// What tells the frames of a file from those of another: the first bytes of the hash of
/// its beginning.
pub(super) fn file_id(beginning: &[u8]) -> [u8; 8] {
    let hash: Chain = Sha256::digest(beginning).into();
    array_at(&hash, 0)
}

/// The `N` bytes from `at` on. The caller knows that they are there: layouts are fixed.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N]
        .try_into()
        .expect("a slice of N bytes is an array of N bytes")
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}
