//! What this process may do and what this kernel has.

use aya::{
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported},
};

use super::LoadError;
use crate::model::escape::escape;

/// A capability of capabilities(7) that tracing needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Its name.
    pub name: &'static str,
    /// What it is needed for.
    pub purpose: &'static str,
    bit: u32,
    /// Whether `CAP_SYS_ADMIN` stands in for it.
    by_admin: bool,
}

const SYS_ADMIN: u32 = 21;

const NEEDED: [Capability; 4] = [
    Capability {
        name: "CAP_BPF",
        purpose: "load eBPF programs",
        bit: 39,
        by_admin: true,
    },
    Capability {
        name: "CAP_PERFMON",
        purpose: "attach to tracepoints",
        bit: 38,
        by_admin: true,
    },
    Capability {
        name: "CAP_SYS_PTRACE",
        purpose: "read the descriptors of other users' processes",
        bit: 19,
        by_admin: false,
    },
    Capability {
        name: "CAP_DAC_READ_SEARCH",
        purpose: "read /proc and tracefs regardless of permissions",
        bit: 2,
        by_admin: false,
    },
];

/// The capabilities that this process lacks.
#[must_use]
pub fn missing_capabilities() -> Vec<Capability> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    missing_in(effective(&status).unwrap_or(0))
}

/// The command that gives the file of this program all that it needs.
fn granting() -> String {
    let names: Vec<String> = NEEDED.iter().map(|one| one.name.to_lowercase()).collect();
    let file = std::env::current_exe().map_or_else(
        |_| "leaktrace".to_owned(),
        |path| escape(&path.to_string_lossy()),
    );
    format!("  setcap {}+ep '{file}'", names.join(","))
}

fn effective(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn missing_in(set: u64) -> Vec<Capability> {
    let has = |bit: u32| set >> bit & 1 != 0;
    NEEDED
        .into_iter()
        .filter(|needed| !(has(needed.bit) || needed.by_admin && has(SYS_ADMIN)))
        .collect()
}

/// Fails with the first thing that is missing.
pub(super) fn check() -> Result<(), LoadError> {
    let missing = missing_capabilities();
    if !missing.is_empty() {
        let names: Vec<&str> = missing.iter().map(|capability| capability.name).collect();
        return Err(LoadError::Privilege(format!(
            "missing {} (to {}): run leaktrace as root, or give its file these capabilities:\n{}",
            names.join(", "),
            missing[0].purpose,
            granting()
        )));
    }
    if !std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Err(LoadError::Kernel(
            "this kernel has no BTF (/sys/kernel/btf/vmlinux is missing): it must be built with \
             CONFIG_DEBUG_INFO_BTF=y, as distribution kernels since 5.10 are"
                .to_owned(),
        ));
    }
    Ok(())
}

/// `bpf_get_current_task_btf`, Linux 5.11.
pub(super) fn has_typed_task() -> bool {
    has_helper(BpfHelper::BPF_FUNC_get_current_task_btf)
}

/// `bpf_task_pt_regs`, Linux 5.15.
pub(super) fn has_task_registers() -> bool {
    has_helper(BpfHelper::BPF_FUNC_task_pt_regs)
}

fn has_helper(helper: BpfHelper) -> bool {
    is_helper_supported(ProgramType::RawTracePoint, helper).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_stands_in_for_bpf_but_not_for_ptrace() {
        let missing = missing_in(1 << SYS_ADMIN);
        let names: Vec<&str> = missing.iter().map(|capability| capability.name).collect();
        assert_eq!(names, ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"]);
        assert!(missing_in(u64::MAX).is_empty());
        assert_eq!(missing_in(0).len(), 4);
    }

    #[test]
    fn the_effective_set_is_read() {
        let status = "Name:\tx\nCapPrm:\t0\nCapEff:\t000001fffeffffff\n";
        assert_eq!(effective(status), Some(0x1ff_feff_ffff));
        assert_eq!(effective("Name:\tx\n"), None);
    }
}
