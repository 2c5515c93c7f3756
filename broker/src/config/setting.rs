//! One setting as data: its name, type, unit, default, bounds and what it does.
//!
//! The tables in [`super::broker_table`] and [`super::topic_table`] are made of these; the checks,
//! `--help`, DescribeConfigs and `docs/configuration.md` all read the same rows. What a setting's value
//! does to the broker is not known here.

use std::fmt;

/// A setting of the broker or of a topic.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Kafka's name where Kafka has the setting, else a name that begins with `sendlog.`.
    pub name: &'static str,
    /// Type and bounds.
    pub kind: Kind,
    /// The value that holds when none is given, as it would be written; `None` is Kafka's null.
    pub default: Option<&'static str>,
    /// Unit of the value, empty where it has none.
    pub unit: &'static str,
    /// What it does, in sentences.
    pub doc: &'static str,
}

/// Type and bounds of a setting; the names are those of Kafka's `ConfigDef.Type`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A whole number, reported as INT.
    Int {
        /// Smallest value allowed.
        min: i64,
        /// Largest value allowed.
        max: i64,
    },
    /// A whole number, reported as LONG.
    Long {
        /// Smallest value allowed.
        min: i64,
        /// Largest value allowed.
        max: i64,
    },
    /// A whole number, reported as INT, or -1, which leaves the choice to others.
    Level {
        /// Smallest value allowed.
        min: i64,
        /// Largest value allowed.
        max: i64,
    },
    /// A number between zero and one.
    Ratio,
    /// A number above zero.
    Double,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any of these words, separated by commas; none at all is allowed.
    List(&'static [&'static str]),
    /// Free text; the setting's reader knows more.
    Text,
}

/// Longest value of a setting, Kafka's `Short.MAX_VALUE`. It is kept and written again with every change of any other.
pub const VALUE_BYTES_MAX: usize = i16::MAX as usize;

/// A value that satisfies its [`Kind`].
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of [`Kind::Boolean`].
    Boolean(bool),
    /// Of [`Kind::Int`], [`Kind::Long`] and [`Kind::Level`].
    Whole(i64),
    /// Of [`Kind::Ratio`] and [`Kind::Double`].
    Ratio(f64),
    /// Of [`Kind::Choice`] and [`Kind::Text`].
    Text(String),
    /// Of [`Kind::List`].
    List(Vec<String>),
}

impl Kind {
    /// Reads `text`, which may have spaces around it.
    ///
    /// # Errors
    /// The reason in the words that Apache Kafka uses, to stand behind "Invalid value X for configuration
    /// Y: ".
    pub fn parse(self, text: &str) -> Result<Value, String> {
        if VALUE_BYTES_MAX < text.len() {
            return Err(format!("it exceeds the maximum value size of {VALUE_BYTES_MAX} bytes."));
        }
        let text = text.trim();
        match self {
            Self::Boolean => match text.to_ascii_lowercase().as_str() {
                "true" => Ok(Value::Boolean(true)),
                "false" => Ok(Value::Boolean(false)),
                _ => Err("Expected value to be either true or false".to_owned()),
            },
            Self::Int { min, max } | Self::Long { min, max } => {
                self.whole(text).and_then(|number| within(number, min, max)).map(Value::Whole)
            }
            Self::Level { min, max } => match self.whole(text)? {
                number if number == -1 || (min..=max).contains(&number) => Ok(Value::Whole(number)),
                _ => Err(format!("Value must be between {min} and {max} or equal to -1")),
            },
            Self::Ratio => match double(text) {
                Ok(number) if (0.0..=1.0).contains(&number) => Ok(Value::Ratio(number)),
                Ok(number) if 1.0 < number => Err("Value must be no more than 1".to_owned()),
                Ok(_) => Err("Value must be at least 0".to_owned()),
                Err(reason) => Err(reason),
            },
            Self::Double => match double(text) {
                Ok(number) if 0.0 < number && number.is_finite() => Ok(Value::Ratio(number)),
                Ok(_) => Err("Value must be more than 0".to_owned()),
                Err(reason) => Err(reason),
            },
            Self::Choice(words) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
            Self::Choice(words) => Err(format!("String must be one of: {}", words.join(", "))),
            Self::List(words) => parse_list(text, words).map(Value::List),
            Self::Text => Ok(Value::Text(text.to_owned())),
        }
    }

    /// A whole number that fits the type.
    fn whole(self, text: &str) -> Result<i64, String> {
        let number = match self {
            Self::Long { .. } => text.parse().ok(),
            _ => text.parse::<i32>().ok().map(i64::from),
        };
        number.ok_or_else(|| format!("Not a number of type {}", self.type_name()))
    }

    /// `value` as Kafka tells it: without spaces, and numbers in their usual form.
    #[must_use]
    pub fn shown(self, value: &str) -> String {
        match (self, self.parse(value)) {
            (Self::Text, _) | (_, Err(_)) => value.to_owned(),
            (_, Ok(parsed)) => parsed.to_string(),
        }
    }

    /// Kafka's name of the type.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::Int { .. } | Self::Level { .. } => "INT",
            Self::Long { .. } => "LONG",
            Self::Ratio | Self::Double => "DOUBLE",
            Self::Choice(_) | Self::Text => "STRING",
            Self::List(_) => "LIST",
        }
    }

    /// The type's code in DescribeConfigs (`DescribeConfigsResponse.ConfigType`).
    #[must_use]
    pub fn type_code(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::Choice(_) | Self::Text => 2,
            Self::Int { .. } | Self::Level { .. } => 3,
            Self::Long { .. } => 5,
            Self::Ratio | Self::Double => 6,
            Self::List(_) => 7,
        }
    }

    /// The bounds in words, for documentation; empty where every value is allowed.
    #[must_use]
    pub fn bounds(self) -> String {
        match self {
            Self::Boolean => "true, false".to_owned(),
            Self::Int { min, max } | Self::Long { min, max } => bounds_of(min, max),
            Self::Level { min, max } => format!("{min} to {max}, or -1"),
            Self::Ratio => "0 to 1".to_owned(),
            Self::Double => "more than 0".to_owned(),
            Self::Choice(words) => words.join(", "),
            Self::List([]) => "a list".to_owned(),
            Self::List(words) => format!("a list of {}", words.join(", ")),
            Self::Text => String::new(),
        }
    }
}

impl Setting {
    /// Whether `value` means the same as this setting's default.
    #[must_use]
    pub fn is_default(&self, value: &str) -> bool {
        let Some(default) = self.default else { return value.trim().is_empty() };
        match (self.kind.parse(value), self.kind.parse(default)) {
            (Ok(given), Ok(usual)) => given == usual,
            _ => false,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(out),
            Self::Whole(number) => number.fmt(out),
            Self::Ratio(number) => write_double(*number, out),
            Self::Text(text) => out.write_str(text),
            Self::List(items) => out.write_str(&items.join(",")),
        }
    }
}

/// As Java reads a `double`, which may say that it is one.
fn double(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    number.parse().map_err(|_| "Not a number of type DOUBLE".to_owned())
}

/// As Java writes a `double`.
fn write_double(number: f64, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    if number == 0.0 || (1e-3..1e7).contains(&number.abs()) {
        return write!(out, "{number:?}");
    }
    let written = format!("{number:E}");
    match written.split_once('E') {
        Some((digits, power)) if !digits.contains('.') => write!(out, "{digits}.0E{power}"),
        _ => out.write_str(&written),
    }
}

fn within(number: i64, min: i64, max: i64) -> Result<i64, String> {
    if number < min {
        return Err(format!("Value must be at least {min}"));
    }
    if max < number {
        return Err(format!("Value must be no more than {max}"));
    }
    Ok(number)
}

fn bounds_of(min: i64, max: i64) -> String {
    match (min, max) {
        (i64::MIN, i64::MAX) => String::new(),
        (min, i64::MAX) => format!("{min} or more"),
        (min, max) if max == i64::from(i32::MAX) => format!("{min} or more"),
        (min, max) if min == max => format!("{min} only"),
        (min, max) => format!("{min} to {max}"),
    }
}

fn parse_list(text: &str, words: &[&str]) -> Result<Vec<String>, String> {
    let mut items: Vec<String> = Vec::new();
    if text.is_empty() {
        return Ok(items);
    }
    for item in text.split(',').map(str::trim) {
        if item.is_empty() {
            return Err("values must not be empty".to_owned());
        }
        if !words.is_empty() && !words.contains(&item) {
            return Err(format!("String must be one of: {}", words.join(", ")));
        }
        // Kafka refuses it for some settings only; named again, it means nothing more.
        if !items.iter().any(|seen| seen == item) {
            items.push(item.to_owned());
        }
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_checked_at_their_bounds_and_one_past_them() {
        let kind = Kind::Int { min: 1, max: 10 };
        assert_eq!(kind.parse(" 1 "), Ok(Value::Whole(1)));
        assert_eq!(kind.parse("10"), Ok(Value::Whole(10)));
        assert_eq!(kind.parse("0"), Err("Value must be at least 1".to_owned()));
        assert_eq!(kind.parse("11"), Err("Value must be no more than 10".to_owned()));
        assert_eq!(kind.parse("ten"), Err("Not a number of type INT".to_owned()));
        assert_eq!(kind.parse("99999999999999999999"), Err("Not a number of type INT".to_owned()));
        assert_eq!(kind.parse("2147483648"), Err("Not a number of type INT".to_owned()));
        assert_eq!(kind.parse(""), Err("Not a number of type INT".to_owned()));
    }

    #[test]
    fn levels_have_a_value_apart_from_their_bounds() {
        let kind = Kind::Level { min: 1, max: 9 };
        assert_eq!([kind.parse("-1"), kind.parse("9")], [Ok(Value::Whole(-1)), Ok(Value::Whole(9))]);
        for wrong in ["0", "10", "-2"] {
            let reason = "Value must be between 1 and 9 or equal to -1".to_owned();
            assert_eq!(kind.parse(wrong), Err(reason), "{wrong}");
        }
    }

    #[test]
    fn values_are_told_as_kafka_tells_them() {
        let long = Kind::Long { min: -1, max: i64::MAX };
        assert_eq!([" 7 ", "+5", "007", "-0"].map(|value| long.shown(value)), ["7", "5", "7", "0"]);
        assert_eq!(Kind::Boolean.shown("TRUE"), "true");
        let list = Kind::List(&["compact", "delete"]);
        assert_eq!([list.shown("compact, delete"), list.shown("")], ["compact,delete", ""]);
        let ratios = ["1", ".5", "0", "1e-5", "0.001", "0.00012"].map(|value| Kind::Ratio.shown(value));
        assert_eq!(ratios, ["1.0", "0.5", "0.0", "1.0E-5", "0.001", "1.2E-4"]);
        let most = "1.7976931348623157E308";
        assert_eq!([Kind::Double.shown(most), Kind::Double.shown("1e9")], [most, "1.0E9"]);
        assert_eq!(Kind::Text.shown(" as it is "), " as it is ");
    }

    #[test]
    fn no_value_is_longer_than_kafka_allows() {
        let list = |bytes: usize| Kind::List(&[]).parse(&"v".repeat(bytes));
        assert_eq!(list(VALUE_BYTES_MAX), Ok(Value::List(vec!["v".repeat(32_767)])));
        assert_eq!(
            list(VALUE_BYTES_MAX + 1),
            Err("it exceeds the maximum value size of 32767 bytes.".to_owned())
        );
        let spaces = " ".repeat(VALUE_BYTES_MAX);
        assert!(Kind::Boolean.parse(&format!("{spaces}true")).is_err(), "spaces are kept too");
    }

    #[test]
    fn words_lists_and_ratios_are_checked() {
        assert_eq!(Kind::Boolean.parse("TRUE"), Ok(Value::Boolean(true)));
        assert!(Kind::Boolean.parse("yes").is_err());
        assert!(Kind::Choice(&["a", "b"]).parse("c").is_err());
        let list = Kind::List(&["compact", "delete"]);
        assert_eq!(
            list.parse(" compact , delete "),
            Ok(Value::List(vec!["compact".into(), "delete".into()]))
        );
        assert_eq!(list.parse(""), Ok(Value::List(vec![])));
        assert_eq!(list.parse("delete,delete"), Ok(Value::List(vec!["delete".into()])));
        for empty in ["delete,", ",", "delete,,compact"] {
            assert_eq!(list.parse(empty), Err("values must not be empty".to_owned()), "{empty}");
        }
        assert!(list.parse("shred").is_err());
        assert_eq!(Kind::Ratio.parse("0.5"), Ok(Value::Ratio(0.5)));
        assert_eq!(Kind::Ratio.parse("0.5f"), Ok(Value::Ratio(0.5)));
        assert!(["1.01", "inf", "0.5x", "f"].into_iter().all(|text| Kind::Ratio.parse(text).is_err()));
        assert!(Kind::Ratio.parse("NaN").is_err());
        assert_eq!(Kind::Double.parse("1.7976931348623157E308"), Ok(Value::Ratio(f64::MAX)));
        assert!(["0", "-1", "inf", "NaN", "x"].into_iter().all(|text| Kind::Double.parse(text).is_err()));
    }
}
