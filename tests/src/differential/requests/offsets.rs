//! Records produced and offsets asked for.

use sendlog_protocol::api_key::ApiKey::{
    DeleteRecords, DescribeProducers, DescribeTransactions, Fetch, InitProducerId, ListOffsets,
    ListTransactions, OffsetForLeaderEpoch, Produce,
};
use serde_json::{Value, json};

use super::topics::NO_TOPIC;
use crate::batches;
use crate::differential::session::Exchange;

/// Times that a client may ask for, with their names.
const TIMES: &[(&str, i64)] = &[
    ("latest", -1),
    ("earliest", -2),
    ("the largest time", -3),
    ("earliest here", -4),
    ("latest tiered", -5),
    ("earliest to tier", -6),
    ("an odd time", -7),
    ("a time before all", 0),
    ("a time after all", 4_000_000_000_000),
];

/// Five records in partition 0 of `one`, and questions about them.
pub fn script() -> Vec<Exchange> {
    let mut script = produce();
    for (name, time) in TIMES {
        script.push(list(name, "one", 0, *time, -1));
    }
    script.extend([
        list("an unknown topic", "nowhere", 0, -1, -1),
        list("an unknown partition", "one", 9, -1, -1),
        list("a negative partition", "one", -1, -1, -1),
        list("the epoch", "one", 0, -1, 0),
        list("a later epoch", "one", 0, -1, 99),
        list("an empty partition by time", "one", 1, 5, -1),
        list("the largest time of an empty partition", "one", 1, -3, -1),
        Exchange::new(
            ListOffsets,
            "a partition twice",
            json!({"replica_id": -1, "topics": [{"name": "one", "partitions": [
                {"partition_index": 0, "current_leader_epoch": -1, "timestamp": -1},
                {"partition_index": 0, "current_leader_epoch": -1, "timestamp": -2},
            ]}]}),
        ),
        Exchange::new(ListOffsets, "nothing", json!({"replica_id": -1, "topics": []})),
    ]);
    script.extend(epochs());
    script.extend(fetches());
    script.extend(records());
    script.extend(producers());
    script
}

fn produce() -> Vec<Exchange> {
    let send = |name: &str, topic: &str, partition: i32, acks: i16, records: Value| {
        Exchange::new(
            Produce,
            name,
            json!({"acks": acks, "timeout_ms": 10_000, "topic_data": [
                {"name": topic, "partition_data": [{"index": partition, "records": records}]},
            ]}),
        )
        .near(12)
    };
    let batch = |values: &[&str]| json!(batches::of(values).to_vec());
    let mut damaged = batches::of(&["damaged"]).to_vec();
    if let Some(last) = damaged.last_mut() {
        *last ^= 1;
    }
    vec![
        send("five records", "one", 0, -1, batch(&["a", "b", "c", "d", "e"])),
        send("to an unknown topic", "nowhere", 0, -1, batch(&["x"])),
        send("to an unknown partition", "one", 9, -1, batch(&["x"])),
        send("with an odd acks", "one", 0, 5, batch(&["x"])),
        send("damaged", "one", 0, -1, json!(damaged)),
        send("empty", "one", 0, -1, json!([])),
    ]
}

fn list(name: &str, topic: &str, partition: i32, timestamp: i64, epoch: i32) -> Exchange {
    Exchange::new(
        ListOffsets,
        name,
        json!({"replica_id": -1, "isolation_level": 0, "timeout_ms": 10_000, "topics": [
            {"name": topic, "partitions": [
                {"partition_index": partition, "current_leader_epoch": epoch, "timestamp": timestamp},
            ]},
        ]}),
    )
}

fn epochs() -> Vec<Exchange> {
    let ask = |name: &str, topic: &str, partition: i32, current: i32, epoch: i32| {
        Exchange::new(
            OffsetForLeaderEpoch,
            name,
            json!({"replica_id": -1, "topics": [{"topic": topic, "partitions": [
                {"partition": partition, "current_leader_epoch": current, "leader_epoch": epoch},
            ]}]}),
        )
    };
    vec![
        ask("the epoch", "one", 0, -1, 0),
        ask("a later epoch", "one", 0, -1, 5),
        ask("no epoch", "one", 0, -1, -1),
        ask("a wrong current epoch", "one", 0, 5, 0),
        ask("an unknown partition", "one", 9, -1, 0),
        ask("an unknown topic", "nowhere", 0, -1, 0),
    ]
}

fn fetches() -> Vec<Exchange> {
    let ask = |name: &str, topic: &str, id: &str, partition: i32, offset: i64, epoch: i32| {
        Exchange::new(
            Fetch,
            name,
            json!({
                "replica_id": -1, "max_wait_ms": 1, "min_bytes": 1, "max_bytes": 1_000_000, "session_epoch": -1,
                "topics": [{"topic": topic, "topic_id": id, "partitions": [{
                    "partition": partition, "current_leader_epoch": epoch, "fetch_offset": offset, "last_fetched_epoch": -1,
                    "log_start_offset": -1, "partition_max_bytes": 1_000_000,
                }]}],
            }),
        )
    };
    vec![
        ask("at the end", "one", "$one_id", 0, 5, -1),
        ask("beyond the end", "one", "$one_id", 0, 6, -1),
        ask("before the start", "one", "$one_id", 0, -1, -1),
        ask("an unknown partition", "one", "$one_id", 9, 0, -1),
        ask("an unknown topic", "nowhere", NO_TOPIC, 0, 0, -1),
        ask("of a later epoch", "one", "$one_id", 0, 5, 99),
    ]
}

fn records() -> Vec<Exchange> {
    let delete = |name: &str, topic: &str, partition: i32, offset: i64| {
        Exchange::new(
            DeleteRecords,
            name,
            json!({"timeout_ms": 10_000, "topics": [
                {"name": topic, "partitions": [{"partition_index": partition, "offset": offset}]},
            ]}),
        )
    };
    vec![
        delete("before the start", "one", 0, 0),
        delete("two", "one", 0, 2),
        delete("again", "one", 0, 1),
        delete("beyond the end", "one", 0, 99),
        delete("a negative offset", "one", 0, -7),
        delete("of an unknown partition", "one", 9, 0),
        delete("of an unknown topic", "nowhere", 0, 0),
        delete("all", "one", 0, -1),
        list("earliest after deletion", "one", 0, -2, -1),
    ]
}

fn producers() -> Vec<Exchange> {
    vec![
        Exchange::new(
            DescribeProducers,
            "of partitions",
            json!({"topics": [
                {"name": "one", "partition_indexes": [0, 9]}, {"name": "nowhere", "partition_indexes": [0]},
            ]}),
        ),
        Exchange::new(DescribeTransactions, "unknown", json!({"transactional_ids": ["nobody"]})),
        Exchange::new(ListTransactions, "all", json!({"duration_filter": -1})),
        Exchange::new(
            ListTransactions,
            "of an odd state",
            json!({"state_filters": ["Odd"], "duration_filter": -1}),
        ),
        Exchange::new(
            InitProducerId,
            "the first",
            json!({
                "transaction_timeout_ms": 60_000, "producer_id": -1, "producer_epoch": -1,
            }),
        )
        .last()
        .settling(),
        Exchange::new(
            InitProducerId,
            "without a transaction",
            json!({
                "transaction_timeout_ms": 60_000, "producer_id": -1, "producer_epoch": -1,
            }),
        ),
        Exchange::new(
            InitProducerId,
            "a producer id of its own",
            json!({
                "transaction_timeout_ms": 60_000, "producer_id": 7, "producer_epoch": 1,
            }),
        ),
        Exchange::new(
            InitProducerId,
            "an id without its epoch",
            json!({
                "transaction_timeout_ms": 60_000, "producer_id": 7, "producer_epoch": -1,
            }),
        )
        .from(3),
    ]
}
