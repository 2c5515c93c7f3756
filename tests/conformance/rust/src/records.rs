//! Records of every codec, written and read.

use crate::checks::{Outcome, equal, run};
use crate::load::{Writer, topic};
use crate::member::{Member, Order, values};

/// All these checks.
pub async fn checks() {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        run(&format!("round trip: {codec}"), round_trip(codec)).await;
    }
}

/// What is read is what was written, at the offsets that the producer was told.
async fn round_trip(codec: &str) -> Outcome {
    let topic = topic(&format!("codec-{codec}"), 1).await?;
    let written: Vec<_> = (0..100).map(|number| format!("{number} {}", "grüße ".repeat(number))).collect();
    let pairs: Vec<_> = written.iter().map(|value| (0, value.clone())).collect();
    // A batch has more than one record when the producer waits for them.
    let writer = Writer::new(&[("compression.type", codec), ("linger.ms", "20")])?;
    let offsets = writer.write(&topic, &pairs).await?;
    writer.close().await?;
    equal(offsets, (0..100).collect(), "offsets of the records")?;
    let member = Member::of(&topic).await?;
    values(&[&member], &written).await?;
    member.tell(Order::Leave).await?;
    let read: Vec<_> = member.seen()?.into_iter().map(|record| (record.offset, record.value)).collect();
    equal(read, (0..).zip(written).collect(), "what is read")
}
