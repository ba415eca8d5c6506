//! Boots a kernel with QEMU, which runs until the guest turns its machine off, and reads what the guest answered.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::plan::{Answer, Done};
use crate::command;

/// After this a machine is turned off: a guest ends its steps long before.
const DEADLINE: Duration = Duration::from_secs(600);

/// What runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Accelerator {
    /// The processor: times are those of a machine.
    Kvm,
    /// QEMU: some ten times slower.
    Tcg,
}

impl Accelerator {
    /// KVM where it works. A machine that is virtual itself may offer /dev/kvm without the processor's support: guests
    /// hang there instead of failing.
    pub(crate) fn of_this_machine() -> Accelerator {
        let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let device = OpenOptions::new().read(true).write(true).open("/dev/kvm");
        if virtualizes(&processor) && device.is_ok() {
            Accelerator::Kvm
        } else {
            Accelerator::Tcg
        }
    }

    fn options(self) -> [&'static str; 4] {
        match self {
            Accelerator::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Accelerator::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "max"],
        }
    }
}

impl std::fmt::Display for Accelerator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Accelerator::Kvm => "KVM",
            Accelerator::Tcg => "emulated",
        })
    }
}

fn virtualizes(cpuinfo: &str) -> bool {
    cpuinfo
        .split_whitespace()
        .any(|word| word == "vmx" || word == "svm")
}

/// Where a machine's output goes.
#[derive(Debug)]
pub(crate) struct Logs {
    /// The kernel's messages and what programs print.
    pub(crate) console: PathBuf,
    /// The guest's answers.
    answers: PathBuf,
}

impl Logs {
    /// Log files named after a kernel.
    pub(crate) fn new(directory: &Path, kernel: &str) -> Result<Logs> {
        let directory = directory.join("log");
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        Ok(Logs {
            console: directory.join(format!("{kernel}.console")),
            answers: directory.join(format!("{kernel}.answers")),
        })
    }
}

/// Runs a machine until it turns itself off. An error means that its answers may not be whole.
pub(crate) fn boot(
    accelerator: Accelerator,
    kernel: &Path,
    initramfs: &Path,
    logs: &Logs,
) -> Result<()> {
    for file in [&logs.console, &logs.answers] {
        File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-nodefaults", "-no-user-config", "-no-reboot"])
        .args(["-display", "none", "-monitor", "none"])
        .args(["-machine", "q35", "-smp", "2", "-m", "1G"])
        .args(accelerator.options())
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initramfs)
        .arg("-serial")
        .arg(file_option(&logs.console))
        .arg("-serial")
        .arg(file_option(&logs.answers))
        .args([
            "-append",
            "console=ttyS0 quiet panic=-1 oops=panic rdinit=/init",
        ])
        .stdin(Stdio::null());
    eprintln!("$ {}", command::show(&qemu));
    let mut machine = qemu.spawn().context("cannot start qemu-system-x86_64")?;
    let begun = Instant::now();
    loop {
        if let Some(status) = machine.try_wait()? {
            if !status.success() {
                bail!("qemu-system-x86_64 failed: {status}");
            }
            return Ok(());
        }
        if begun.elapsed() > DEADLINE {
            // An error means that it has ended at this very moment.
            let _ = machine.kill();
            machine.wait()?;
            bail!(
                "the machine was still running after {} s and was turned off",
                DEADLINE.as_secs()
            );
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// QEMU's options are separated by commas: one in a path is doubled.
fn file_option(path: &Path) -> String {
    format!("file:{}", path.display().to_string().replace(',', ",,"))
}

/// Everything that a guest answered.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// What `uname -r` says there; empty where the guest never ran.
    pub(crate) release: String,
    /// How long the kernel took to its first process.
    pub(crate) boot: Duration,
    pub(crate) done: Vec<Done>,
    /// Whether the guest came to the end of its plan.
    pub(crate) whole: bool,
}

impl Answers {
    pub(crate) fn read(logs: &Logs) -> Result<Answers> {
        let text = fs::read(&logs.answers)
            .with_context(|| format!("cannot read {}", logs.answers.display()))?;
        Ok(Answers::parse(&String::from_utf8_lossy(&text)))
    }

    /// Reads lines up to the first that is none of the guest's, such as one that a crash cut off.
    fn parse(text: &str) -> Answers {
        let mut answers = Answers::default();
        for answer in text
            .lines()
            .map_while(|line| serde_json::from_str(line).ok())
        {
            match answer {
                Answer::Booted {
                    release,
                    milliseconds,
                } => {
                    answers.release = release;
                    answers.boot = Duration::from_millis(milliseconds);
                }
                Answer::Done(done) => answers.done.push(done),
                Answer::End => answers.whole = true,
            }
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtualization_is_a_word_of_its_own() {
        assert!(virtualizes("flags\t\t: fpu vme svm lm"));
        assert!(virtualizes("flags\t\t: vmx"));
        assert!(!virtualizes("flags\t\t: fpu vme hypervisor nosvmx"));
    }

    #[test]
    fn answers_count_up_to_the_line_that_was_cut_off() {
        let booted = r#"{"Booted":{"release":"6.1.0-56-cloud-amd64","milliseconds":2500}}"#;
        let done = r#"{"Done":{"name":"a","milliseconds":1,"code":0,"stdout":"x","trouble":null,"victims":[]}}"#;
        let answers = Answers::parse(&format!("{booted}\r\n{done}\n\"End\"\n"));
        assert_eq!(answers.release, "6.1.0-56-cloud-amd64");
        assert_eq!(answers.boot, Duration::from_millis(2500));
        assert_eq!(answers.done.len(), 1);
        assert!(answers.whole);
        let answers = Answers::parse(&format!("{booted}\n{done}\n{{\"Done\":{{\"na"));
        assert_eq!(answers.done.len(), 1);
        assert!(!answers.whole);
        assert!(Answers::parse("").release.is_empty());
    }
}
