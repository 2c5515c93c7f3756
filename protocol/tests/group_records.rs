//! Records of groups and of share state, against bytes that Apache Kafka 4.4 wrote and bytes that nobody should have.

use std::collections::BTreeSet;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use sendlog_protocol::EncodedRecord;
use sendlog_protocol::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, ConsumerProtocolTopicPartition,
};
use sendlog_protocol::group_records::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue, CurrentAssignmentTopicPartitions, GroupMetadataValue, GroupRecord,
    OffsetCommitKey, OffsetCommitValue,
};
use sendlog_protocol::share_state_records::{ShareSnapshotValue, ShareStateBatch, ShareStateRecord};
use sendlog_protocol::wire::DecodeError;
use uuid::Uuid;

const WRITTEN_BY_KAFKA: &str = include_str!("group_records_golden/kafka-4.4.0.txt");

struct Line {
    topic: &'static str,
    key: Bytes,
    value: Option<Bytes>,
}

fn lines() -> impl Iterator<Item = Line> {
    WRITTEN_BY_KAFKA.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let [topic, key, value] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        Line { topic, key: hex(key), value: (value != "-").then(|| hex(value)) }
    })
}

fn hex(text: &str) -> Bytes {
    let digits: Vec<u8> =
        text.chars().map(|c| u8::try_from(c.to_digit(16).expect("a digit")).expect("small")).collect();
    digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

#[test]
fn what_kafka_wrote_is_read_and_written_the_same() {
    let mut kinds = BTreeSet::new();
    for Line { topic, key, value } in lines() {
        let expected = EncodedRecord { key: key.clone(), value: value.clone() };
        let (shown, again) = if topic == "__consumer_offsets" {
            let record = GroupRecord::decode(key.clone(), value.clone())
                .unwrap_or_else(|error| panic!("{key:?} {value:?}: {error}"))
                .expect("a known type");
            (format!("{record:?}"), record.encode())
        } else {
            let record = ShareStateRecord::decode(key, value).expect("decodes").expect("a known type");
            (format!("{record:?}"), record.encode())
        };
        assert_eq!(again, Ok(expected), "{shown}");
        kinds.insert(shown.split('(').next().expect("a name").to_owned());
    }
    // All but the type that Kafka 4.4 no longer writes.
    assert_eq!(kinds.len(), 15 + 2 - 1, "{kinds:?}");
}

#[test]
fn fields_are_where_kafka_has_them() {
    let mut offsets = Vec::new();
    let mut batches = Vec::new();
    for Line { topic, key, value } in lines() {
        if topic != "__consumer_offsets" {
            if let Some(ShareStateRecord::ShareUpdate(key, Some(value))) =
                ShareStateRecord::decode(key, value).unwrap()
            {
                batches.push((key.partition, value.state_batches));
            }
            continue;
        }
        match GroupRecord::decode(key, value).unwrap() {
            Some(GroupRecord::OffsetCommit(key, Some(value))) => {
                assert_eq!((value.offset, value.leader_epoch, value.metadata.as_str()), (2, 0, "note"));
                assert_eq!((key.topic.as_str(), key.partition, value.expire_timestamp), ("t", 0, -1));
                assert_eq!(value.topic_id.to_string(), "20e0205a-4bc1-4dd8-9738-ac0998572e08");
                offsets.push(key.group);
            }
            Some(GroupRecord::ConsumerGroupMemberMetadata(key, Some(value))) if key.group_id == "pattern" => {
                assert_eq!(value.instance_id.as_deref(), Some("static-2"));
                assert_eq!(value.subscribed_topic_regex.as_deref(), Some("t.*"));
                assert_eq!((value.rebalance_timeout_ms, value.client_host.as_str()), (300_000, "/127.0.0.1"));
            }
            Some(GroupRecord::GroupMetadata(key, Some(GroupMetadataValue { members, generation, .. }))) => {
                assert_eq!((key.group.as_str(), members.is_empty()), ("classic", generation != 1));
            }
            _ => {}
        }
    }
    offsets.sort();
    assert_eq!(offsets, ["classic", "modern", "pattern"]);
    let batch = |first_offset, last_offset, delivery_state, delivery_count| ShareStateBatch {
        first_offset,
        last_offset,
        delivery_state,
        delivery_count,
    };
    assert!(batches.contains(&(0, vec![batch(0, 0, 2, 1), batch(1, 1, 0, 1)])), "{batches:?}");
}

/// Kafka's own serializer wrote these; no client makes it write them easily.
#[test]
fn rare_fields_have_kafkas_form() {
    let value = ConsumerGroupMemberMetadataValue {
        client_id: "me".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        subscribed_topic_names: vec!["t".to_owned()],
        rebalance_timeout_ms: 7,
        classic_member_metadata: Some(ClassicMemberMetadata {
            session_timeout_ms: 9,
            supported_protocols: vec![ClassicProtocol {
                name: "range".to_owned(),
                metadata: Bytes::from_static(&[1, 2]),
            }],
        }),
        ..Default::default()
    };
    let key = ConsumerGroupMemberMetadataKey::default();
    let written = GroupRecord::ConsumerGroupMemberMetadata(key, Some(value)).encode().unwrap().value;
    let expected =
        "00000000036d650b2f3132372e302e302e310202740000000007000100110100000009020672616e67650301020000";
    assert_eq!(written, Some(hex(expected)));

    let value = ConsumerGroupCurrentMemberAssignmentValue {
        member_epoch: 1,
        assigned_partitions: vec![CurrentAssignmentTopicPartitions {
            topic_id: Uuid::from_u128((1 << 64) + 2),
            partitions: vec![3],
            assignment_epochs: Some(vec![4]),
        }],
        ..Default::default()
    };
    let key = ConsumerGroupCurrentMemberAssignmentKey::default();
    let written = GroupRecord::ConsumerGroupCurrentMemberAssignment(key, Some(value)).encode().unwrap().value;
    let expected = "00000000000100000000000200000000000000010000000000000002020000000301000502000000040100";
    assert_eq!(written, Some(hex(expected)));
}

#[test]
fn consumers_subscriptions_and_assignments_have_kafkas_form() {
    let owned = ConsumerProtocolTopicPartition { topic: "a".to_owned(), partitions: vec![0, 1] };
    let subscription = ConsumerProtocolSubscription {
        topics: vec!["a".to_owned(), "b".to_owned()],
        user_data: None,
        owned_partitions: vec![owned.clone()],
        generation_id: 4,
        rack_id: Some("r".to_owned()),
    };
    let written = hex("000300000002000161000162ffffffff0000000100016100000002000000000000000100000004000172");
    assert_eq!(subscription.to_metadata(3), Ok(written.clone()));
    assert_eq!(ConsumerProtocolSubscription::from_metadata(written.clone()), Ok(subscription.clone()));
    let assignment = ConsumerProtocolAssignment {
        assigned_partitions: vec![owned],
        user_data: Some(Bytes::from_static(&[7])),
    };
    let expected = hex("0003000000010001610000000200000000000000010000000107");
    assert_eq!(assignment.to_metadata(3), Ok(expected.clone()));
    assert_eq!(ConsumerProtocolAssignment::from_metadata(expected), Ok(assignment));

    // A version from the future, with more behind.
    let newer = Bytes::from([&[0, 9], &written[2..], &[1, 2, 3]].concat());
    assert_eq!(ConsumerProtocolSubscription::from_metadata(newer), Ok(subscription));
    for broken in [&[][..], &[0], &[0xff, 0xff, 0, 0, 0, 0], &[0, 0, 0xff, 0xff, 0xff, 0xff]] {
        assert!(ConsumerProtocolSubscription::from_metadata(Bytes::copy_from_slice(broken)).is_err());
    }
}

#[test]
fn old_offsets_are_read_and_those_that_expire_keep_their_time() {
    let key = |record_type: u8| Bytes::from([&[0, record_type][..], b"\0\x01g\0\x01t\0\0\0\x05"].concat());
    let value = Bytes::from_static(b"\0\x01\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02");
    for record_type in [0, 1] {
        let Ok(Some(record)) = GroupRecord::decode(key(record_type), Some(value.clone())) else {
            panic!("type {record_type} is read")
        };
        let expected_key = OffsetCommitKey { group: "g".to_owned(), topic: "t".to_owned(), partition: 5 };
        let expected_value =
            OffsetCommitValue { offset: 9, commit_timestamp: 1, expire_timestamp: 2, ..Default::default() };
        assert_eq!(record, GroupRecord::OffsetCommit(expected_key, Some(expected_value)));
        assert_eq!(record.encode().unwrap().value, Some(value.clone()));
    }
}

#[test]
fn unknown_types_are_told_from_damage() {
    let anything = || Some(Bytes::from_static(b"whatever"));
    for record_type in [9_i16, 17, 19, 23, 999, -1] {
        let key = Bytes::copy_from_slice(&record_type.to_be_bytes());
        assert_eq!(GroupRecord::decode(key, anything()), Ok(None));
    }
    assert_eq!(ShareStateRecord::decode(Bytes::from_static(&[0, 2]), None), Ok(None));
    assert!(GroupRecord::decode(Bytes::new(), None).is_err());
    assert!(GroupRecord::decode(Bytes::from_static(&[0]), anything()).is_err());
    assert!(
        GroupRecord::decode(Bytes::from_static(b"\0\x02\0\x01g!"), None).is_err(),
        "bytes behind the key"
    );
    let key = || Bytes::from_static(b"\0\x02\0\x01g");
    let newer = Some(Bytes::from_static(&[0, 5]));
    let expected = DecodeError::UnsupportedVersion { message: "GroupMetadataValue", version: 5 };
    assert_eq!(GroupRecord::decode(key(), newer), Err(expected));
    assert!(GroupRecord::decode(key(), Some(Bytes::new())).is_err());
}

#[test]
fn damaged_records_do_not_panic() {
    let mut rng = SmallRng::seed_from_u64(5);
    for Line { topic, key, value } in lines() {
        let value = value.unwrap_or_default();
        for _ in 0..500 {
            let (mut key, mut value) = (key.to_vec(), value.to_vec());
            for part in [&mut key, &mut value] {
                if !part.is_empty() && rng.random() {
                    let position = rng.random_range(0..part.len());
                    part[position] = rng.random();
                    part.truncate(rng.random_range(position..=part.len()));
                }
            }
            let (key, value) = (Bytes::from(key), Some(Bytes::from(value)));
            if topic == "__consumer_offsets" {
                let _ = GroupRecord::decode(key, value);
            } else {
                let _ = ShareStateRecord::decode(key, value);
            }
        }
    }
}

#[test]
fn snapshots_are_kafkas() {
    let is_snapshot = |line: &Line| line.topic == "__share_group_state" && line.key.starts_with(&[0, 0]);
    let Line { key, value, .. } = lines().find(is_snapshot).expect("there is one");
    let Ok(Some(ShareStateRecord::ShareSnapshot(key, Some(value)))) = ShareStateRecord::decode(key, value)
    else {
        panic!("a snapshot")
    };
    assert_eq!((key.group_id.as_str(), key.partition), ("share", 0));
    let ShareSnapshotValue { state_epoch, start_offset, delivery_complete_count, .. } = value;
    assert_eq!((state_epoch, start_offset, delivery_complete_count), (2, -1, -1));
}
