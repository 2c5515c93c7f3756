//! What happened to records so far: the value that a share partition keeps for each offset.

use std::sync::Arc;

/// A run of records with one history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Where they are.
    pub state: State,
    /// How often they were handed out.
    pub count: i16,
}

/// Where a record is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Anybody may have it.
    Available,
    /// A member has it.
    Acquired {
        /// The member.
        holder: Arc<str>,
        /// When the member loses it, by the steady clock.
        until_ms: i64,
    },
    /// A member has accepted it.
    Acknowledged,
    /// It was rejected, was handed out too often, or does not exist.
    Archived,
}

impl Delivery {
    /// Records that nobody had yet.
    pub const FRESH: Self = Self { state: State::Available, count: 0 };

    /// Whether the records are done with.
    pub fn is_final(&self) -> bool {
        matches!(self.state, State::Acknowledged | State::Archived)
    }

    /// Whether `member` has them.
    pub fn is_held_by(&self, member: &str) -> bool {
        matches!(&self.state, State::Acquired { holder, .. } if **holder == *member)
    }

    /// What becomes of records that come back after `count` deliveries.
    pub fn returned(count: i16, deliveries_max: i16) -> Self {
        let state = if count < deliveries_max { State::Available } else { State::Archived };
        Self { state, count }
    }

    /// What a crash must not forget; `None` if that is nothing. A delivery counts once it has ended.
    pub fn durable(&self) -> Option<DurableState> {
        match &self.state {
            State::Available if self.count == 0 => None,
            State::Available => Some(DurableState { code: AVAILABLE, count: self.count }),
            State::Acquired { .. } if self.count <= 1 => None,
            State::Acquired { .. } => Some(DurableState { code: AVAILABLE, count: self.count - 1 }),
            State::Acknowledged => Some(DurableState { code: ACKNOWLEDGED, count: self.count }),
            State::Archived => Some(DurableState { code: ARCHIVED, count: self.count }),
        }
    }

    /// Back from the disk. A state that is not known makes records available: better twice than never.
    pub fn restored(durable: DurableState) -> Self {
        let state = match durable.code {
            ACKNOWLEDGED => State::Acknowledged,
            ARCHIVED => State::Archived,
            _ => State::Available,
        };
        Self { state, count: durable.count.max(0) }
    }
}

/// A state as Kafka writes it to `__share_group_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurableState {
    /// 0 available, 2 acknowledged, 4 archived.
    pub code: i8,
    /// Deliveries.
    pub count: i16,
}

const AVAILABLE: i8 = 0;
const ACKNOWLEDGED: i8 = 2;
const ARCHIVED: i8 = 4;
