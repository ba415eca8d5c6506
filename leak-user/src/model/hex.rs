//! Numbers that people and other tools read in hexadecimal: addresses, and offsets in files.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number whose text is hexadecimal, as `0x7f12`. In JSON it is that text: many readers of JSON keep numbers as
/// floating point, which loses digits from 2^53 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hex(pub u64);

impl Hex {
    /// Reads what [`Display`](fmt::Display) writes; `None` for any other text, and for more than 64 bits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Hex> {
        let digits = text.strip_prefix("0x")?;
        // `from_str_radix` would also take a sign.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        u64::from_str_radix(digits, 16).ok().map(Hex)
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hex {
    /// A report that another program wrote or changed is still read: text that is empty or no such number is 0, which
    /// is no address of any code.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hex, D::Error> {
        let number = deserializer.deserialize_str(Text)?;
        Ok(number.unwrap_or_default())
    }
}

/// Reads a number that may be missing: text that is empty or no such number is `None`, since 0 would be the beginning
/// of a file.
pub(super) fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Hex>, D::Error> {
    let text = Option::<Parsed>::deserialize(deserializer)?;
    Ok(text.and_then(|Parsed(number)| number))
}

/// A text, and the number in it if there is one.
struct Parsed(Option<Hex>);

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Parsed, D::Error> {
        deserializer.deserialize_str(Text).map(Parsed)
    }
}

struct Text;

impl de::Visitor<'_> for Text {
    type Value = Option<Hex>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hexadecimal number as text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<Hex>, E> {
        Ok(Hex::parse(text))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    /// Not numbers, or too long for one.
    const ODD: [&str; 8] = [
        "",
        "0x",
        "55",
        "0xfg",
        "0x+5",
        "-0x5",
        "0x10000000000000000",
        "\u{1b}[2J",
    ];

    #[test]
    fn only_hexadecimal_numbers_of_64_bits_are_read() {
        assert_eq!(Hex::parse("0x7fFF"), Some(Hex(0x7fff)));
        assert_eq!(Hex::parse("0x0"), Some(Hex(0)));
        for odd in ODD {
            assert_eq!(Hex::parse(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn odd_text_in_json_is_zero_or_missing() {
        #[derive(Deserialize)]
        struct Both {
            address: Hex,
            #[serde(default, deserialize_with = "optional")]
            offset: Option<Hex>,
        }
        for odd in ODD {
            let json = serde_json::json!({"address": odd, "offset": odd}).to_string();
            let Both { address, offset } = serde_json::from_str(&json).unwrap();
            assert_eq!((address, offset), (Hex(0), None), "{odd:?}");
        }
        for offset in ["", r#","offset":null"#] {
            let json = format!(r#"{{"address":"0x1"{offset}}}"#);
            let Both { address, offset } = serde_json::from_str(&json).unwrap();
            assert_eq!((address, offset), (Hex(1), None));
        }
    }

    proptest! {
        #[test]
        fn a_number_comes_back_as_it_was(number in any::<u64>()) {
            let json = serde_json::to_string(&Hex(number)).unwrap();
            prop_assert_eq!(&json, &format!("\"{number:#x}\""));
            prop_assert_eq!(serde_json::from_str::<Hex>(&json).unwrap(), Hex(number));
        }
    }
}
