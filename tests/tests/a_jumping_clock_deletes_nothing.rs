//! The machine's clock jumps ahead by decades, back to 1970, and home again, while the broker runs and while it does not:
//! retention deletes nothing by such a time, offsets follow one another, and idempotent producers stay known.

use bytes::Bytes;
use sendlog_tests::fake_clock::FakeClock;
use sendlog_tests::kafka::Producer;
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, vitals};

const TOPIC: &str = "kept";
/// A topic in which every look of retention finds something to delete.
const PULSE: &str = "pulse";
const BATCHES: i32 = 40;

#[test]
fn records_outlive_a_clock_that_jumps() {
    let Some(clock) = FakeClock::new() else { return };
    let mut broker = start(&clock, &[]);
    let mut kafka = Kafka::open(broker.address());
    let mut log = Log::begin(&mut kafka);

    for time in ["+74y", "-55y", "+20y", "+0"] {
        clock.show(time);
        log.expect_whole(&mut kafka, time);
        // A restart in that time, and one after a crash: the clock was like this from the start then.
        broker.terminate();
        broker.restart();
        kafka = Kafka::open(broker.address());
        log.expect_whole(&mut kafka, time);
        broker.restart();
        kafka = Kafka::open(broker.address());
        log.expect_whole(&mut kafka, time);
    }
    assert!(broker.stderr().text().lines().all(|line| !line.contains("panicked")));
}

/// Whoever wants Kafka's way has it; this also shows that the clock is looked at.
#[test]
fn a_clock_that_is_believed_at_once_deletes() {
    let Some(clock) = FakeClock::new() else { return };
    let broker = start(&clock, &["--set", "sendlog.clock.jump.wait.ms=0"]);
    let mut kafka = Kafka::open(broker.address());
    let mut log = Log::begin(&mut kafka);
    log.expect_whole(&mut kafka, "before");
    clock.show("+74y");
    vitals::eventually("old segments go", || {}, || 0 < kafka.offset(TOPIC, -2));
}

fn start(clock: &FakeClock, args: &[&str]) -> Broker {
    let mut options = BrokerOptions::with_args(["--set", "log.retention.check.interval.ms=20"]);
    options.args.extend(args.iter().map(|arg| (*arg).to_owned()));
    options.env = clock.env();
    Broker::start(options)
}

/// What was written by one idempotent producer.
struct Log {
    producer: Producer,
    sent: Vec<Bytes>,
    pulses: i64,
}

impl Log {
    /// Two segments and more, of records that are an hour from being old.
    fn begin(kafka: &mut Kafka) -> Self {
        let settings = [
            ("segment.bytes", "4096"),
            ("retention.ms", "3600000"),
            ("message.timestamp.type", "LogAppendTime"),
        ];
        kafka.create_topic(TOPIC, 1, &settings);
        let settings = [
            ("segment.bytes", "1024"),
            ("retention.ms", "-1"),
            ("retention.bytes", "1"),
            ("message.timestamp.type", "LogAppendTime"),
        ];
        kafka.create_topic(PULSE, 1, &settings);
        let mut log = Self { producer: kafka.init_producer(), sent: Vec::new(), pulses: 0 };
        for _ in 0..BATCHES {
            log.append(kafka);
        }
        log
    }

    fn append(&mut self, kafka: &mut Kafka) {
        let sequence = i32::try_from(self.sent.len()).expect("few");
        let batch = batches::numbered(
            self.producer,
            sequence,
            &[batches::padded(&format!("record {sequence}"), 400)],
        );
        assert_eq!(kafka.produce(TOPIC, &batch), i64::from(sequence), "offsets follow one another");
        self.sent.push(batch);
    }

    /// Everything is there after retention has looked; the producer's last batches are known, and it goes on.
    fn expect_whole(&mut self, kafka: &mut Kafka, time: &str) {
        self.wait_for_retention(kafka);
        self.wait_for_retention(kafka);
        assert_eq!(kafka.offset(TOPIC, -2), 0, "{time}: records were deleted");
        let found = kafka.read_all(TOPIC, 0);
        assert_eq!(batches::assert_dense(&found, 0), i64::try_from(self.sent.len()).expect("few"), "{time}");
        for (found, sent) in found.iter().zip(&self.sent) {
            assert_eq!(batches::values(found), batches::values(sent), "{time}");
        }
        let last = self.sent.last().expect("a batch");
        let offset = i64::try_from(self.sent.len()).expect("few") - 1;
        assert_eq!(kafka.produce(TOPIC, last), offset, "{time}: a repeated batch is not there twice");
        self.append(kafka);
    }

    /// Waits until a look of retention that began after now is over.
    fn wait_for_retention(&mut self, kafka: &mut Kafka) {
        for _ in 0..2 {
            for _ in 0..4 {
                kafka.produce(PULSE, &batches::sized("pulse", 600));
                self.pulses += 1;
            }
            let end = self.pulses;
            vitals::eventually("retention looks", || {}, || end - 2 <= kafka.offset(PULSE, -2));
        }
    }
}
