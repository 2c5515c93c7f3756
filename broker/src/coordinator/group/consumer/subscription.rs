//! What the group reads: names that members subscribe to, and what their regular expressions match.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use super::ConsumerGroup;
use super::change::{Change, GroupEpoch, Resolved};
use super::member::Profile;
use super::{metadata_hash, regex};
use crate::coordinator::group::{Effects, Env, TopicsImage};

/// Expressions of one group are not matched again sooner, however many topics come and go.
const REMATCH_INTERVAL_MS: i64 = 1000;

impl ConsumerGroup {
    /// Whether a member reads this topic.
    #[must_use]
    pub fn is_subscribed(&self, topic: &str) -> bool {
        self.members.values().any(|member| member.profile.topic_names.contains(topic))
            || self.regexes.values().any(|resolved| resolved.topics.contains(topic))
    }

    /// Names of all that the group reads, whether it exists or not.
    pub(super) fn subscribed_names(&self) -> BTreeSet<&str> {
        let named = self.members.values().flat_map(|member| &member.profile.topic_names);
        let matched = self.regexes.values().flat_map(|resolved| &resolved.topics);
        named.chain(matched).map(String::as_str).collect()
    }

    /// Ids of the topics that a member reads, of those that exist.
    pub(super) fn subscribed_ids(&self, profile: &Profile, topics: &TopicsImage) -> BTreeSet<Uuid> {
        let matched = self.regexes.get(profile.topic_regex.as_str()).map(|resolved| &resolved.topics);
        let names = profile.topic_names.iter().chain(matched.into_iter().flatten());
        names.filter_map(|name| topics.by_name(name)).map(|topic| topic.id).collect()
    }

    pub(super) fn has_regex(&self, pattern: &str) -> bool {
        self.members.values().any(|member| member.profile.topic_regex == pattern)
    }

    /// Begins the next epoch.
    pub(super) fn bump(&mut self, env: &Env<'_>, fx: &mut Effects) {
        let metadata_hash = self.hash_topics(env);
        let epoch = self.epoch.epoch.saturating_add(1);
        self.seen.changed_ms = Some(env.now.steady_ms);
        tracing::debug!(group = %self.id, epoch, "a new epoch begins");
        self.emit(Change::Epoch(Some(GroupEpoch { epoch, metadata_hash })), fx);
    }

    /// Looks at the topics if they have changed since it last did; true if that concerns the group.
    pub(super) fn notice_topics(&mut self, env: &Env<'_>, fx: &mut Effects) -> bool {
        let matches_changed = self.rematch(env, fx);
        if !matches_changed && self.seen.topics_version == Some(env.topics.version()) {
            return false;
        }
        self.hash_topics(env) != self.epoch.metadata_hash || matches_changed
    }

    fn hash_topics(&mut self, env: &Env<'_>) -> i64 {
        self.seen.topics_version = Some(env.topics.version());
        metadata_hash::of_group(self.subscribed_names(), env.topics, env.config.rack.as_deref())
    }

    /// Matches the expressions against the topics if these have changed, or it is long ago; true if that changes something.
    fn rematch(&mut self, env: &Env<'_>, fx: &mut Effects) -> bool {
        if self.regexes.is_empty() {
            return false;
        }
        let now_ms = env.now.steady_ms;
        if let Some((version, at_ms)) = self.seen.regexes {
            let age_ms = now_ms - at_ms;
            let refresh_ms = env.config.groups.consumer.regex_refresh_interval_ms;
            let is_old = i64::try_from(refresh_ms).is_ok_and(|refresh_ms| refresh_ms <= age_ms);
            if !is_old && (version == env.topics.version() || age_ms < REMATCH_INTERVAL_MS) {
                return false;
            }
        }
        self.seen.regexes = Some((env.topics.version(), now_ms));
        let patterns: Vec<Arc<str>> = self.regexes.keys().cloned().collect();
        let mut changed = false;
        for pattern in patterns {
            // It was taken by this broker or another one; a broker of another version may have another idea of the syntax.
            let Ok(compiled) = regex::compile(&pattern) else { continue };
            let topics = regex::matching(&compiled, env.topics);
            if self.regexes.get(&pattern).is_none_or(|resolved| resolved.topics != topics) {
                self.emit(Change::Regex(pattern, Some(resolved(topics, env))), fx);
                changed = true;
            }
        }
        changed
    }

    /// Resolves an expression that is new to the group.
    pub(super) fn resolve(
        &mut self,
        pattern: &str,
        compiled: &::regex::Regex,
        env: &Env<'_>,
        fx: &mut Effects,
    ) {
        let topics = regex::matching(compiled, env.topics);
        // The others may be of an older image: they are looked at again when it is their time.
        if self.regexes.is_empty() {
            self.seen.regexes = Some((env.topics.version(), env.now.steady_ms));
        }
        self.emit(Change::Regex(pattern.into(), Some(resolved(topics, env))), fx);
    }

    /// Forgets expressions that no member has any more.
    pub(super) fn forget_unused_regexes(&mut self, fx: &mut Effects) {
        let unused: Vec<Arc<str>> =
            self.regexes.keys().filter(|regex| !self.has_regex(regex)).cloned().collect();
        for regex in unused {
            self.emit(Change::Regex(regex, None), fx);
        }
    }
}

fn resolved(topics: BTreeSet<String>, env: &Env<'_>) -> Resolved {
    let version = i64::try_from(env.topics.version()).unwrap_or(i64::MAX);
    Resolved { topics, version, at_ms: env.now.wall_ms }
}
