//! The leader epochs of an adopted partition.

use crate::storage::leader_epochs::LeaderEpochs;

/// Where epochs begin, as the batches say; each is noted once.
#[derive(Debug, Default)]
pub(super) struct SeenEpochs(Vec<(i32, i64)>);

impl SeenEpochs {
    /// Takes note of a batch's epoch; batches come in order.
    pub(super) fn see(&mut self, epoch: i32, base_offset: i64) {
        if 0 <= epoch && self.0.last().is_none_or(|(last, _)| *last != epoch) {
            self.0.push((epoch, base_offset));
        }
    }

    /// Kafka's list, unless the batches contradict it, and one more epoch for what sendlog appends: who has read from Kafka
    /// learns that the leader is another. Empty if neither has any.
    pub(super) fn into_epochs(self, listed: Option<&[(i32, i64)]>, end_offset: i64) -> LeaderEpochs {
        let listed = listed.filter(|listed| self.agrees(listed)).unwrap_or(&self.0);
        let mut epochs = LeaderEpochs::default();
        for (epoch, start) in listed.iter().filter(|(_, start)| *start <= end_offset) {
            epochs.assign(*epoch, *start);
        }
        if let Some(last) = epochs.latest() {
            epochs.assign(last.epoch.saturating_add(1), end_offset);
        }
        epochs
    }

    fn agrees(&self, listed: &[(i32, i64)]) -> bool {
        let is_rising = listed.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        let holds_at = |offset: i64| listed.iter().rev().find(|(_, start)| *start <= offset);
        is_rising
            && self.0.iter().all(|(epoch, offset)| holds_at(*offset).is_some_and(|(held, _)| held == epoch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(seen: &[(i32, i64)], listed: Option<&[(i32, i64)]>) -> Vec<(i32, i64)> {
        let mut epochs = SeenEpochs::default();
        seen.iter().for_each(|(epoch, offset)| epochs.see(*epoch, *offset));
        let epochs = epochs.into_epochs(listed, 100);
        epochs.starts().iter().map(|start| (start.epoch, start.start_offset)).collect()
    }

    #[test]
    fn kafkas_list_counts_where_the_batches_agree() {
        let listed = [(0, 0), (2, 10), (3, 60)];
        assert_eq!(starts(&[(0, 4), (0, 8), (2, 15)], Some(&listed)), [(0, 0), (2, 10), (3, 60), (4, 100)]);
        assert_eq!(starts(&[(1, 4), (2, 15)], Some(&listed)), [(1, 4), (2, 15), (3, 100)]);
        assert_eq!(starts(&[(0, 4)], Some(&[(5, 0), (4, 1)])), [(0, 4), (1, 100)]);
        assert_eq!(starts(&[(0, 4)], None), [(0, 4), (1, 100)]);
        assert_eq!(starts(&[], Some(&[(7, 100)])), [(8, 100)], "an epoch without a record gives way");
        assert_eq!(starts(&[(-1, 4)], None), []);
    }
}
