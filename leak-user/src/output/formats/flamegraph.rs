//! Writes a flame graph: one SVG file that a browser opens, made of the folded stacks.

use std::io;

use inferno::flamegraph::{Options, from_lines};

use super::{Format, Medium, Writer, folded};
use crate::model::{escape::escape, report::Report};

pub(super) static FORMAT: Format = Format {
    report: Some(Writer {
        help: "A picture of the stacks (SVG), for a browser",
        write: |report, _, out| write(report, out),
    }),
    medium: Medium::Page,
    ..Format::new("flamegraph")
};

/// Writes a report.
///
/// # Errors
///
/// Those of `out`.
fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let stacks = folded::stacks(report);
    if stacks.is_empty() {
        return out.write_all(NOTHING.as_bytes());
    }
    // inferno adds them up.
    let most = u64::MAX / (stacks.len() as u64 + 1);
    let lines: Vec<String> = stacks
        .iter()
        .map(|(stack, count)| xml_text(&format!("{stack} {}", count.min(&most))))
        .collect();
    let mut options = Options::default();
    options.title = "Outstanding resources".to_owned();
    options.subtitle = Some(xml_text(&subtitle(report)));
    options.count_name = "resources".to_owned();
    options.deterministic = true;
    let mut svg = Vec::new();
    from_lines(&mut options, lines.iter().map(String::as_str), &mut svg)?;
    out.write_all(&with_search_in_sight(svg))
}

/// inferno's style for what opens the search, which nobody finds at a tenth of its ink, and ours.
const FAINT_SEARCH: &[u8] = b"#search { text-anchor:end; opacity:0.1; cursor:pointer; }";
const CLEAR_SEARCH: &[u8] =
    b"#search { text-anchor:end; text-decoration:underline; cursor:pointer; }";

/// The first such style is in the head, before any name of a traced process.
fn with_search_in_sight(mut svg: Vec<u8>) -> Vec<u8> {
    let mut places = svg.windows(FAINT_SEARCH.len());
    if let Some(at) = places.position(|text| text == FAINT_SEARCH) {
        svg.splice(at..at + FAINT_SEARCH.len(), CLEAR_SEARCH.iter().copied());
    }
    svg
}

fn subtitle(report: &Report) -> String {
    escape(&format!(
        "{}, {:.0} s until {}",
        report.host.hostname, report.window.seconds, report.window.end
    ))
}

/// Text without the two characters that are neither allowed in XML nor escaped before.
fn xml_text(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

/// inferno takes no stacks for a mistake.
const NOTHING: &str = r#"<?xml version="1.0" standalone="no"?>
<svg version="1.1" width="480" height="40" xmlns="http://www.w3.org/2000/svg">
<text x="10" y="25" font-family="monospace">Nothing that was acquired is outstanding.</text>
</svg>
"#;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;
    use quick_xml::{Reader, events::Event};

    use super::*;
    use crate::model::sample;

    fn written(report: &Report) -> String {
        sample::text(|out| write(report, out))
    }

    /// Elements with the names of their attributes, in order; and all texts in them, as
    /// a browser shows them.
    fn read(svg: &str) -> (Vec<String>, Vec<String>) {
        let mut reader = Reader::from_str(svg);
        let (mut elements, mut texts) = (Vec::new(), vec![String::new()]);
        loop {
            match reader.read_event().unwrap() {
                Event::Eof => return (elements, texts),
                Event::Start(element) | Event::Empty(element) => {
                    let mut shown = String::from_utf8(element.name().0.to_vec()).unwrap();
                    for attribute in element.attributes() {
                        let key = attribute.unwrap().key.0.to_vec();
                        shown += &format!(" {}", String::from_utf8(key).unwrap());
                    }
                    elements.push(shown);
                    texts.push(String::new());
                }
                Event::End(_) => texts.push(String::new()),
                Event::Text(text) => texts.last_mut().unwrap().push_str(&text.decode().unwrap()),
                Event::GeneralRef(name) => {
                    let shown = match &*name.decode().unwrap() {
                        "lt" => '<',
                        "gt" => '>',
                        "amp" => '&',
                        "quot" => '"',
                        "apos" => '\'',
                        other => panic!("&{other};"),
                    };
                    texts.last_mut().unwrap().push(shown);
                }
                Event::CData(_) | Event::Comment(_) | Event::Decl(_) => {}
                Event::DocType(_) | Event::PI(_) => {}
            }
        }
    }

    #[test]
    fn the_search_can_be_seen() {
        let svg = written(&sample::leaking());
        let style = svg.split_once("</style>").unwrap().0;
        let search = style
            .split_once("#search {")
            .unwrap()
            .1
            .split_once('}')
            .unwrap()
            .0;
        assert!(
            !search.contains("opacity") && search.contains("underline"),
            "{search}"
        );
        assert!(svg.contains(">Search</text>"), "{svg}");
    }

    #[test]
    fn frames_are_shown_with_their_share() {
        let (_, texts) = read(&written(&sample::leaking()));
        for shown in [
            "Outstanding resources",
            "web1, 240 s until 2026-01-02T03:04:15Z",
            "nginx (415 resources, 95.40%)",
            "__accept4 (412 resources, 94.71%)",
            "[no stack] (20 resources, 4.60%)",
        ] {
            assert!(texts.iter().any(|text| text == shown), "{shown}: {texts:?}");
        }
    }

    #[test]
    fn nothing_outstanding_is_a_picture_that_says_so() {
        let (elements, texts) = read(&written(&sample::empty()));
        assert_eq!(elements.len(), 2);
        assert!(texts.iter().any(|text| text.contains("Nothing")));
    }

    #[test]
    fn a_name_that_is_markup_is_shown_and_does_nothing() {
        let hostile = r#"</title></text><script>alert(1)</script><a href="javascript:1" x=']]>"#;
        let svg = written(&sample::named(hostile));
        assert_eq!(svg.matches("<script").count(), 1, "inferno's own");
        assert!(!svg.contains("alert(1)</script>"));
        let (_, texts) = read(&svg);
        let shown = format!("{hostile} (412 resources, 94.71%)");
        assert!(texts.contains(&shown), "{texts:?}");
    }

    #[test]
    fn the_largest_counts_are_added() {
        let mut report = sample::leaking();
        for finding in &mut report.findings {
            finding.outstanding = u64::MAX;
        }
        read(&written(&report));
    }

    proptest! {
        #[test]
        fn names_never_change_what_the_picture_is_made_of(
            name in "(\\PC|\\pC|[a-z<>&\"'/=;! -]){1,30}",
        ) {
            // A name that is nowhere else in the report, so that no frames are joined.
            let named = |name: &str| read(&written(&sample::named(&format!("{name}*"))));
            let (plain, _) = named("plain");
            let (elements, _) = named(&name);
            prop_assert_eq!(elements, plain);
            let svg = written(&sample::named(&name));
            let allowed = |c: char| c == '\n' || c == '\t' || (c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}'));
            prop_assert!(svg.chars().all(allowed));
        }
    }
}
