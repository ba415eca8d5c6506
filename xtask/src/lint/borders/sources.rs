//! The modules of a crate, and what the paths in them lead to: through `self` and `super`, names that `use` brings in,
//! and re-exports.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use super::module::{Mention, Module, Segments, Written};
use super::reader;

/// How often a name may stand for another: re-exports of re-exports.
const LONGEST_CHAIN: usize = 16;

/// The modules of a crate, by their paths below its root.
#[derive(Debug, Default)]
pub(super) struct Sources {
    modules: BTreeMap<Segments, Module>,
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    /// A module or an item of this crate: the path below its root.
    Ours(Segments),
    /// Anything else, a local name included.
    Outside(Segments),
}

impl Sources {
    /// Reads the modules below each of `roots`, which are files such as `lib.rs`. `read` returns the text of a file, or
    /// `None` where there is no such file.
    pub(super) fn read(roots: &[&str], read: &dyn Fn(&str) -> Option<String>) -> Result<Sources> {
        let mut sources = Sources::default();
        for &root in roots {
            // The library's root is the root; a program's is a module that names the library from outside.
            let path = match root {
                "lib.rs" => Vec::new(),
                program => vec![program.trim_end_matches(".rs").to_owned()],
            };
            let mut waiting = vec![(path, root.to_owned())];
            while let Some((path, file)) = waiting.pop() {
                let text = read(&file).with_context(|| format!("cannot read {file}"))?;
                let exists = |file: &str| read(file).is_some();
                let contents = reader::read(path, &file, &text, &exists)?;
                let modules = contents.modules.into_iter();
                sources
                    .modules
                    .extend(modules.map(|module| (module.path.clone(), module)));
                waiting.extend(contents.files);
            }
        }
        Ok(sources)
    }

    pub(super) fn modules(&self) -> impl Iterator<Item = &Module> {
        self.modules.values()
    }

    /// What a mention leads to.
    pub(super) fn target(&self, module: &Module, mention: &Mention) -> Target {
        self.resolve(&module.path, &mention.path, LONGEST_CHAIN)
    }

    /// What the first name of a mention stands for by itself, where a `use` brought it in. That `use` is a mention of
    /// its own.
    pub(super) fn brought_in(&self, module: &Module, mention: &Mention) -> Option<Target> {
        let first = mention.path.segments.first()?;
        if mention.is_use || mention.path.absolute {
            return None;
        }
        let written = module.names.get(first.trim_end_matches('!'))?;
        Some(self.resolve(&module.path, written, LONGEST_CHAIN))
    }

    fn resolve(&self, here: &[String], written: &Written, chain: usize) -> Target {
        let segments = written.segments.as_slice();
        let Some((first, rest)) = segments.split_first() else {
            return Target::Ours(here.to_vec());
        };
        if written.absolute {
            return Target::Outside(segments.to_vec());
        }
        match first.as_str() {
            "crate" | "leak_user" => self.walk(Vec::new(), rest, chain),
            "self" => self.walk(here.to_vec(), rest, chain),
            "super" => {
                let mut base = here.to_vec();
                let ups = segments.iter().take_while(|name| *name == "super").count();
                base.truncate(base.len().saturating_sub(ups));
                self.walk(base, &segments[ups..], chain)
            }
            _ => self
                .step(here, first, rest, chain)
                .unwrap_or_else(|| Target::Outside(segments.to_vec())),
        }
    }

    /// Follows names down from a module, through re-exports, as far as they are modules.
    fn walk(&self, base: Segments, rest: &[String], chain: usize) -> Target {
        let below = rest
            .split_first()
            .and_then(|(first, rest)| self.step(&base, first, rest, chain));
        below.unwrap_or_else(|| Target::Ours([base.as_slice(), rest].concat()))
    }

    /// Where a name of a module leads, and `rest` behind it; `None` where it is an item or is not known there.
    fn step(&self, base: &[String], name: &str, rest: &[String], chain: usize) -> Option<Target> {
        let module = self.modules.get(base)?;
        if module.children.contains(name) {
            let child = [base, &[name.to_owned()]].concat();
            return Some(self.walk(child, rest, chain));
        }
        // `use time;` stands for itself, and sources that do not compile may have any circle.
        let chain = chain.checked_sub(1)?;
        if let Some(written) = module.names.get(name) {
            let mut longer = written.clone();
            longer.segments.extend_from_slice(rest);
            return Some(self.resolve(base, &longer, chain));
        }
        module
            .globs
            .iter()
            .find_map(|glob| match self.resolve(base, glob, chain) {
                Target::Ours(other) if other != base => self.step(&other, name, rest, chain),
                _ => None,
            })
    }
}
