//! A map from offsets to values, kept as spans: neighbours with the same value are one entry.
//!
//! Records are handed out and acknowledged in runs, so a few entries stand for thousands of offsets. What a value means is
//! the user's.

use std::collections::BTreeMap;

/// Offsets that have the same value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span<V> {
    /// The first offset.
    pub first: i64,
    /// The last offset; not before the first.
    pub last: i64,
    /// Their value.
    pub value: V,
}

impl<V> Span<V> {
    /// How many offsets.
    pub fn len(&self) -> i64 {
        self.last - self.first + 1
    }
}

/// Spans that do not overlap, in the order of offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spans<V> {
    /// By first offset: the last one and the value.
    entries: BTreeMap<i64, (i64, V)>,
}

impl<V> Default for Spans<V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new() }
    }
}

impl<V: Clone + Eq> Spans<V> {
    /// How many entries there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Gives `value` to the offsets of a span, whatever they had.
    pub fn set(&mut self, span: Span<V>) {
        let Span { mut first, mut last, value } = span;
        self.clear(first, last);
        if let Some((before, (end, other))) = self.entries.range(..first).next_back()
            && *end == first - 1
            && *other == value
        {
            first = *before;
        }
        if let Some((end, other)) = self.entries.get(&(last + 1))
            && *other == value
        {
            last = *end;
            self.entries.remove(&(span.last + 1));
        }
        self.entries.insert(first, (last, value));
    }

    /// Takes the offsets from `first` to `last` out.
    pub fn clear(&mut self, first: i64, last: i64) {
        if let Some((&start, &(end, ref value))) = self.entries.range(..first).next_back()
            && first <= end
        {
            let value = value.clone();
            if last < end {
                self.entries.insert(last + 1, (end, value.clone()));
            }
            self.entries.insert(start, (first - 1, value));
        }
        while let Some((&start, &(end, _))) = self.entries.range(first..=last).next() {
            let removed = self.entries.remove(&start);
            if let Some((_, value)) = removed
                && last < end
            {
                self.entries.insert(last + 1, (end, value));
            }
        }
    }

    /// The parts of spans that lie between `first` and `last`.
    pub fn within(&self, first: i64, last: i64) -> impl Iterator<Item = Span<&V>> {
        let before = self.entries.range(..first).next_back().filter(|(_, (end, _))| first <= *end);
        // A range that ends before it starts would panic.
        let inside = self.entries.range(first..=last.max(first)).filter(move |(start, _)| **start <= last);
        before
            .into_iter()
            .filter(move |_| first <= last)
            .chain(inside)
            .map(move |(start, (end, value))| Span { first: first.max(*start), last: last.min(*end), value })
    }

    /// The first span.
    pub fn first(&self) -> Option<Span<&V>> {
        self.entries.first_key_value().map(|(&first, &(last, ref value))| Span { first, last, value })
    }

    /// Every span.
    pub fn iter(&self) -> impl Iterator<Item = Span<&V>> {
        self.entries.iter().map(|(&first, &(last, ref value))| Span { first, last, value })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn span(first: i64, last: i64, value: u8) -> Span<u8> {
        Span { first, last, value }
    }

    fn all(spans: &Spans<u8>) -> Vec<(i64, i64, u8)> {
        spans.iter().map(|span| (span.first, span.last, *span.value)).collect()
    }

    #[test]
    fn equal_neighbours_become_one_and_others_are_cut() {
        let mut spans = Spans::default();
        spans.set(span(0, 4, 1));
        spans.set(span(5, 9, 1));
        assert_eq!(all(&spans), [(0, 9, 1)]);
        spans.set(span(3, 3, 2));
        assert_eq!(all(&spans), [(0, 2, 1), (3, 3, 2), (4, 9, 1)]);
        spans.set(span(3, 3, 1));
        assert_eq!(all(&spans), [(0, 9, 1)]);
        spans.clear(4, 5);
        assert_eq!(all(&spans), [(0, 3, 1), (6, 9, 1)]);
        assert_eq!(
            spans.within(2, 7).map(|span| (span.first, span.last)).collect::<Vec<_>>(),
            [(2, 3), (6, 7)]
        );
        assert_eq!(spans.within(7, 2).count(), 0);
    }

    proptest! {
        #[test]
        fn spans_are_what_a_map_of_single_offsets_is(
            steps in prop::collection::vec((0i64..40, 0i64..10, prop::option::of(0u8..3)), 1..60),
        ) {
            let (mut spans, mut model) = (Spans::default(), BTreeMap::new());
            for (first, len, value) in steps {
                let last = first + len;
                match value {
                    Some(value) => spans.set(span(first, last, value)),
                    None => spans.clear(first, last),
                }
                for offset in first..=last {
                    match value {
                        Some(value) => model.insert(offset, value),
                        None => model.remove(&offset),
                    };
                }
                let flat: BTreeMap<i64, u8> = spans
                    .iter()
                    .flat_map(|span| (span.first..=span.last).map(move |offset| (offset, *span.value)))
                    .collect();
                prop_assert_eq!(&flat, &model);
                let entries = all(&spans);
                let is_minimal =
                    entries.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0 || pair[0].2 != pair[1].2);
                prop_assert!(is_minimal, "{:?}", entries);
            }
        }
    }
}
