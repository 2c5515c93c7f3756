//! What went wrong beside the history: answers that must not come, a broker that ends by itself.

use std::sync::{Mutex, PoisonError};

/// Sentences, collected from all threads.
#[derive(Debug, Default)]
pub struct Failures(Mutex<Vec<String>>);

impl Failures {
    /// One more.
    pub fn add(&self, sentence: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sentence);
    }

    /// All so far.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
