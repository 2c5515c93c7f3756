//! Runs the checks and prints a line for each; the harness counts them.

use std::env;
use std::fmt::{Debug, Display};
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::task::{JoinSet, LocalSet};

/// Ends what does not come to pass.
const LIMIT: Duration = Duration::from_secs(60);

/// What a check gives: nothing, or why it failed.
pub type Outcome<T = ()> = Result<T, String>;

/// A check at work.
pub type Check = Pin<Box<dyn Future<Output = ()>>>;

static FAILED: AtomicBool = AtomicBool::new(false);

/// The broker to test, HOST:PORT.
pub fn bootstrap() -> String {
    env::var("SENDLOG_TEST_BOOTSTRAP").expect("SENDLOG_TEST_BOOTSTRAP is not set")
}

/// A name that no earlier run has used.
pub fn unique(name: &str) -> String {
    format!("conformance-confluent-kafka-rust-{name}-{:x}", now().as_nanos())
}

/// The time, since 1970.
#[expect(clippy::disallowed_methods, reason = "a client of its own, without the broker's clock")]
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Prints at once, for the harness waits for the lines.
pub fn say(line: &str) {
    println!("{line}");
    let _ = io::stdout().flush();
}

/// Runs one check.
pub async fn run(name: &str, check: impl Future<Output = Outcome>) {
    match check.await {
        Ok(()) => say(&format!("ok {name}")),
        Err(reason) => {
            FAILED.store(true, Ordering::Relaxed);
            say(&format!("FAIL {name}: {}", reason.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
    }
}

/// Runs checks side by side, for mostly they wait.
pub async fn side_by_side(checks: Vec<Check>) {
    let mut all = JoinSet::new();
    let here = LocalSet::new();
    for check in checks {
        all.spawn_local_on(check, &here);
    }
    // One that panics ends the program, which the harness tells.
    here.run_until(all.join_all()).await;
}

/// Asks the harness, which owns the broker, to `restart` it or to `kill` and start it; whether that was done.
pub async fn want(what: &str) -> bool {
    say(&format!("want {what}"));
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    });
    answer.await.is_ok_and(|line| line.is_ok_and(|line| line.trim() == "done"))
}

/// Whether a check failed.
pub fn failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

/// Waits until nothing is missing.
pub async fn until(mut missing: impl AsyncFnMut() -> Outcome<Option<String>>) -> Outcome {
    let deadline = Instant::now() + LIMIT;
    while let Some(text) = missing().await? {
        if deadline < Instant::now() {
            return Err(format!("not after {} s: {text}", LIMIT.as_secs()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Says what went wrong with an error of the client.
pub fn told<E: Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}

/// Fails on a difference.
pub fn equal<T: Debug + PartialEq>(actual: T, expected: T, what: &str) -> Outcome {
    holds(actual == expected, || format!("{what} is {actual:?}, expected {expected:?}"))
}

/// Fails when the condition does not hold.
pub fn holds(condition: bool, what: impl FnOnce() -> String) -> Outcome {
    if condition { Ok(()) } else { Err(what()) }
}
