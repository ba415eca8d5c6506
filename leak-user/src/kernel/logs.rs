//! What the programs themselves have to say, into `tracing`.

use aya_log::EbpfLogger;

use super::Tracer;

/// Carries the programs' log records on, until the runtime ends. Must be called
/// inside a tokio runtime; records reach `tracing` through the `log` facade.
///
/// # Errors
/// The programs' log cannot be opened.
pub fn forward_logs(tracer: &mut Tracer) -> anyhow::Result<()> {
    let logger = EbpfLogger::init(&mut tracer.ebpf)?;
    // SAFETY: the logger owns the descriptor it names, for as long as it lives.
    let mut logger = unsafe {
        tokio::io::unix::AsyncFd::register_with_interest(logger, tokio::io::Interest::READABLE)
    }?;
    tokio::spawn(async move {
        while let Ok(mut guard) = logger.readable_mut().await {
            guard.get_inner_mut().flush();
            guard.clear_ready();
        }
    });
    Ok(())
}
