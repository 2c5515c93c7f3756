//! Topics: made, described, grown and deleted, with everything that can be wrong about it.

use sendlog_protocol::api_key::ApiKey::{
    AlterPartitionReassignments, CreateAcls, CreatePartitions, CreateTopics, DeleteAcls, DeleteTopics,
    DescribeAcls, DescribeCluster, DescribeLogDirs, DescribeQuorum, DescribeTopicPartitions, ElectLeaders,
    ListPartitionReassignments, Metadata, UpdateFeatures,
};
use serde_json::{Value, json};

use crate::differential::session::Exchange;

/// An id that no topic has.
pub const NO_TOPIC: &str = "10000000-0000-4000-8000-000000000000";

fn topic(name: &str, partitions: i32, replicas: i16) -> Value {
    json!({"name": name, "num_partitions": partitions, "replication_factor": replicas, "assignments": [], "configs": []})
}

fn create(name: &str, topics: &Value) -> Exchange {
    Exchange::new(CreateTopics, name, json!({"topics": topics, "timeout_ms": 10_000}))
}

fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> Value {
    let assignments: Vec<Value> = assignments
        .iter()
        .map(|(partition, brokers)| json!({"partition_index": partition, "broker_ids": brokers}))
        .collect();
    json!({"name": name, "num_partitions": -1, "replication_factor": -1, "assignments": assignments, "configs": []})
}

fn configured(name: &str, configs: &[(&str, Option<&str>)]) -> Value {
    let configs: Vec<Value> =
        configs.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({"name": name, "num_partitions": 1, "replication_factor": 1, "assignments": [], "configs": configs})
}

/// Makes topics `one` (three partitions) and `two` (one) and looks at them.
pub fn script() -> Vec<Exchange> {
    let mut script = vec![
        create("topics for the scripts", &json!([topic("one", 3, 1), topic("two", 1, 1)])).last(),
        create("of its version", &json!([topic("created-$v", 2, 1)])),
        create("which is there", &json!([topic("one", 3, 1)])),
        create("twice", &json!([topic("twin", 1, 1), topic("twin", 1, 1)])),
        create("nothing", &json!([])),
        create(
            "bad names",
            &json!([
                topic("", 1, 1),
                topic(".", 1, 1),
                topic("..", 1, 1),
                topic("a/b", 1, 1),
                topic("é", 1, 1)
            ]),
        ),
        create("a long name", &json!([topic(&"n".repeat(250), 1, 1)])),
        create("no partitions", &json!([topic("none", 0, 1)])),
        create("negative partitions", &json!([topic("none", -2, 1)])),
        create("no replicas", &json!([topic("none", 1, 0)])),
        create("too many replicas", &json!([topic("none", 1, 3)])),
        create("assigned", &json!([assigned("assigned-$v", &[(0, &[1]), (1, &[1])])])),
        create("assigned elsewhere", &json!([assigned("none", &[(0, &[7])])])),
        create("assigned to nobody", &json!([assigned("none", &[(0, &[])])])),
        create("assigned with a gap", &json!([assigned("none", &[(0, &[1]), (2, &[1])])])),
        create("assigned one broker twice", &json!([assigned("none", &[(0, &[1, 1])])])),
        create("assigned one partition twice", &json!([assigned("none", &[(0, &[1]), (0, &[1])])])),
        create(
            "settings",
            &json!([configured(
                "set-$v",
                &[("retention.ms", Some("5000")), ("cleanup.policy", Some("compact"))]
            )]),
        ),
        create("an unknown setting", &json!([configured("none", &[("no.such", Some("1"))])])),
        create("a bad value", &json!([configured("none", &[("retention.ms", Some("soon"))])])),
        create("a null value", &json!([configured("none", &[("retention.ms", None)])])),
        create(
            "contradicting settings",
            &json!([configured(
                "none",
                &[("min.compaction.lag.ms", Some("9")), ("max.compaction.lag.ms", Some("5"))]
            )]),
        ),
        Exchange::new(
            CreateTopics,
            "checked only",
            json!({
                "topics": [topic("unmade", 2, 1), topic("one", 1, 1)], "timeout_ms": 10_000, "validate_only": true,
            }),
        ),
    ];
    script.extend(odd());
    script.extend(metadata());
    script.extend(partitions());
    script.extend(cluster());
    script.extend(acls());
    script
}

/// More than one thing at a time that is wrong, or odd.
fn odd() -> Vec<Exchange> {
    vec![
        create(
            "which are there, and wrong",
            &json!([topic("one", 0, 3), configured("two", &[("retention.ms", Some("soon"))])]),
        ),
        create(
            "that are wrong in all",
            &json!([
                {"name": "a/b", "num_partitions": 0, "replication_factor": 3, "assignments": [], "configs": []},
                {"name": "none", "num_partitions": 0, "replication_factor": 3, "assignments": [],
                    "configs": [{"name": "retention.ms", "value": "soon"}]},
            ]),
        ),
        create("the log of Kafka's metadata", &json!([topic("__cluster_metadata", 1, 1)])),
        create(
            "a setting twice",
            &json!([configured(
                "repeated-$v",
                &[("retention.ms", Some("soon")), ("retention.ms", Some("5000"))]
            )]),
        ),
    ]
}

fn metadata() -> Vec<Exchange> {
    let named = |name: &str| json!({"topics": [{"name": name}], "allow_auto_topic_creation": false});
    vec![
        Exchange::new(Metadata, "of one", named("one")).last().settling().save("/topics/0/topic_id", "one_id"),
        Exchange::new(Metadata, "of two", named("two")).last().settling().save("/topics/0/topic_id", "two_id"),
        Exchange::new(Metadata, "by name", json!({
            "topics": [{"name": "one"}, {"name": "two"}], "allow_auto_topic_creation": false,
            "include_topic_authorized_operations": true, "include_cluster_authorized_operations": true,
        })),
        Exchange::new(Metadata, "of no topic", json!({"topics": [], "allow_auto_topic_creation": false})).near(4),
        Exchange::new(Metadata, "unknown", json!({"topics": [{"name": "nowhere"}, {"name": "a/b"}], "allow_auto_topic_creation": false})).from(4),
        Exchange::new(Metadata, "twice", json!({"topics": [{"name": "one"}, {"name": "one"}], "allow_auto_topic_creation": false})),
        Exchange::new(Metadata, "by id", json!({
            "topics": [{"topic_id": "$one_id"}, {"topic_id": NO_TOPIC}], "allow_auto_topic_creation": false,
        })).last(),
        Exchange::new(DescribeTopicPartitions, "two topics", json!({
            "topics": [{"name": "one"}, {"name": "two"}], "response_partition_limit": 2000,
        })),
        Exchange::new(DescribeTopicPartitions, "a page", json!({
            "topics": [{"name": "one"}, {"name": "two"}], "response_partition_limit": 2,
        })),
        Exchange::new(DescribeTopicPartitions, "the next page", json!({
            "topics": [{"name": "one"}, {"name": "two"}], "response_partition_limit": 2,
            "cursor": {"topic_name": "one", "partition_index": 2},
        })),
        Exchange::new(DescribeTopicPartitions, "unknown", json!({
            "topics": [{"name": "nowhere"}, {"name": "a/b"}], "response_partition_limit": 2000,
        })),
    ]
}

fn partitions() -> Vec<Exchange> {
    let grow = |name: &str, topic: &str, count: i32, assignments: Value| {
        let topic = json!({"name": topic, "count": count, "assignments": assignments});
        Exchange::new(CreatePartitions, name, json!({"topics": [topic], "timeout_ms": 10_000}))
    };
    vec![
        grow("unknown", "nowhere", 5, Value::Null),
        grow("fewer", "one", 2, Value::Null),
        grow("the same", "one", 3, Value::Null),
        grow("negative", "one", -1, Value::Null),
        grow("assigned to too few", "one", 5, json!([{"broker_ids": [1]}])),
        grow("assigned elsewhere", "one", 4, json!([{"broker_ids": [7]}])),
        grow("assigned to nobody", "one", 4, json!([{"broker_ids": []}])),
        grow("one more", "created-2", 3, Value::Null).near(0),
        Exchange::new(
            CreatePartitions,
            "twice",
            json!({
                "topics": [{"name": "one", "count": 5}, {"name": "one", "count": 6}], "timeout_ms": 10_000,
            }),
        ),
        Exchange::new(
            CreatePartitions,
            "checked only",
            json!({
                "topics": [{"name": "one", "count": 5}], "timeout_ms": 10_000, "validate_only": true,
            }),
        ),
    ]
}

fn cluster() -> Vec<Exchange> {
    let elect = |name: &str, kind: i8, topics: Value| {
        Exchange::new(
            ElectLeaders,
            name,
            json!({"election_type": kind, "topic_partitions": topics, "timeout_ms": 10_000}),
        )
    };
    let reassign = |name: &str, topic: &str, partition: i32, replicas: Value| {
        let partition = json!({"partition_index": partition, "replicas": replicas});
        let topics = json!([{"name": topic, "partitions": [partition]}]);
        Exchange::new(
            AlterPartitionReassignments,
            name,
            json!({
                "topics": topics, "timeout_ms": 10_000, "allow_replication_factor_change": true,
            }),
        )
    };
    let update = |name: &str, feature: &str, level: i16, kind: i8| {
        let update = json!({"feature": feature, "max_version_level": level, "upgrade_type": kind, "allow_downgrade": kind != 1});
        Exchange::new(
            UpdateFeatures,
            name,
            json!({
                "feature_updates": [update], "timeout_ms": 10_000, "validate_only": true,
            }),
        )
    };
    vec![
        Exchange::new(
            DescribeCluster,
            "brokers",
            json!({"endpoint_type": 1, "include_cluster_authorized_operations": true}),
        ),
        Exchange::new(DescribeCluster, "controllers", json!({"endpoint_type": 2})),
        Exchange::new(DescribeCluster, "an odd type", json!({"endpoint_type": 5})),
        Exchange::new(
            DescribeLogDirs,
            "one partition",
            json!({"topics": [{"topic": "one", "partitions": [0]}]}),
        ),
        Exchange::new(
            DescribeLogDirs,
            "unknown",
            json!({"topics": [{"topic": "nowhere", "partitions": [0]}]}),
        ),
        Exchange::new(
            DescribeQuorum,
            "of the metadata",
            json!({
                "topics": [{"topic_name": "__cluster_metadata", "partitions": [{"partition_index": 0}]}],
            }),
        ),
        Exchange::new(
            DescribeQuorum,
            "of another topic",
            json!({
                "topics": [{"topic_name": "one", "partitions": [{"partition_index": 0}]}],
            }),
        ),
        elect(
            "preferred",
            0,
            json!([{"topic": "one", "partitions": [0, 9]}, {"topic": "nowhere", "partitions": [0]}]),
        ),
        elect("unclean", 1, json!([{"topic": "one", "partitions": [0]}])),
        elect("an odd type", 5, json!([{"topic": "one", "partitions": [0]}])),
        elect("none", 0, json!([])),
        reassign("to where it is", "one", 0, json!([1])),
        reassign("elsewhere", "one", 0, json!([7])),
        reassign("to nobody", "one", 0, json!([])),
        reassign("to one twice", "one", 0, json!([1, 1])),
        reassign("cancelled", "one", 0, Value::Null),
        reassign("of an unknown partition", "one", 9, json!([1])),
        reassign("of an unknown topic", "nowhere", 0, json!([1])),
        Exchange::new(ListPartitionReassignments, "all", json!({"timeout_ms": 10_000})),
        Exchange::new(
            ListPartitionReassignments,
            "of one",
            json!({
                "timeout_ms": 10_000, "topics": [{"name": "one", "partition_indexes": [0, 9]}],
            }),
        ),
        update("the same", "group.version", 1, 1),
        update("too high", "group.version", 99, 1),
        update("unknown", "no.such", 1, 1),
        update("negative", "group.version", -1, 1),
    ]
}

/// Access control lists, without an authorizer.
fn acls() -> Vec<Exchange> {
    let creation = json!({
        "resource_type": 2, "resource_name": "one", "resource_pattern_type": 3, "principal": "User:a", "host": "*",
        "operation": 3, "permission_type": 3,
    });
    let filter = json!({
        "resource_type_filter": 2, "resource_name_filter": "one", "pattern_type_filter": 3, "principal_filter": null,
        "host_filter": null, "operation": 1, "permission_type": 1,
    });
    vec![
        Exchange::new(DescribeAcls, "of a topic", filter.clone()),
        Exchange::new(CreateAcls, "two", json!({"creations": [creation, creation]})),
        Exchange::new(CreateAcls, "none", json!({"creations": []})),
        Exchange::new(DeleteAcls, "two", json!({"filters": [filter, filter]})),
        Exchange::new(DeleteAcls, "none", json!({"filters": []})),
    ]
}

/// Deletes topics, those of the script and those that are not there.
pub fn removal() -> Vec<Exchange> {
    let both = |name: &str| json!({"topic_names": [name], "topics": [{"name": name}], "timeout_ms": 10_000});
    vec![
        Exchange::new(DeleteTopics, "of its version", both("created-$v")),
        Exchange::new(DeleteTopics, "unknown", both("nowhere")),
        Exchange::new(DeleteTopics, "a bad name", both("a/b")),
        Exchange::new(DeleteTopics, "nothing", json!({"topic_names": [], "topics": [], "timeout_ms": 10_000})),
        Exchange::new(DeleteTopics, "twice", json!({
            "topic_names": ["one", "one"], "topics": [{"name": "one"}, {"name": "one"}], "timeout_ms": 10_000,
        })).near(6),
        Exchange::new(DeleteTopics, "by id", json!({"topics": [{"topic_id": "$two_id"}], "timeout_ms": 10_000})).last(),
        Exchange::new(DeleteTopics, "by an unknown id", json!({"topics": [{"topic_id": NO_TOPIC}], "timeout_ms": 10_000})).last(),
        Exchange::new(DeleteTopics, "by name and id", json!({
            "topics": [{"name": "one", "topic_id": "$one_id"}], "timeout_ms": 10_000,
        })).last(),
    ]
}
