//! A script of requests, played to one broker: bodies with its own ids in them, and answers in normal form.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sendlog_protocol::api_key::ApiKey;
use sendlog_protocol::messages::ApiVersionsRequest;
use sendlog_protocol::wire::{Reader, Writer};
use sendlog_protocol::{decode_response_header, header};
use serde_json::Value;

use super::transcript::Step;
use super::values::{self, Layout};
use crate::every_request::{self, AnyRequest};
use crate::wire_client::{WireClient, with_length};

/// How long a request is repeated whose answer must be without an error: Kafka does some things later.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);
/// What is said of fields whose values no two brokers, or no two runs, share.
const VARYING: &[&str] = &[
    "throttle_time_ms",
    "port",
    "producer_id",
    "partition_size",
    "total_bytes",
    "usable_bytes",
    "finalized_features_epoch",
    "last_timestamp",
    "log_append_time_ms",
    "usable_bytes",
    "cluster_id",
    "log_dir",
    "last_fetch_timestamp",
    "last_caught_up_timestamp",
];

/// In which versions a request is sent, of those that both brokers serve.
#[derive(Debug, Clone, Copy)]
pub enum Versions {
    /// Each of them.
    All,
    /// This one and later ones.
    From(i16),
    /// The nearest to this one.
    Near(i16),
    /// The last.
    Last,
}

/// One request of a script.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// What it is about; the API and the version are added.
    pub name: String,
    /// Which API.
    pub key: ApiKey,
    /// In which versions.
    pub versions: Versions,
    /// The body. `$v` in a string is the version, `$NAME` alone what was saved under that name.
    pub body: Value,
    /// A JSON pointer into the answer, and the name under which the value there is saved.
    pub save: Option<(&'static str, &'static str)>,
    /// Whether it is repeated until no error is in its answer.
    pub is_settling: bool,
}

impl Exchange {
    /// A request in all versions.
    pub fn new(key: ApiKey, name: &str, body: Value) -> Self {
        let name = format!("{} {name}", key.name());
        Self { name, key, versions: Versions::All, body, save: None, is_settling: false }
    }

    /// In this version and later ones only.
    #[must_use]
    pub fn from(mut self, version: i16) -> Self {
        self.versions = Versions::From(version);
        self
    }

    /// In the nearest version to this one only.
    #[must_use]
    pub fn near(mut self, version: i16) -> Self {
        self.versions = Versions::Near(version);
        self
    }

    /// In the last version only.
    #[must_use]
    pub fn last(mut self) -> Self {
        self.versions = Versions::Last;
        self
    }

    /// Saves the value at a JSON pointer of the answer.
    #[must_use]
    pub fn save(mut self, pointer: &'static str, name: &'static str) -> Self {
        self.save = Some((pointer, name));
        self
    }

    /// Repeated until no error is in the answer.
    #[must_use]
    pub fn settling(mut self) -> Self {
        self.is_settling = true;
        self
    }
}

/// The versions that a broker serves.
pub type Served = BTreeMap<i16, RangeInclusive<i16>>;

/// What a broker says it serves.
pub fn served(address: SocketAddr) -> Served {
    let answer = WireClient::connect(address).call(0, &ApiVersionsRequest::default());
    answer.api_keys.iter().map(|api| (api.api_key, api.min_version..=api.max_version)).collect()
}

/// A broker and what was saved of its answers.
#[derive(Debug)]
pub struct Session {
    address: SocketAddr,
    client: WireClient,
    saved: BTreeMap<String, Value>,
    next_correlation_id: i32,
}

impl Session {
    /// Connects.
    pub fn open(address: SocketAddr) -> Self {
        let client = WireClient::connect(address);
        Self { address, client, saved: BTreeMap::new(), next_correlation_id: 1 }
    }

    /// Plays a script in the versions that both brokers serve; APIs that one of them does not serve are passed over.
    ///
    /// # Errors
    /// When a body cannot be written.
    pub fn play(&mut self, script: &[Exchange], both: [&Served; 2]) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        for exchange in script {
            for version in versions(exchange, both) {
                let lines = self.exchange(exchange, version)?;
                steps.push(Step { name: format!("{} v{version}", exchange.name), lines });
            }
        }
        Ok(steps)
    }

    fn exchange(&mut self, exchange: &Exchange, version: i16) -> Result<Vec<String>, String> {
        let request = every_request::of(exchange.key);
        let body = self.filled(&exchange.body, version);
        let started = Instant::now();
        loop {
            let answer = self.call(&request, version, &body)?;
            let Some(answer) = answer else { return Ok(vec!["the connection is closed".to_owned()]) };
            if exchange.is_settling && has_error(&answer) && started.elapsed() < SETTLE_LIMIT {
                continue;
            }
            if let Some((pointer, name)) = exchange.save {
                let value = answer.pointer(pointer).cloned().unwrap_or_default();
                self.saved.insert(name.to_owned(), value);
            }
            let mut lines = Vec::new();
            flatten("", &answer, &mut lines);
            return Ok(lines);
        }
    }

    fn filled(&self, body: &Value, version: i16) -> Value {
        match body {
            Value::String(text) => match text.strip_prefix('$').and_then(|name| self.saved.get(name)) {
                Some(value) => value.clone(),
                None => Value::String(text.replace("$v", &version.to_string())),
            },
            Value::Array(elements) => elements.iter().map(|element| self.filled(element, version)).collect(),
            Value::Object(fields) => Value::Object(
                fields.iter().map(|(name, value)| (name.clone(), self.filled(value, version))).collect(),
            ),
            other => other.clone(),
        }
    }

    /// Sends a request and reads the answer; `None` when the connection is closed instead.
    fn call(&mut self, request: &AnyRequest, version: i16, body: &Value) -> Result<Option<Value>, String> {
        let layout = Layout { version, is_flexible: request.key.flexible_from() <= version };
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let mut out = Writer::new();
        let header = header::RequestHeader {
            api_key: request.key.code(),
            api_version: version,
            correlation_id,
            client_id: Some("script".to_owned()),
        };
        header.encode(&mut out).map_err(|error| error.to_string())?;
        values::write(&mut out, request.schema, body, layout).map_err(|error| format!("{body}: {error}"))?;
        let frame = match self.client.send_bytes(&with_length(&out.into_bytes())) {
            Ok(()) => self
                .client
                .receive_frame()
                .map_err(|error| format!("{:?} v{version}: {error}", request.key))?,
            Err(_) => None,
        };
        let Some(frame) = frame else {
            self.client = WireClient::connect(self.address);
            return Ok(None);
        };
        read_answer(request, layout, frame).map(Some)
    }
}

fn read_answer(request: &AnyRequest, layout: Layout, frame: Bytes) -> Result<Value, String> {
    let mut input = Reader::new(frame);
    decode_response_header(request.key, layout.version, &mut input).map_err(|error| error.to_string())?;
    let answer = values::read(&mut input, request.answer_schema, layout);
    answer.map_err(|error| format!("the answer to {:?} v{}: {error}", request.key, layout.version))
}

fn versions(exchange: &Exchange, [one, other]: [&Served; 2]) -> Vec<i16> {
    let code = exchange.key.code();
    let (Some(one), Some(other)) = (one.get(&code), other.get(&code)) else { return Vec::new() };
    let known = exchange.key.versions();
    let first = *one.start().max(other.start()).max(known.start());
    let last = *one.end().min(other.end()).min(known.end());
    match exchange.versions {
        _ if last < first => Vec::new(),
        Versions::All => (first..=last).collect(),
        Versions::From(version) => (first.max(version)..=last).collect(),
        Versions::Near(version) => vec![version.clamp(first, last)],
        Versions::Last => vec![last],
    }
}

fn has_error(answer: &Value) -> bool {
    match answer {
        Value::Object(fields) => fields.iter().any(|(name, value)| match name.as_str() {
            "error_code" => value.as_i64() != Some(0),
            _ => has_error(value),
        }),
        Value::Array(elements) => elements.iter().any(has_error),
        _ => false,
    }
}

/// A line for each value: its path, with elements of arrays in the order of their content, and what it is.
fn flatten(path: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                if VARYING.contains(&name.as_str()) {
                    let is_set = !value.is_null() && value.as_i64() != Some(-1);
                    lines.push(format!("{path} = {}", if is_set { "set" } else { "none" }));
                } else {
                    flatten(&path, value, lines);
                }
            }
        }
        Value::Array(elements) if elements.is_empty() => lines.push(format!("{path} = []")),
        Value::Array(elements) => {
            let mut flat: Vec<Vec<String>> = Vec::new();
            for element in elements {
                let mut lines = Vec::new();
                flatten(&format!("{path}[{}]", named(element)), element, &mut lines);
                flat.push(lines);
            }
            flat.sort();
            lines.extend(flat.into_iter().flatten());
        }
        other => lines.push(format!("{path} = {}", normal(other))),
    }
}

/// What an element of an array is about, for the path of its lines.
fn named(element: &Value) -> String {
    let names = [
        "name",
        "topic_name",
        "group_id",
        "resource_name",
        "partition_index",
        "partition",
        "api_key",
        "topic",
        "key",
    ];
    names.iter().find_map(|name| element.get(name)).map(normal).unwrap_or_default()
}

fn normal(value: &Value) -> String {
    let Some(text) = value.as_str() else { return value.to_string() };
    let is_kafkas_id = text.len() == 22
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        && text.bytes().any(|byte| byte.is_ascii_uppercase())
        && text.bytes().any(|byte| byte.is_ascii_lowercase());
    if is_kafkas_id {
        return "an id".to_owned();
    }
    match uuid::Uuid::parse_str(text) {
        Ok(id) if id.is_nil() => "no id".to_owned(),
        Ok(_) => "an id".to_owned(),
        Err(_) => without_ids(text),
    }
}

/// The text with ids of 22 characters, as Kafka writes them, and of 36 as in names of members, left out.
fn without_ids(text: &str) -> String {
    let is_id = |word: &str| word.len() == 36 && uuid::Uuid::parse_str(word).is_ok();
    for start in 0..text.len().saturating_sub(35) {
        if let (Some(before), Some(word), Some(behind)) =
            (text.get(..start), text.get(start..start + 36), text.get(start + 36..))
            && is_id(word)
        {
            return format!("{before}an id{}", without_ids(behind));
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{flatten, has_error};

    #[test]
    fn answers_become_lines_without_ids_and_order() {
        let answer = json!({"throttle_time_ms": 7, "topics": [
            {"name": "b", "id": "00000000-0000-0000-0000-000000000000", "error_code": 3},
            {"name": "a", "id": "10000000-0000-4000-8000-000000000000", "error_code": 0},
        ], "member": "me-10000000-0000-4000-8000-000000000000"});
        let mut lines = Vec::new();
        flatten("", &answer, &mut lines);
        assert_eq!(
            lines,
            [
                "member = me-an id",
                "throttle_time_ms = set",
                "topics[a].error_code = 0",
                "topics[a].id = an id",
                "topics[a].name = a",
                "topics[b].error_code = 3",
                "topics[b].id = no id",
                "topics[b].name = b",
            ]
        );
        assert!(has_error(&answer) && !has_error(&answer["topics"][1]));
    }
}
