//! `sendlog topics`.

use std::fmt::Write as _;

use comfy_table::{Table, presets};
use sendlog_client::{Admin, ClientConfig, ConfigResource, NewTopic, OffsetQuery};

use crate::args::TopicAction;
use crate::error::CliError;

pub(crate) async fn run(client: ClientConfig, action: TopicAction) -> Result<(), CliError> {
    let admin = Admin::connect(client).await?;
    match action {
        TopicAction::List => list(&admin).await,
        TopicAction::Create { topic, partitions, config } => {
            let topic = new_topic(topic, partitions, &config)?;
            admin.create_topic(&topic).await?;
            print(&format!("created {}\n", topic.name))
        }
        TopicAction::Describe { topic } => describe(&admin, &topic).await,
        TopicAction::Delete { topic } => {
            admin.delete_topic(&topic).await?;
            print(&format!("deleted {topic}\n"))
        }
    }
}

fn new_topic(name: String, partitions: Option<i32>, configs: &[String]) -> Result<NewTopic, CliError> {
    let mut topic = NewTopic { partitions, ..NewTopic::new(name) };
    for config in configs {
        let Some((name, value)) = config.split_once('=') else {
            return Err(CliError::Usage(format!("--config {config}: expected NAME=VALUE")));
        };
        topic = topic.config(name.trim(), value.trim());
    }
    Ok(topic)
}

async fn list(admin: &Admin) -> Result<(), CliError> {
    let mut out = String::new();
    for (name, topic) in admin.list_topics().await? {
        let partitions = topic.partitions.len();
        let plural = if partitions == 1 { "" } else { "s" };
        // Writing to a string does not fail.
        let _ = writeln!(out, "{name}  ({partitions} partition{plural})");
    }
    print(&out)
}

async fn describe(admin: &Admin, name: &str) -> Result<(), CliError> {
    let topic = admin.describe_topic(name).await?;
    let mut partitions = Table::new();
    partitions.load_style(presets::NOTHING);
    partitions.set_header(["partition", "leader", "first offset", "next offset"]);
    for (number, partition) in (0..).zip(&topic.partitions) {
        let first = admin.list_offset(name, number, OffsetQuery::Earliest).await?.unwrap_or(0);
        let next = admin.list_offset(name, number, OffsetQuery::Latest).await?.unwrap_or(0);
        let leader = partition.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
        partitions.add_row([number.to_string(), leader, first.to_string(), next.to_string()]);
    }
    let mut configs = Table::new();
    configs.load_style(presets::NOTHING);
    configs.set_header(["config", "value", ""]);
    let mut entries = admin.describe_configs(&ConfigResource::Topic(name.to_owned())).await?;
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    for entry in entries {
        let source = if entry.is_default { "default" } else { "" };
        configs.add_row([entry.name, entry.value.unwrap_or_default(), source.to_owned()]);
    }
    print(&format!("{name}  id {}\n\n{partitions}\n\n{configs}\n", topic.id))
}

fn print(text: &str) -> Result<(), CliError> {
    use std::io::Write as _;
    std::io::stdout().write_all(text.as_bytes()).map_err(CliError::Output)
}
