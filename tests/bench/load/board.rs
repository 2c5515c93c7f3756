//! Who is in which generation: members write, the measuring thread waits until all agree.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

const STABLE_TIMEOUT: Duration = Duration::from_secs(120);

/// The members of one group.
#[derive(Default)]
pub struct Board {
    generations: Mutex<HashMap<usize, i32>>,
    changed: Condvar,
    stopped: AtomicBool,
}

impl Board {
    /// A member has its assignment in this generation.
    pub fn settle(&self, member: usize, generation: i32) {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner).insert(member, generation);
        self.changed.notify_all();
    }

    /// Waits until so many members are in one generation.
    pub fn until_stable(&self, members: usize) -> io::Result<()> {
        let deadline = Instant::now() + STABLE_TIMEOUT;
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        while generations.len() < members || !all_equal(&generations) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.is_stopped() {
                let text = format!("{} of {members} members, and no one generation", generations.len());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            let waited = self.changed.wait_timeout(generations, left);
            generations = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Ends all members.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Members end when they see it.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

fn all_equal(generations: &HashMap<usize, i32>) -> bool {
    let mut all = generations.values();
    let first = all.next();
    all.all(|generation| Some(generation) == first)
}
