//! Configurations of topics, brokers, groups and client metrics: described and altered.

use sendlog_protocol::api_key::ApiKey::{
    AlterConfigs, DescribeConfigs, IncrementalAlterConfigs, ListConfigResources,
};
use serde_json::{Value, json};

use crate::differential::session::Exchange;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Settings of `two` are changed and changed back.
pub fn script() -> Vec<Exchange> {
    [described(), incremental(), worded(), whole(), others()].concat()
}

fn describe(name: &str, kind: i8, resource: &str, keys: &Value) -> Exchange {
    let resource = json!({"resource_type": kind, "resource_name": resource, "configuration_keys": keys});
    Exchange::new(
        DescribeConfigs,
        name,
        json!({
            "resources": [resource], "include_synonyms": true, "include_documentation": false,
        }),
    )
}

fn described() -> Vec<Exchange> {
    vec![
        describe("all of a topic", TOPIC, "two", &Value::Null).last(),
        describe(
            "some of a topic",
            TOPIC,
            "two",
            &json!(["retention.ms", "cleanup.policy", "segment.bytes", "no.such"]),
        ),
        describe("none of a topic", TOPIC, "two", &json!([])),
        describe("of an unknown topic", TOPIC, "nowhere", &Value::Null),
        describe("of a bad topic", TOPIC, "a/b", &Value::Null),
        describe("of a topic without name", TOPIC, "", &Value::Null),
        describe(
            "some of the broker",
            BROKER,
            "1",
            &json!(["log.retention.ms", "message.max.bytes", "no.such"]),
        ),
        describe("of all brokers", BROKER, "", &Value::Null),
        describe("of another broker", BROKER, "7", &Value::Null),
        describe("of an odd broker", BROKER, "one", &Value::Null),
        describe("of an odd kind", 99, "two", &Value::Null),
        describe("of the kind unknown", 0, "two", &Value::Null),
        describe("of another broker's loggers", BROKER_LOGGER, "7", &Value::Null),
        describe(
            "of a group",
            GROUP,
            "g-any",
            &json!(["consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"]),
        ),
        describe("of a group without name", GROUP, "", &Value::Null),
        describe("of client metrics", CLIENT_METRICS, "m-any", &Value::Null),
        describe("of client metrics without name", CLIENT_METRICS, "", &Value::Null),
        Exchange::new(
            DescribeConfigs,
            "of two resources",
            json!({"resources": [
                {"resource_type": TOPIC, "resource_name": "two", "configuration_keys": ["retention.ms"]},
                {"resource_type": TOPIC, "resource_name": "one", "configuration_keys": ["retention.ms"]},
            ]}),
        ),
        Exchange::new(
            DescribeConfigs,
            "of one resource twice",
            json!({"resources": [
                {"resource_type": TOPIC, "resource_name": "two", "configuration_keys": ["retention.ms"]},
                {"resource_type": TOPIC, "resource_name": "two", "configuration_keys": ["segment.ms"]},
            ]}),
        ),
    ]
}

fn alter(name: &str, kind: i8, resource: &str, operations: &[(i8, &str, Option<&str>)]) -> Exchange {
    let configs: Vec<Value> = operations
        .iter()
        .map(|(operation, name, value)| json!({"name": name, "config_operation": operation, "value": value}))
        .collect();
    let resource = json!({"resource_type": kind, "resource_name": resource, "configs": configs});
    Exchange::new(IncrementalAlterConfigs, name, json!({"resources": [resource], "validate_only": false}))
}

fn incremental() -> Vec<Exchange> {
    vec![
        alter(
            "set",
            TOPIC,
            "two",
            &[(SET, "retention.ms", Some("3600000")), (SET, "segment.ms", Some("600000"))],
        ),
        alter("append", TOPIC, "two", &[(APPEND, "cleanup.policy", Some("compact"))]),
        describe("after append", TOPIC, "two", &json!(["cleanup.policy", "retention.ms"])).last(),
        alter("subtract", TOPIC, "two", &[(SUBTRACT, "cleanup.policy", Some("compact"))]),
        alter("subtract what is not there", TOPIC, "two", &[(SUBTRACT, "cleanup.policy", Some("compact"))]),
        alter("append to a number", TOPIC, "two", &[(APPEND, "segment.ms", Some("1"))]),
        alter("an odd operation", TOPIC, "two", &[(9, "segment.ms", Some("1"))]),
        alter(
            "one setting twice",
            TOPIC,
            "two",
            &[(SET, "segment.ms", Some("1")), (SET, "segment.ms", Some("2"))],
        ),
        alter("no value", TOPIC, "two", &[(SET, "segment.ms", None)]),
        alter("a bad value", TOPIC, "two", &[(SET, "segment.ms", Some("0"))]),
        alter("not a number", TOPIC, "two", &[(SET, "segment.ms", Some("many"))]),
        alter("an unknown setting", TOPIC, "two", &[(SET, "no.such", Some("1"))]),
        alter("delete an unknown setting", TOPIC, "two", &[(DELETE, "no.such", None)]),
        alter("nothing", TOPIC, "two", &[]),
        alter("of an unknown topic", TOPIC, "nowhere", &[(SET, "segment.ms", Some("1000"))]),
        alter(
            "delete",
            TOPIC,
            "two",
            &[(DELETE, "retention.ms", None), (DELETE, "segment.ms", None), (DELETE, "cleanup.policy", None)],
        ),
        describe("after delete", TOPIC, "two", &json!(["cleanup.policy", "retention.ms"])).last(),
        alter("of an odd kind", 99, "two", &[(SET, "segment.ms", Some("1000"))]),
        Exchange::new(IncrementalAlterConfigs, "no resource", json!({"resources": []})),
        Exchange::new(
            IncrementalAlterConfigs,
            "one resource twice",
            json!({"resources": [
                {"resource_type": TOPIC, "resource_name": "two", "configs": [{"name": "segment.ms", "config_operation": SET, "value": "5000"}]},
                {"resource_type": TOPIC, "resource_name": "two", "configs": [{"name": "segment.ms", "config_operation": SET, "value": "6000"}]},
            ]}),
        ),
        Exchange::new(
            IncrementalAlterConfigs,
            "checked only",
            json!({"validate_only": true, "resources": [
                {"resource_type": TOPIC, "resource_name": "two", "configs": [{"name": "segment.ms", "config_operation": SET, "value": "5000"}]},
            ]}),
        ),
    ]
}

/// What is refused, and what is kept in other words than it is told.
fn worded() -> Vec<Exchange> {
    vec![
        alter("an empty item", TOPIC, "two", &[(SET, "cleanup.policy", Some("delete,"))]),
        alter("a level out of bounds", TOPIC, "two", &[(SET, "compression.gzip.level", Some("0"))]),
        alter("of no topic, bad", TOPIC, "nowhere", &[(SET, "retention.ms", Some("soon"))]),
        alter("of all topics", TOPIC, "", &[(SET, "retention.ms", Some("5000"))]),
        alter(
            "in other words",
            TOPIC,
            "two",
            &[
                (SET, "retention.ms", Some(" 07200000 ")),
                (SET, "min.cleanable.dirty.ratio", Some("1e-5")),
                (SET, "cleanup.policy", Some("compact, delete")),
            ],
        ),
        describe(
            "in other words",
            TOPIC,
            "two",
            &json!(["cleanup.policy", "min.cleanable.dirty.ratio", "retention.ms"]),
        )
        .last(),
        alter(
            "in other words, back",
            TOPIC,
            "two",
            &[
                (DELETE, "retention.ms", None),
                (DELETE, "min.cleanable.dirty.ratio", None),
                (DELETE, "cleanup.policy", None),
            ],
        ),
    ]
}

fn whole() -> Vec<Exchange> {
    let set = |name: &str, kind: i8, resource: &str, configs: Value| {
        let resource = json!({"resource_type": kind, "resource_name": resource, "configs": configs});
        Exchange::new(AlterConfigs, name, json!({"resources": [resource]}))
    };
    vec![
        set("set", TOPIC, "two", json!([{"name": "retention.ms", "value": "7200000"}])),
        set("an unknown setting", TOPIC, "two", json!([{"name": "no.such", "value": "1"}])),
        set("no value", TOPIC, "two", json!([{"name": "retention.ms"}])),
        set("of an unknown topic", TOPIC, "nowhere", json!([{"name": "retention.ms", "value": "1000"}])),
        set("nothing", TOPIC, "two", json!([])),
        describe("after all are reset", TOPIC, "two", &json!(["retention.ms"])).last(),
    ]
}

fn others() -> Vec<Exchange> {
    vec![
        alter("of the broker", BROKER, "1", &[(SET, "log.retention.ms", Some("7200000"))]),
        describe("of the changed broker", BROKER, "1", &json!(["log.retention.ms"])).last(),
        alter("of the broker back", BROKER, "1", &[(DELETE, "log.retention.ms", None)]),
        alter("of the broker, read-only", BROKER, "1", &[(SET, "node.id", Some("5"))]),
        alter("of the broker, bad", BROKER, "1", &[(SET, "log.retention.ms", Some("never"))]),
        alter("of all brokers", BROKER, "", &[(SET, "log.retention.bytes", Some("1000000000"))]),
        describe("of a topic below changed brokers", TOPIC, "two", &json!(["retention.bytes"])).last(),
        alter("of all brokers back", BROKER, "", &[(DELETE, "log.retention.bytes", None)]),
        alter("of another broker", BROKER, "7", &[(SET, "log.retention.ms", Some("5"))]),
        alter("of a group", GROUP, "g-any", &[(SET, "consumer.session.timeout.ms", Some("50000"))]),
        alter("of a group, out of range", GROUP, "g-any", &[(SET, "consumer.session.timeout.ms", Some("5"))]),
        alter("of a group, unknown", GROUP, "g-any", &[(SET, "no.such", Some("5"))]),
        alter("of no group", GROUP, "", &[(SET, "consumer.session.timeout.ms", Some("50000"))]),
        alter("of client metrics", CLIENT_METRICS, "m-any", &[(SET, "interval.ms", Some("1000"))]),
        alter("of client metrics, bad", CLIENT_METRICS, "m-any", &[(SET, "interval.ms", Some("1"))]),
        alter("of client metrics, odd match", CLIENT_METRICS, "m-any", &[(SET, "match", Some("odd"))]),
        Exchange::new(
            ListConfigResources,
            "metrics and groups",
            json!({"resource_types": [CLIENT_METRICS, GROUP]}),
        ),
        Exchange::new(ListConfigResources, "an odd type", json!({"resource_types": [99]})),
        alter("of a group back", GROUP, "g-any", &[(DELETE, "consumer.session.timeout.ms", None)]),
        alter("of client metrics back", CLIENT_METRICS, "m-any", &[(DELETE, "interval.ms", None)]),
    ]
}
