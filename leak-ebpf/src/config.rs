//! Read-only data that user space fills in before the programs are loaded.

use leak_common::{
    config::Config,
    limits::SYSCALLS,
    syscalls::{Action, Actions},
};

#[unsafe(no_mangle)]
static CONFIG: Config = Config::UNSET;

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
    ($($field:ident).+) => {
        $crate::config::read(unsafe { &raw const (*$crate::config::pointer()).$($field).+ })
    };
}
pub(crate) use config;

#[inline(always)]
pub(crate) fn pointer() -> *const Config {
    &raw const CONFIG
}

#[inline(always)]
pub(crate) fn read<T: Copy>(field: *const T) -> T {
    // SAFETY: `field` points into CONFIG, which is never written while programs run.
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
