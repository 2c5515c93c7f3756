//! One power cut: the disk as it was left, a broker started on it, and everything compared.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use bytes::Bytes;

use super::image::Image;
use super::mark::{Mark, Place};
use super::promises::{LogPromise, Presence, Promises};
use super::recorder::Disk;
use super::recording::Recording;
use super::survey::Survey;
use super::verdict::{Breach, BreachKind, judge};
use super::volume::{FileSystemKind, Volume};
use crate::batches;
use crate::broker::{Broker, BrokerOptions};
use crate::kafka::{Kafka, Produce, ProduceFailure, error_name};
use crate::keyed;

/// How brokers of a workload are started.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Another program than the broker.
    pub program: Option<PathBuf>,
    /// Its arguments, but for the data directory.
    pub args: Vec<String>,
}

impl Setup {
    /// Starts one on what is mounted there.
    ///
    /// # Errors
    /// All that it said when it does not become ready.
    pub fn start(&self, volume: &Volume) -> Result<Broker, Breach> {
        let options = BrokerOptions {
            data_dir: Some(volume.path().join("data")),
            args: self.args.clone(),
            program: self.program.clone(),
            ..BrokerOptions::default()
        };
        Broker::try_start(options).map_err(|failure| Breach::new(BreachKind::Broker, failure.to_string()))
    }
}

/// What came of a trial.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Promises that were not kept.
    pub breaches: Vec<Breach>,
    /// Why the file system did not survive.
    pub unmountable: Option<String>,
    /// Ranges that are set aside.
    pub holes: usize,
    /// Torn ends that were cut.
    pub cuts: usize,
    /// Whether the broker became ready.
    pub is_ready: bool,
    /// What happened to the disk then.
    pub aftermath: Option<Aftermath>,
    /// What the first broker logged.
    pub log: String,
}

/// A recovery, and what clients did next: for another power cut.
#[derive(Debug)]
pub struct Aftermath {
    /// From the mounting of the disk to the last append before the broker is stopped.
    pub recording: Recording,
    /// How many of its events there were when the broker was ready.
    pub ready: usize,
}

/// A place where trials are made, one after another.
#[derive(Debug)]
pub struct Laboratory {
    volume: Volume,
    setup: Setup,
}

impl Laboratory {
    /// For images like this one.
    ///
    /// # Errors
    /// As [`Volume::new`].
    pub fn new(kind: FileSystemKind, image: Image, setup: Setup) -> io::Result<Self> {
        Ok(Self { volume: Volume::new(kind, image)?, setup })
    }

    /// Starts the broker on this disk and compares what it has with what it owes; does again what idempotent producers
    /// would; then stops it, and compares once more after another start.
    ///
    /// # Panics
    /// When the disk cannot be taken out any more.
    pub fn examine(&mut self, image: &Image, promises: &Promises) -> Outcome {
        let mut outcome = Outcome::default();
        self.volume.disk().insert(image.clone());
        let tried = match self.volume.mount() {
            Ok(()) => catch_unwind(AssertUnwindSafe(|| self.attempt(image, promises, &mut outcome))),
            Err(error) => {
                outcome.unmountable = Some(error.to_string());
                return outcome;
            }
        };
        outcome.breaches = match tried {
            Ok(Ok(())) => Vec::new(),
            Ok(Err(breaches)) => breaches,
            Err(panic) => vec![Breach::new(BreachKind::Broker, words(&*panic))],
        };
        self.volume.unmount().expect("nothing runs there any more");
        outcome
    }

    fn attempt(&self, image: &Image, promises: &Promises, outcome: &mut Outcome) -> Result<(), Vec<Breach>> {
        let mut broker = self.setup.start(&self.volume).map_err(|breach| vec![breach])?;
        outcome.is_ready = true;
        let ready = self.volume.disk().events();
        let went_on = self.go_on(&broker, promises, outcome);
        if went_on.is_ok() {
            let recording = self.volume.disk().recording(image.clone());
            outcome.aftermath = Some(Aftermath { recording, ready });
        }
        let result = went_on.and_then(|promises| self.stop_and_start(&mut broker, &promises));
        outcome.log = broker.stderr().text();
        outcome.cuts = outcome.log.matches("a torn end was cut off").count();
        result
    }

    /// Looks at what is there, then appends. Returns what is owed now.
    fn go_on(
        &self,
        broker: &Broker,
        promises: &Promises,
        outcome: &mut Outcome,
    ) -> Result<Promises, Vec<Breach>> {
        let mut kafka = Kafka::open(broker.address());
        let survey = survey(&mut kafka)?;
        outcome.holes = survey.holes();
        compare(promises, &survey)?;
        let mut sequel = Sequel { kafka, disk: self.volume.disk(), owed: promises.clone() };
        sequel.learn(reads(&survey));
        sequel.append(promises)?;
        let survey = self::survey(&mut sequel.kafka)?;
        sequel.learn(reads(&survey));
        compare(&sequel.owed, &survey)?;
        Ok(sequel.owed)
    }

    fn stop_and_start(&self, broker: &mut Broker, promises: &Promises) -> Result<(), Vec<Breach>> {
        let mut promises = promises.clone().settled();
        promises.learn(&reads(&survey(&mut Kafka::open(broker.address()))?));
        let status = broker.terminate();
        if !status.success() || broker.stderr().text().contains("panicked") {
            let text = format!("{status} after a stop:\n{}", broker.stderr().text());
            return Err(vec![Breach::new(BreachKind::Broker, text)]);
        }
        let again = self.setup.start(&self.volume).map_err(|breach| vec![breach])?;
        compare(&promises, &survey(&mut Kafka::open(again.address()))?)
    }
}

fn survey(kafka: &mut Kafka) -> Result<Survey, Vec<Breach>> {
    Survey::of(kafka).map_err(|error| vec![Breach::new(BreachKind::Broker, error.to_string())])
}

fn compare(promises: &Promises, survey: &Survey) -> Result<(), Vec<Breach>> {
    let breaches = judge(promises, survey);
    if breaches.is_empty() { Ok(()) } else { Err(breaches) }
}

/// What was found counts as read.
fn reads(survey: &Survey) -> Vec<Mark> {
    let mut reads = Vec::new();
    for (name, topic) in &survey.topics {
        for (log, partition) in topic.logs.iter().zip(0..) {
            let place = Place { topic: name.as_str().into(), partition };
            reads.extend(log.batches.iter().map(|batch| Mark::Read(place.clone(), batch.clone())));
        }
    }
    for ((group, topic, partition), offset) in &survey.offsets {
        let place = Place { topic: topic.as_str().into(), partition: *partition };
        reads.push(Mark::OffsetCommitted(group.as_str().into(), place, *offset));
    }
    reads
}

/// What clients do after a power cut, noted like everything before it.
struct Sequel<'a> {
    kafka: Kafka,
    disk: &'a Disk,
    owed: Promises,
}

impl Sequel<'_> {
    fn learn(&mut self, marks: Vec<Mark>) {
        self.owed.learn(&marks);
        marks.into_iter().for_each(|mark| self.disk.mark(mark));
    }

    /// Idempotent producers send again what they had no answer for, and the last batch that they had one for; and every
    /// topic gets something new.
    fn append(&mut self, before: &Promises) -> Result<(), Vec<Breach>> {
        let there = before.topics.iter().filter(|(_, topic)| matches!(topic.presence, Presence::There(_)));
        for (name, topic) in there {
            for (log, partition) in topic.logs.iter().zip(0..) {
                let place = Place { topic: name.clone(), partition };
                let retries = log.numbered.values().filter(|_| topic.keeping.is_strict);
                for batch in retries.flat_map(|sent| open_end(log, sent)) {
                    self.send(&place, batch)?;
                }
                let new = format!("after {} batches and a power cut, to {place:?}", log.sent.len());
                let new = match topic.keeping.is_compacted {
                    true => keyed::of("after", Some(&new)),
                    false => batches::of(&[new]),
                };
                self.send(&place, &new)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, place: &Place, batch: &Bytes) -> Result<(), Vec<Breach>> {
        let to = Produce { partition: place.partition, ..Produce::to(&place.topic) };
        let known = self.owed.log(place).sent.get(batch).copied().flatten();
        self.learn(vec![Mark::Sent(place.clone(), batch.clone())]);
        let breach = |kind, text| Err(vec![Breach::new(kind, format!("{place:?}: {text}"))]);
        match self.kafka.try_produce(to, batch) {
            Ok(offset) if known.is_some_and(|known| known != offset) => breach(
                BreachKind::Duplicate,
                format!("a retry of the batch at {known:?} was answered {offset}"),
            ),
            Ok(offset) => {
                self.learn(vec![Mark::Acknowledged(place.clone(), batch.clone(), offset)]);
                Ok(())
            }
            Err(ProduceFailure::Refused(code)) => {
                let what = if known.is_some() { "a retry" } else { "a batch" };
                breach(BreachKind::Broker, format!("{what} is refused: {}", error_name(code)))
            }
            Err(ProduceFailure::Closed(error)) => breach(BreachKind::Broker, error.to_string()),
        }
    }
}

/// From the last batch on that was answered.
fn open_end<'a>(log: &LogPromise, sent: &'a [Bytes]) -> &'a [Bytes] {
    let is_answered = |batch: &Bytes| log.sent.get(batch).is_some_and(Option::is_some);
    &sent[sent.iter().rposition(is_answered).unwrap_or(0)..]
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    said.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}
