use std::io::Write;

use clap::Parser;

use super::*;

fn load(flags: &[&str]) -> Result<Config, String> {
    let args = ["broker", "--data-dir", "data"].into_iter().chain(flags.iter().copied());
    Config::load(&Args::parse_from(args)).map_err(|error| error.to_string())
}

fn load_file(text: &str, flags: &[&str]) -> Result<Config, String> {
    let mut file = tempfile::Builder::new().suffix(".properties").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    let args = ["broker", "--config", path].into_iter().chain(flags.iter().copied());
    let loaded = Config::load(&Args::parse_from(args));
    loaded.map_err(|error| error.to_string().replace(path, "FILE"))
}

#[test]
fn defaults_are_what_people_expect() {
    let config = load(&[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:9092");
    assert_eq!(config.advertise, None);
    assert_eq!(config.num_partitions, 1);
    assert!(config.auto_create_topics && config.sendfile && config.compressed_batch_check);
    assert_eq!(config.topic_defaults.max_message_bytes, 1_048_588);
    assert_eq!(
        config.durability(),
        "every acknowledged record is on disk (fdatasync before the ack, group commit)"
    );
    assert!(config.warnings().is_empty());
}

#[test]
fn flags_win_over_set_and_set_over_the_file() {
    let file = "listeners=PLAINTEXT://:1\nnum.partitions=2\nlog.dirs=/from/file\n";
    let config = load_file(file, &["--set", "num.partitions=3", "--set", "listeners=a:2"]).unwrap();
    assert_eq!(config.num_partitions, 3);
    assert_eq!(config.listen.to_string(), "a:2");
    assert_eq!(config.data_dir, PathBuf::from("/from/file"));
    let flags = ["--set", "listeners=a:2", "--listen", "b:3", "--data-dir", "here", "--no-sendfile"];
    let config = load_file(file, &flags).unwrap();
    assert_eq!(config.listen.to_string(), "b:3");
    assert_eq!(config.data_dir, PathBuf::from("here"));
    assert!(!config.sendfile);
}

#[test]
fn errors_name_the_file_and_line_or_the_flag() {
    let said = |text: &str| load_file(text, &["--data-dir", "d"]).unwrap_err();
    assert_eq!(
        said("# c\nnum.partition=3\n"),
        "FILE:2: unknown setting num.partition; did you mean num.partitions?"
    );
    assert_eq!(
        said("\nmessage.max.bytes=big"),
        "FILE:2: invalid value big for message.max.bytes: Not a number of type INT"
    );
    assert_eq!(said("num.partitions"), "FILE:1: no `=` in `num.partitions`");
    assert_eq!(said("broker.id=1\nnode.id=2\n"), "FILE:2: node.id is already set on line 1");
    assert_eq!(
        said("listeners=PLAINTEXT://:9092,CONTROLLER://:9093"),
        "FILE:1: invalid value PLAINTEXT://:9092,CONTROLLER://:9093 for listeners: sendlog has one listener; \
         keep one PLAINTEXT address"
    );
    assert_eq!(load(&["--set", "colour"]).unwrap_err(), "--set: `colour` is not key=value");
    assert_eq!(
        load(&["--flush", "often"]).unwrap_err(),
        "--flush: invalid value often for sendlog.flush: it is `sync`, `interval:MS` or `os`"
    );
    assert!(load(&["--advertise", "0.0.0.0:9092"]).unwrap_err().contains("name this machine"));
    assert!(load(&["--advertise", "host:0"]).unwrap_err().contains("port 0"));
    assert!(load(&["--config", "/no/such/file"]).unwrap_err().starts_with("/no/such/file: "));
    assert!(load(&["--set", "sendlog.socket.congestion.control=../x"]).is_err());
}

#[test]
fn the_data_directory_is_needed() {
    assert_eq!(
        load_file("num.partitions=1", &[]).unwrap_err(),
        "no data directory: give --data-dir DIR, for example `broker --data-dir data`"
    );
    assert!(matches!(
        Config::load(&Args::for_data_dir("")),
        Err(ConfigError::Invalid { .. } | ConfigError::NoDataDir)
    ));
    assert!(load_file("log.dirs=a,b", &[]).unwrap_err().contains("one data directory"));
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    assert!(load(&["--set", "queued.max.request.bytes=1024"]).unwrap_err().contains("could never be read"));
    assert!(load(&["--flush", "sync", "--set", "log.flush.interval.ms=5"]).unwrap_err().contains("keep one"));
}

#[test]
fn a_file_larger_than_the_limit_is_refused_and_one_at_it_is_read() {
    let line = "num.partitions=2\n#";
    let at_limit = format!("{line}{}", "x".repeat(1024 * 1024 - line.len()));
    assert!(load_file(&at_limit, &["--data-dir", "d"]).is_ok());
    assert!(load_file(&format!("{at_limit}x"), &["--data-dir", "d"]).unwrap_err().contains("too many"));
}

#[test]
fn kafkas_stock_file_starts_a_broker_once_its_controller_listener_is_gone() {
    let stock = "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers=localhost:9093\n\
        listeners=PLAINTEXT://:9092\ninter.broker.listener.name=PLAINTEXT\nadvertised.listeners=PLAINTEXT://localhost:9092\n\
        controller.listener.names=CONTROLLER\n\
        listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL\nnum.network.threads=3\n\
        num.io.threads=8\nsocket.send.buffer.bytes=102400\nsocket.receive.buffer.bytes=102400\n\
        socket.request.max.bytes=104857600\nlog.dirs=/tmp/kraft-combined-logs\nnum.partitions=1\n\
        num.recovery.threads.per.data.dir=1\noffsets.topic.replication.factor=1\n\
        share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\n\
        transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\nlog.retention.hours=168\n\
        log.segment.bytes=1073741824\nlog.retention.check.interval.ms=300000\n";
    let config = load_file(stock, &[]).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:9092");
    assert_eq!(config.warnings().len(), 15);
    assert!(
        config.warnings()[0].starts_with("FILE:1: ") || config.warnings()[0].contains(":1: process.roles")
    );
}

#[test]
fn durability_is_said_in_words() {
    let said = |flags: &[&str]| load(flags).unwrap().durability();
    assert!(said(&["--flush", "interval:250"]).contains("within 250 ms"));
    assert!(said(&["--flush", "os"]).contains("when the kernel writes them"));
    assert!(said(&["--set", "log.flush.interval.messages=10"]).contains("after 10 records"));
    assert!(said(&["--set", "log.flush.interval.messages=1"]).contains("before the ack"));
}

#[test]
fn every_number_fits_its_type_at_both_bounds() {
    for setting in broker_table::all() {
        let (min, max) = match setting.kind {
            setting::Kind::Int { min, max } | setting::Kind::Long { min, max } => (min, max),
            _ => continue,
        };
        for bound in [min, max] {
            let pair = format!("{}={bound}", setting.name);
            // A contradiction with another setting is an answer; a panic is not.
            drop(load(&["--set", &pair]));
        }
    }
}
