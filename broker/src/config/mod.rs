//! The broker's configuration: what the command line and a `.properties` file say, checked and typed.
//!
//! Two tables hold every setting: [`broker_table`] and [`topic_table`]. [`Config`] is what the rest of the
//! broker reads. A value is checked where it is given, so that an error names the file and line, or the
//! flag; nothing is checked again later.

pub mod args;
pub mod broker_scope;
pub mod broker_table;
mod cleaner_table;
pub mod client_metrics;
pub mod elsewhere;
pub mod error;
pub mod group_config;
mod group_table;
pub mod groups;
pub mod host_port;
mod iso_duration;
pub mod live;
mod nearest;
mod network_table;
pub mod properties;
pub mod scope;
pub mod setting;
pub mod settings;
pub mod source;
pub mod topic;
pub mod topic_table;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use args::Args;
pub use error::ConfigError;
pub use topic::TopicConfig;

use error::Origin;
use groups::{CleanerSettings, GroupSettings};
use host_port::HostPort;
use scope::Overrides;
use settings::Settings;
use topic::{FlushMode, TopicConfigError};

/// Largest configuration file that is read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The broker's settings. Each field is named after its setting, which says more: see [`broker_table`].
#[derive(Debug, Clone)]
pub struct Config {
    /// `log.dirs`.
    pub data_dir: PathBuf,
    /// `sendlog.data.dir.create`.
    pub create_data_dir: bool,
    /// `listeners`.
    pub listen: HostPort,
    /// `advertised.listeners`; `None` tells every client the address that it dialled.
    pub advertise: Option<HostPort>,
    /// `node.id`.
    pub node_id: i32,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topics: bool,
    /// `sendlog.topics.max`.
    pub topics_max: usize,
    /// `sendlog.partitions.max`.
    pub partitions_max: usize,
    /// The configuration of a topic that sets nothing, shared by all such topics.
    pub topic_defaults: Arc<TopicConfig>,
    /// Groups and their offsets.
    pub groups: GroupSettings,
    /// Compaction.
    pub cleaner: CleanerSettings,
    /// `sendlog.sync.threads`.
    pub sync_threads: usize,
    /// `sendlog.journal.bytes`.
    pub journal_bytes: u64,
    /// `sendlog.checkpoint.interval.ms`.
    pub checkpoint_interval_ms: u64,
    /// `sendlog.checkpoint.interval.bytes`.
    pub checkpoint_interval_bytes: u64,
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval_ms: u64,
    /// `sendlog.scrub.bytes.per.second`; 0 is off.
    pub scrub_bytes_per_second: u64,
    /// `sendlog.scrub.interval.ms`.
    pub scrub_interval_ms: u64,
    /// `log.segment.delete.delay.ms`.
    pub segment_delete_delay_ms: u64,
    /// `sendlog.clock.jump.wait.ms`.
    pub clock_jump_wait_ms: i64,
    /// `sendlog.min.free.bytes`.
    pub free_bytes_min: u64,
    /// `sendlog.compressed.batch.check`.
    pub compressed_batch_check: bool,
    /// `sendlog.decompressed.batch.bytes.max`.
    pub decompressed_batch_bytes_max: usize,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
    /// `sendlog.sendfile`.
    pub sendfile: bool,
    /// `sendlog.worker.threads`; 0 is one for every core.
    pub worker_threads: usize,
    /// `socket.request.max.bytes`.
    pub request_bytes_max: usize,
    /// `queued.max.request.bytes`; at least `request_bytes_max`.
    pub queued_request_bytes_max: usize,
    /// `fetch.max.bytes`.
    pub fetch_bytes_max: usize,
    /// `max.connections`.
    pub connections_max: usize,
    /// `connections.max.idle.ms`.
    pub connection_idle_ms_max: u64,
    /// `sendlog.frame.stall.timeout.ms`.
    pub frame_stall_timeout_ms: u64,
    /// `sendlog.inflight.requests.max`, per connection.
    pub inflight_requests_max: usize,
    /// `sendlog.inflight.bytes.max`, per connection.
    pub inflight_bytes_max: usize,
    /// `sendlog.socket.congestion.control`.
    pub congestion_control: Option<String>,
    /// `sendlog.request.topics.max`.
    pub request_topics_max: usize,
    /// `sendlog.shutdown.timeout.ms`.
    pub shutdown_timeout_ms: u64,
    /// `sendlog.log.format`.
    pub log_format: LogFormat,
    /// `sendlog.log.level`.
    pub log_level: tracing::Level,
    /// Every setting as given, for DescribeConfigs and for topics with settings of their own.
    pub settings: Settings,
}

/// `sendlog.log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Human,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads the file that `args` name, if any, and puts `--set` and then the other flags over it.
    ///
    /// # Errors
    /// The first thing that is wrong, with where it was written.
    pub fn load(args: &Args) -> Result<Self, ConfigError> {
        let mut settings = Settings::default();
        if let Some(path) = &args.config {
            read_file(path, &mut settings)?;
        }
        for pair in &args.set {
            let at = Origin::Flag("--set");
            let Some((name, value)) = pair.split_once('=') else {
                return Err(ConfigError::Malformed { at, problem: format!("`{pair}` is not key=value") });
            };
            settings.give(name.trim(), value, at)?;
        }
        give_flags(args, &mut settings)?;
        let data_dir = match &args.data_dir {
            Some(dir) if !dir.as_os_str().is_empty() => dir.clone(),
            _ => settings.read("log.dirs", one_directory)?.ok_or(ConfigError::NoDataDir)?,
        };
        Self::from_settings(settings, data_dir)
    }

    /// One sentence for each setting that was given and has no effect here; to be logged once.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        self.settings.without_effect()
    }

    /// When an acknowledged record is on disk, in words.
    #[must_use]
    pub fn durability(&self) -> String {
        let topic = &self.topic_defaults;
        if topic.syncs_before_ack() {
            return "every acknowledged record is on disk (fdatasync before the ack, group commit)"
                .to_owned();
        }
        let limits = match (topic.flush_messages, topic.flush_ms) {
            (i64::MAX, i64::MAX) => "when the kernel writes them".to_owned(),
            (i64::MAX, ms) => format!("within {ms} ms"),
            (messages, i64::MAX) => format!("after {messages} records"),
            (messages, ms) => format!("after {messages} records or {ms} ms"),
        };
        format!("acknowledged records reach the disk {limits}; a crash of the machine may lose the last ones")
    }

    /// The same with what was set since the start, every value of which is allowed.
    ///
    /// # Errors
    /// Two settings contradict each other.
    pub fn with_dynamic(&self, cluster: Overrides, broker: Overrides) -> Result<Self, ConfigError> {
        Self::from_settings(self.settings.clone().with_dynamic(cluster, broker), self.data_dir.clone())
    }

    fn from_settings(settings: Settings, data_dir: PathBuf) -> Result<Self, ConfigError> {
        check_together(&settings)?;
        let log_level = settings.read("sendlog.log.level", read_level)?.unwrap_or(tracing::Level::INFO);
        let defaults = TopicConfig::resolve(&settings, &Overrides::new());
        Ok(Self {
            data_dir,
            create_data_dir: settings.boolean("sendlog.data.dir.create"),
            listen: settings.read("listeners", one_listener)?.expect("listeners has a default"),
            advertise: settings.read("advertised.listeners", advertised)?,
            node_id: settings.number("node.id"),
            rack: settings.read("broker.rack", |rack| Ok(rack.to_owned()))?,
            num_partitions: settings.number("num.partitions"),
            auto_create_topics: settings.boolean("auto.create.topics.enable"),
            delete_topics: settings.boolean("delete.topic.enable"),
            topics_max: settings.number("sendlog.topics.max"),
            partitions_max: settings.number("sendlog.partitions.max"),
            topic_defaults: Arc::new(defaults.map_err(|error: TopicConfigError| {
                ConfigError::Conflict(format!("the defaults of topics: {error}"))
            })?),
            groups: GroupSettings::read(&settings)?,
            cleaner: CleanerSettings::read(&settings),
            sync_threads: settings.number("sendlog.sync.threads"),
            journal_bytes: settings.number("sendlog.journal.bytes"),
            checkpoint_interval_ms: settings.number("sendlog.checkpoint.interval.ms"),
            checkpoint_interval_bytes: settings.number("sendlog.checkpoint.interval.bytes"),
            retention_check_interval_ms: settings.number("log.retention.check.interval.ms"),
            scrub_bytes_per_second: settings.number("sendlog.scrub.bytes.per.second"),
            scrub_interval_ms: settings.number("sendlog.scrub.interval.ms"),
            segment_delete_delay_ms: settings.number("log.segment.delete.delay.ms"),
            clock_jump_wait_ms: settings.number("sendlog.clock.jump.wait.ms"),
            free_bytes_min: settings.number("sendlog.min.free.bytes"),
            compressed_batch_check: settings.boolean("sendlog.compressed.batch.check"),
            decompressed_batch_bytes_max: settings.number("sendlog.decompressed.batch.bytes.max"),
            producer_id_expiration_ms: settings.number("producer.id.expiration.ms"),
            sendfile: settings.boolean("sendlog.sendfile"),
            worker_threads: settings.number("sendlog.worker.threads"),
            request_bytes_max: settings.number("socket.request.max.bytes"),
            queued_request_bytes_max: settings.number("queued.max.request.bytes"),
            fetch_bytes_max: settings.number("fetch.max.bytes"),
            connections_max: settings.number("max.connections"),
            connection_idle_ms_max: settings.number("connections.max.idle.ms"),
            frame_stall_timeout_ms: settings.number("sendlog.frame.stall.timeout.ms"),
            inflight_requests_max: settings.number("sendlog.inflight.requests.max"),
            inflight_bytes_max: settings.number("sendlog.inflight.bytes.max"),
            congestion_control: settings.read("sendlog.socket.congestion.control", congestion_control)?,
            request_topics_max: settings.number("sendlog.request.topics.max"),
            shutdown_timeout_ms: settings.number("sendlog.shutdown.timeout.ms"),
            log_format: match settings.value("sendlog.log.format") {
                Some("json") => LogFormat::Json,
                _ => LogFormat::Human,
            },
            log_level,
            settings,
        })
    }
}

fn read_file(path: &Path, settings: &mut Settings) -> Result<(), ConfigError> {
    let unreadable = |source| ConfigError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    // One byte more than is allowed: a pipe has no length to ask for.
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if FILE_BYTES_MAX < text.len() as u64 {
        return Err(ConfigError::FileTooLarge { path: path.to_owned(), limit: FILE_BYTES_MAX });
    }
    let shared: Arc<Path> = path.into();
    let at = |line| Origin::File { path: Arc::clone(&shared), line };
    let properties = properties::parse(&text)
        .map_err(|wrong| ConfigError::Malformed { at: at(wrong.line), problem: wrong.problem })?;
    for property in properties {
        settings.give(&property.key, &property.value, at(property.line))?;
    }
    Ok(())
}

fn give_flags(args: &Args, settings: &mut Settings) -> Result<(), ConfigError> {
    let flags = [
        ("--listen", "listeners", &args.listen),
        ("--advertise", "advertised.listeners", &args.advertise),
        ("--flush", "sendlog.flush", &args.flush),
        ("--log-format", "sendlog.log.format", &args.log_format),
        ("--log-level", "sendlog.log.level", &args.log_level),
    ];
    for (flag, name, value) in flags {
        if let Some(value) = value {
            settings.give(name, value, Origin::Flag(flag))?;
        }
    }
    if let Some(dir) = &args.data_dir {
        settings.give("log.dirs", &dir.to_string_lossy(), Origin::Flag("--data-dir"))?;
    }
    if args.no_sendfile {
        settings.give("sendlog.sendfile", "false", Origin::Flag("--no-sendfile"))?;
    }
    Ok(())
}

/// What no setting can tell alone.
fn check_together(settings: &Settings) -> Result<(), ConfigError> {
    settings.read("sendlog.flush", str::parse::<FlushMode>)?;
    let request: i64 = settings.number("socket.request.max.bytes");
    let queued: i64 = settings.number("queued.max.request.bytes");
    if queued < request {
        return Err(ConfigError::Conflict(format!(
            "queued.max.request.bytes ({queued}) is less than socket.request.max.bytes ({request}): \
             the largest request could never be read"
        )));
    }
    for kafkas in ["log.flush.interval.messages", "log.flush.interval.ms"] {
        if settings.given(kafkas).is_some() && settings.given("sendlog.flush").is_some() {
            return Err(ConfigError::Conflict(format!(
                "{kafkas} and sendlog.flush (--flush) are both set; they say the same thing, keep one"
            )));
        }
    }
    Ok(())
}

fn one_listener(text: &str) -> Result<HostPort, String> {
    if text.contains(',') {
        return Err("sendlog has one listener; keep one PLAINTEXT address".to_owned());
    }
    text.parse()
}

fn advertised(text: &str) -> Result<HostPort, String> {
    let address = one_listener(text)?;
    if address.port == 0 {
        return Err("clients cannot connect to port 0".to_owned());
    }
    if address.host == "0.0.0.0" || address.host == "::" {
        return Err(format!("clients cannot connect to {}; name this machine", address.host));
    }
    Ok(address)
}

fn one_directory(text: &str) -> Result<PathBuf, String> {
    if text.contains(',') {
        return Err("sendlog has one data directory".to_owned());
    }
    Ok(PathBuf::from(text))
}

fn read_level(text: &str) -> Result<tracing::Level, String> {
    text.parse().map_err(|_| "it is error, warn, info, debug or trace".to_owned())
}

/// The kernel's names have at most 15 characters (`TCP_CA_NAME_MAX`).
fn congestion_control(text: &str) -> Result<String, String> {
    let is_name =
        text.len() <= 15 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if !is_name {
        return Err("it is a name such as cubic or bbr".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod document_tests;
#[cfg(test)]
mod tests;
