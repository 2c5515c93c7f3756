//! For fuzz targets: groups from whatever the log says.

use std::sync::OnceLock;

use bytes::Bytes;
use clap::Parser as _;
use uuid::Uuid;

use super::load::Replayed;
use super::topics_image::{TopicImage, TopicsImage};
use super::{Effects, Env, Moment, record};
use crate::config::group_config::GroupConfig;
use crate::config::scope::Overrides;
use crate::config::{Args, Config};

/// Later than any deadline of a group whose members have sane time-outs.
const LATER_MS: i64 = 1 << 40;

/// Replays records, and has everything happen to the groups that happens without a client. Returns how many groups there
/// were.
///
/// # Panics
/// Where a group does not survive what the log says, or writes what it cannot read.
pub fn replay(records: impl IntoIterator<Item = (Bytes, Option<Bytes>)>) -> usize {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        Config::load(&Args::parse_from(["broker", "--data-dir", "none"])).expect("the defaults")
    });
    let topic = TopicImage { name: "t".into(), id: Uuid::from_u128(1), partitions: 3 };
    let topics = TopicsImage::new(1, [topic]);
    let own = GroupConfig::resolve(&config.groups, &Overrides::new());
    let mut replayed = Replayed::default();
    for (key, value) in records {
        replayed.take(key, value);
    }
    let groups = replayed.into_groups();
    let count = groups.len();
    for mut group in groups {
        let mut fx = Effects::default();
        for (at, wall_ms) in [(0, 0), (LATER_MS, LATER_MS)] {
            let now = Moment { wall_ms, steady_ms: at };
            let env = Env { now, config, group: &own, topics: &topics, fresh_id: Uuid::from_u128(2) };
            if at == 0 {
                group.loaded(&env, &mut fx);
            }
            drop(group.listed());
            if group.next_deadline_ms().is_some_and(|deadline_ms| deadline_ms <= at) {
                group.on_deadline(&env, &mut fx);
            }
        }
        group.expire(LATER_MS, 1, &mut fx);
        // Refused or done: either is an end.
        let _ = group.delete(&mut fx);
        let offsets = fx.offsets.iter().map(|change| record::encode_offset(group.id(), change));
        for encoded in fx.records.iter().map(|record| record.encode()).chain(offsets) {
            let encoded = encoded.expect("what came from records fits into records");
            assert!(record::decode(encoded.key, encoded.value).is_ok(), "it is read again");
        }
    }
    count
}
