//! A change of what a topic, a broker, a group or a subscription sets, as AlterConfigs and IncrementalAlterConfigs ask for it. Pure.

use std::collections::HashSet;

use crate::config::scope::{Overrides, Scope};
use crate::config::setting::Kind;

/// What becomes of the settings of a resource.
#[derive(Debug, Clone)]
pub enum Alteration {
    /// These and no others.
    Replace(Overrides),
    /// Each of these, in order; the rest stays.
    Edit(Vec<Edit>),
}

/// A change of one setting.
#[derive(Debug, Clone)]
pub struct Edit {
    /// The setting.
    pub name: String,
    /// What becomes of it.
    pub operation: Operation,
}

/// What becomes of a setting (KIP-339).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// It has this value.
    Set(String),
    /// It is set no longer.
    Delete,
    /// These items are added to its list.
    Append(String),
    /// These items are taken out of its list.
    Subtract(String),
}

impl Alteration {
    /// The settings of a resource that had `before`.
    ///
    /// # Errors
    /// What `scope` refuses: a name, a value, and a list operation on what is no list.
    pub fn apply<S: Scope>(self, scope: &S, before: &Overrides) -> Result<Overrides, S::Error> {
        match self {
            Self::Replace(overrides) => {
                for (name, value) in &overrides {
                    scope.check(name, value)?;
                }
                Ok(overrides)
            }
            Self::Edit(edits) => {
                let mut after = before.clone();
                for edit in edits {
                    edit.apply(scope, &mut after)?;
                }
                Ok(after)
            }
        }
    }
}

impl Edit {
    fn apply<S: Scope>(self, scope: &S, overrides: &mut Overrides) -> Result<(), S::Error> {
        let value = match self.operation {
            Operation::Set(value) => value,
            Operation::Delete => {
                // Kafka takes any name: one that an older version had can so be cleaned up.
                overrides.remove(&self.name);
                return Ok(());
            }
            Operation::Append(ref items) => self.edited_list(scope, overrides, |list| {
                let mut seen: HashSet<String> = list.iter().cloned().collect();
                list.extend(words(items).filter(|item| seen.insert((*item).to_owned())).map(str::to_owned));
            })?,
            Operation::Subtract(ref items) => {
                let gone: HashSet<&str> = words(items).collect();
                self.edited_list(scope, overrides, |list| list.retain(|item| !gone.contains(item.as_str())))?
            }
        };
        scope.check(&self.name, &value)?;
        overrides.insert(self.name, value);
        Ok(())
    }

    /// The list in force, changed by `edit`.
    fn edited_list<S: Scope>(
        &self,
        scope: &S,
        overrides: &Overrides,
        edit: impl FnOnce(&mut Vec<String>),
    ) -> Result<String, S::Error> {
        let (kind, value) = scope.in_force(&self.name, overrides)?;
        if !matches!(kind, Kind::List(_)) {
            let operation =
                if matches!(self.operation, Operation::Append(_)) { "APPEND" } else { "SUBTRACT" };
            return Err(scope.not_a_list(operation, &self.name));
        }
        let mut list: Vec<String> = words(&value).map(str::to_owned).collect();
        edit(&mut list);
        Ok(list.join(","))
    }
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Settings;
    use crate::config::topic::TopicScope;

    fn edited(before: &[(&str, &str)], name: &str, operation: Operation) -> Result<Overrides, String> {
        let before = before.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let edit = Edit { name: name.to_owned(), operation };
        Alteration::Edit(vec![edit])
            .apply(&TopicScope(&Settings::default()), &before)
            .map_err(|error| error.to_string())
    }

    fn value(result: Result<Overrides, String>, name: &str) -> Option<String> {
        result.unwrap().get(name).cloned()
    }

    #[test]
    fn settings_are_set_and_taken_away() {
        let set = edited(&[], "retention.ms", Operation::Set("5".into()));
        assert_eq!(value(set, "retention.ms").as_deref(), Some("5"));
        let gone = edited(&[("retention.ms", "5")], "retention.ms", Operation::Delete);
        assert_eq!(value(gone, "retention.ms"), None);
        assert_eq!(edited(&[], "message.format.version", Operation::Delete), Ok(Overrides::new()));
        assert!(edited(&[], "retention.ms", Operation::Set("x".into())).is_err());
    }

    #[test]
    fn lists_are_changed_from_the_value_in_force() {
        let policy = |before: &[(&str, &str)], operation| {
            value(edited(before, "cleanup.policy", operation), "cleanup.policy").unwrap()
        };
        assert_eq!(policy(&[], Operation::Append("compact".into())), "delete,compact");
        assert_eq!(policy(&[], Operation::Append("delete".into())), "delete");
        assert_eq!(
            policy(&[("cleanup.policy", "compact,delete")], Operation::Subtract("delete".into())),
            "compact"
        );
        assert_eq!(policy(&[], Operation::Subtract("delete,compact".into())), "");
        assert!(edited(&[], "cleanup.policy", Operation::Append("shred".into())).is_err());
        assert_eq!(policy(&[], Operation::Append("compact,compact".into())), "delete,compact");
    }

    #[test]
    fn only_lists_can_be_appended_to() {
        let refused = edited(&[], "retention.ms", Operation::Append("5".into())).unwrap_err();
        assert_eq!(refused, "Can't APPEND to key retention.ms because its type is not LIST.");
    }
}
