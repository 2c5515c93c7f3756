//! The settings that were given, each with its origin, over the defaults of the table.

use std::collections::BTreeMap;

use super::broker_table;
use super::elsewhere;
use super::error::{ConfigError, Origin};
use super::nearest::nearest;
use super::scope::Overrides;
use super::setting::{Setting, Value};
use super::source::Source;

/// Checked values of broker settings. Every name that a method takes must be in [`broker_table`].
#[derive(Debug, Clone, Default)]
pub struct Settings {
    given: BTreeMap<&'static str, Given>,
    /// Set on all brokers while they run.
    cluster: Overrides,
    /// Set on this broker while it runs.
    broker: Overrides,
    without_effect: Vec<String>,
}

#[derive(Debug, Clone)]
struct Given {
    value: String,
    origin: Origin,
}

impl Settings {
    /// Sets `name`, over what was given before.
    ///
    /// # Errors
    /// A name that is not known or not served, a value that is not allowed, and a second line of a file for
    /// one setting.
    pub fn give(&mut self, name: &str, value: &str, origin: Origin) -> Result<(), ConfigError> {
        if let Some(why) = elsewhere::without_effect(name) {
            self.without_effect.push(format!("{origin}: {name} has no effect: {why}"));
            return Ok(());
        }
        let Some(setting) = broker_table::find(canonical(name)) else { return Err(unknown(name, origin)) };
        if let Err(reason) = setting.kind.parse(value) {
            return Err(invalid(setting, value, origin, reason));
        }
        if let (Some(Given { origin: Origin::File { line: first, .. }, .. }), Origin::File { .. }) =
            (self.given.get(setting.name), &origin)
        {
            return Err(ConfigError::Twice { at: origin, name: setting.name, first: *first });
        }
        self.given.insert(setting.name, Given { value: value.trim().to_owned(), origin });
        Ok(())
    }

    /// One sentence for each setting that was given and does nothing.
    #[must_use]
    pub fn without_effect(&self) -> &[String] {
        &self.without_effect
    }

    /// The same with what was set since the start, every value of which is allowed.
    #[must_use]
    pub fn with_dynamic(self, cluster: Overrides, broker: Overrides) -> Self {
        Self { cluster, broker, ..self }
    }

    /// The value of `name` that one source has.
    #[must_use]
    pub fn value_from(&self, source: Source, name: &str) -> Option<&str> {
        match source {
            Source::DynamicBroker => self.broker.get(name).map(String::as_str),
            Source::DynamicDefaultBroker => self.cluster.get(name).map(String::as_str),
            Source::StaticBroker => self.given.get(name).map(|given| given.value.as_str()),
            Source::Default => setting(name).default,
            Source::DynamicTopic | Source::Group | Source::ClientMetrics => None,
        }
    }

    /// The value of `name` if somebody set it.
    #[must_use]
    pub fn given(&self, name: &str) -> Option<&str> {
        let sources = Source::OF_BROKER.into_iter().filter(|source| *source != Source::Default);
        sources.filter_map(|source| self.value_from(source, name)).next()
    }

    /// The value of `name`, given or default; `None` if it has neither.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.given(name).or_else(|| setting(name).default)
    }

    /// The value of a text setting.
    ///
    /// # Errors
    /// Whatever `read` finds wrong, with the setting's origin.
    pub fn read<T>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.value(name).filter(|value| !value.is_empty()) else { return Ok(None) };
        match read(value) {
            Ok(value) => Ok(Some(value)),
            Err(reason) => Err(self.invalid(name, reason)),
        }
    }

    /// The value of a whole-number setting, in a type that holds the table's bounds.
    pub fn number<T: TryFrom<i64>>(&self, name: &str) -> T {
        match self.parsed(name) {
            Value::Whole(number) => {
                T::try_from(number).ok().expect("the table's bounds fit the type it is read as")
            }
            other => unreachable!("{name} is not a whole number: {other:?}"),
        }
    }

    /// The value of a boolean setting.
    #[must_use]
    pub fn boolean(&self, name: &str) -> bool {
        self.parsed(name) == Value::Boolean(true)
    }

    /// The value of a setting that is a ratio or another positive number.
    #[must_use]
    pub fn double(&self, name: &str) -> f64 {
        match self.parsed(name) {
            Value::Ratio(number) => number,
            other => unreachable!("{name} is not a number with a fraction: {other:?}"),
        }
    }

    /// The items of a list.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        match self.parsed(name) {
            Value::List(items) => items,
            other => unreachable!("{name} is not a list: {other:?}"),
        }
    }

    /// The error for the value of `name`, which the table allows and something else forbids.
    #[must_use]
    pub fn invalid(&self, name: &str, reason: String) -> ConfigError {
        let setting = setting(name);
        let value = self.value(name).unwrap_or("");
        let origin = self.given.get(name).map_or(Origin::Flag("default"), |given| given.origin.clone());
        invalid(setting, value, origin, reason)
    }

    fn parsed(&self, name: &str) -> Value {
        let value = self.value(name).expect("a setting that is read as typed has a default");
        setting(name).kind.parse(value).expect("given values are checked, and defaults by a test")
    }
}

/// The table's name for a name that Kafka has twice.
fn canonical(name: &str) -> &str {
    match name {
        "broker.id" => "node.id",
        "log.dir" => "log.dirs",
        name => name,
    }
}

fn setting(name: &str) -> &'static Setting {
    broker_table::find(name).expect("settings are read by names of the table")
}

fn unknown(name: &str, at: Origin) -> ConfigError {
    if let Some(reason) = elsewhere::refused(name) {
        return ConfigError::NotServed { at, name: name.to_owned(), reason };
    }
    let known = broker_table::all().map(|setting| setting.name);
    ConfigError::Unknown { at, name: name.to_owned(), nearest: nearest(name, known) }
}

fn invalid(setting: &'static Setting, value: &str, at: Origin, reason: String) -> ConfigError {
    ConfigError::Invalid { at, name: setting.name, value: value.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Result<Settings, String> {
        let mut settings = Settings::default();
        settings.give(name, value, Origin::Flag("--set")).map_err(|error| error.to_string())?;
        Ok(settings)
    }

    #[test]
    fn defaults_of_the_table_satisfy_the_table() {
        for setting in broker_table::all() {
            if let Some(default) = setting.default {
                assert!(setting.kind.parse(default).is_ok(), "{}", setting.name);
            }
        }
    }

    #[test]
    fn names_are_unique_and_not_also_without_effect() {
        let mut names: Vec<&str> = broker_table::all().map(|setting| setting.name).collect();
        names.extend(elsewhere::WITHOUT_EFFECT.iter().map(|(name, _)| name));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(names.iter().all(|name| elsewhere::refused(name).is_none()));
    }

    #[test]
    fn unknown_and_refused_names_say_why() {
        let said = |name| set(name, "1").unwrap_err();
        assert_eq!(
            said("num.partition"),
            "--set: unknown setting num.partition; did you mean num.partitions?"
        );
        assert_eq!(said("colour"), "--set: unknown setting colour; docs/configuration.md lists them all");
        assert!(said("ssl.keystore.location").contains("sendlog has no TLS yet"));
    }

    #[test]
    fn values_are_checked_when_they_are_given() {
        assert_eq!(
            set("num.partitions", "0").unwrap_err(),
            "--set: invalid value 0 for num.partitions: Value must be at least 1"
        );
        assert_eq!(set("broker.id", "7").unwrap().number::<i32>("node.id"), 7);
        assert_eq!(set("process.roles", "broker").unwrap().without_effect().len(), 1);
    }

    #[test]
    fn a_later_flag_wins_and_a_second_line_is_refused() {
        let mut settings = Settings::default();
        let line = |line| Origin::File { path: std::path::Path::new("f").into(), line };
        settings.give("num.partitions", "2", line(3)).unwrap();
        settings.give("num.partitions", "4", Origin::Flag("--set")).unwrap();
        assert_eq!(settings.number::<i32>("num.partitions"), 4);
        let mut settings = Settings::default();
        settings.give("num.partitions", "2", line(3)).unwrap();
        let again = settings.give("num.partitions", "2", line(9)).unwrap_err().to_string();
        assert_eq!(again, "f:9: num.partitions is already set on line 3");
    }
}
