//! Which version of each API is spoken on a connection.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use sendlog_protocol::Request;
use sendlog_protocol::api_key::ApiKey;
use sendlog_protocol::messages::ApiVersion;

/// What a broker supports, as it said in its ApiVersions answer.
#[derive(Debug, Clone, Default)]
pub struct VersionTable {
    ranges: HashMap<i16, (i16, i16)>,
}

impl VersionTable {
    pub(crate) fn new(api_keys: &[ApiVersion]) -> Self {
        Self {
            ranges: api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect(),
        }
    }

    /// The versions of an API that the broker supports.
    #[must_use]
    pub fn range(&self, key: ApiKey) -> Option<(i16, i16)> {
        self.ranges.get(&key.code()).copied()
    }

    /// The highest version of a request that both sides know, up to `max`.
    #[must_use]
    pub fn pick<Q: Request>(&self, max: i16) -> Option<i16> {
        pick(self.range(Q::KEY)?, Q::VERSIONS, max)
    }
}

fn pick(broker: (i16, i16), client: RangeInclusive<i16>, max: i16) -> Option<i16> {
    let highest = broker.1.min(*client.end()).min(max);
    let lowest = broker.0.max(*client.start());
    (lowest <= highest).then_some(highest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_common_version_is_picked() {
        assert_eq!(pick((0, 12), 3..=13, i16::MAX), Some(12));
        assert_eq!(pick((0, 20), 3..=13, i16::MAX), Some(13));
        assert_eq!(pick((0, 20), 3..=13, 11), Some(11));
        assert_eq!(pick((0, 2), 3..=13, i16::MAX), None);
        assert_eq!(pick((14, 20), 3..=13, i16::MAX), None);
        assert_eq!(pick((5, 20), 3..=13, 4), None);
        assert_eq!(pick((-1, -1), 0..=3, i16::MAX), None);
    }
}
