//! The document: a head that says how and where it was measured, then a section for each thing that is measured.

use std::fs;

use anyhow::Result;

use super::options::Options;
use super::section::Section;

/// What stands above the sections.
pub(super) fn head(options: &Options) -> Result<String> {
    Ok(format!(
        "# What tracing costs\n\
         \n\
         Written by `cargo xtask bench{quick}`; run it for the figures of another machine. {machine}\n\
         \n\
         Each figure is the median of {rounds} rounds. A round measures three times: without a tracer, with\n\
         `leaktrace trace` on the whole host, stacks included, and with a bpftrace script\n\
         (`xtask/src/bench/outstanding.bt`) that keeps time and stack of every open descriptor. Each tracer\n\
         first settles after its start. A ratio compares figures of the same round. Ratios carry over to\n\
         other machines better than absolute figures.\n",
        quick = if options.quick { " --quick" } else { "" },
        machine = machine()?,
        rounds = options.rounds(),
    ))
}

/// Kernel and processors of this machine, as a sentence of the head.
pub(super) fn machine() -> Result<String> {
    Ok(format!(
        "Linux {kernel}, {cpu}, {cpus} processors.",
        kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?.trim(),
        cpu = processor(&fs::read_to_string("/proc/cpuinfo")?),
        cpus = std::thread::available_parallelism()?,
    ))
}

fn processor(cpuinfo: &str) -> &str {
    cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, name)| name.trim())
}

/// The document with one section measured anew.
pub(super) fn replace(document: &str, section: Section, text: &str) -> String {
    let place = |section: Section| document.find(section.heading());
    let later = Section::ALL
        .into_iter()
        .skip_while(|&other| other != section)
        .skip(1)
        .find_map(place);
    let next = later.unwrap_or(document.len());
    let here = place(section).unwrap_or(next);
    let (before, after) = (document[..here].trim_end(), &document[next..]);
    let gap = if after.is_empty() { "" } else { "\n" };
    format!("{before}\n\n{text}{gap}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A document whose sections say `texts`.
    fn document(texts: &[(Section, &str)]) -> String {
        let mut parts = vec!["# Head\n".to_owned()];
        parts.extend(texts.iter().map(|(section, text)| section.with(text)));
        parts.join("\n")
    }

    #[test]
    fn a_section_replaces_itself_alone() {
        for section in Section::ALL {
            let old = Section::ALL.map(|section| (section, "old\n"));
            let new = old.map(|(other, text)| {
                let text = if other == section { "new\n" } else { text };
                (other, text)
            });
            assert_eq!(
                replace(&document(&old), section, &section.with("new\n")),
                document(&new)
            );
        }
    }

    #[test]
    fn a_new_section_stands_in_its_place() {
        let whole = document(&Section::ALL.map(|section| (section, "text\n")));
        for section in Section::ALL {
            let others: Vec<_> = Section::ALL
                .into_iter()
                .filter(|&other| other != section)
                .map(|other| (other, "text\n"))
                .collect();
            let added = replace(&document(&others), section, &section.with("text\n"));
            assert_eq!(added, whole);
        }
    }

    #[test]
    fn the_processor_is_named_where_the_kernel_names_it() {
        assert_eq!(
            processor("processor\t: 0\nmodel name\t: Fast CPU @ 3 GHz\n"),
            "Fast CPU @ 3 GHz"
        );
        assert_eq!(processor("processor\t: 0\n"), "unknown processor");
    }
}
