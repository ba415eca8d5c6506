//! SIGINT, SIGTERM and SIGHUP: the first ends the trace with its report, a second SIGINT
//! or SIGTERM aborts. A terminal that is gone may send more than one SIGHUP.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal that asks for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// SIGINT: a terminal sends it to the whole foreground group.
    Interrupt,
    /// SIGTERM: for this process alone.
    Terminate,
    /// SIGHUP: the terminal, or the connection to it, is gone.
    HangUp,
}

pub(super) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    /// `None` where it is ignored, as under nohup.
    hang_up: Option<Signal>,
}

impl Interrupts {
    pub(super) fn new() -> io::Result<Interrupts> {
        Ok(Interrupts {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: match is_ignored(libc::SIGHUP) {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Ending {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => None,
            }
        };
        tokio::select! {
            Some(()) = self.interrupt.recv() => Ending::Interrupt,
            Some(()) = self.terminate.recv() => Ending::Terminate,
            Some(()) = hang_up => Ending::HangUp,
            else => std::future::pending().await,
        }
    }

    /// Waits for one that aborts while the report is made.
    pub(super) async fn again(&mut self) {
        while self.next().await == Ending::HangUp {}
    }
}

/// Whether this program was started with the signal ignored, as under nohup.
fn is_ignored(number: libc::c_int) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action this only writes the present one, where it succeeds.
    unsafe {
        libc::sigaction(number, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
