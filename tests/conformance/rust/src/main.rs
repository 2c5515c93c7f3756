//! The official Rust client, confluent-kafka, which has groups by KIP-848 alone.

mod admin;
mod checks;
mod groups;
mod load;
mod member;
mod records;
mod restarts;

use std::env;
use std::process::ExitCode;

use checks::{Check, Outcome, failed, run, say, side_by_side};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if let [_, topic] = arguments.as_slice() {
        return ExitCode::from(u8::from(groups::stay(topic).await.is_err()));
    }
    say(&format!("client confluent-kafka-rust {}", version()));
    if arguments == ["records"] {
        records::checks().await;
    } else {
        all_of_groups().await;
    }
    ExitCode::from(u8::from(failed()))
}

async fn all_of_groups() {
    side_by_side(vec![
        check("members join and leave under load", groups::under_load()),
        check("offsets are resumed", groups::resume()),
        check("commits with metadata", groups::commits()),
        check("seek and pause", groups::seek_and_pause()),
        check("static members", groups::static_members()),
        check("pattern subscriptions", groups::pattern()),
        check("topics made after subscribing", groups::later_topic()),
        check("a lost member is replaced", groups::lost_member()),
        Box::pin(admin::checks()),
    ])
    .await;
    restarts::restarts().await;
}

fn check(name: &'static str, check: impl Future<Output = Outcome> + 'static) -> Check {
    Box::pin(async move { run(&format!("consumer/{name}"), check).await })
}

/// That of the client, as its lock file has it.
fn version() -> &'static str {
    let after = include_str!("../Cargo.lock").split("name = \"confluent-kafka\"\nversion = \"").nth(1);
    after.and_then(|rest| rest.split('"').next()).unwrap_or("unknown")
}
