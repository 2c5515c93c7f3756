//! DeleteTopics (key 20), versions 1 to 6.
//!
//! Groups' offsets of a deleted topic are forgotten. Differs from Apache Kafka: the topics and their files are gone when it is
//! answered, not soon after; the broker's own topics are not deleted.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use uuid::Uuid;

use super::refusal::{Refusal, blocking, check_count, outcome, repeated};
use super::{Context, Session};
use crate::catalog::Catalog;
use crate::config::Config;

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 1..=6;

/// The first version that can say that deletion is turned off.
const FIRST_WITH_DISABLED: i16 = 3;

/// The first version that may ask by topic id (KIP-516).
const FIRST_BY_ID: i16 = 6;

/// Deletes the topics, each for itself.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    version: i16,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let work = move |config: &Config, catalog: &Catalog| delete(config, catalog, version, request);
    let responses = blocking(context, work).await;
    let deleted = responses.iter().filter(|one| one.error_code == ErrorCode::None.code());
    let gone: HashSet<String> = deleted.filter_map(|one| one.name.clone()).collect();
    let groups = Arc::clone(&context.groups);
    // Every group is asked. A panic in there was logged, and the offsets expire in time.
    let _ = tokio::task::spawn_blocking(move || groups.forget_topics(&gone)).await;
    DeleteTopicsResponse { responses, ..Default::default() }
}

fn delete(
    config: &Config,
    catalog: &Catalog,
    version: i16,
    request: DeleteTopicsRequest,
) -> Vec<DeletableTopicResult> {
    let topics = match version < FIRST_BY_ID {
        true => request.topic_names.into_iter().map(by_name).collect(),
        false => request.topics,
    };
    let found = find_all(config, catalog, version, topics);
    let ids: Vec<Uuid> =
        found.iter().filter(|one| one.refusal.is_none()).map(|one| one.topic.topic_id).collect();
    let mut deleted = catalog.delete(&ids).into_iter();
    let responses = found.into_iter().map(|one| {
        let result = match one.refusal {
            Some(refusal) => Err(refusal),
            None => deleted.next().expect("the catalog answers for every topic").map_err(Refusal::from),
        };
        let (error_code, error_message) = outcome(result);
        let DeleteTopicState { name, topic_id } = one.topic;
        DeletableTopicResult { name, topic_id, error_code, error_message }
    });
    responses.collect()
}

/// A topic of the request; name and id are both known when it is not refused.
struct Found {
    topic: DeleteTopicState,
    refusal: Option<Refusal>,
}

fn by_name(name: String) -> DeleteTopicState {
    DeleteTopicState { name: Some(name), topic_id: Uuid::nil() }
}

/// Looks every topic up. What is named twice stands once, refused.
fn find_all(config: &Config, catalog: &Catalog, version: i16, topics: Vec<DeleteTopicState>) -> Vec<Found> {
    let refused = check_count(config, topics.len()).and_then(|()| check_enabled(config, version)).err();
    let names: HashSet<String> = repeated(topics.iter().filter_map(|topic| topic.name.clone()));
    let given_id = |topic: &DeleteTopicState| Some(topic.topic_id).filter(|id| *id != Uuid::nil());
    let ids: HashSet<Uuid> = repeated(topics.iter().filter_map(given_id));
    let mut all = Vec::with_capacity(topics.len());
    let mut seen = HashSet::new();
    for mut topic in topics {
        if !seen.insert((topic.name.clone(), topic.topic_id)) {
            continue;
        }
        let found = match &refused {
            Some(refusal) => Err(refusal.clone()),
            None if topic.name.as_ref().is_some_and(|name| names.contains(name)) => {
                Err(Refusal::invalid("Duplicate topic name."))
            }
            None if ids.contains(&topic.topic_id) => Err(Refusal::invalid("Duplicate topic id.")),
            None => find(catalog, &mut topic),
        };
        all.push(Found { topic, refusal: found.err() });
    }
    refuse_same_topics(&mut all);
    all
}

fn check_enabled(config: &Config, version: i16) -> Result<(), Refusal> {
    match (config.delete_topics, version < FIRST_WITH_DISABLED) {
        (true, _) => Ok(()),
        (false, true) => Err(Refusal::invalid("Topic deletion is disabled.")),
        (false, false) => Err(Refusal::new(ErrorCode::TopicDeletionDisabled, "Topic deletion is disabled.")),
    }
}

/// Fills in the name or the id, whichever the client left out.
fn find(catalog: &Catalog, topic: &mut DeleteTopicState) -> Result<(), Refusal> {
    match (&topic.name, topic.topic_id == Uuid::nil()) {
        (None, true) => Err(Refusal::invalid("Neither topic name nor id were specified.")),
        (Some(_), false) => Err(Refusal::invalid("You may not specify both topic name and topic id.")),
        (Some(name), true) => {
            let found = catalog.topic(name).ok_or_else(Refusal::unknown_topic)?;
            topic.topic_id = found.id();
            Ok(())
        }
        (None, false) => {
            let unknown =
                || Refusal::new(ErrorCode::UnknownTopicId, "This server does not host this topic ID.");
            let found = catalog.topic_by_id(topic.topic_id).ok_or_else(unknown)?;
            topic.name = Some(found.name().to_string());
            Ok(())
        }
    }
}

/// A topic asked for by its name and again by its id.
fn refuse_same_topics(all: &mut [Found]) {
    let mut seen = HashSet::new();
    for one in all.iter_mut().filter(|one| one.refusal.is_none()) {
        if !seen.insert(one.topic.topic_id) {
            let message = "The provided topic name maps to an ID that was already supplied.";
            one.refusal = Some(Refusal::invalid(message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Fixture;

    async fn by_names(fixture: &Fixture, version: i16, names: &[&str]) -> Vec<DeletableTopicResult> {
        let topic_names = names.iter().map(|name| (*name).to_owned()).collect();
        let request = DeleteTopicsRequest { topic_names, ..Default::default() };
        handle(&fixture.context, &fixture.session, version, request).await.responses
    }

    async fn by_states(fixture: &Fixture, topics: Vec<(Option<&str>, Uuid)>) -> Vec<DeletableTopicResult> {
        let state = |(name, topic_id): (Option<&str>, Uuid)| DeleteTopicState {
            name: name.map(str::to_owned),
            topic_id,
        };
        let request =
            DeleteTopicsRequest { topics: topics.into_iter().map(state).collect(), ..Default::default() };
        handle(&fixture.context, &fixture.session, 6, request).await.responses
    }

    fn codes(results: &[DeletableTopicResult]) -> Vec<i16> {
        results.iter().map(|result| result.error_code).collect()
    }

    #[tokio::test]
    async fn topics_are_deleted_by_name() {
        let fixture = Fixture::new();
        fixture.create("a", 2).await;
        fixture.create("b", 1).await;
        assert_eq!(codes(&by_names(&fixture, 5, &["a", "none", "b", "b"]).await), [0, 3, 42]);
        assert!(fixture.context.catalog.topic("a").is_none() && fixture.context.catalog.topic("b").is_some());
    }

    #[tokio::test]
    async fn topics_are_deleted_by_id_and_the_answer_has_both() {
        let fixture = Fixture::new();
        let (a, b) = (fixture.create("a", 1).await, fixture.create("b", 1).await);
        let unknown = Uuid::from_u128(5);
        let results = by_states(&fixture, vec![(None, a), (Some("b"), Uuid::nil()), (None, unknown)]).await;
        assert_eq!(codes(&results), [0, 0, 100]);
        assert_eq!((results[0].name.as_deref(), results[1].topic_id), (Some("a"), b));
        assert_eq!((results[2].name.as_deref(), results[2].topic_id), (None, unknown));
    }

    #[tokio::test]
    async fn a_topic_is_named_in_one_way_only() {
        let fixture = Fixture::new();
        let a = fixture.create("a", 1).await;
        let results = by_states(&fixture, vec![(Some("a"), a), (None, Uuid::nil())]).await;
        assert_eq!(codes(&results), [42, 42]);
        let results = by_states(&fixture, vec![(Some("a"), Uuid::nil()), (None, a)]).await;
        assert_eq!(codes(&results), [0, 42]);
    }

    #[tokio::test]
    async fn deletion_can_be_turned_off() {
        let fixture = Fixture::with(&["delete.topic.enable=false"]);
        fixture.create("a", 1).await;
        assert_eq!(codes(&by_names(&fixture, 5, &["a"]).await), [73]);
        assert_eq!(codes(&by_names(&fixture, 2, &["a"]).await), [42]);
        assert!(fixture.context.catalog.topic("a").is_some());
    }
}
