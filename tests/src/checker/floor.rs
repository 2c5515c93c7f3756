//! A value that only rises, with the events that raised it: "what was known at that time".

use std::collections::VecDeque;

/// More steps are not kept: about what happened before them, nothing is claimed. A request takes less time than this many
/// steps, or is not held against the broker.
const STEPS_MAX: usize = 1 << 16;

/// Why a floor is where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Acknowledged,
    Read,
    Told,
    Committed,
}

/// The floor from this event on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub event: u64,
    pub value: i64,
    pub cause: Cause,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Floor {
    steps: VecDeque<Step>,
}

impl Floor {
    /// The floor as it was known after this event.
    pub fn at(&self, event: u64) -> Option<Step> {
        let known = self.steps.partition_point(|step| step.event <= event);
        known.checked_sub(1).map(|index| self.steps[index])
    }

    /// The floor now.
    pub fn now(&self) -> Option<Step> {
        self.steps.back().copied()
    }

    /// An event shows that it is at least this.
    pub fn raise(&mut self, step: Step) {
        if self.now().is_none_or(|last| last.value < step.value) {
            self.set(step);
        }
    }

    /// It is this from now on, because it has fallen, which was reported.
    pub fn set(&mut self, step: Step) {
        if self.steps.len() == STEPS_MAX {
            self.steps.pop_front();
        }
        self.steps.push_back(step);
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, Floor, STEPS_MAX, Step};

    fn step(event: u64, value: i64) -> Step {
        Step { event, value, cause: Cause::Read }
    }

    #[test]
    fn a_floor_is_what_was_known_at_the_time() {
        let mut floor = Floor::default();
        assert!(floor.at(9).is_none());
        [step(3, 10), step(4, 5), step(7, 20)].into_iter().for_each(|step| floor.raise(step));
        let values: Vec<_> = [2, 3, 6, 7, 9].map(|event| floor.at(event).map(|step| step.value)).into();
        assert_eq!(values, [None, Some(10), Some(10), Some(20), Some(20)]);
        floor.set(step(8, 1));
        assert_eq!(floor.at(8).map(|step| step.value), Some(1));
    }

    #[test]
    fn old_steps_are_forgotten() {
        let mut floor = Floor::default();
        let steps = (1..).zip(1..).take(STEPS_MAX + 1);
        steps.for_each(|(event, value)| floor.raise(step(event, value)));
        assert!(floor.at(1).is_none() && floor.at(2).is_some());
    }
}
