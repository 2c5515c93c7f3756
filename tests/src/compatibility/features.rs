//! The rows and columns of the table. A check is named `PROTOCOL/FEATURE: DETAIL`, of which only the feature must be there.

/// Clients and the group protocols that their programs check, in the order of the columns.
pub const CLIENTS: &[(&str, &[&str])] = &[
    ("java-4", &["classic", "consumer", "share"]),
    ("java-3", &[]),
    ("confluent-kafka", &["classic", "consumer", "share"]),
    ("franz-go", &["classic", "consumer", "share"]),
    ("sarama", &["classic"]),
    ("kafka-go", &["classic"]),
    ("kafka-python", &["classic"]),
    ("aiokafka", &["classic"]),
    ("kafkajs", &["classic"]),
    ("@platformatic/kafka", &["classic", "consumer"]),
    ("confluent-kafka-rust", &["consumer"]),
    ("rskafka", &[]),
    ("kcat", &[]),
];

/// Clients of groups alone, which have no column in the first table.
const GROUPS_ONLY: &[&str] = &["kafka-go"];

/// One table: a protocol and its features.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// What stands before the names of its checks; empty for records and topics.
    pub protocol: &'static str,
    rows: &'static [Row],
}

/// A feature, and the names of the checks that show it.
type Row = (&'static str, &'static [&'static str]);

const TOPICS: &[Row] = &[
    ("describe the cluster", &["describe cluster", "metadata"]),
    (
        "create, describe and list topics",
        &[
            "create topics",
            "create and list topics",
            "create and describe topics",
            "create, describe and list topics",
            "describe and list topics",
            "describe topics",
            "invalid topic",
        ],
    ),
    ("topics made by producing", &["topic made by producing to it"]),
    (
        "delete topics",
        &["delete topics", "delete topics, by name and by id", "a topic made again has another id"],
    ),
    ("create partitions", &["create partitions"]),
    ("records of every codec, read by offset and time", &["round trip, offsets and times", "round trip"]),
    ("idempotent producer", &["idempotent producer", IDEMPOTENT, "producer with default settings"]),
    ("acks 0, 1 and all", &["acks 0, 1 and all"]),
    ("several partitions", &["several partitions at once", "several partitions", "default partitioner"]),
    (
        "null, large and oversized records",
        &["null keys and values", "large records", "oversized record", "whole files as messages"],
    ),
    ("log append time", &["log append time"]),
    ("list offsets", &["list offsets", "watermarks"]),
    ("offset for leader epoch", &["offset for leader epoch"]),
    ("configs", &["describe and alter configs", "alter configs", "describe broker configs"]),
    ("log dirs", &["describe log dirs"]),
    ("describe producers", &["describe producers"]),
    ("describe features", &["describe features"]),
    ("delete records", &["delete records", "delete records, offset out of range", "offset out of range"]),
    ("unknown topics and partitions", &["unknown topic", "unknown partition"]),
];

const GROUPS: &[Row] = &[
    ("members join and leave under load", &["members join and leave under load"]),
    ("offsets are resumed", &["offsets are resumed"]),
    ("commits with metadata", &["commits with metadata"]),
    ("seek and pause", &["seek and pause"]),
    ("static members", &["static members"]),
    ("cooperative rebalancing", &["cooperative rebalancing"]),
    ("pattern subscriptions", &["pattern subscriptions"]),
    ("topics made after subscribing", &["topics made after subscribing"]),
    ("a lost member is replaced", &["a lost member is replaced"]),
    ("broker stopped and started under a group", &["broker stopped and started under a group"]),
    ("broker killed under a group", &["broker killed under a group"]),
    ("lag", &["lag"]),
    ("list and describe groups", &["list and describe groups"]),
    ("unknown groups, groups with members", &["unknown groups", "groups with members are not deleted"]),
    ("alter offsets of a group", &["alter offsets of a group"]),
    ("delete offsets of a group", &["delete offsets of a group"]),
    ("delete groups", &["delete groups"]),
];

const SHARES: &[Row] = &[
    ("members share a partition", &["members share a partition"]),
    ("accept, release and reject", &["accept, release and reject"]),
    ("renew", &["renew"]),
    ("locks expire", &["locks expire"]),
    ("delivery limit", &["delivery limit"]),
    ("list, describe and delete groups", &["list, describe and delete groups"]),
    ("alter and delete offsets of a group", &["alter and delete offsets of a group"]),
    ("broker stopped and started under a group", &["broker stopped and started under a group"]),
    ("broker killed under a group", &["broker killed under a group"]),
];

/// All tables.
pub fn sections() -> [Section; 4] {
    [
        Section { title: "Topics, records, settings", protocol: "", rows: TOPICS },
        Section { title: "Classic groups", protocol: "classic", rows: GROUPS },
        Section {
            title: "Groups by KIP-848 (`group.protocol=consumer`)",
            protocol: "consumer",
            rows: GROUPS,
        },
        Section { title: "Share groups", protocol: "share", rows: SHARES },
    ]
}

impl Section {
    /// The features, in order.
    pub fn features(&self) -> impl Iterator<Item = &'static str> {
        self.rows.iter().map(|(feature, _)| *feature)
    }

    /// The clients that have checks in this table, in order.
    pub fn clients(&self) -> impl Iterator<Item = &'static str> {
        let protocol = self.protocol;
        let here = move |client: &str, protocols: &[&str]| match protocol {
            "" => !GROUPS_ONLY.contains(&client),
            _ => protocols.contains(&protocol),
        };
        CLIENTS.iter().filter(move |(client, protocols)| here(client, protocols)).map(|(client, _)| *client)
    }

    fn feature_of(&self, check: &str) -> Option<&'static str> {
        self.rows.iter().find(|(_, checks)| checks.contains(&check)).map(|(feature, _)| *feature)
    }
}

/// The check whose detail is its feature.
const IDEMPOTENT: &str = "round trip: idempotent producer";

/// What the harness checks itself after every program; no feature of a client.
const OF_THE_HARNESS: &[&str] = &["codecs as stored", "broker stops cleanly", "connect"];

/// The protocol and the feature that a check shows; `None` for those of the harness itself.
///
/// # Errors
/// When no row of the tables has it.
pub fn placed(check: &str) -> Result<Option<(&'static str, &'static str)>, String> {
    // One check of the same name as others is about something else.
    let name = match check {
        IDEMPOTENT => check,
        _ => check.split(": ").next().unwrap_or_default(),
    };
    if OF_THE_HARNESS.contains(&name) {
        return Ok(None);
    }
    let (protocol, name) = name.split_once('/').unwrap_or(("", name));
    let section = sections().into_iter().find(|section| section.protocol == protocol);
    let found = section.and_then(|section| Some((section.protocol, section.feature_of(name)?)));
    found.map(Some).ok_or_else(|| format!("no row of compatibility/features.rs has the check {check:?}"))
}

#[cfg(test)]
mod tests {
    use super::placed;

    #[test]
    fn checks_are_placed_by_protocol_and_name() {
        let topics = Ok(Some(("", "records of every codec, read by offset and time")));
        assert_eq!(placed("round trip, offsets and times: zstd"), topics);
        assert_eq!(placed("share/locks expire"), Ok(Some(("share", "locks expire"))));
        assert_eq!(placed("broker stops cleanly"), Ok(None));
        assert!(placed("consumer/locks expire").is_err());
    }
}
