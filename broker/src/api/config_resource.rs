//! Which thing a configuration request is about.

use super::refusal::Refusal;
use crate::catalog::name;

/// `ConfigResource.Type.TOPIC`.
pub(super) const TOPIC: i8 = 2;
/// `ConfigResource.Type.BROKER`.
pub(super) const BROKER: i8 = 4;
/// `ConfigResource.Type.BROKER_LOGGER`.
const BROKER_LOGGER: i8 = 8;
/// `ConfigResource.Type.CLIENT_METRICS`.
pub(super) const CLIENT_METRICS: i8 = 16;
/// `ConfigResource.Type.GROUP`.
pub(super) const GROUP: i8 = 32;

/// Longest name of a group or subscription.
const NAME_BYTES_MAX: usize = 1024;

/// A thing with settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource<'a> {
    /// The topic with this name, which need not exist.
    Topic(&'a str),
    /// The broker.
    Broker,
    /// All brokers at once, with settings of their own.
    AllBrokers,
    /// A subscription to client metrics.
    ClientMetrics(&'a str),
    /// A group, which need not exist.
    Group(&'a str),
}

impl<'a> Resource<'a> {
    /// Reads type and name as requests have them.
    pub(super) fn read(node_id: i32, kind: i8, name: &'a str) -> Result<Self, Refusal> {
        match kind {
            TOPIC => {
                name::check(name)?;
                Ok(Self::Topic(name))
            }
            BROKER if name.is_empty() => Ok(Self::AllBrokers),
            BROKER => read_broker(node_id, name),
            BROKER_LOGGER => Err(Refusal::invalid(
                "Unsupported resource type: 8. sendlog has no loggers; the broker's log level is set at its start, by \
                 --log-level",
            )),
            CLIENT_METRICS if name.is_empty() => Err(Refusal::invalid("Subscription name can't be empty")),
            GROUP if name.is_empty() => Err(Refusal::invalid("Group name must not be empty")),
            CLIENT_METRICS | GROUP if NAME_BYTES_MAX < name.len() => {
                Err(Refusal::invalid(format!("a name has at most {NAME_BYTES_MAX} bytes")))
            }
            CLIENT_METRICS => Ok(Self::ClientMetrics(name)),
            GROUP => Ok(Self::Group(name)),
            other => Err(Refusal::invalid(format!("Unsupported resource type: {other}"))),
        }
    }
}

fn read_broker(node_id: i32, name: &str) -> Result<Resource<'static>, Refusal> {
    match name.parse::<i32>() {
        Ok(id) if id == node_id => Ok(Resource::Broker),
        Ok(id) => Err(Refusal::invalid(format!(
            "Unexpected broker id, expected {node_id} or empty string, but received {id}"
        ))),
        Err(_) => {
            let name: String = name.chars().take(100).collect();
            Err(Refusal::invalid(format!("Broker id must be an integer, but it is: {name}")))
        }
    }
}
