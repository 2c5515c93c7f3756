//! What an alteration must know of the settings that it changes.

use std::collections::BTreeMap;

use super::setting::Kind;

/// What a resource itself sets: name to value.
pub type Overrides = BTreeMap<String, String>;

/// Why something cannot have a setting. Texts are sent to clients; where Kafka has one, they are Kafka's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// The setting or its value is wrong: INVALID_CONFIG.
    #[error("{0}")]
    Config(String),
    /// The setting cannot be changed here: INVALID_REQUEST.
    #[error("{0}")]
    Request(String),
}

/// The settings of one kind of resource.
pub trait Scope {
    /// Why a setting is refused.
    type Error;

    /// Whether `name` may be set to `value`.
    ///
    /// # Errors
    /// The name is not known or fixed, or the value is not allowed.
    fn check(&self, name: &str, value: &str) -> Result<(), Self::Error>;

    /// The kind of a setting, and the value that is in force where a resource sets `before`.
    ///
    /// # Errors
    /// The name is not known.
    fn in_force(&self, name: &str, before: &Overrides) -> Result<(Kind, String), Self::Error>;

    /// The refusal to add to or take out of what is no list.
    fn not_a_list(&self, operation: &'static str, name: &str) -> Self::Error;
}

/// An error for a value that its kind does not allow, in Kafka's words.
pub(super) fn invalid(name: &str, value: &str, reason: &str) -> String {
    let value: String = value.chars().take(200).collect();
    format!("Invalid value {value} for configuration {name}: {reason}")
}

/// A name from a client, shortened.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(249).collect()
}
