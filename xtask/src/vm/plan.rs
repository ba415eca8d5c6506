//! What the host asks of the guest and what it answers: the one file that both sides compile. The plan is a JSON
//! document in the initramfs; the answers come over the second serial port, packed: emulated ports are slow.

use std::io::{self, Read as _, Write as _};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use serde::{Deserialize, Serialize};

/// Where the guest finds its plan.
pub(crate) const PLAN: &str = "/vm/plan.json";

/// One program to run, with what runs beside it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) name: String,
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// How long it may take; it is killed after that.
    pub(crate) seconds: u64,
    /// What the command traces. Where there is any, the command has to say `tracing ` at the beginning of a line of its
    /// stderr before they start, and gets SIGINT when they are done.
    pub(crate) victims: Vec<Victim>,
    /// Milliseconds between the last victim's word and SIGINT.
    pub(crate) settle: u64,
}

/// A program that gets one line on stdin at its start and says a word when it holds what it will hold.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Victim {
    pub(crate) command: Vec<String>,
    /// What the line begins with that is waited for.
    pub(crate) word: String,
}

/// What the guest says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The first: which kernel it is and how long it took to get there.
    Booted { release: String, milliseconds: u64 },
    /// A step has ended.
    Done(Done),
    /// The last: every step was tried.
    End,
}

impl Answer {
    /// Four bytes of length, the least first, and a JSON document in zlib's format.
    #[allow(dead_code, reason = "the host reads")]
    pub(crate) fn pack(&self) -> io::Result<Vec<u8>> {
        let mut packed = ZlibEncoder::new(vec![0; 4], Compression::default());
        packed.write_all(&serde_json::to_vec(self)?)?;
        let mut packed = packed.finish()?;
        let length = u32::try_from(packed.len() - 4).map_err(io::Error::other)?;
        packed[..4].copy_from_slice(&length.to_le_bytes());
        Ok(packed)
    }

    /// Takes the first answer from `bytes`; `None` where it is not whole.
    #[allow(dead_code, reason = "the guest writes")]
    pub(crate) fn unpack(bytes: &mut &[u8]) -> Option<Answer> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (packed, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let mut document = Vec::new();
        ZlibDecoder::new(packed).read_to_end(&mut document).ok()?;
        *bytes = rest;
        serde_json::from_slice(&document).ok()
    }
}

/// How a step went.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) name: String,
    pub(crate) milliseconds: u64,
    /// Exit code as a shell counts it.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    /// What kept the step from being done as planned.
    pub(crate) trouble: Option<String>,
    /// In the order of the plan.
    pub(crate) victims: Vec<Held>,
}

/// What became of a victim.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) pid: u32,
    /// Its exit code where it ended without having said its word.
    pub(crate) ended: Option<i32>,
    /// How many descriptors it had when it said its word.
    pub(crate) descriptors: u64,
}
