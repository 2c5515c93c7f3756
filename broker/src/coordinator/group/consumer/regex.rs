//! Subscriptions by regular expression.
//!
//! A client writes RE2 syntax, as Kafka's RE2/J reads it; the crate `regex` reads nearly the same language, also in linear
//! time. `docs/protocol.md` lists where they part. A topic matches if its whole name does.

use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};
use sendlog_protocol::error_code::ErrorCode;

use super::refused::Refused;
use crate::coordinator::group::TopicsImage;

/// Longest expression that is taken.
const PATTERN_BYTES_MAX: usize = 8 * 1024;

/// Largest program that an expression may become: `(\w{1000}){1000}` is short and not small.
const PROGRAM_BYTES_MAX: usize = 1024 * 1024;

/// Compiles an expression.
///
/// # Errors
/// `INVALID_REGULAR_EXPRESSION`.
pub(super) fn compile(pattern: &str) -> Result<Regex, Refused> {
    if PATTERN_BYTES_MAX < pattern.len() {
        return Err(refused(pattern, &format!("it has more than {PATTERN_BYTES_MAX} bytes")));
    }
    // Alone first: the parentheses around it could make a whole out of what is none.
    build(pattern).and_then(|_| build(&format!(r"\A(?:{pattern})\z"))).map_err(|error| {
        // The last line says what is wrong; those before it draw a picture.
        let text = error.to_string();
        refused(pattern, text.lines().last().unwrap_or_default().trim_start_matches("error: "))
    })
}

fn build(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(PROGRAM_BYTES_MAX).dfa_size_limit(PROGRAM_BYTES_MAX).build()
}

fn refused(pattern: &str, problem: &str) -> Refused {
    let shown: String = pattern.chars().take(256).collect();
    let message = format!("SubscribedTopicRegex `{shown}` is not a valid regular expression: {problem}.");
    Refused::new(ErrorCode::InvalidRegularExpression, message)
}

/// Names of the topics that it matches. Internal topics are among them, as they are for Kafka.
pub(super) fn matching(regex: &Regex, topics: &TopicsImage) -> BTreeSet<String> {
    let names = topics.iter().map(|topic| &*topic.name);
    names.filter(|name| regex.is_match(name)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::coordinator::group::TopicImage;

    fn found(pattern: &str, names: &[&str]) -> Vec<String> {
        let topic = |name: &&str| TopicImage { name: (*name).into(), id: Uuid::new_v4(), partitions: 1 };
        let topics = TopicsImage::new(1, names.iter().map(topic));
        matching(&compile(pattern).unwrap(), &topics).into_iter().collect()
    }

    #[test]
    fn a_topic_matches_by_its_whole_name() {
        let names = ["orders", "orders-eu", "my-orders", "__consumer_offsets"];
        assert_eq!(found("orders", &names), ["orders"]);
        assert_eq!(found("orders.*", &names), ["orders", "orders-eu"]);
        assert_eq!(found("orders|my", &names), ["orders"]);
        assert_eq!(found("^orders$", &names), ["orders"]);
        assert_eq!(found("(?i)ORDERS", &names), ["orders"]);
        assert_eq!(found("", &names), [""; 0]);
        assert_eq!(found(".*", &names).len(), 4);
    }

    #[test]
    fn what_is_no_expression_or_too_large_is_refused() {
        let long = "a".repeat(PATTERN_BYTES_MAX + 1);
        for pattern in ["(", ")", "a)(b", "*", "[z-a]", r"\8", r"(\w{1000}){1000}", "(?=a)", r"(a)\1", &long]
        {
            let refused = compile(pattern).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidRegularExpression, "{pattern:.20}");
            assert!(refused.message.len() < 1000, "{}", refused.message);
        }
        assert!(compile(&"a".repeat(PATTERN_BYTES_MAX)).is_ok());
    }
}
