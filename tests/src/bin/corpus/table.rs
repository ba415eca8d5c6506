//! The table of programs, `tests/corpus/corpus.toml`: what there is, what each needs,
//! and what leaktrace has to say of it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// From this rate on a leak is fast.
pub(crate) const FAST: f64 = 5.0;

/// A program as the table has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Program {
    pub(crate) name: String,
    /// Source without the extension that a compiler takes, and arguments.
    run: String,
    /// Kinds, any of which the finding of the leak has; none for a correct program.
    #[serde(default)]
    pub(crate) leaks: Vec<String>,
    /// Leaked a second.
    #[serde(default)]
    pub(crate) rate: f64,
    /// Part of a symbol that has to be on the finding's stack.
    #[serde(default)]
    pub(crate) at: String,
    #[serde(default)]
    due: Option<u64>,
    /// Kinds in which the leak shows besides.
    #[serde(default)]
    pub(crate) echoes: Vec<String>,
    /// No call of the program makes what it leaks, so there is no stack.
    #[serde(default)]
    pub(crate) stackless: bool,
    /// Programs that must be installed, besides what the language takes.
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    ci: bool,
}

/// What a program is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Language {
    C,
    Cpp,
    Rust,
    Go,
    Java,
    Python,
    Node,
    Php,
    Shell,
}

impl Language {
    const ALL: [(Language, &'static str); 9] = [
        (Language::C, "c"),
        (Language::Cpp, "cpp"),
        (Language::Rust, "rust"),
        (Language::Go, "go"),
        (Language::Java, "java"),
        (Language::Python, "python"),
        (Language::Node, "node"),
        (Language::Php, "php"),
        (Language::Shell, "shell"),
    ];

    /// The directory of its sources.
    pub(crate) fn directory(self) -> &'static str {
        let found = Self::ALL.iter().find(|(language, _)| *language == self);
        found.map_or("", |(_, directory)| directory)
    }

    /// What must be installed for it.
    fn needs(self) -> &'static [&'static str] {
        match self {
            Language::C => &["gcc"],
            Language::Cpp => &["g++"],
            // cargo runs this, so its compiler is there.
            Language::Rust => &[],
            Language::Go => &["go"],
            Language::Java => &["java", "javac"],
            Language::Python => &["python3"],
            Language::Node => &["node"],
            Language::Php => &["php"],
            Language::Shell => &["bash"],
        }
    }
}

impl Program {
    /// Its language, by the directory of its source.
    pub(crate) fn language(&self) -> Language {
        let directory = self.run.split('/').next().unwrap_or_default();
        let found = Language::ALL.iter().find(|(_, name)| *name == directory);
        found.expect("checked when the table was read").0
    }

    /// Its source, below `tests/corpus`.
    pub(crate) fn source(&self) -> PathBuf {
        let source = self.run.split_whitespace().next().unwrap_or_default();
        let extension = match self.language() {
            Language::C => "c",
            Language::Cpp => "cpp",
            Language::Rust => "rs",
            Language::Go => "go",
            Language::Java => "java",
            Language::Python | Language::Node | Language::Php | Language::Shell => "",
        };
        let mut path = PathBuf::from(source);
        if !extension.is_empty() {
            path.set_extension(extension);
        }
        path
    }

    pub(crate) fn arguments(&self) -> impl Iterator<Item = &str> {
        self.run.split_whitespace().skip(1)
    }

    pub(crate) fn is_leak(&self) -> bool {
        !self.leaks.is_empty()
    }

    pub(crate) fn is_fast(&self) -> bool {
        self.rate >= FAST
    }

    /// Seconds of the window by which a leak must be called one.
    pub(crate) fn due(&self) -> u64 {
        self.due.unwrap_or(if self.is_fast() { 20 } else { 60 })
    }

    /// Programs that must be installed.
    pub(crate) fn needs(&self) -> impl Iterator<Item = &str> {
        let own = self.needs.iter().map(String::as_str);
        self.language().needs().iter().copied().chain(own)
    }
}

/// Which programs are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    /// Part of a name.
    pub(crate) only: Option<String>,
    /// Those alone that are part of what each change must pass.
    pub(crate) ci: bool,
}

impl Choice {
    fn takes(&self, program: &Program) -> bool {
        let named = self.only.as_ref();
        named.is_none_or(|part| program.name.contains(part.as_str())) && (program.ci || !self.ci)
    }
}

/// Where the corpus is.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// Reads the table and chooses.
pub(crate) fn read(choice: &Choice) -> Result<Vec<Program>, String> {
    let file = directory().join("corpus.toml");
    let text = std::fs::read_to_string(&file)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let mut programs = parse(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    programs.retain(|program| choice.takes(program));
    if programs.is_empty() {
        return Err("no program of the corpus is chosen".to_owned());
    }
    Ok(programs)
}

fn parse(text: &str) -> Result<Vec<Program>, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Table {
        program: Vec<Program>,
    }
    let table: Table = toml::from_str(text).map_err(|error| error.to_string())?;
    for (index, program) in table.program.iter().enumerate() {
        let directory = program.run.split('/').next().unwrap_or_default();
        if !Language::ALL.iter().any(|(_, name)| *name == directory) {
            return Err(format!(
                "{}: no language is kept in {directory:?}",
                program.name
            ));
        }
        let place = (
            program.rate > 0.0,
            program.stackless == program.at.is_empty(),
        );
        if place != (program.is_leak(), program.is_leak()) {
            return Err(format!(
                "{}: a leak has a rate and a place, and nothing else has",
                program.name
            ));
        }
        if table.program[..index]
            .iter()
            .any(|other| other.name == program.name)
        {
            return Err(format!("{} is there twice", program.name));
        }
    }
    Ok(table.program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read_and_its_sources_are_there() {
        let programs = read(&Choice::default()).expect("the table is right");
        assert!(programs.len() >= 75);
        for program in &programs {
            let source = directory().join(program.source());
            assert!(source.is_file(), "{}: {}", program.name, source.display());
        }
        let leaks = programs.iter().filter(|program| program.is_leak()).count();
        assert!(leaks * 3 > programs.len() && leaks * 3 < programs.len() * 2);
    }

    #[test]
    fn the_part_for_each_change_needs_no_large_installation() {
        let choice = Choice {
            ci: true,
            only: None,
        };
        for program in read(&choice).expect("the table is right") {
            let small = [Language::C, Language::Python, Language::Go];
            assert!(small.contains(&program.language()), "{}", program.name);
            assert!(program.needs.is_empty(), "{}", program.name);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let error = |row: &str| parse(&format!("program = [{{ {row} }}]")).expect_err("a mistake");
        assert!(error(r#"name = "a", run = "ada/x""#).contains("ada"));
        assert!(error(r#"name = "a", run = "c/x", leaks = ["file"]"#).contains("rate"));
        assert!(error(r#"name = "a", run = "c/x", lekas = ["file"]"#).contains("lekas"));
    }
}
