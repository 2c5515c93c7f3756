//! The scripts of requests that go to Apache Kafka and to sendlog, good ones and bad ones.

mod configs;
mod groups;
mod membership;
mod offsets;
mod topics;

use super::session::Exchange;

/// All of them. Later ones use the topics of earlier ones.
pub fn all() -> Vec<Exchange> {
    [
        topics::script(),
        offsets::script(),
        configs::script(),
        groups::script(),
        membership::script(),
        topics::removal(),
    ]
    .concat()
}
