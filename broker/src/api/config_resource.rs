//! Which thing a configuration request is about.

use sendlog_protocol::error_code::ErrorCode;

use super::refusal::Refusal;
use crate::catalog::name;

/// `ConfigResource.Type.TOPIC`.
const TOPIC: i8 = 2;
/// `ConfigResource.Type.BROKER`.
const BROKER: i8 = 4;

/// A thing with settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource<'a> {
    /// The topic with this name, which need not exist.
    Topic(&'a str),
    /// The broker.
    Broker,
    /// All brokers at once, with settings of their own; there are none.
    AllBrokers,
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
            other => {
                let what = match other {
                    8 => "loggers; the broker's log level is set at its start, by --log-level",
                    16 => "client metrics",
                    32 => "consumer groups yet",
                    _ => return Err(Refusal::invalid(format!("Unsupported resource type: {other}"))),
                };
                Err(Refusal::invalid(format!("Unsupported resource type: {other}. sendlog has no {what}")))
            }
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

/// Why the broker's own settings stay as they are.
pub(super) fn broker_is_fixed() -> Refusal {
    Refusal::new(
        ErrorCode::InvalidRequest,
        "sendlog reads its broker settings at the start: change them in the file given to --config, or by --set, and \
         start the broker again. Topics can be altered at any time.",
    )
}
