//! Which of a topic's settings in Kafka it keeps in sendlog, and what it is given so that nothing is removed unasked.

use std::collections::BTreeMap;

use super::error::TopicRefusal;
use crate::config::TopicConfig;
use crate::config::scope::Overrides;
use crate::config::settings::Settings;
use crate::config::topic;

const RETENTION: &str = "retention.ms";
const CLEANUP: &str = "cleanup.policy";
const COMPACTION_LAG: &str = "min.compaction.lag.ms";

/// What a topic sets, and what there is to say about it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Adapted {
    pub(super) overrides: Overrides,
    pub(super) notes: Vec<String>,
}

/// The settings of a topic. `known` are those of the cluster's metadata, if there is any.
///
/// What the topic does not set itself came from the server.properties of Kafka, which is not in its log directories: to be
/// safe such a topic keeps everything. One with gaps in its log was compacted, whatever else is known.
pub(super) fn adapt(
    known: Option<BTreeMap<String, String>>,
    has_gaps: bool,
) -> Result<Adapted, TopicRefusal> {
    let mut adapted = Adapted::default();
    match known {
        Some(known) => {
            for (name, value) in known {
                match topic::check(&name, Some(&value)) {
                    Ok(_) => drop(adapted.overrides.insert(name, value)),
                    Err(error) => adapted.notes.push(format!("{name}={value} is left out: {error}")),
                }
            }
        }
        None if has_gaps => {
            adapted.overrides.insert(CLEANUP.to_owned(), "compact".to_owned());
            // It is a guess: records without keys, and older values, may be wanted.
            adapted.overrides.insert(COMPACTION_LAG.to_owned(), i64::MAX.to_string());
            adapted.notes.push(format!(
                "its settings in Kafka are not known; offsets are missing, as compaction leaves them, so it gets {CLEANUP}=compact, \
                 and {COMPACTION_LAG}={}: nothing is removed until you lower that",
                i64::MAX
            ));
        }
        None => {}
    }
    let resolved = TopicConfig::resolve(&Settings::default(), &adapted.overrides)?;
    if resolved.cleanup.delete && !adapted.overrides.contains_key(RETENTION) {
        adapted.overrides.insert(RETENTION.to_owned(), "-1".to_owned());
        adapted.notes.push(format!(
            "{RETENTION}=-1: how long Kafka kept it is in its server.properties; set it here, or nothing is ever removed"
        ));
    }
    Ok(adapted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapted(known: &[(&str, &str)]) -> Adapted {
        let known = known.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        adapt(Some(known.collect()), false).unwrap()
    }

    fn overrides(adapted: &Adapted) -> Vec<(&str, &str)> {
        adapted.overrides.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    #[test]
    fn what_a_topic_sets_stays_and_what_is_not_known_is_named() {
        let all = adapted(&[("retention.ms", "5000"), ("segment.bytes", "1048576")]);
        assert_eq!(overrides(&all), [("retention.ms", "5000"), ("segment.bytes", "1048576")]);
        assert!(all.notes.is_empty());
        let odd = adapted(&[("no.such.setting", "1"), ("retention.ms", "5000")]);
        assert_eq!(overrides(&odd), [("retention.ms", "5000")]);
        assert!(odd.notes[0].starts_with("no.such.setting=1 is left out: "), "{:?}", odd.notes);
    }

    #[test]
    fn nothing_is_removed_by_a_retention_that_nobody_chose() {
        assert_eq!(overrides(&adapted(&[])), [("retention.ms", "-1")]);
        assert_eq!(overrides(&adapted(&[("cleanup.policy", "compact")])), [("cleanup.policy", "compact")]);
        let both = adapted(&[("cleanup.policy", "compact,delete")]);
        assert_eq!(overrides(&both), [("cleanup.policy", "compact,delete"), ("retention.ms", "-1")]);
        assert_eq!(overrides(&adapt(None, false).unwrap()), [("retention.ms", "-1")]);
        let guessed = adapt(None, true).unwrap();
        assert_eq!(
            overrides(&guessed),
            [("cleanup.policy", "compact"), ("min.compaction.lag.ms", "9223372036854775807")]
        );
    }
}
