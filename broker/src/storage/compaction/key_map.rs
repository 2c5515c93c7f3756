//! The last offset of every key, within a limit of memory.
//!
//! Keys are kept as 128 bits of keyed hash, so that an entry has 24 bytes whatever the key. The hash's keys are random and known
//! to nobody: two keys that collide, of which one would be taken for the other and lost, cannot be made up; and that it happens by
//! itself has odds of 2^-80 with ten million keys.

use std::hash::{BuildHasher, RandomState};

/// A key's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHash {
    high: u64,
    low: u64,
}

/// An entry; `after` is the offset and one, and 0 says that there is none.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    high: u64,
    low: u64,
    after: u64,
}

/// Bytes of an entry.
pub const SLOT_BYTES: usize = size_of::<Slot>();
const _: () = assert!(SLOT_BYTES == 24);

/// So many tables, so that only a small part is there twice while one grows.
const SHARDS: usize = 64;
const SHARD_SLOTS_MIN: usize = 16;

/// The smallest limit that makes sense.
pub const BYTES_MIN: usize = SHARDS * SHARD_SLOTS_MIN * SLOT_BYTES;

/// See the module.
#[derive(Debug)]
pub struct KeyMap {
    hashers: [RandomState; 2],
    shards: Vec<Shard>,
    shard_slots_max: usize,
    load_percent: usize,
    len: usize,
}

/// Open addressing with linear probing.
#[derive(Debug, Default)]
struct Shard {
    slots: Vec<Slot>,
    len: usize,
}

impl KeyMap {
    /// Takes at most `bytes_max`, or [`BYTES_MIN`] if that is more, memory as it is needed; and of that as much as `load_factor` says, but
    /// no more than nineteen parts in twenty, for a search ends at an empty slot.
    #[must_use]
    pub fn new(bytes_max: usize, load_factor: f64) -> Self {
        let load_percent = (1..=95_u8).rev().find(|percent| f64::from(*percent) / 100.0 <= load_factor);
        let shard_slots_max = (bytes_max / SLOT_BYTES / (SHARDS + 1)).max(SHARD_SLOTS_MIN);
        Self {
            hashers: [RandomState::new(), RandomState::new()],
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            shard_slots_max,
            load_percent: load_percent.unwrap_or(1).into(),
            len: 0,
        }
    }

    /// Keys in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no keys in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The hash that stands for a key in this map and in no other.
    #[must_use]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        let [high, low] = &self.hashers;
        KeyHash { high: high.hash_one(key), low: low.hash_one(key) }
    }

    /// Notes an offset, which is not negative, unless a larger one is known; false if there is no room for one more key.
    #[must_use]
    pub fn put(&mut self, key: KeyHash, offset: i64) -> bool {
        let (shard_slots_max, load_percent) = (self.shard_slots_max, self.load_percent);
        let shard = &mut self.shards[shard_of(key)];
        if shard.is_crowded(load_percent) && !shard.grow(shard_slots_max) && shard.find(key).is_none() {
            return false;
        }
        self.len += usize::from(shard.put(key, offset.unsigned_abs() + 1));
        true
    }

    /// The last offset of a key, if it is known.
    #[must_use]
    pub fn get(&self, key: KeyHash) -> Option<i64> {
        let shard = &self.shards[shard_of(key)];
        shard.find(key).and_then(|after| i64::try_from(after - 1).ok())
    }
}

/// By bits that the place in the shard does not go by.
fn shard_of(key: KeyHash) -> usize {
    usize::try_from(key.low % SHARDS as u64).expect("a remainder")
}

impl Shard {
    /// Whether one more would be too many.
    fn is_crowded(&self, load_percent: usize) -> bool {
        self.slots.len() * load_percent < (self.len + 1) * 100
    }

    /// Twice the slots, within the limit; false if there are that many already.
    fn grow(&mut self, slots_max: usize) -> bool {
        let slots = (self.slots.len() * 2).clamp(SHARD_SLOTS_MIN, slots_max);
        if slots <= self.slots.len() {
            return false;
        }
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); slots]);
        self.len = 0;
        for slot in old.into_iter().filter(|slot| slot.after != 0) {
            self.put(KeyHash { high: slot.high, low: slot.low }, slot.after);
        }
        true
    }

    /// Whether the key is new. There must be room.
    fn put(&mut self, key: KeyHash, after: u64) -> bool {
        let mut at = self.place(key);
        loop {
            let slot = &mut self.slots[at];
            if slot.after == 0 {
                *slot = Slot { high: key.high, low: key.low, after };
                self.len += 1;
                return true;
            }
            if (slot.high, slot.low) == (key.high, key.low) {
                slot.after = slot.after.max(after);
                return false;
            }
            at = self.next(at);
        }
    }

    fn find(&self, key: KeyHash) -> Option<u64> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = self.place(key);
        loop {
            let slot = &self.slots[at];
            if slot.after == 0 {
                return None;
            }
            if (slot.high, slot.low) == (key.high, key.low) {
                return Some(slot.after);
            }
            at = self.next(at);
        }
    }

    /// Where the search for a key begins: its hash as a fraction of all hashes.
    fn place(&self, key: KeyHash) -> usize {
        let scaled = (u128::from(key.high) * self.slots.len() as u128) >> 64;
        usize::try_from(scaled).expect("less than the number of slots")
    }

    fn next(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn it_knows_what_a_map_knows() {
        let mut map = KeyMap::new(64 << 20, 0.9);
        let mut model = HashMap::new();
        for offset in 0..100_000_i64 {
            let key = (offset * 7919 % 31_000).to_be_bytes();
            let hash = map.hash(&key);
            assert!(map.put(hash, offset));
            model.insert(key, offset);
        }
        assert_eq!(map.len(), model.len());
        for (key, offset) in &model {
            assert_eq!(map.get(map.hash(key)), Some(*offset));
        }
        assert_eq!(map.get(map.hash(b"another")), None);
        let known = map.hash(&0_i64.to_be_bytes());
        let last = map.get(known).unwrap();
        assert!(map.put(known, 3), "an earlier one is no news");
        assert_eq!(map.get(known), Some(last));
    }

    #[test]
    fn a_full_map_says_so_and_stays_right() {
        let bytes_max = 1 << 20;
        let mut map = KeyMap::new(bytes_max, 0.9);
        let mut held = 0;
        while {
            let hash = map.hash(&i64::to_be_bytes(held));
            map.put(hash, held)
        } {
            held += 1;
        }
        let bytes = usize::try_from(held).unwrap() * SLOT_BYTES;
        assert!(bytes_max * 7 / 10 < bytes && bytes < bytes_max, "{bytes}");
        let slots: usize = map.shards.iter().map(|shard| shard.slots.len()).sum();
        assert!((slots + slots / SHARDS) * SLOT_BYTES <= bytes_max + SHARDS * SLOT_BYTES);
        for key in 0..held {
            assert_eq!(map.get(map.hash(&key.to_be_bytes())), Some(key));
            let hash = map.hash(&key.to_be_bytes());
            assert!(map.put(hash, key + 1), "known keys have their place");
        }
    }

    #[test]
    fn the_smallest_limit_holds_some_keys() {
        let mut map = KeyMap::new(0, 0.9);
        let hash = map.hash(b"a");
        assert!(map.put(hash, 0));
        assert_eq!((map.get(hash), map.len()), (Some(0), 1));
    }
}
