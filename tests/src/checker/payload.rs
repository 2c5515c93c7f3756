//! Record values that say who sent them: every byte follows from run, producer, log, number and size, so that a reader
//! knows what it must be looking at, and nothing has to be kept twice.

use bytes::Bytes;

use crate::batches;
use crate::checker::event::SeenBatch;

/// Bytes of a value before its padding, and the least that a value has.
pub const HEADER_BYTES: usize = 36;
const MAGIC: [u8; 4] = *b"SLP1";

/// What a value says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Of which run; another run's records are nobody's.
    pub run: u64,
    /// Who sent it.
    pub producer: u32,
    /// To which log.
    pub log: u32,
    /// The producer's number of this record.
    pub sequence: u64,
}

impl Identity {
    /// The value of a record, of about `size` bytes.
    ///
    /// # Panics
    /// When `size` does not fit into 32 bits.
    pub fn value(self, size: usize) -> Vec<u8> {
        let size = size.max(HEADER_BYTES);
        let mut value = Vec::with_capacity(size + 8);
        value.extend_from_slice(&MAGIC);
        value.extend_from_slice(&self.run.to_le_bytes());
        value.extend_from_slice(&self.producer.to_le_bytes());
        value.extend_from_slice(&self.log.to_le_bytes());
        value.extend_from_slice(&self.sequence.to_le_bytes());
        value.extend_from_slice(&u32::try_from(size).expect("a small value").to_le_bytes());
        let crc = crc32fast::hash(&value);
        value.extend_from_slice(&crc.to_le_bytes());
        // Bytes that do not compress, and are different in every record.
        let mut state = self.sequence ^ (u64::from(crc) << 32) | 1;
        while value.len() < size {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            value.extend_from_slice(&state.to_le_bytes());
        }
        value.truncate(size);
        value
    }

    /// What the value of a record says, if its header is whole.
    pub fn read(value: &[u8]) -> Option<Self> {
        let (header, _) = value.split_at_checked(HEADER_BYTES)?;
        let (fields, crc) = header.split_at_checked(HEADER_BYTES - 4)?;
        let is_whole = fields.starts_with(&MAGIC) && crc == crc32fast::hash(fields).to_le_bytes();
        is_whole.then_some(())?;
        Some(Self {
            run: u64::from_le_bytes(fields[4..12].try_into().ok()?),
            producer: u32::from_le_bytes(fields[12..16].try_into().ok()?),
            log: u32::from_le_bytes(fields[16..20].try_into().ok()?),
            sequence: u64::from_le_bytes(fields[20..28].try_into().ok()?),
        })
    }
}

/// The digest of a batch: of all its bytes but base offset and leader epoch, which the broker sets.
///
/// # Panics
/// When it is shorter than a header.
pub fn digest(batch: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&batch[8..12]);
    hasher.update(&batch[16..]);
    hasher.finalize()
}

/// A stored batch as a history has it. One of another run, or in another log than it says, is nobody's.
///
/// # Panics
/// When it is shorter than a header.
pub fn seen(stored: &Bytes, run: u64, log: u32) -> SeenBatch {
    let header = batches::header(stored);
    let identity = first_value(stored).and_then(|value| Identity::read(&value));
    let identity = identity.filter(|found| found.run == run && found.log == log);
    SeenBatch {
        offset: header.base_offset,
        count: u32::try_from(header.next_offset() - header.base_offset).unwrap_or(u32::MAX),
        epoch: header.leader_epoch,
        identity: identity.map(|found| (found.producer, found.sequence)),
        digest: digest(stored),
    }
}

/// The first record's value, if it can be read.
fn first_value(batch: &Bytes) -> Option<Bytes> {
    let mut records = sendlog_protocol::records::read_records(batch, 64 << 20).ok()?;
    records.next()?.ok()?.value
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{HEADER_BYTES, Identity, digest, seen};
    use crate::batches;

    const WHO: Identity = Identity { run: 7, producer: 3, log: 2, sequence: 99 };

    #[test]
    fn a_value_says_who_sent_it() {
        for size in [0, HEADER_BYTES, 37, 1000] {
            let value = WHO.value(size);
            assert_eq!(value.len(), size.max(HEADER_BYTES));
            assert_eq!(Identity::read(&value), Some(WHO));
        }
        assert_eq!(Identity::read(b"SLP1"), None);
        let mut value = WHO.value(100);
        value[21] ^= 1;
        assert_eq!(Identity::read(&value), None, "a changed header says nothing");
    }

    #[test]
    fn a_stored_batch_is_recognised_and_changes_show() {
        let sent = batches::of(&[WHO.value(50), Identity { sequence: 100, ..WHO }.value(50)]);
        let mut stored = sent.to_vec();
        stored[7] = 5;
        stored[15] = 2;
        let found = seen(&Bytes::from(stored.clone()), WHO.run, WHO.log);
        assert_eq!((found.offset, found.count, found.epoch), (5, 2, 0xffff_ff02_u32 as i32));
        assert_eq!((found.identity, found.digest), (Some((3, 99)), digest(&sent)));
        let last = stored.len() - 1;
        stored[last] ^= 0x20;
        assert_ne!(digest(&stored), digest(&sent));
        assert_eq!(seen(&sent, WHO.run + 1, WHO.log).identity, None);
        assert_eq!(seen(&sent, WHO.run, WHO.log + 1).identity, None);
    }
}
