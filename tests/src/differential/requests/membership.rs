//! Members of groups: a classic member's life in every version, a KIP-848 member's, and what a coordinator refuses.

use sendlog_protocol::api_key::ApiKey::{
    ConsumerGroupDescribe, ConsumerGroupHeartbeat, DeleteGroups, DescribeGroups, Heartbeat, JoinGroup,
    LeaveGroup, ListGroups, OffsetCommit, OffsetFetch, ShareGroupDescribe, ShareGroupHeartbeat, SyncGroup,
};
use serde_json::{Value, json};

use super::topics::NO_TOPIC;
use crate::differential::session::Exchange;

/// Versions of JoinGroup: a member lives through each, the other APIs are asked in the nearest of theirs.
const JOIN_VERSIONS: std::ops::RangeInclusive<i16> = 0..=9;

/// Whole lives of members.
pub fn script() -> Vec<Exchange> {
    let lives = JOIN_VERSIONS.flat_map(life);
    lives.chain(refusals()).chain(static_member()).chain(new_protocol()).chain(share()).collect()
}

fn join(name: &str, group: &str, member: &str, instance: Option<&str>) -> Exchange {
    Exchange::new(
        JoinGroup,
        name,
        json!({
            "group_id": group, "session_timeout_ms": 10_000, "rebalance_timeout_ms": 10_000, "member_id": member,
            "group_instance_id": instance, "protocol_type": "consumer",
            "protocols": [{"name": "range", "metadata": [0, 1, 0, 0, 0, 1, 0, 3, 111, 110, 101, 255, 255, 255, 255]}],
            "reason": "a script",
        }),
    )
}

fn sync(name: &str, group: &str, generation: i32, member: &str, protocol: &str) -> Exchange {
    Exchange::new(
        SyncGroup,
        name,
        json!({
            "group_id": group, "generation_id": generation, "member_id": member, "protocol_type": "consumer",
            "protocol_name": protocol, "assignments": [{"member_id": member, "assignment": "assigned"}],
        }),
    )
}

fn beat(name: &str, group: &str, generation: i32, member: &str) -> Exchange {
    Exchange::new(
        Heartbeat,
        name,
        json!({"group_id": group, "generation_id": generation, "member_id": member}),
    )
}

fn leave(name: &str, group: &str, member: &str) -> Exchange {
    Exchange::new(
        LeaveGroup,
        name,
        json!({
            "group_id": group, "member_id": member, "members": [{"member_id": member, "reason": "a script"}],
        }),
    )
}

fn commit(name: &str, group: &str, generation: i32, member: &str) -> Exchange {
    Exchange::new(
        OffsetCommit,
        name,
        json!({
            "group_id": group, "generation_id_or_member_epoch": generation, "member_id": member, "retention_time_ms": -1,
            "topics": [{"name": "one", "topic_id": "$one_id", "partitions": [
                {"partition_index": 0, "committed_offset": 3, "committed_leader_epoch": -1, "committed_metadata": ""},
            ]}],
        }),
    )
}

fn life(version: i16) -> Vec<Exchange> {
    let group = format!("g-life-{version}");
    let in_version = |exchange: Exchange| exchange.near(version);
    let mut life = vec![join("first", &group, "", None).save("/member_id", "member")];
    if 4 <= version {
        life.push(join("with the id it was given", &group, "$member", None));
    }
    life.extend([
        join("again", &group, "$member", None),
        sync("its assignment", &group, 2, "$member", "range"),
        beat("in time", &group, 2, "$member"),
        beat("of an old generation", &group, 1, "$member"),
        beat("of another member", &group, 2, "nobody"),
        sync("of an old generation", &group, 1, "$member", "range"),
        commit("of the member", &group, 2, "$member"),
        commit("of an old generation", &group, 1, "$member"),
        commit("of another member", &group, 2, "nobody"),
        commit("by hand beside a member", &group, -1, ""),
        Exchange::new(DescribeGroups, "with a member", json!({"groups": [group]})),
        Exchange::new(DeleteGroups, "with a member", json!({"groups_names": [group]})),
        leave("of another member", &group, "nobody"),
        leave("of the member", &group, "$member"),
        leave("twice", &group, "$member"),
        Exchange::new(DescribeGroups, "that it left", json!({"groups": [group]})),
    ]);
    life.into_iter().map(in_version).collect()
}

fn refusals() -> Vec<Exchange> {
    let changed = |name: &str, field: &str, value: Value| {
        let mut exchange = join(name, "g-refused", "", None);
        exchange.body[field] = value;
        exchange
    };
    vec![
        changed("without a group", "group_id", json!("")),
        changed("a short session", "session_timeout_ms", json!(1)),
        changed("a long session", "session_timeout_ms", json!(100_000_000)),
        changed("an unknown member", "member_id", json!("nobody")),
        changed("no protocols", "protocols", json!([])),
        changed("no type", "protocol_type", json!("")),
        beat("of an unknown group", "g-none", 1, "nobody"),
        beat("without a group", "", 1, "nobody"),
        sync("of an unknown group", "g-none", 1, "nobody", "range"),
        sync("without a group", "", 1, "nobody", "range"),
        leave("of an unknown group", "g-none", "nobody"),
        leave("without a group", "", "nobody"),
    ]
}

/// A static member comes back, and another with its name fences it.
fn static_member() -> Vec<Exchange> {
    let group = "g-static-script";
    let instance = |mut exchange: Exchange, name: &str| {
        exchange.body["group_instance_id"] = json!(name);
        exchange
    };
    vec![
        join("a static member", group, "", Some("i")).last().save("/member_id", "old"),
        instance(sync("a static member", group, 1, "$old", "range"), "i").last(),
        join("a static member comes back", group, "", Some("i")).last().save("/member_id", "new"),
        instance(beat("as the fenced one", group, 1, "$old"), "i").last(),
        instance(sync("as the fenced one", group, 1, "$old", "range"), "i").last(),
        instance(beat("of an unknown instance", group, 1, "$new"), "other").last(),
        instance(sync("as the one that came back", group, 1, "$new", "range"), "i").last(),
        instance(beat("as the one that came back", group, 1, "$new"), "i").last(),
        Exchange::new(DescribeGroups, "with a static member", json!({"groups": [group]})).last(),
        Exchange::new(
            LeaveGroup,
            "of an unknown instance",
            json!({"group_id": group, "members": [
                {"member_id": "", "group_instance_id": "other"},
            ]}),
        )
        .last(),
        Exchange::new(
            LeaveGroup,
            "by the instance",
            json!({"group_id": group, "members": [
                {"member_id": "", "group_instance_id": "i"},
            ]}),
        )
        .last(),
    ]
}

fn new_beat(name: &str, group: &str, member: &str, epoch: i32, changes: &Value) -> Exchange {
    let mut body = json!({
        "group_id": group, "member_id": member, "member_epoch": epoch, "rebalance_timeout_ms": 10_000,
        "subscribed_topic_names": ["two"], "topic_partitions": [],
    });
    if let (Value::Object(body), Value::Object(changes)) = (&mut body, changes) {
        body.extend(changes.clone());
    }
    Exchange::new(ConsumerGroupHeartbeat, name, body).last()
}

/// In the epoch that the coordinator gave the member.
fn in_epoch(mut exchange: Exchange) -> Exchange {
    for field in ["member_epoch", "generation_id_or_member_epoch"] {
        if exchange.body.get(field).is_some() {
            exchange.body[field] = json!("$epoch");
        }
    }
    exchange
}

fn new_protocol() -> Vec<Exchange> {
    let group = "g-new-script";
    let owned = json!({"topic_partitions": [{"topic_id": "$two_id", "partitions": [0]}]});
    let nothing =
        json!({"subscribed_topic_names": null, "topic_partitions": null, "rebalance_timeout_ms": -1});
    let none = json!({});
    vec![
        new_beat("joining", group, "a-member", 0, &none).save("/member_epoch", "epoch"),
        in_epoch(new_beat("owning", group, "a-member", 1, &owned)),
        in_epoch(new_beat("nothing new", group, "a-member", 1, &nothing)),
        Exchange::new(ConsumerGroupDescribe, "with a member", json!({"group_ids": [group]})),
        Exchange::new(ListGroups, "with a member", json!({"types_filter": ["consumer"]})).last(),
        in_epoch(commit("of a new member", group, 1, "a-member")).last(),
        commit("of a stale epoch", group, 0, "a-member").last(),
        commit("of a later epoch", group, 9, "a-member").last(),
        commit("of an unknown new member", group, 1, "nobody").last(),
        commit("by hand in a new group", group, -1, "").last(),
        Exchange::new(
            OffsetFetch,
            "of a new member",
            json!({"groups": [{
                "group_id": group, "member_id": "a-member", "member_epoch": 1,
                "topics": [{"name": "one", "topic_id": "$one_id", "partition_indexes": [0]}],
            }]}),
        )
        .near(9),
        Exchange::new(
            OffsetFetch,
            "of a stale epoch",
            json!({"groups": [{
                "group_id": group, "member_id": "a-member", "member_epoch": 9,
                "topics": [{"name": "one", "topic_id": "$one_id", "partition_indexes": [0]}],
            }]}),
        )
        .near(9),
        Exchange::new(DeleteGroups, "a new group with a member", json!({"groups_names": [group]})).last(),
        Exchange::new(DescribeGroups, "a new group", json!({"groups": [group]})).last(),
        join("a classic member in a new group", group, "", None).last(),
        new_beat("of a later epoch", group, "a-member", 9, &owned),
        new_beat("of an unknown member", group, "nobody", 5, &owned),
        new_beat("without a group", "", "a-member", 0, &none),
        new_beat("without a member", group, "", 0, &none),
        new_beat("without topics", group, "b-member", 0, &json!({"subscribed_topic_names": null})),
        new_beat("without a time-out", group, "b-member", 0, &json!({"rebalance_timeout_ms": -1})),
        new_beat("joining with partitions", group, "b-member", 0, &owned),
        new_beat("an unknown assignor", group, "b-member", 0, &json!({"server_assignor": "odd"})),
        new_beat(
            "an odd pattern",
            group,
            "b-member",
            0,
            &json!({"subscribed_topic_names": null, "subscribed_topic_regex": "["}),
        ),
        new_beat("an empty instance", group, "b-member", 0, &json!({"instance_id": ""})),
        new_beat("an odd epoch", group, "b-member", -5, &none),
        in_epoch(new_beat(
            "owning an unknown topic",
            group,
            "a-member",
            1,
            &json!({"topic_partitions": [{"topic_id": NO_TOPIC, "partitions": [0]}]}),
        )),
        new_beat("leaving", group, "a-member", -1, &nothing),
        new_beat("leaving twice", group, "a-member", -1, &nothing),
        Exchange::new(ConsumerGroupDescribe, "that it left", json!({"group_ids": [group]})),
        Exchange::new(DeleteGroups, "a new group", json!({"groups_names": [group]})).last(),
    ]
}

fn share() -> Vec<Exchange> {
    let group = "s-script";
    let beat = |name: &str, member: &str, epoch: i32, topics: Value| {
        Exchange::new(ShareGroupHeartbeat, name, json!({
            "group_id": group, "member_id": member, "member_epoch": epoch, "subscribed_topic_names": topics,
        })).last()
    };
    vec![
        beat("joining", "a-member", 0, json!(["two"])).save("/member_epoch", "epoch"),
        in_epoch(beat("nothing new", "a-member", 1, Value::Null)),
        beat("of a later epoch", "a-member", 99, Value::Null),
        beat("of an unknown member", "nobody", 5, Value::Null),
        beat("without topics", "b-member", 0, Value::Null),
        beat("without a member", "", 0, json!(["two"])),
        Exchange::new(ShareGroupDescribe, "with a member", json!({"group_ids": [group]})).last(),
        Exchange::new(ConsumerGroupDescribe, "a share group", json!({"group_ids": [group]})).last(),
        Exchange::new(OffsetFetch, "of a share group", json!({"groups": [{
            "group_id": group, "topics": [{"name": "two", "topic_id": "$two_id", "partition_indexes": [0]}],
        }]}))
        .near(9),
        Exchange::new(OffsetFetch, "all of a share group", json!({"groups": [{"group_id": group, "topics": null}]}))
            .near(9),
        Exchange::new(DeleteGroups, "a share group with a member", json!({"groups_names": [group]})).last(),
        beat("leaving", "a-member", -1, Value::Null),
        Exchange::new(DeleteGroups, "a share group that it left", json!({"groups_names": [group]})).last(),
    ]
}
