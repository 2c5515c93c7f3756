//! Groups without members: coordinators, offsets committed by hand, lists, descriptions and deletion.

use sendlog_protocol::api_key::ApiKey::{
    AlterShareGroupOffsets, ConsumerGroupDescribe, DeleteGroups, DeleteShareGroupOffsets, DescribeGroups,
    DescribeShareGroupOffsets, FindCoordinator, ListGroups, OffsetCommit, OffsetDelete, OffsetFetch,
    ShareGroupDescribe,
};
use serde_json::{Value, json};

use super::topics::NO_TOPIC;
use crate::differential::session::Exchange;

/// Offsets of the group `g-hand` come and go.
pub fn script() -> Vec<Exchange> {
    [coordinators(), commits(), fetches(), lists(), shares(), deletions()].concat()
}

fn coordinators() -> Vec<Exchange> {
    let find = |name: &str, key: &str, kind: i8| {
        Exchange::new(FindCoordinator, name, json!({"key": key, "coordinator_keys": [key], "key_type": kind}))
    };
    vec![
        find("of the first group", "g-hand", 0).last().settling(),
        find("of a group", "g-hand", 0),
        find("of a group without name", "", 0),
        find("of an odd kind", "g-hand", 9),
        Exchange::new(
            FindCoordinator,
            "of several",
            json!({"coordinator_keys": ["g-hand", "g-other"], "key_type": 0}),
        )
        .near(4),
        Exchange::new(FindCoordinator, "of none", json!({"coordinator_keys": [], "key_type": 0})).near(4),
        find("of a bad share partition", "s-hand", 2).last(),
    ]
}

fn commit(name: &str, group: &str, epoch: i32, member: &str, partitions: &Value) -> Exchange {
    Exchange::new(
        OffsetCommit,
        name,
        json!({
            "group_id": group, "generation_id_or_member_epoch": epoch, "member_id": member, "retention_time_ms": -1,
            "topics": [{"name": "one", "topic_id": "$one_id", "partitions": partitions}],
        }),
    )
}

fn at(partition: i32, offset: i64, metadata: Option<&str>) -> Value {
    json!({
        "partition_index": partition, "committed_offset": offset, "committed_leader_epoch": 0,
        "committed_metadata": metadata,
    })
}

fn commits() -> Vec<Exchange> {
    let long = "m".repeat(4097);
    vec![
        commit("the first", "g-hand", -1, "", &json!([at(2, 5, None)])).last().settling(),
        commit("by hand", "g-hand", -1, "", &json!([at(0, 5, Some("words")), at(1, 7, None)])),
        commit("an unknown partition", "g-hand", -1, "", &json!([at(9, 5, None)])),
        commit("a negative offset", "g-hand", -1, "", &json!([at(2, -1, None)])),
        commit("long metadata", "g-hand", -1, "", &json!([at(2, 1, Some(&long))])),
        commit("of a member that is not there", "g-hand", 3, "nobody", &json!([at(0, 5, None)])),
        commit("of a generation without members", "g-hand", 3, "", &json!([at(0, 5, None)])),
        commit("of an unknown group with a member", "g-none", 3, "nobody", &json!([at(0, 5, None)])),
        commit("without a group", "", -1, "", &json!([at(0, 5, None)])),
        commit("nothing", "g-hand", -1, "", &json!([])),
        commit("a partition twice", "g-hand", -1, "", &json!([at(2, 1, None), at(2, 2, None)])),
        Exchange::new(OffsetCommit, "an unknown topic", json!({
            "group_id": "g-hand", "generation_id_or_member_epoch": -1, "member_id": "",
            "topics": [{"name": "nowhere", "topic_id": NO_TOPIC, "partitions": [at(0, 1, None)]}],
        })),
        Exchange::new(OffsetCommit, "by an instance", json!({
            "group_id": "g-hand", "generation_id_or_member_epoch": -1, "member_id": "", "group_instance_id": "instance",
            "topics": [{"name": "one", "topic_id": "$one_id", "partitions": [at(0, 1, None)]}],
        })).near(8),
        commit("back", "g-hand", -1, "", &json!([at(0, 5, Some("words")), at(1, 7, None)])).last(),
    ]
}

fn fetch(name: &str, group: &str, topics: &Value, member: Option<&str>, epoch: i32) -> Exchange {
    Exchange::new(
        OffsetFetch,
        name,
        json!({
            "group_id": group, "topics": topics, "require_stable": false,
            "groups": [{"group_id": group, "topics": topics, "member_id": member, "member_epoch": epoch}],
        }),
    )
}

fn fetches() -> Vec<Exchange> {
    let some = json!([{"name": "one", "topic_id": "$one_id", "partition_indexes": [0, 1, 2, 9]}]);
    let unknown = json!([{"name": "nowhere", "topic_id": NO_TOPIC, "partition_indexes": [0]}]);
    vec![
        fetch("some", "g-hand", &some, None, -1),
        fetch("all", "g-hand", &Value::Null, None, -1).near(2),
        fetch("all", "g-hand", &Value::Null, None, -1).near(7),
        fetch("all", "g-hand", &Value::Null, None, -1).near(9),
        fetch("all", "g-hand", &Value::Null, None, -1).last(),
        fetch("none", "g-hand", &json!([]), None, -1),
        fetch("of an unknown topic", "g-hand", &unknown, None, -1),
        fetch("of an unknown group", "g-none", &some, None, -1),
        fetch("of an unknown group, all", "g-none", &Value::Null, None, -1).near(9),
        fetch("without a group", "", &some, None, -1),
        fetch("of an unknown member", "g-hand", &some, Some("nobody"), 5).near(9),
        fetch("of a member of an unknown group", "g-none", &some, Some("nobody"), 5).near(9),
        Exchange::new(
            OffsetFetch,
            "of several groups",
            json!({"groups": [
                {"group_id": "g-hand", "topics": some, "member_epoch": -1},
                {"group_id": "g-none", "topics": some, "member_epoch": -1},
            ]}),
        )
        .near(8),
        Exchange::new(
            OffsetFetch,
            "stable",
            json!({
                "group_id": "g-hand", "topics": some, "require_stable": true,
                "groups": [{"group_id": "g-hand", "topics": some, "member_epoch": -1}],
            }),
        ),
    ]
}

fn lists() -> Vec<Exchange> {
    let list = |name: &str, states: Value, types: Value| {
        Exchange::new(ListGroups, name, json!({"states_filter": states, "types_filter": types}))
    };
    vec![
        list("all", json!([]), json!([])),
        list("empty ones", json!(["Empty"]), json!([])).last(),
        list("of states in small letters", json!(["empty", "stable"]), json!([])).last(),
        list("of an odd state", json!(["Odd"]), json!([])).last(),
        list("of a type", json!([]), json!(["classic"])).last(),
        list("of an odd type", json!([]), json!(["odd"])).last(),
        Exchange::new(
            DescribeGroups,
            "by hand and unknown",
            json!({
                "groups": ["g-hand", "g-none"], "include_authorized_operations": true,
            }),
        ),
        Exchange::new(DescribeGroups, "without name", json!({"groups": [""]})),
        Exchange::new(DescribeGroups, "none", json!({"groups": []})),
        Exchange::new(DescribeGroups, "twice", json!({"groups": ["g-hand", "g-hand"]})),
        Exchange::new(
            ConsumerGroupDescribe,
            "a classic group and an unknown one",
            json!({"group_ids": ["g-hand", "g-none"]}),
        ),
        Exchange::new(ConsumerGroupDescribe, "without name", json!({"group_ids": [""]})),
        Exchange::new(ConsumerGroupDescribe, "none", json!({"group_ids": []})),
        Exchange::new(
            ShareGroupDescribe,
            "a classic group and an unknown one",
            json!({"group_ids": ["g-hand", "g-none"]}),
        ),
    ]
}

fn shares() -> Vec<Exchange> {
    let topics = json!([{"topic_name": "one", "partitions": [0, 1]}]);
    let offsets = json!([{"topic_name": "one", "partitions": [{"partition_index": 0, "start_offset": 0}]}]);
    let unknown =
        json!([{"topic_name": "nowhere", "partitions": [{"partition_index": 0, "start_offset": 0}]}]);
    vec![
        Exchange::new(
            DescribeShareGroupOffsets,
            "of an unknown group",
            json!({"groups": [{"group_id": "s-none", "topics": topics}]}),
        ),
        Exchange::new(
            DescribeShareGroupOffsets,
            "of a classic group",
            json!({"groups": [{"group_id": "g-hand", "topics": topics}]}),
        ),
        Exchange::new(
            AlterShareGroupOffsets,
            "of a classic group",
            json!({"group_id": "g-hand", "topics": offsets}),
        ),
        Exchange::new(
            AlterShareGroupOffsets,
            "of an unknown topic",
            json!({"group_id": "s-hand", "topics": unknown}),
        ),
        Exchange::new(
            AlterShareGroupOffsets,
            "of a new group",
            json!({"group_id": "s-hand", "topics": offsets}),
        ),
        Exchange::new(
            DescribeShareGroupOffsets,
            "after that",
            json!({"groups": [{"group_id": "s-hand", "topics": topics}]}),
        )
        .last(),
        Exchange::new(
            DescribeShareGroupOffsets,
            "of all topics",
            json!({"groups": [{"group_id": "s-hand"}]}),
        )
        .last(),
        Exchange::new(
            DeleteShareGroupOffsets,
            "of an unknown group",
            json!({"group_id": "s-none", "topics": [{"topic_name": "one"}]}),
        ),
        Exchange::new(
            DeleteShareGroupOffsets,
            "of an unknown topic",
            json!({"group_id": "s-hand", "topics": [{"topic_name": "nowhere"}]}),
        ),
        Exchange::new(
            DeleteShareGroupOffsets,
            "of a topic",
            json!({"group_id": "s-hand", "topics": [{"topic_name": "one"}]}),
        ),
    ]
}

fn deletions() -> Vec<Exchange> {
    let delete = |name: &str, group: &str, topic: &str, partitions: Value| {
        Exchange::new(
            OffsetDelete,
            name,
            json!({"group_id": group, "topics": [{"name": topic, "partitions": partitions}]}),
        )
    };
    vec![
        delete("one partition", "g-hand", "one", json!([{"partition_index": 1}])),
        delete("what is not there", "g-hand", "one", json!([{"partition_index": 1}, {"partition_index": 9}])),
        delete("of an unknown topic", "g-hand", "nowhere", json!([{"partition_index": 0}])),
        delete("of an unknown group", "g-none", "one", json!([{"partition_index": 0}])),
        delete("without a group", "", "one", json!([{"partition_index": 0}])),
        delete("no partition", "g-hand", "one", json!([])),
        commit("in a group of its version", "g-hand-$v", -1, "", &json!([at(0, 1, None)])),
        Exchange::new(DeleteGroups, "one", json!({"groups_names": ["g-hand-$v"]})).near(2),
        Exchange::new(DeleteGroups, "unknown and without name", json!({"groups_names": ["g-none", ""]})),
        Exchange::new(DeleteGroups, "none", json!({"groups_names": []})),
        Exchange::new(DeleteGroups, "twice", json!({"groups_names": ["g-hand-3", "g-hand-3"]})).last(),
        Exchange::new(DeleteGroups, "a share group", json!({"groups_names": ["s-hand"]})).last(),
        Exchange::new(DeleteGroups, "by hand", json!({"groups_names": ["g-hand"]})).last(),
        Exchange::new(DescribeGroups, "after deletion", json!({"groups": ["g-hand"]})).last(),
    ]
}
