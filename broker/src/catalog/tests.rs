use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Parser;
use sendlog_protocol::records::Compression;
use tempfile::TempDir;

use super::alteration::{Alteration, Edit, Operation};
use super::state::StoredCatalog;
use super::*;
use crate::checkpoint::{Checkpointer, Restored};
use crate::clock::ManualClock;
use crate::config::Args;
use crate::config::scope::Overrides;
use crate::storage::data_dir::LastEnd;
use crate::storage::files::{FileSystem, RealFs};
use crate::storage::store::Store;
use crate::storage::testing::{Fault, FaultyFs, batch};
use crate::storage::{partition_metadata, state_file};

fn env(dir: &Path) -> Arc<PartitionEnv> {
    env_on(Arc::new(RealFs), dir)
}

fn env_on(files: Arc<dyn FileSystem>, dir: &Path) -> Arc<PartitionEnv> {
    Arc::new(PartitionEnv {
        store: Store::new(files, 100),
        data_dir: dir.to_owned(),
        clock: Arc::new(ManualClock::at(0)),
        producers_max: 10,
    })
}

/// As after a crash without a checkpoint.
fn restored(dir: &Path) -> Restored {
    let files: Arc<dyn FileSystem> = Arc::new(RealFs);
    Checkpointer::open(&files, dir, LastEnd::Crash, 0).unwrap().1
}

fn open_with(dir: &Path, settings: &[&str]) -> Catalog {
    let mut args = vec!["broker", "--data-dir", dir.to_str().unwrap()];
    args.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    let config = Config::load(&Args::parse_from(args)).unwrap();
    Catalog::open(env(dir), Arc::new(config), restored(dir)).unwrap()
}

fn open(dir: &TempDir) -> Catalog {
    open_with(dir.path(), &[])
}

fn new(name: &str, partitions: i32) -> NewTopic {
    NewTopic { name: name.to_owned(), partitions, overrides: Overrides::new() }
}

fn with(name: &str, overrides: &[(&str, &str)]) -> NewTopic {
    let overrides = overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    NewTopic { overrides: overrides.collect(), ..new(name, 1) }
}

fn create(catalog: &Catalog, name: &str, partitions: i32) -> Result<Uuid, String> {
    let mut results = catalog.create(vec![new(name, partitions)], Apply::Now);
    results.remove(0).map_err(|error| error.to_string())
}

fn said<T: fmt::Debug>(result: &Result<T, TopicError>) -> String {
    result.as_ref().unwrap_err().to_string()
}

fn set(name: &str, value: &str) -> Alteration {
    let operation = Operation::Set(value.to_owned());
    Alteration::Edit(vec![Edit { name: name.to_owned(), operation }])
}

#[test]
fn topics_are_found_by_name_and_id_and_are_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let catalog = open(&dir);
    let id = create(&catalog, "a", 3).unwrap();
    catalog.create(vec![with("b", &[("retention.ms", "5")])], Apply::Now)[0].as_ref().unwrap();
    drop(catalog);
    let catalog = open(&dir);
    assert_eq!((catalog.topic_count(), catalog.partition_count()), (2, 4));
    let topic = catalog.topic_by_id(id).unwrap();
    assert_eq!(&**topic.name(), "a");
    assert_eq!(topic.partitions().len(), 3);
    assert_eq!(catalog.partition("a", 2).unwrap().index(), 2);
    assert!(catalog.partition("a", 3).is_none() && catalog.partition("a", -1).is_none());
    assert!(catalog.topic("c").is_none());
    assert_eq!(catalog.topic("b").unwrap().config().retention_ms, Some(5));
    assert_eq!(catalog.partition("b", 0).unwrap().config().retention_ms, Some(5));
}

#[test]
fn topics_without_settings_of_their_own_share_one_configuration() {
    let dir = TempDir::new().unwrap();
    let catalog = open(&dir);
    create(&catalog, "a", 1).unwrap();
    create(&catalog, "b", 1).unwrap();
    let config = |name| Arc::clone(catalog.topic(name).unwrap().config());
    assert!(Arc::ptr_eq(&config("a"), &config("b")));
}

#[test]
fn one_refused_topic_does_not_touch_the_others() {
    let dir = TempDir::new().unwrap();
    let catalog = open(&dir);
    create(&catalog, "x.y", 1).unwrap();
    let wanted = vec![
        new("a", 1),
        new("a", 1),
        new("a/b", 1),
        new("x_y", 1),
        new("x.y", 1),
        with("c", &[("compression.type", "rar")]),
        new("d", 0),
        new("__consumer_offsets", 1),
        new("e", 2),
    ];
    let results = catalog.create(wanted, Apply::Now);
    assert!(results[0].is_ok() && results[8].is_ok());
    assert_eq!(said(&results[1]), "Topic 'a' already exists.");
    assert!(said(&results[2]).starts_with("Topic name is invalid: 'a/b' contains"));
    assert_eq!(said(&results[3]), "Topic 'x_y' collides with existing topic: x.y");
    assert_eq!(said(&results[4]), "Topic 'x.y' already exists.");
    assert!(said(&results[5]).contains("compression.type"));
    assert!(said(&results[6]).contains("between 1 and 10000"));
    assert!(said(&results[7]).contains("internal"));
    assert_eq!(catalog.topic_count(), 3);
}

#[test]
fn what_is_only_checked_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let catalog = open(&dir);
    assert_eq!(catalog.create(vec![new("a.b", 1)], Apply::CheckOnly)[0].as_ref().ok(), Some(&Uuid::nil()));
    assert!(catalog.topic("a.b").is_none());
    assert!(create(&catalog, "a_b", 1).is_ok(), "the checked name is not in the way");
    let grown = catalog.grow(vec![Growth { name: "a_b".into(), count: 2 }], Apply::CheckOnly);
    assert!(grown[0].is_ok());
    let altered = catalog.alter(vec![("a_b".into(), set("retention.ms", "5"))], Apply::CheckOnly);
    assert!(altered[0].is_ok());
    let topic = catalog.topic("a_b").unwrap();
    assert!(topic.partitions().len() == 1 && topic.overrides().is_empty());
}

#[test]
fn a_deleted_topic_is_gone_and_its_name_is_free() {
    let dir = TempDir::new().unwrap();
    let catalog = open(&dir);
    let first = create(&catalog, "a.b", 2).unwrap();
    let partition = catalog.partition("a.b", 0).unwrap();
    let results = catalog.delete(&[first, first, Uuid::nil()]);
    assert!(results[0].is_ok() && results[1].is_err() && results[2].is_err());
    assert!(partition.is_deleted());
    assert_eq!((catalog.topic_count(), catalog.partition_count()), (0, 0));
    assert!(catalog.topic_by_id(first).is_none());
    let second = create(&catalog, "a_b", 1).unwrap();
    assert_ne!(first, second);
    drop(catalog);
    let catalog = open(&dir);
    assert_eq!(catalog.topic("a_b").unwrap().id(), second);
    assert!(catalog.topic("a.b").is_none());
}

#[test]
fn partitions_are_added_and_never_taken_away() {
    let dir = TempDir::new().unwrap();
    let catalog = open(&dir);
    create(&catalog, "a", 2).unwrap();
    let before = catalog.partition("a", 1).unwrap();
    let grow = |count| catalog.grow(vec![Growth { name: "a".into(), count }], Apply::Now).remove(0);
    assert_eq!(said(&grow(2)), "Topic already has 2 partition(s).");
    assert_eq!(said(&grow(1)), "The topic a currently has 2 partition(s); 1 would not be an increase.");
    assert!(grow(10_001).is_err() && grow(-1).is_err());
    grow(4).unwrap();
    assert!(Arc::ptr_eq(&before, &catalog.partition("a", 1).unwrap()));
    assert_eq!(catalog.partition("a", 3).unwrap().index(), 3);
    assert_eq!(catalog.partition_count(), 4);
    drop(catalog);
    assert_eq!(open(&dir).topic("a").unwrap().partitions().len(), 4);
}

#[test]
fn settings_change_for_topic_and_partitions() {
    let dir = TempDir::new().unwrap();
    let catalog = open(&dir);
    create(&catalog, "a", 1).unwrap();
    let alter = |alteration| catalog.alter(vec![("a".into(), alteration)], Apply::Now).remove(0);
    alter(set("segment.bytes", "2048")).unwrap();
    alter(set("cleanup.policy", "compact")).unwrap();
    assert!(alter(set("segment.bytes", "1")).is_err());
    assert_eq!(catalog.topic("a").unwrap().overrides().len(), 2);
    assert_eq!(catalog.partition("a", 0).unwrap().config().segment_bytes, 2048);
    drop(catalog);
    let catalog = open(&dir);
    assert!(catalog.partition("a", 0).unwrap().config().cleanup.compact);
    catalog.alter(vec![("a".into(), Alteration::Replace(Overrides::new()))], Apply::Now).remove(0).unwrap();
    assert_eq!(catalog.partition("a", 0).unwrap().config().segment_bytes, 1 << 30);
    assert!(catalog.alter(vec![("b".into(), set("retention.ms", "1"))], Apply::Now)[0].is_err());
}

#[test]
fn the_limits_hold_one_past_them() {
    let dir = TempDir::new().unwrap();
    let catalog = open_with(dir.path(), &["sendlog.topics.max=2", "sendlog.partitions.max=5"]);
    create(&catalog, "a", 4).unwrap();
    assert_eq!(create(&catalog, "b", 2).unwrap_err(), "5 partitions are allowed (sendlog.partitions.max)");
    create(&catalog, "b", 1).unwrap();
    assert_eq!(create(&catalog, "c", 1).unwrap_err(), "2 topics are allowed (sendlog.topics.max)");
    let grown = catalog.grow(vec![Growth { name: "b".into(), count: 2 }], Apply::Now);
    assert_eq!(said(&grown[0]), "5 partitions are allowed (sendlog.partitions.max)");
}

#[test]
fn a_folder_of_nobody_is_left_alone_and_not_taken_over() {
    let dir = TempDir::new().unwrap();
    let foreign = dir.path().join("old-0");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("00000000000000000000.log"), b"data").unwrap();
    let catalog = open(&dir);
    assert!(create(&catalog, "old", 1).unwrap_err().contains("belongs to no topic"));
    assert!(foreign.join("00000000000000000000.log").exists());
}

#[test]
fn an_interrupted_deletion_is_finished_at_the_next_start() {
    let dir = TempDir::new().unwrap();
    let gone = StoredTopic { name: "a".into(), id: [1; 16], partitions: 3, overrides: Vec::new() };
    let stored = StoredCatalog { topics: Vec::new(), deleting: vec![gone] };
    state_file::save(&RealFs, &dir.path().join(state::FILE_NAME), state::KIND, &stored).unwrap();
    for index in [0, 2] {
        let folder = dir.path().join(format!("a-{index}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("00000000000000000000.log"), b"data").unwrap();
    }
    let others = dir.path().join("a-1");
    std::fs::create_dir(&others).unwrap();
    std::fs::write(others.join("partition.metadata"), "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAABw")
        .unwrap();
    let catalog = open(&dir);
    assert!(!dir.path().join("a-0").exists() && !dir.path().join("a-2").exists());
    assert!(others.exists(), "it has another topic's id");
    assert!(create(&catalog, "a", 1).is_ok());
}

#[test]
fn a_stored_setting_that_is_no_longer_allowed_does_not_stop_the_start() {
    let dir = TempDir::new().unwrap();
    let overrides = vec![("retention.ms".into(), "7".into()), ("of.another.version".into(), "1".into())];
    let topic = StoredTopic { name: "a".into(), id: [1; 16], partitions: 1, overrides };
    let stored = StoredCatalog { topics: vec![topic], deleting: Vec::new() };
    state_file::save(&RealFs, &dir.path().join(state::FILE_NAME), state::KIND, &stored).unwrap();
    let topic = open(&dir).topic("a").unwrap();
    assert_eq!(topic.config().retention_ms, Some(7));
    assert_eq!(topic.overrides().len(), 1);
}

#[test]
fn a_damaged_catalog_is_refused() {
    let dir = TempDir::new().unwrap();
    create(&open(&dir), "a", 1).unwrap();
    let path = dir.path().join(state::FILE_NAME);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[30] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let config = Config::load(&Args::for_data_dir(dir.path())).unwrap();
    let refused = Catalog::open(env(dir.path()), Arc::new(config), restored(dir.path()));
    assert!(refused.unwrap_err().to_string().contains("catalog.state"));
}

#[test]
fn five_thousand_topics_are_created_in_requests_of_a_hundred() {
    let dir = TempDir::new().unwrap();
    let catalog = open(&dir);
    for request in 0..50 {
        let wanted = (0..100).map(|topic| new(&format!("topic-{request}-{topic}"), 1)).collect();
        assert!(catalog.create(wanted, Apply::Now).iter().all(Result::is_ok));
    }
    assert_eq!(catalog.topic_count(), 5000);
    drop(catalog);
    assert_eq!(open(&dir).partition_count(), 5000);
}

fn open_on(files: &FaultyFs, dir: &TempDir) -> (Catalog, Arc<AtomicUsize>) {
    let config = Arc::new(Config::load(&Args::for_data_dir(dir.path())).unwrap());
    let env = env_on(Arc::new(files.clone()), dir.path());
    let catalog = Catalog::open(env, config, restored(dir.path())).unwrap();
    let failures = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&failures);
    catalog.on_failure(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    (catalog, failures)
}

#[test]
fn logs_that_a_crash_left_unsynced_are_synced_together() {
    const PARTITIONS: i32 = 8;
    let (dir, files) = (TempDir::new().unwrap(), FaultyFs::new());
    let id = create(&open(&dir), "t", PARTITIONS).unwrap();
    for index in 0..PARTITIONS {
        let folder = dir.path().join(format!("t-{index}"));
        partition_metadata::create_folder(&RealFs, &folder, id).unwrap();
        let written = batch(0, &[5], 10, Compression::None);
        std::fs::write(folder.join("00000000000000000000.log"), &written.bytes).unwrap();
    }
    let held = files.hold_syncs();
    let (catalog, _) = std::thread::scope(|scope| {
        let opening = scope.spawn(|| open_on(&files, &dir));
        held.until_waiting(8);
        drop(held);
        opening.join().unwrap()
    });
    let topics = catalog.topics();
    let partitions = topics.by_name("t").unwrap().partitions();
    assert!(partitions.iter().all(|one| one.is_synced(1) && one.offsets().high_watermark == 1));
}

#[test]
fn a_full_disk_refuses_changes_until_there_is_room() {
    let (dir, files) = (TempDir::new().unwrap(), FaultyFs::new());
    let (catalog, failures) = open_on(&files, &dir);
    create(&catalog, "old", 1).unwrap();
    files.fail(Fault::Enospc, 0, u64::MAX);
    assert!(create(&catalog, "a", 1).unwrap_err().contains("No space left"));
    let old = catalog.topic("old").unwrap().id();
    assert!(catalog.delete(&[old])[0].is_err());
    assert!(catalog.alter(vec![("old".into(), set("retention.ms", "1"))], Apply::Now)[0].is_err());
    assert!(catalog.topic("a").is_none() && catalog.topic("old").unwrap().overrides().is_empty());
    files.heal();
    assert!(create(&catalog, "a", 1).is_ok() && catalog.delete(&[old])[0].is_ok());
    assert_eq!(failures.load(Ordering::Relaxed), 0);
    assert!(catalog.failure().is_none());
}

#[test]
fn after_any_other_failed_write_nothing_changes_and_the_broker_is_told_once() {
    let (dir, files) = (TempDir::new().unwrap(), FaultyFs::new());
    for first in 0..20 {
        let (catalog, failures) = open_on(&files, &dir);
        let name = format!("topic-{first}");
        files.fail(Fault::Eio, first, 1);
        let created = create(&catalog, &name, 1);
        let has_failed = files.faults() == 1;
        files.heal();
        assert_eq!(created.is_err(), catalog.failure().is_some(), "{created:?}");
        assert_eq!(failures.load(Ordering::Relaxed), usize::from(created.is_err()));
        if let Err(error) = created {
            assert!(catalog.topic(&name).is_none());
            assert_eq!(create(&catalog, "later", 1).unwrap_err(), error);
        }
        // Whatever the disk holds now, the next start can read it.
        drop(catalog);
        drop(open(&dir));
        if !has_failed {
            assert!(3 < first, "a write has several operations");
            return;
        }
    }
    panic!("a write has fewer operations than this");
}
