//! How fast records are checked: prints figures, asserts nothing. For figures that mean something, with --release:
//! `cargo test --release -p sendlog-protocol --test records_speed -- --nocapture`

use std::time::{Duration, Instant};

use sendlog_protocol::records::{
    BatchBuilder, BatchError, BatchHeader, Compression, NewRecord, ProduceLimits, ProducerStamp,
    check_stored, validate_produced,
};

const RECORDS: u32 = 5_000;

#[test]
fn speed_of_the_checks() {
    let limits = ProduceLimits { batch_bytes_max: usize::MAX, ..ProduceLimits::default() };
    for compression in Compression::ALL {
        let mut builder = BatchBuilder::new();
        for index in 0..RECORDS {
            let value = format!(
                "{index} GET /index.html HTTP/1.1 200 1234 \"Mozilla/5.0 (X11; Linux x86_64)\" 0.00{index}"
            );
            let timestamp = 1_700_000_000_000 + i64::from(index);
            builder
                .add(&NewRecord { timestamp, value: Some(value.as_bytes()), ..NewRecord::default() })
                .expect("small");
        }
        let plain = builder.size() as f64;
        let batch = builder.build(compression, ProducerStamp::NONE).expect("valid");
        let stored = fastest(|| check_stored(&batch));
        let produced = fastest(|| validate_produced(&batch, &limits));
        println!(
            "{:6} {} bytes of {plain}: header and CRC {stored:?}, all checks {produced:?}: {:.1} ns a record, {:.0} MB/s",
            compression.name(),
            batch.len(),
            (produced - stored).as_secs_f64() * 1e9 / f64::from(RECORDS),
            plain / produced.as_secs_f64() / 1e6,
        );
    }
}

/// The fastest of some rounds: the least disturbed one.
fn fastest(run: impl Fn() -> Result<BatchHeader, BatchError>) -> Duration {
    let round = || {
        let start = Instant::now();
        run().expect("a good batch");
        start.elapsed()
    };
    (0..50).map(|_| round()).min().expect("rounds")
}
