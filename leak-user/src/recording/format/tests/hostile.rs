//! Files made to do harm, and files of other versions.

use proptest::{collection::vec, prelude::*};

use super::made::{beginning, churn, input, read};
use crate::{
    analysis::Input,
    recording::format::{
        Cause, Encoder, MAX_RAW, ReadError, Version,
        frame::{Chain, HEADER, Header, MARKER, file_id, kind},
        fuzz, kinds, verify,
        wire::put,
    },
};

proptest! {
    #[test]
    fn any_file_is_read_without_panic(bytes in vec(any::<u8>(), 0..400)) {
        fuzz::file(&bytes);
        // Markers and ends of text are rare in noise.
        let mut marked = MARKER.to_vec();
        marked.extend(&bytes);
        fuzz::file(&marked);
    }

    #[test]
    fn any_segment_is_read_without_panic(bytes in vec(any::<u8>(), 0..400)) {
        fuzz::segment(&bytes);
    }

    #[test]
    fn a_damaged_segment_with_a_sound_checksum_is_read_without_panic(
        inputs in vec(input(), 1..20),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut raw = raw(&inputs);
        for (at, byte) in changes {
            let at = at.index(raw.len());
            raw[at] = byte;
        }
        fuzz::segment(&raw);
    }
}

/// The bytes of one segment, decompressed.
fn raw(inputs: &[Input]) -> Vec<u8> {
    let mut encoder = Encoder::new(1).unwrap();
    for input in inputs {
        encoder.input(input).unwrap();
    }
    encoder.flush();
    let segment = encoder.pop().unwrap();
    assert_eq!(encoder.pop(), None);
    if segment.flags == 0 {
        return segment.stored;
    }
    zstd::bulk::decompress(&segment.stored, MAX_RAW as usize).unwrap()
}

#[test]
fn a_segment_that_grows_beyond_what_it_states_is_refused() {
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
    for stated in [10, MAX_RAW as usize] {
        let read = read(&fuzz::sound(&bomb, fuzz::ZSTD, stated, 10)).unwrap();
        assert_eq!(read.inputs, []);
        assert_eq!(read.damages.len(), 1);
        assert_eq!(read.damages[0].cause, Cause::Undecodable);
        assert_eq!(read.damages[0].records, Some(10));
    }
    // More than any segment may have is not even looked at.
    let stated = MAX_RAW as usize + 1;
    let read = read(&fuzz::sound(&bomb, fuzz::ZSTD, stated, 10)).unwrap();
    assert_eq!(read.damages[0].cause, Cause::NoFrame);
}

#[test]
fn a_file_of_nothing_but_headers_is_read_in_time() {
    let sound = fuzz::sound(b"", 0, 0, 0);
    let mut header = Header::decode(sound.first_chunk().unwrap()).unwrap();
    header.stored = 1 << 20;
    header.raw = 1 << 20;
    // Checked in full, this would be 20,000 times a MiB.
    let bytes = header.encode().repeat(20_000);
    assert!(matches!(read(&bytes), Err(ReadError::NotARecording)));
}

#[test]
fn what_is_no_recording_is_said_to_be_none() {
    for bytes in [b"".as_slice(), b"{\"schema\":1}", &[0; 5000]] {
        assert!(matches!(read(bytes), Err(ReadError::NotARecording)));
        assert!(matches!(verify(bytes), Err(ReadError::NotARecording)));
    }
    // Endless, too.
    let endless = std::io::repeat(7);
    assert!(matches!(verify(endless), Err(ReadError::NotARecording)));
}

/// Makes frames one by one.
struct Frames {
    version: Version,
    bytes: Vec<u8>,
    file: [u8; 8],
    chain: Chain,
    sequence: u64,
    records: u64,
}

impl Frames {
    fn new(version: Version, beginning: &[u8]) -> Frames {
        let mut frames = Frames {
            version,
            bytes: Vec::new(),
            file: file_id(beginning),
            chain: Chain::default(),
            sequence: 0,
            records: 0,
        };
        frames.add(kind::BEGINNING, 0, beginning, 0);
        frames
    }

    fn add(&mut self, kind: u8, flags: u8, payload: &[u8], records: u32) {
        let length = u32::try_from(payload.len()).unwrap();
        let mut header = Header {
            version: self.version,
            kind,
            flags,
            stored: length,
            raw: length,
            records,
            sequence: self.sequence,
            first_record: self.records,
            file: self.file,
            earliest: 0,
            latest: 0,
            chain: self.chain,
            payload_crc: crc32c::crc32c(payload),
        };
        header.chain = header.next_chain(&self.chain, payload);
        self.chain = header.chain;
        self.sequence += 1;
        self.records += u64::from(records);
        self.bytes.extend(header.encode());
        self.bytes.extend(payload);
    }
}

#[test]
fn a_newer_major_version_is_a_clear_error() {
    let mut frames = Frames::new(Version { major: 2, minor: 0 }, b"{}");
    frames.add(kind::SEGMENT, 0, b"", 0);
    let error = read(&frames.bytes).unwrap_err();
    assert!(matches!(
        error,
        ReadError::Version(Version { major: 2, .. })
    ));
    assert_eq!(
        error.to_string(),
        "the recording has format 2.0, this program reads 1.x: use a newer leaktrace"
    );
}

#[test]
fn a_newer_minor_version_is_read_as_far_as_it_is_known() {
    let newer = Version { major: 1, minor: 7 };
    let mut with_more = serde_json::to_value(beginning()).unwrap();
    with_more["added_later"] = 5.into();
    let mut frames = Frames::new(newer, with_more.to_string().as_bytes());

    let inputs = churn(2);
    let mut segment = raw(&inputs[..3]);
    // A kind of record that nobody knows yet, and one among the short ones.
    segment.extend([100, 3, 1, 2, 3]);
    segment.extend([0xc5, 2, 9, 9]);
    // A known one with two more fields.
    let sample = Input::Sample(77);
    segment.push(kinds::SAMPLE);
    put(&mut segment, 3);
    put(&mut segment, 77);
    segment.extend([4, 4]);
    frames.add(kind::SEGMENT, 0, &segment, 6);
    // A kind of frame, and a way to store payloads, that nobody knows yet.
    frames.add(200, 0, b"later", 1);
    frames.add(kind::SEGMENT, 2, &raw(&inputs[3..]), 2);
    frames.add(kind::SEGMENT, 0xf0, &raw(&inputs[3..]), 2);
    frames.add(kind::END, 0, b"", 0);

    let read = read(&frames.bytes).unwrap();
    assert_eq!(read.beginning, Some(beginning()));
    assert_eq!(read.damages, []);
    let mut expected = inputs[..3].to_vec();
    expected.push(sample);
    expected.extend_from_slice(&inputs[3..]);
    assert_eq!(read.inputs, expected);
    let met: Vec<_> = read
        .unknown
        .iter()
        .map(|unknown| (unknown.frame, unknown.kind, unknown.records))
        .collect();
    assert_eq!(
        met,
        [
            (false, 100, 1),
            (false, 0xc5, 1),
            (true, 200, 1),
            (true, kind::SEGMENT, 2)
        ]
    );
    assert_eq!(
        read.unknown[0].to_string(),
        "a record of kind 100, 3 bytes, that 1.0 does not know (the file is 1.7) was passed over"
    );
    let verified = verify(&*frames.bytes).unwrap();
    assert!(verified.intact());
    assert_eq!(verified.version, newer);
}

/// A recording of three segments, and where their frames begin.
fn three(inputs: &[Input]) -> (Vec<u8>, Vec<usize>) {
    let mut frames = Frames::new(Version::CURRENT, b"{}");
    let mut starts = Vec::new();
    for chunk in inputs.chunks(inputs.len().div_ceil(3)) {
        starts.push(frames.bytes.len());
        frames.add(kind::SEGMENT, 0, &raw(chunk), chunk.len() as u32);
    }
    starts.push(frames.bytes.len());
    frames.add(kind::END, 0, b"", 0);
    (frames.bytes, starts)
}

/// Changes a header, and puts a sound CRC behind it.
fn change(bytes: &mut [u8], at: usize, change: impl FnOnce(&mut Header)) {
    let place: &mut [u8; HEADER] = bytes[at..].first_chunk_mut().unwrap();
    let mut header = Header::decode(place).unwrap();
    change(&mut header);
    *place = header.encode();
}

#[test]
fn what_was_altered_with_care_breaks_the_chain() {
    let inputs = churn(20);
    let third = inputs.len().div_ceil(3);
    let (bytes, starts) = three(&inputs);
    assert!(verify(&*bytes).unwrap().intact());

    let mut altered = bytes.clone();
    let last = starts[2] - 1;
    altered[last] ^= 1;
    let crc = crc32c::crc32c(&altered[starts[1] + HEADER..starts[2]]);
    change(&mut altered, starts[1], |header| header.payload_crc = crc);
    let found = read(&altered).unwrap();
    assert_eq!(found.damages.len(), 1);
    assert_eq!(found.damages[0].cause, Cause::Chain);
    assert_eq!(found.damages[0].records, Some(third as u64));
    assert_eq!(
        found.inputs,
        [&inputs[..third], &inputs[2 * third..]].concat()
    );

    let mut removed = bytes.clone();
    removed.drain(starts[1]..starts[2]);
    assert_eq!(read(&removed).unwrap().damages[0].cause, Cause::Missing);
    change(&mut removed, starts[1], |header| {
        header.sequence -= 1;
        header.first_record -= third as u64;
    });
    let found = read(&removed).unwrap();
    assert_eq!(found.damages[0].cause, Cause::Chain);
    assert!(!verify(&*removed).unwrap().intact());
}

#[test]
fn who_rewrites_all_of_it_is_found_by_the_last_value_alone() {
    let inputs = churn(20);
    let honest = verify(&*three(&inputs).0).unwrap();
    let rewritten = verify(&*three(&inputs[1..]).0).unwrap();
    assert!(rewritten.intact());
    assert_ne!(honest.chain, rewritten.chain);
}

#[test]
fn segments_that_change_places_are_told() {
    let inputs = churn(20);
    let third = inputs.len().div_ceil(3);
    let (bytes, starts) = three(&inputs);
    let [first, second, third_at, end] = starts[..] else {
        panic!("three segments and an end")
    };
    let swapped = [
        &bytes[..first],
        &bytes[second..third_at],
        &bytes[first..second],
        &bytes[third_at..],
    ]
    .concat();
    let found = read(&swapped).unwrap();
    let causes: Vec<_> = found.damages.iter().map(|damage| damage.cause).collect();
    assert_eq!(causes, [Cause::Missing, Cause::OutOfOrder]);
    assert_eq!(found.damages[0].records, Some(third as u64));
    assert_eq!(found.inputs, inputs[third..]);

    let doubled = [&bytes[..third_at], &bytes[second..]].concat();
    let found = read(&doubled).unwrap();
    assert_eq!(found.damages[0].cause, Cause::OutOfOrder);
    assert_eq!(found.damages[0].records, Some(0));
    assert_eq!(found.inputs, inputs);

    let two = [bytes.as_slice(), &bytes].concat();
    let found = read(&two).unwrap();
    assert_eq!(found.damages[0].cause, Cause::AfterEnd);
    assert_eq!(found.inputs, inputs);

    let mut other = Frames::new(Version::CURRENT, b"{ }");
    other.add(kind::SEGMENT, 0, &raw(&inputs), inputs.len() as u32);
    let mixed = [&bytes[..end], &other.bytes, &bytes[end..]].concat();
    let found = read(&mixed).unwrap();
    assert_eq!(found.damages[0].cause, Cause::Foreign);
    assert_eq!(found.inputs, inputs);
}
