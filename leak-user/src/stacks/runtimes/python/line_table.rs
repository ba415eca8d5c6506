//! Line tables of code objects.

use super::LineTable;

/// Bytes of an instruction (from 3.6 on).
const INSTRUCTION: i64 = 2;

/// The line of the instruction `offset` bytes after the first; a negative one stands
/// before the first instruction. `None` if the table tells none.
pub(super) fn line(form: LineTable, table: &[u8], first: u32, offset: i64) -> Option<u32> {
    if offset < 0 {
        return Some(first);
    }
    let line = match form {
        LineTable::Increments => by_increments(table, first.into(), offset),
        LineTable::Ranges => by_ranges(table, first.into(), offset),
        LineTable::Locations => by_locations(table, first.into(), offset),
    }?;
    u32::try_from(line).ok().filter(|line| *line > 0)
}

/// Pairs of increments of address and line (CPython 3.9, Objects/lnotab_notes.txt).
fn by_increments(table: &[u8], first: i64, offset: i64) -> Option<i64> {
    let (mut line, mut address) = (first, 0);
    for pair in table.as_chunks().0 {
        let [bytes, lines] = *pair;
        address += i64::from(bytes);
        if address > offset {
            break;
        }
        line += i64::from(lines.cast_signed());
    }
    Some(line)
}

/// Pairs of length and increment of line, -128 for no line (PEP 626).
fn by_ranges(table: &[u8], first: i64, offset: i64) -> Option<i64> {
    let (mut line, mut end) = (first, 0);
    for pair in table.as_chunks().0 {
        let [bytes, lines] = *pair;
        let lines = lines.cast_signed();
        if lines != i8::MIN {
            line += i64::from(lines);
        }
        end += i64::from(bytes);
        if offset < end {
            return (lines != i8::MIN).then_some(line);
        }
    }
    None
}

/// Entries of a byte with its upper bit set (form and length), and others without
/// (CPython 3.11, Objects/locations.md).
fn by_locations(table: &[u8], first: i64, offset: i64) -> Option<i64> {
    let (mut line, mut end) = (first, 0);
    let mut rest = table;
    while let [head, tail @ ..] = rest {
        let length = tail.iter().take_while(|byte| *byte & 0x80 == 0).count();
        let (body, next) = tail.split_at(length);
        rest = next;
        let form = head >> 3 & 0xf;
        line += match form {
            10..=12 => i64::from(form) - 10,
            13 | 14 => signed(body)?,
            _ => 0,
        };
        end += (i64::from(head & 7) + 1) * INSTRUCTION;
        if offset < end {
            return (form != 15).then_some(line);
        }
    }
    None
}

/// The first number of an entry: six bits a byte, the lowest first, bit 6 set where
/// more follow; the lowest bit is the sign.
fn signed(body: &[u8]) -> Option<i64> {
    let mut number = 0_i64;
    // No line needs more than six bytes.
    for (at, byte) in body.iter().take(6).enumerate() {
        number |= i64::from(byte & 0x3f) << (6 * at);
        if byte & 0x40 == 0 {
            let magnitude = number >> 1;
            return Some(if number & 1 == 1 {
                -magnitude
            } else {
                magnitude
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(form: LineTable, table: &[u8], offsets: &[i64]) -> Vec<Option<u32>> {
        offsets
            .iter()
            .map(|offset| line(form, table, 10, *offset))
            .collect()
    }

    #[test]
    fn increments_add_up() {
        // Two bytes on line 10, then line 12, a jump of more than 127 lines, and back.
        let table = [2, 2, 6, 127, 0, 3, 4, 0xf6];
        assert_eq!(
            lines(LineTable::Increments, &table, &[-1, 0, 2, 6, 8, 12, 500]),
            [10, 10, 12, 12, 142, 132, 132].map(Some)
        );
    }

    #[test]
    fn ranges_may_have_no_line() {
        let table = [4, 1, 2, 0x80, 2, 0xff];
        assert_eq!(
            lines(LineTable::Ranges, &table, &[-2, 0, 2, 4, 6, 8]),
            [Some(10), Some(11), Some(11), None, Some(10), None]
        );
    }

    #[test]
    fn locations_have_many_forms() {
        let table = [
            0x80 | 15 << 3,     // one instruction without line
            0x80 | 13 << 3 | 1, // two, five lines on, no columns
            10,
            0x80 | 3 << 3, // one, same line, short
            0x21,
            0x80 | 11 << 3, // one, next line
            4,
            9,
            0x80 | 14 << 3 | 7, // eight, 100 lines back, long
            0x40 | (201 & 0x3f),
            201 >> 6,
            0,
            1,
            1,
        ];
        assert_eq!(
            line(LineTable::Locations, &table, 1000, 0),
            None,
            "a prologue has none"
        );
        let known: Vec<_> = [2, 4, 6, 8, 10, 24]
            .map(|offset| line(LineTable::Locations, &table, 1000, offset))
            .into();
        assert_eq!(known, [1005, 1005, 1005, 1006, 906, 906].map(Some));
        assert_eq!(line(LineTable::Locations, &table, 1000, 26), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(
            table in prop::collection::vec(any::<u8>(), 0..64),
            first in any::<u32>(),
            offset in any::<i64>(),
        ) {
            for form in [LineTable::Increments, LineTable::Ranges, LineTable::Locations] {
                line(form, &table, first, offset);
            }
        }
    }
}
