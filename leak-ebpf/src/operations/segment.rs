//! System V shared memory segments: they outlive the process that made them.

use leak_common::{Handle, Kind, ProcessId, wire::acquired};

use super::{Acquiring, Call};
use crate::{task::Task, young};

const IPC_PRIVATE: u32 = 0;
const IPC_CREAT: u64 = 0o1000;
const IPC_EXCL: u64 = 0o2000;
const IPC_RMID: u64 = 0;

/// shmget: a segment is acquired where the call may have made it.
#[inline(always)]
pub(crate) fn creates(call: Call) -> Option<Acquiring> {
    let flags = call.registers.argument(2);
    let private = call.registers.argument(0) as u32 == IPC_PRIVATE;
    if !young::wants(Kind::Shm) || !private && flags & IPC_CREAT == 0 {
        return None;
    }
    let certain = private || flags & IPC_EXCL != 0;
    let handle = Handle::shm(Task::current().ipc_namespace()?, call.result as u32);
    let flags = if certain { 0 } else { acquired::MAYBE_EXISTED };
    Some(Acquiring::one(
        handle,
        Kind::Shm as u32,
        call.registers.argument(1),
        flags,
    ))
}

/// shmctl with `IPC_RMID`. (The command may carry `IPC_64`, 0x100.)
#[inline(always)]
pub(crate) fn removes(call: Call) {
    if !young::wants(Kind::Shm) || call.registers.argument(1) & 0xff != IPC_RMID {
        return;
    }
    if let Some(namespace) = Task::current().ipc_namespace() {
        young::release(
            ProcessId::NONE,
            Handle::shm(namespace, call.registers.argument(0) as u32),
        );
    }
}
