//! Boots a kernel with QEMU, which runs until the guest turns its machine off, and reads what the guest answered.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::plan::{Answer, Done};
use crate::arch::Arch;
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
    pub(crate) fn of_this_machine(arch: Arch) -> Accelerator {
        let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let device = OpenOptions::new().read(true).write(true).open("/dev/kvm");
        if arch == Arch::X86_64 && virtualizes(&processor) && device.is_ok() {
            Accelerator::Kvm
        } else {
            Accelerator::Tcg
        }
    }

    fn options(self, arch: Arch) -> [&'static str; 4] {
        match (self, arch) {
            (Accelerator::Kvm, _) => ["-accel", "kvm", "-cpu", "host"],
            (Accelerator::Tcg, Arch::X86_64) => ["-accel", "tcg,thread=multi", "-cpu", "max"],
            // Signing return addresses as the architecture says takes most of the time; nobody attacks here.
            (Accelerator::Tcg, Arch::Aarch64) => {
                ["-accel", "tcg,thread=multi", "-cpu", "max,pauth-impdef=on"]
            }
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

/// A machine to boot kernels on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    pub(crate) arch: Arch,
    pub(crate) accelerator: Accelerator,
}

impl Machine {
    pub(crate) fn new(arch: Arch) -> Machine {
        Machine {
            arch,
            accelerator: Accelerator::of_this_machine(arch),
        }
    }

    /// QEMU's program.
    pub(crate) fn qemu(self) -> String {
        format!("qemu-system-{}", self.arch.name())
    }

    /// Debian's package that has it.
    pub(crate) fn package(self) -> &'static str {
        match self.arch {
            Arch::X86_64 => "qemu-system-x86",
            Arch::Aarch64 => "qemu-system-arm",
        }
    }

    /// The board, with one serial port for the console and one for the answers.
    fn board(self, logs: &Logs) -> Vec<String> {
        let console = file_option("file:", &logs.console);
        let (answers, named) = (
            file_option("file:", &logs.answers),
            file_option("file,id=answers,path=", &logs.answers),
        );
        let words: &[&str] = match self.arch {
            Arch::X86_64 => &["-machine", "q35", "-serial", &console, "-serial", &answers],
            // It has one port of its own that the kernel may use.
            Arch::Aarch64 => &[
                "-machine",
                "virt",
                "-serial",
                &console,
                "-chardev",
                &named,
                "-device",
                "pci-serial,chardev=answers",
            ],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// The kernel's name of its console.
    fn console(self) -> &'static str {
        match self.arch {
            Arch::X86_64 => "ttyS0",
            Arch::Aarch64 => "ttyAMA0",
        }
    }

    /// Runs it until it turns itself off. An error means that its answers may not be whole.
    pub(crate) fn boot(self, kernel: &Path, initramfs: &Path, logs: &Logs) -> Result<()> {
        for file in [&logs.console, &logs.answers] {
            File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
        }
        let program = self.qemu();
        let mut qemu = Command::new(&program);
        qemu.args(["-nodefaults", "-no-user-config", "-no-reboot"])
            .args(["-display", "none", "-monitor", "none"])
            .args(["-smp", "2", "-m", "1G"])
            .args(self.accelerator.options(self.arch))
            .args(self.board(logs))
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(initramfs)
            .arg("-append")
            .arg(format!(
                "console={} quiet panic=-1 oops=panic rdinit=/init",
                self.console()
            ))
            .stdin(Stdio::null());
        eprintln!("$ {}", command::show(&qemu));
        let spawned = qemu.spawn();
        let mut running = spawned.with_context(|| format!("cannot start {program}"))?;
        let begun = Instant::now();
        loop {
            if let Some(status) = running.try_wait()? {
                if !status.success() {
                    bail!("{program} failed: {status}");
                }
                return Ok(());
            }
            if begun.elapsed() > DEADLINE {
                // An error means that it has ended at this very moment.
                let _ = running.kill();
                running.wait()?;
                bail!(
                    "the machine was still running after {} s and was turned off",
                    DEADLINE.as_secs()
                );
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// QEMU's options are separated by commas: one in a path is doubled.
fn file_option(option: &str, path: &Path) -> String {
    format!("{option}{}", path.display().to_string().replace(',', ",,"))
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
        let sent = fs::read(&logs.answers)
            .with_context(|| format!("cannot read {}", logs.answers.display()))?;
        Ok(Answers::parse(&sent))
    }

    /// Reads answers up to the first that is not whole, such as one that a crash cut off.
    fn parse(mut sent: &[u8]) -> Answers {
        let mut answers = Answers::default();
        while let Some(answer) = Answer::unpack(&mut sent) {
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
    fn answers_count_up_to_the_one_that_was_cut_off() {
        let booted = Answer::Booted {
            release: "6.1.0-56-cloud-amd64".to_owned(),
            milliseconds: 2500,
        };
        let done = Answer::Done(Done {
            name: "a".to_owned(),
            milliseconds: 1,
            code: 0,
            stdout: "x".repeat(100_000),
            trouble: None,
            victims: Vec::new(),
        });
        let all: Vec<Vec<u8>> = [booted, done, Answer::End]
            .iter()
            .map(|answer| answer.pack().expect("memory takes it"))
            .collect();
        let sent = all.concat();
        let answers = Answers::parse(&sent);
        assert_eq!(answers.release, "6.1.0-56-cloud-amd64");
        assert_eq!(answers.boot, Duration::from_millis(2500));
        assert_eq!(answers.done[0].stdout.len(), 100_000);
        assert!(answers.whole);
        for cut in 0..sent.len() {
            let answers = Answers::parse(&sent[..cut]);
            let done = cut >= sent.len() - all[2].len();
            assert_eq!(answers.done.len(), usize::from(done), "{cut}");
            assert!(!answers.whole);
        }
        // Something else than answers.
        assert!(Answers::parse(b"\x05\0\0\0hello").release.is_empty());
    }
}
