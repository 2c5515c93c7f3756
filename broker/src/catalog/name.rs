//! Names of topics: the one place where a name from a client is judged fit to become a path.
//!
//! Kafka's rules (`org.apache.kafka.common.internals.Topic`) and messages.

use std::borrow::Cow;

/// The longest name, in bytes: with `-` and a partition's number it still fits a file name of 255.
const LENGTH_MAX: usize = 249;

/// Topics that the broker will make for itself; a client's own under these names would be in the way.
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// Kafka's log of metadata. No topic has this name: a Kafka that takes over the directory would read it as its own.
pub(super) const METADATA_LOG: &str = "__cluster_metadata";

/// Why a topic cannot have a name; the text is Kafka's and is sent to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No characters.
    #[error("Topic name is invalid: the empty string is not allowed")]
    Empty,
    /// `.` or `..`, which are folders.
    #[error("Topic name is invalid: '{0}' is not allowed")]
    Dots(&'static str),
    /// Too many characters.
    #[error("Topic name is invalid: the length of '{name}' is longer than the max allowed length 249")]
    TooLong {
        /// The name.
        name: String,
    },
    /// Other characters than those allowed.
    #[error(
        "Topic name is invalid: '{name}' contains one or more characters other than ASCII alphanumerics, '.', \
         '_' and '-'"
    )]
    Characters {
        /// The name.
        name: String,
    },
}

/// Whether a topic may have this name.
///
/// # Errors
/// The first rule that it breaks.
pub fn check(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if let Some(dots) = [".", ".."].into_iter().find(|dots| *dots == name) {
        return Err(NameError::Dots(dots));
    }
    if LENGTH_MAX < name.len() {
        // A name may be as long as a request; what is sent back need not be.
        let name = name.chars().take(LENGTH_MAX).collect();
        return Err(NameError::TooLong { name });
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        return Err(NameError::Characters { name: name.to_owned() });
    }
    Ok(())
}

/// Whether the name is kept for the broker's own use.
#[must_use]
pub fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

/// The name as metrics have it, where `.` and `_` are one: two topics must not share it.
#[must_use]
pub fn collision_key(name: &str) -> Cow<'_, str> {
    if name.contains('.') { Cow::Owned(name.replace('.', "_")) } else { Cow::Borrowed(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_allowed_up_to_the_limit_and_refused_one_past_it() {
        assert_eq!(check(&"a".repeat(249)), Ok(()));
        assert!(matches!(check(&"a".repeat(250)), Err(NameError::TooLong { .. })));
        assert!(matches!(check(&"ä".repeat(125)), Err(NameError::TooLong { .. })));
    }

    #[test]
    fn what_is_a_path_is_no_name() {
        for name in ["a", "A-b_c.9", "...", ".a", "-"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for name in ["", ".", "..", "a/b", "../a", "a b", "a\0", "ä", "a:b"] {
            assert!(check(name).is_err(), "{name}");
        }
    }

    #[test]
    fn dots_and_underscores_collide() {
        assert_eq!(collision_key("a.b"), collision_key("a_b"));
        assert_ne!(collision_key("a.b"), collision_key("a-b"));
    }
}
