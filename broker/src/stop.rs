//! The broker's end, told to every part once.

use std::sync::Arc;

use tokio::sync::watch;

/// Told when the broker stops; cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

/// Tells every [`Stop`].
#[derive(Debug, Clone)]
pub struct StopSender(Arc<watch::Sender<bool>>);

/// A sender and what it reaches.
pub fn channel() -> (StopSender, Stop) {
    let (sender, receiver) = watch::channel(false);
    (StopSender(Arc::new(sender)), Stop(receiver))
}

impl StopSender {
    /// Stops the broker; again does nothing.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Waits for the end. A sender that is gone is an end too.
    pub async fn stopped(&self) {
        let mut receiver = self.0.clone();
        let _ = receiver.wait_for(|stopped| *stopped).await;
    }

    /// Whether the end has come.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }
}
