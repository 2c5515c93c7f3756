//! UpdateFeatures (key 57), versions 0 to 2: features have the versions that the program has.
//!
//! Differs from Apache Kafka: a feature cannot be turned down or off; the version in force may be asked for again.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    FeatureUpdateKey, UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse,
};

use super::api_versions::FEATURES;
use super::refusal::{Refusal, check_count, outcome};
use super::{Context, Session};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=2;

/// The first version whose answer is one for all features.
const FIRST_TOGETHER: i16 = 2;

/// Checks the versions.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    version: i16,
    request: UpdateFeaturesRequest,
) -> UpdateFeaturesResponse {
    let checked = check_count(&context.config, request.feature_updates.len());
    let refused = |refusal: Refusal| UpdateFeaturesResponse {
        error_code: refusal.code.code(),
        error_message: Some(refusal.message),
        ..Default::default()
    };
    if let Err(refusal) = checked {
        return refused(refusal);
    }
    let node_id = context.config.node_id;
    if FIRST_TOGETHER <= version {
        let first = request.feature_updates.iter().find_map(|update| check(node_id, update).err());
        return first.map_or_else(UpdateFeaturesResponse::default, |Refusal { code, message }| {
            let prefix = "The update failed for all features since the following feature had an error: ";
            refused(Refusal::new(code, format!("{prefix}{message}")))
        });
    }
    let results = request.feature_updates.into_iter().map(|update| {
        let (error_code, error_message) = outcome(check(node_id, &update));
        UpdatableFeatureResult { feature: update.feature, error_code, error_message }
    });
    UpdateFeaturesResponse { results: results.collect(), ..Default::default() }
}

fn check(node_id: i32, update: &FeatureUpdateKey) -> Result<(), Refusal> {
    let FeatureUpdateKey { feature, max_version_level, .. } = update;
    let why = match FEATURES.iter().find(|(name, _)| name == feature) {
        Some((_, level)) if level == max_version_level => return Ok(()),
        Some((_, level)) if (0..*level).contains(max_version_level) => {
            format!("sendlog runs with version {level} and cannot run with less")
        }
        Some((_, level)) => format!("Local controller {node_id} only supports versions 0-{level}"),
        None => format!("Local controller {node_id} does not support this feature."),
    };
    let message = format!("Invalid update version {max_version_level} for feature {feature}. {why}");
    Err(Refusal::new(ErrorCode::InvalidUpdateVersion, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Fixture;

    #[tokio::test]
    async fn only_the_version_in_force_can_be_asked_for() {
        let fixture = Fixture::new();
        let ask = async |version, updates: &[(&str, i16)]| {
            let update = |(feature, level): &(&str, i16)| FeatureUpdateKey {
                feature: (*feature).to_owned(),
                max_version_level: *level,
                ..Default::default()
            };
            let request = UpdateFeaturesRequest {
                feature_updates: updates.iter().map(update).collect(),
                ..Default::default()
            };
            handle(&fixture.context, &fixture.session, version, request).await
        };
        assert_eq!(ask(2, &[("group.version", 1)]).await, UpdateFeaturesResponse::default());
        let high = ask(2, &[("group.version", 1), ("group.version", 9)]).await;
        let expected = "The update failed for all features since the following feature had an error: Invalid update \
                        version 9 for feature group.version. Local controller 1 only supports versions 0-1";
        assert_eq!((high.error_code, high.error_message.as_deref()), (95, Some(expected)));
        assert_eq!(ask(2, &[("group.version", 0)]).await.error_code, 95);
        assert_eq!(ask(2, &[("no.such", 1)]).await.error_code, 95);
        let each = ask(1, &[("group.version", 1), ("no.such", 1)]).await;
        let codes: Vec<i16> = each.results.iter().map(|result| result.error_code).collect();
        assert_eq!((each.error_code, codes), (0, vec![0, 95]));
    }
}
