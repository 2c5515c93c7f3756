//! The hash of a group's topics (KIP-1101): that it differs tells that a topic came, went, grew or was made anew.
//!
//! The number is Kafka's own, of the same fields in the same form (XXH3, 64 bits): a group goes on without a rebalance when
//! its log changes hands.

use twox_hash::XxHash3_64;

use crate::coordinator::group::{TopicImage, TopicsImage};

/// First byte of what is hashed of a topic.
const TOPIC_VERSION: u8 = 0;

/// Hash of the topics with these names, in the names' order; those that do not exist count for nothing.
pub(super) fn of_group<'a>(
    names: impl IntoIterator<Item = &'a str>,
    topics: &TopicsImage,
    rack: Option<&str>,
) -> i64 {
    let mut bytes = Vec::new();
    for topic in names.into_iter().filter_map(|name| topics.by_name(name)) {
        bytes.extend_from_slice(&of_topic(topic, rack).to_le_bytes());
    }
    if bytes.is_empty() { 0 } else { XxHash3_64::oneshot(&bytes).cast_signed() }
}

fn of_topic(topic: &TopicImage, rack: Option<&str>) -> u64 {
    let (high, low) = topic.id.as_u64_pair();
    let mut bytes = vec![TOPIC_VERSION];
    bytes.extend_from_slice(&high.to_le_bytes());
    bytes.extend_from_slice(&low.to_le_bytes());
    put_string(&mut bytes, &topic.name);
    bytes.extend_from_slice(&topic.partitions.to_le_bytes());
    for partition in 0..topic.partitions {
        bytes.extend_from_slice(&partition.to_le_bytes());
        if let Some(rack) = rack {
            put_length(&mut bytes, rack);
            put_string(&mut bytes, rack);
        }
    }
    XxHash3_64::oneshot(&bytes)
}

/// UTF-16 and then its length, as hash4j's `putString` has it.
fn put_string(bytes: &mut Vec<u8>, text: &str) {
    for unit in text.encode_utf16() {
        bytes.extend_from_slice(&unit.to_le_bytes());
    }
    put_length(bytes, text);
}

fn put_length(bytes: &mut Vec<u8>, text: &str) {
    let length = u32::try_from(text.encode_utf16().count()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn topic(name: &str, high: u64, low: u64, partitions: i32) -> TopicImage {
        TopicImage { name: name.into(), id: Uuid::from_u64_pair(high, low), partitions }
    }

    /// Computed by hash4j 0.22, which Kafka 4.4 uses, fed as `Utils.computeTopicHash` feeds it.
    #[test]
    fn a_topics_hash_is_kafkas() {
        let hash = |topic, rack| of_topic(&topic, rack).cast_signed();
        assert_eq!(hash(topic("foo", 1, 2, 3), None), 8_773_618_633_639_361_573);
        let orders = topic("orders", 0x0102_0304_0506_0708, u64::MAX - 1, 2);
        assert_eq!(hash(orders, Some("r1")), -1_930_879_218_745_127_053);
        assert_eq!(hash(topic("big", 1, 2, 300), None), 1_737_709_435_906_943_724);
    }

    #[test]
    fn a_groups_hash_changes_with_its_topics_alone() {
        let topics = |partitions| TopicsImage::new(1, [topic("a", 1, 1, partitions), topic("b", 2, 2, 1)]);
        let names = ["a", "gone"];
        let hash = of_group(names, &topics(1), None);
        assert_ne!(hash, of_group(names, &topics(2), None));
        assert_eq!(hash, of_group(["a"], &topics(1), None), "what does not exist does not count");
        assert_ne!(hash, of_group(["a", "b"], &topics(1), None));
        assert_eq!(of_group(["gone"], &topics(1), None), 0);
    }
}
