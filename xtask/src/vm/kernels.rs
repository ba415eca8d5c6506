//! Kernel images: Debian's cloud kernels by series, from the mirror that this machine installs from, kept below
//! `target/vm/kernels`. apt works in a directory of its own there: the machine's lists stay as they are.
//!
//! The address of the mirror is apt's to tell. Where apt does not know it, for example on Ubuntu, no address is guessed:
//! the error says where an image that someone already has can be put.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};

use crate::arch::Arch;
use crate::command::{self, Settings, ask};
use crate::packages;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// How many versions of a kernel are tried: the lists of old releases name files that are gone.
const TRIES: usize = 4;

/// A series of kernels, as 6.12.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Series {
    major: u32,
    minor: u32,
}

impl FromStr for Series {
    type Err = String;

    fn from_str(text: &str) -> Result<Series, String> {
        let numbers = text.split_once('.');
        let parsed = numbers.and_then(|(major, minor)| {
            Some(Series {
                major: major.parse().ok()?,
                minor: minor.parse().ok()?,
            })
        });
        parsed.ok_or_else(|| format!("{text:?} is no series of kernels such as 6.12"))
    }
}

impl std::fmt::Display for Series {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{}.{}", self.major, self.minor))
    }
}

/// An archive of Debian's, by the label that its Release files have. A mirror keeps each at an address of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Archive {
    Main,
    Security,
}

impl Archive {
    fn label(self) -> &'static str {
        match self {
            Archive::Main => "Debian",
            Archive::Security => "Debian-Security",
        }
    }
}

/// A suite of Debian's, and the archive that has it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Suite {
    archive: Archive,
    name: &'static str,
}

/// Where a series is found, the smallest lists first.
fn suites(series: Series) -> Vec<Suite> {
    let security = |name| Suite {
        archive: Archive::Security,
        name,
    };
    let main = |name| Suite {
        archive: Archive::Main,
        name,
    };
    match (series.major, series.minor) {
        (5, 10) => vec![security("bullseye-security"), main("bullseye")],
        (6, 1) => vec![security("bookworm-security"), main("bookworm")],
        (6, 12) => vec![security("trixie-security"), main("trixie")],
        _ => vec![main("trixie-backports"), main("testing"), main("unstable")],
    }
}

/// The image of the newest kernel of a series for an architecture: that of the cache below `directory`, else fetched.
pub(crate) fn image(
    settings: Settings,
    series: Series,
    arch: Arch,
    directory: &Path,
) -> Result<PathBuf> {
    let image = directory.join(format!("kernels/{series}/vmlinuz"));
    if image.is_file() {
        return Ok(image);
    }
    let remedy = format!(
        "put the image of a {series} kernel with BTF at {}",
        image.display()
    );
    if !packages::has_apt() {
        bail!("no kernel {series}; {remedy}; this machine has no apt to fetch one with");
    }
    if !settings.install {
        bail!(
            "not downloaded: the kernel {series}; --no-install was given, so run: \
             cargo xtask vm-test --arch {} --kernel {series}",
            arch.name()
        );
    }
    let keys = ["debian-archive-keyring"];
    packages::ensure(settings, "the keys of Debian's archives", &keys)?;
    // Which archive is where, apt knows from the lists alone.
    packages::ensure_lists(settings).with_context(|| format!("no kernel {series}; {remedy}"))?;
    let known = known_archives();
    let work = directory.join(format!("apt/{series}"));
    let mut failures = Vec::new();
    for suite in suites(series) {
        // A machine may know one archive and lack the other: the kernel may still be found in the one.
        let fetched = mirror(&known, suite.archive)
            .and_then(|mirror| fetch(series, arch, suite.name, mirror, &work, &image));
        // Only room is lost where it stays.
        let _ = fs::remove_dir_all(&work);
        match fetched {
            Ok(()) => return Ok(image),
            Err(error) => failures.push(format!("{}: {error:#}", suite.name)),
        }
    }
    bail!("no kernel {series}; {remedy}; {}", failures.join("; "))
}

fn fetch(
    series: Series,
    arch: Arch,
    suite: &str,
    mirror: &str,
    work: &Path,
    image: &Path,
) -> Result<()> {
    let source = format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n");
    let apt = Apt::prepare(work, &source, arch)
        .with_context(|| format!("cannot use {}", work.display()))?;
    command::run(apt.command("apt-get").args(["update", "-q"]))?;
    let listed =
        ask(apt
            .command("apt-cache")
            .args(["search", "--names-only", &pattern(series, arch)]));
    let listed = listed.unwrap_or_default();
    for package in newest_first(&listed).into_iter().take(TRIES) {
        let mut download = apt.command("apt-get");
        download
            .current_dir(work)
            .args(["download", "-q"])
            .arg(format!("{package}:{}", arch.debian()));
        if command::status(&mut download)?.success() {
            return unpack(work, package, image);
        }
    }
    bail!("it has none that can be downloaded")
}

/// The names that kernels of a series have. Since 6.19 the image is in linux-binary.
fn pattern(series: Series, arch: Arch) -> String {
    let Series { major, minor } = series;
    let arch = arch.debian();
    let package = if (major, minor) < (6, 19) {
        "image"
    } else {
        "binary"
    };
    format!(r"^linux-{package}-{major}\.{minor}[.+-].*cloud-{arch}$")
}

/// The packages that apt-cache lists, the highest version first.
fn newest_first(listed: &str) -> Vec<&str> {
    let mut packages: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    packages.sort_by(|a, b| by_numbers(b, a));
    packages
}

/// Compares names with their numbers as numbers: 6.1.0-9 is before 6.1.0-10.
fn by_numbers(a: &str, b: &str) -> Ordering {
    let key = |name: &str| -> Vec<(u64, String)> {
        let mut parts = Vec::new();
        let mut rest = name;
        while !rest.is_empty() {
            let text_end = rest
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(rest.len());
            let (text, behind) = rest.split_at(text_end);
            let number_end = behind
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(behind.len());
            let (number, behind) = behind.split_at(number_end);
            parts.push((number.parse().unwrap_or(0), text.to_owned()));
            rest = behind;
        }
        parts
    };
    key(a).cmp(&key(b))
}

/// Takes the image out of the package.
fn unpack(work: &Path, package: &str, image: &Path) -> Result<()> {
    let deb = find(work, |name| {
        name.starts_with(package) && name.ends_with(".deb")
    })
    .with_context(|| format!("{package} was downloaded and is not there"))?;
    let content = work.join("content");
    command::run(
        Command::new("dpkg-deb")
            .arg("--extract")
            .arg(&deb)
            .arg(&content),
    )?;
    let found = find(&content.join("boot"), |name| name.starts_with("vmlinuz")).or_else(|| {
        let modules = find(&content.join("usr/lib/modules"), |_| true)?;
        find(&modules, |name| name == "vmlinuz")
    });
    let found = found.with_context(|| format!("{package} has no kernel image"))?;
    let directory = image.parent().context("an image has a directory")?;
    fs::create_dir_all(directory)?;
    fs::write(directory.join("package"), format!("{package}\n"))?;
    fs::rename(&found, image).with_context(|| format!("cannot write {}", image.display()))
}

/// The first entry of a directory whose name pleases.
fn find(directory: &Path, pleases: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?.flatten();
    entries.map(|entry| entry.path()).find(|path| {
        path.file_name()
            .and_then(|n| n.to_str())
            .is_some_and(&pleases)
    })
}

/// apt with sources, lists and cache of its own.
struct Apt {
    configuration: PathBuf,
}

impl Apt {
    fn prepare(work: &Path, source: &str, arch: Arch) -> Result<Apt> {
        for directory in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(work.join(directory))?;
        }
        fs::write(work.join("status"), "")?;
        fs::write(work.join("sources.list"), source)?;
        let configuration = work.join("apt.conf");
        fs::write(&configuration, configured(work, arch))?;
        Ok(Apt { configuration })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.configuration);
        command
    }
}

/// What makes apt keep to the directory.
fn configured(work: &Path, arch: Arch) -> String {
    let work = work.display();
    let arch = arch.debian();
    format!(
        r#"Dir::Etc::sourcelist "{work}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::Lists "{work}/lists";
Dir::State::status "{work}/status";
Dir::Cache "{work}/cache";
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
"#
    )
}

/// The archives that apt knows: a line `ORIGIN|LABEL|ADDRESS` for each of their lists.
fn known_archives() -> String {
    let targets = ["indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)"];
    ask(Command::new("apt-get").args(targets)).unwrap_or_default()
}

/// The address of an archive. Addresses say nothing themselves: others than Debian's may end with `/debian` as well.
fn mirror(known: &str, archive: Archive) -> Result<&str> {
    let prefix = format!("Debian|{}|", archive.label());
    known
        .lines()
        .find_map(|line| line.strip_prefix(&prefix))
        .with_context(|| {
            format!(
                "apt's configuration has no address of the archive {}",
                archive.label()
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_two_numbers() {
        let series = Series {
            major: 6,
            minor: 12,
        };
        assert_eq!("6.12".parse(), Ok(series));
        assert_eq!(series.to_string(), "6.12");
        for wrong in ["6", "6.12.3", "v6.1", "../x.1", ""] {
            assert!(wrong.parse::<Series>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_highest_version_comes_first() {
        let listed = "linux-image-6.1.0-9-cloud-amd64 - Linux 6.1 (signed)\n\
                      linux-image-6.1.0-56-cloud-amd64 - Linux 6.1 (signed)\n\
                      linux-image-6.1.0-10-cloud-amd64 - Linux 6.1 (signed)\n";
        assert_eq!(
            newest_first(listed),
            [
                "linux-image-6.1.0-56-cloud-amd64",
                "linux-image-6.1.0-10-cloud-amd64",
                "linux-image-6.1.0-9-cloud-amd64"
            ]
        );
        assert_eq!(
            by_numbers(
                "linux-binary-7.2.12+deb13-cloud-amd64",
                "linux-binary-7.2.9+deb13-cloud-amd64"
            ),
            Ordering::Greater
        );
    }

    #[test]
    fn images_are_in_another_package_since_6_19() {
        let pattern = |text: &str, arch| text.parse().map(|series| pattern(series, arch));
        assert_eq!(
            pattern("6.18", Arch::X86_64).as_deref(),
            Ok(r"^linux-image-6\.18[.+-].*cloud-amd64$")
        );
        assert_eq!(
            pattern("7.2", Arch::Aarch64).as_deref(),
            Ok(r"^linux-binary-7\.2[.+-].*cloud-arm64$")
        );
    }

    #[test]
    fn the_mirror_is_the_one_that_the_machine_uses() {
        let known = "Other|Other|http://mirror.example/other/debian/\n\
                     Debian|Debian-Security|http://mirror.example/debian-security/\n\
                     Debian|Debian|http://mirror.example/debian/\n";
        let mirror = |archive| mirror(known, archive).ok();
        assert_eq!(mirror(Archive::Main), Some("http://mirror.example/debian/"));
        assert_eq!(
            mirror(Archive::Security),
            Some("http://mirror.example/debian-security/")
        );
    }

    #[test]
    fn an_archive_that_apt_does_not_know_has_no_address() {
        let main_only = "Debian|Debian|http://mirror.example/debian/\n";
        let error = mirror(main_only, Archive::Security).expect_err("no address is guessed");
        assert_eq!(
            error.to_string(),
            "apt's configuration has no address of the archive Debian-Security"
        );
        assert!(mirror(main_only, Archive::Main).is_ok());
        let ubuntu = "Ubuntu|Ubuntu|http://mirror.example/ubuntu/\n";
        assert!(mirror(ubuntu, Archive::Main).is_err());
        assert!(mirror("", Archive::Main).is_err());
    }
}
