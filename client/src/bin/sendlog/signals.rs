//! SIGINT and SIGTERM.

use tokio::signal::unix::{SignalKind, signal};

/// Returns when the process is asked to stop; never, if that cannot be noticed.
pub(crate) async fn asked_to_stop() {
    let Ok(mut terminated) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
}
