//! Checks whether this machine can trace. The eBPF programs are really loaded and attached,
//! for a moment, because only that shows what the kernel accepts.

use std::fs;

use crate::{
    kernel::{self, LoadError, Options, TraceFs, Tracer, missing_capabilities},
    model::doctor::{Check, DoctorReport, Program, Status},
};

/// The oldest supported kernel.
const OLDEST: (u32, u32) = (5, 10);

/// Descriptors that symbolizing and tracing may use (see
/// [`symbolize::Limits`](crate::stacks::symbolize::Limits)).
const DESCRIPTORS: u64 = 1024;

/// Checks everything that tracing needs. `told` hears of each check when it is made: the programs take a second.
#[must_use]
pub(super) fn examine(told: &mut dyn FnMut(&Check)) -> DoctorReport {
    let mut examination = Examination {
        report: DoctorReport::new(Vec::new()),
        told,
    };
    for check in [kernel, btf, lockdown, privileges, tracefs] {
        examination.add(check());
    }
    programs(&mut examination);
    examination.add(stacks());
    examination.add(descriptors());
    examination.report
}

/// What was found so far.
struct Examination<'a> {
    report: DoctorReport,
    told: &'a mut dyn FnMut(&Check),
}

impl Examination<'_> {
    fn add(&mut self, check: Check) {
        (self.told)(&check);
        self.report.checks.push(check);
    }
}

fn check(name: &str, status: Status, detail: impl Into<String>, fix: Option<&str>) -> Check {
    Check {
        name: name.to_owned(),
        status,
        detail: detail.into(),
        fix: fix.map(str::to_owned),
    }
}

fn kernel() -> Check {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let detail = format!("Linux {release} on {}", std::env::consts::ARCH);
    match version(release) {
        Some(version) if version >= OLDEST => check("kernel", Status::Pass, detail, None),
        Some(_) => check(
            "kernel",
            Status::Fail,
            detail,
            Some("leaktrace needs Linux 5.10 or newer: upgrade the kernel"),
        ),
        None => check(
            "kernel",
            Status::Warn,
            format!("cannot read the version in {release:?}"),
            None,
        ),
    }
}

/// Major and minor number of a release, as `6.1.0-56-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn btf() -> Check {
    match fs::metadata("/sys/kernel/btf/vmlinux") {
        Ok(file) => check(
            "BTF",
            Status::Pass,
            format!("/sys/kernel/btf/vmlinux, {} KiB", file.len() >> 10),
            None,
        ),
        Err(error) => check(
            "BTF",
            Status::Fail,
            format!("/sys/kernel/btf/vmlinux: {error}"),
            Some("use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distribution kernels are"),
        ),
    }
}

fn lockdown() -> Check {
    let text = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    let mode = text
        .split('[')
        .nth(1)
        .and_then(|rest| rest.split(']').next());
    match mode {
        Some("confidentiality") => check(
            "lockdown",
            Status::Fail,
            "confidentiality: eBPF programs may not read kernel memory",
            Some("boot with lockdown=integrity or without lockdown"),
        ),
        Some(mode) => check("lockdown", Status::Pass, mode, None),
        None => check("lockdown", Status::Pass, "off, or not visible here", None),
    }
}

fn privileges() -> Check {
    let missing = missing_capabilities();
    if missing.is_empty() {
        return check("privileges", Status::Pass, "all present", None);
    }
    let list: Vec<String> = missing
        .iter()
        .map(|capability| format!("{} (to {})", capability.name, capability.purpose))
        .collect();
    check(
        "privileges",
        Status::Fail,
        format!("missing {}", list.join(", ")),
        Some("run as root, or with these capabilities"),
    )
}

fn tracefs() -> Check {
    match TraceFs::open() {
        Ok(tracefs) if tracefs.detached => check(
            "tracefs",
            Status::Pass,
            "not mounted; leaktrace mounts a private one",
            None,
        ),
        Ok(_) => check("tracefs", Status::Pass, "mounted", None),
        Err(error) => check(
            "tracefs",
            Status::Warn,
            format!(
                "not available ({error}): io_uring is not traced, and tracing slows down every \
                 system call a little more"
            ),
            Some(match error.kind() == std::io::ErrorKind::PermissionDenied {
                true => "run as root",
                false => "mount it: mount -t tracefs tracefs /sys/kernel/tracing",
            }),
        ),
    }
}

/// Loads and attaches everything, then removes it: once for the whole host, and once with
/// filters, because the verifier then checks other paths of the same code.
fn programs(examination: &mut Examination) {
    let whole = Options::default();
    let filtered = Options {
        by_pid: true,
        comms: vec!["leaktrace".to_owned()],
        ..Options::default()
    };
    examination.add(check(
        "ring buffer",
        Status::Pass,
        format!("{} MiB", whole.ring_bytes >> 20),
        None,
    ));
    match attach(&whole) {
        Ok((hooks, programs)) => {
            hooks.into_iter().for_each(|hook| examination.add(hook));
            examination.report.programs = programs;
        }
        Err(error) => {
            examination.add(failed("hooks", &error));
            return;
        }
    }
    examination.add(match attach(&filtered) {
        Ok((hooks, _)) => match hooks.into_iter().find(|hook| hook.status != Status::Pass) {
            None => check(
                "filters",
                Status::Pass,
                "every hook works with filters",
                None,
            ),
            Some(hook) => Check {
                name: format!("filters, {}", hook.name),
                ..hook
            },
        },
        Err(error) => failed("filters", &error),
    });
}

/// Attaches every hook for a moment.
fn attach(options: &Options) -> Result<(Vec<Check>, Vec<Program>), LoadError> {
    let mut tracer = Tracer::load(options)?;
    let hooks = tracer.attach()?;
    let programs = hooks
        .iter()
        .filter(|hook| !hook.load.is_zero())
        .map(|hook| Program {
            name: hook.program.to_owned(),
            kind: format!("{:?}", hook.hook).to_lowercase(),
            verified_instructions: (hook.verified_instructions > 0)
                .then_some(hook.verified_instructions),
            load_ms: hook.load.as_secs_f64() * 1e3,
        })
        .collect();
    let checks = hooks
        .iter()
        .map(|hook| {
            let name = format!("hook {}", hook.name);
            match &hook.missing {
                None => {
                    let detail = match hook.verified_instructions {
                        0 => "loads and attaches".to_owned(),
                        number => {
                            format!("loads and attaches ({number} instructions verified)")
                        }
                    };
                    check(&name, Status::Pass, detail, None)
                }
                Some(reason) => check(
                    &name,
                    Status::Warn,
                    format!("not in place: {reason}"),
                    Some(
                        "tracing works without this hook; the report lists what is missing as \
                         not covered",
                    ),
                ),
            }
        })
        .collect();
    Ok((checks, programs))
}

fn failed(name: &str, error: &LoadError) -> Check {
    let fix = match error {
        LoadError::Privilege(_) => "run as root",
        LoadError::Kernel(_) => "use a kernel that offers it; see the checks above",
        LoadError::NotBuilt => "build leaktrace with `cargo xtask build`",
        LoadError::Input(_) | LoadError::Other(_) => {
            "report this as a bug, with the kernel's version"
        }
    };
    check(name, Status::Fail, error.to_string(), Some(fix))
}

fn stacks() -> Check {
    check(
        "stacks",
        Status::Pass,
        "unwound by the tables in programs, or by frame pointers where a program has none",
        None,
    )
}

fn descriptors() -> Check {
    let hard = kernel::descriptor_limit();
    if hard >= DESCRIPTORS {
        return check(
            "limits",
            Status::Pass,
            format!("up to {hard} open descriptors"),
            None,
        );
    }
    check(
        "limits",
        Status::Warn,
        format!("only {hard} open descriptors: some functions may stay without a name"),
        Some("raise the limit: ulimit -n 4096"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read() {
        assert_eq!(version("6.1.0-56-amd64"), Some((6, 1)));
        assert_eq!(version("5.10.262"), Some((5, 10)));
        assert_eq!(version("7.3-rc7"), Some((7, 3)));
        assert_eq!(version(""), None);
    }
}
