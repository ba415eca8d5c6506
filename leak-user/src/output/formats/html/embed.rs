//! JSON that can stand in a script element, with every string shown safely.

use std::io;

use flate2::{Compression, write::ZlibEncoder};
use serde_json::{Map, Value};

use crate::{
    model::escape::{escape, is_unsafe, shorten_end},
    output::formats::json::with_escapes,
};

/// Characters of the longest string that is kept whole, and columns once it is escaped.
const LONGEST: usize = 2048;

/// Makes every string of the document harmless to look at: control, invisible and reordering characters become
/// visible escapes, and long strings are cut.
pub(super) fn inert(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(inert_text(&text)),
        Value::Array(values) => values.into_iter().map(inert).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (inert_text(&key), inert(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}

fn inert_text(text: &str) -> String {
    // Cut first: escaping megabytes to show a line of them would take its time.
    let end = text.char_indices().nth(LONGEST + 1);
    let head = end.map_or(text, |(end, _)| &text[..end]);
    shorten_end(&escape(head), LONGEST)
}

/// The document as text that can neither end the script element nor open a comment in it (`<`, `>`), means the same
/// where entities are decoded (`&`), and has no line ends but JSON's (U+2028, U+2029 and all else that is unsafe).
pub(super) fn in_script(document: &Value) -> String {
    with_escapes(&document.to_string(), |character| {
        matches!(character, '<' | '>' | '&') || is_unsafe(character)
    })
}

/// The document as the page's script reads it on demand: deflated with zlib's head, in base64.
///
/// # Errors
///
/// None but those of the library that compresses.
pub(super) fn packed(document: &Value) -> io::Result<String> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    serde_json::to_writer(&mut encoder, document)?;
    Ok(base64(&encoder.finish()?))
}

/// Base64 with padding (RFC 4648, section 4).
pub(super) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place > chunk.len() {
                '='
            } else {
                letter.into()
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Text of what is dangerous in a page.
    fn hostile() -> impl Strategy<Value = String> {
        let parts = prop::sample::select(vec![
            "</script>",
            "<script>",
            "<!--",
            "-->",
            "]]>",
            "&lt;",
            "\"",
            "\\",
            "\u{2028}",
            "\u{2029}",
            "\u{202e}",
            "\0",
            "\n",
            "é",
            "<img src=x onerror=alert(1)>",
        ]);
        let part = prop_oneof![parts.prop_map(str::to_owned), any::<String>()];
        prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
    }

    #[test]
    fn strings_are_shown_escaped_and_cut() {
        let long = "x".repeat(5000);
        assert_eq!(
            inert(json!({"a\u{202e}": ["\x1b[31m", {"n": 1, "long": long}]})),
            json!({r"a\u{202e}": [r"\x1b[31m", {"n": 1, "long": "x".repeat(2047) + "…"}]})
        );
    }

    #[test]
    fn what_is_packed_is_read_again_and_is_letters_alone() {
        let document = json!({"a": ["</script>", "é"], "n": 7});
        let text = packed(&document).unwrap();
        assert!(
            text.chars()
                .all(|c| c.is_ascii_alphanumeric() || "+/=".contains(c)),
            "{text}"
        );
        for (bytes, letters) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), letters);
        }
    }

    proptest! {
        #[test]
        fn no_string_ends_the_element_and_none_changes(name in hostile(), key in hostile()) {
            let document = json!({ key: [name] });
            let text = in_script(&document);
            prop_assert!(!text.contains(['<', '>', '&']));
            prop_assert!(!text.chars().any(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), document);
        }

        #[test]
        fn inert_text_has_nothing_that_fools_a_reader(name in hostile()) {
            let shown = inert(json!([name]));
            prop_assert!(!shown[0].as_str().unwrap().chars().any(is_unsafe));
        }
    }
}
