//! Pages as a browser shows them: headless Chromium draws a file and says what
//! became of it.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::compile::installed;
use crate::tracer::run;
use crate::victim::die_with_parent;

/// What a browser made of a page.
#[derive(Debug)]
pub struct Drawn {
    /// The document after its scripts have run, as markup.
    pub markup: String,
    /// What was logged: errors of scripts, what the page's policy refused.
    pub log: String,
}

/// Opens a page with a fragment (without `#`) and waits until its scripts are done;
/// nothing where no Chromium is installed.
///
/// # Panics
/// Where the browser fails.
#[must_use]
pub fn draw(page: &Path, fragment: &str) -> Option<Drawn> {
    let browser = installed("chromium")?;
    let profile = TempDir::new().expect("a temporary directory");
    let mut command = Command::new(browser);
    // Root has no sandbox of Chromium's; the page is ours. Time is virtual: this is no wait.
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            // Containers have little there.
            "--disable-dev-shm-usage",
            "--no-first-run",
        ])
        .args(["--window-size=1280,1600", "--virtual-time-budget=5000"])
        .args(["--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}#{fragment}", page.display()));
    die_with_parent(std::os::unix::process::CommandExt::process_group(
        &mut command,
        0,
    ));
    let ran = run(&mut command);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let console = |line: &&str| line.contains("CONSOLE");
    Some(Drawn {
        markup: ran.stdout,
        log: ran
            .stderr
            .lines()
            .filter(console)
            .collect::<Vec<_>>()
            .join("\n"),
    })
}

impl Drawn {
    /// The page's title.
    #[must_use]
    pub fn title(&self) -> &str {
        self.between("<title>", "</title>").unwrap_or_default()
    }

    /// Opening tags of elements of this name.
    #[must_use]
    pub fn tags(&self, name: &str) -> Vec<&str> {
        let start = format!("<{name}");
        self.markup
            .match_indices(&start)
            .map(|(at, _)| &self.markup[at..])
            .filter(|rest| {
                let after = rest.as_bytes().get(start.len());
                after.is_some_and(|byte| !byte.is_ascii_alphanumeric())
            })
            .map(|rest| rest.split_inclusive('>').next().unwrap_or(rest))
            .collect()
    }

    /// Those of a class that are not hidden.
    #[must_use]
    pub fn shown(&self, name: &str, class: &str) -> Vec<&str> {
        let mut tags = self.tags(name);
        tags.retain(|tag| {
            let classes = attribute(tag, "class").unwrap_or_default();
            classes.split(' ').any(|one| one == class) && !tag.contains(" hidden=")
        });
        tags
    }

    /// The markup between two strings, the first time that they are there.
    #[must_use]
    pub fn between(&self, start: &str, end: &str) -> Option<&str> {
        let (_, rest) = self.markup.split_once(start)?;
        Some(rest.split_once(end)?.0)
    }
}

/// The value of an attribute, as it stands.
#[must_use]
pub fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(rest.split_once('"')?.0)
}
