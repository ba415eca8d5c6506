//! Read-only data that user space fills in before the programs are loaded: the configuration,
//! and the table of system calls.
//!
//! The verifier sees constants there, and removes what is switched off. What the fields mean is
//! said in `leak_common::config` and `leak_common::syscalls`.

use leak_common::{
    config::Config,
    limits::SYSCALLS,
    syscalls::{Action, Actions},
};

/// What user space says: `config!` reads it.
#[unsafe(no_mangle)]
pub(crate) static CONFIG: Config = Config::UNSET;

/// One row per system call, by number. The odd first row keeps the compiler from
/// folding the table away.
#[unsafe(no_mangle)]
static ACTIONS: Actions = {
    let mut actions = [Action::NONE; SYSCALLS];
    actions[0].operation = 0xfe;
    actions
};

/// Reads a field of the configuration. Volatile, since user space replaces the
/// values after compilation.
macro_rules! config {
    (comms[$index:expr]) => {
        $crate::config::read(&$crate::config::CONFIG.comms[$index])
    };
    ($($field:ident).+) => {
        $crate::config::read(&$crate::config::CONFIG.$($field).+)
    };
}
pub(crate) use config;

/// Reads a field of [`CONFIG`], for the macro `config!`.
#[inline(always)]
pub(crate) fn read<T: Copy>(field: &'static T) -> T {
    // SAFETY: a reference to a field that nobody writes to while programs run.
    unsafe { core::ptr::read_volatile(field) }
}

/// Whether a flag of the configuration is set.
#[inline(always)]
pub(crate) fn has(flag: u32) -> bool {
    config!(flags) & flag != 0
}

/// The row of a system call, `None` where it does nothing that is traced.
#[inline(always)]
pub(crate) fn action(number: u64) -> Option<Action> {
    if number >= SYSCALLS as u64 {
        return None;
    }
    // One load of four bytes: the row is unpacked in registers.
    let rows = (&raw const ACTIONS).cast::<u32>();
    // SAFETY: the index is in bounds, and Action is four plain bytes.
    let row = unsafe { core::ptr::read_volatile(rows.add(number as usize)) };
    if row & 0xff == 0 {
        return None;
    }
    let [operation, kind, argument, close_on_exec] = row.to_ne_bytes();
    Some(Action {
        operation,
        kind,
        argument,
        close_on_exec,
    })
}
