//! What members say of the records that they have.

use std::sync::Arc;

use thiserror::Error;

use super::delivery::{Delivery, State};
use super::durable::StateBatch;
use super::share_partition::{Limits, SharePartition};
use super::spans::Span;

/// What a member says of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There is no record at this offset.
    Gap,
    /// It is done.
    Accept,
    /// Somebody else may try.
    Release,
    /// Nobody should try again.
    Reject,
    /// It takes longer (KIP-1222).
    Renew,
}

impl Verdict {
    /// By its number on the wire.
    pub fn from_code(code: i8) -> Option<Self> {
        match code {
            0 => Some(Self::Gap),
            1 => Some(Self::Accept),
            2 => Some(Self::Release),
            3 => Some(Self::Reject),
            4 => Some(Self::Renew),
            _ => None,
        }
    }
}

/// What a member says of a run of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The first offset.
    pub first: i64,
    /// The last offset; not before the first.
    pub last: i64,
    /// One for all, or one for each.
    pub verdicts: Vec<Verdict>,
}

/// Why acknowledgements are refused, all of a request and partition together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AcknowledgeError {
    /// There is nothing in flight at all: a broker that was started anew knows no more of what was handed out before.
    #[error("no records are acquired")]
    NothingHandedOut,
    /// They are of offsets that were not handed out yet.
    #[error("offset {offset} is past the acquired records")]
    NotHandedOut {
        /// The first such offset.
        offset: i64,
    },
    /// The member does not have such a record, or not any more.
    #[error("offset {offset} is not acquired by this member")]
    NotHeld {
        /// The first such offset.
        offset: i64,
    },
    /// The group does not allow it.
    #[error("renewing acquisition locks is not enabled for the group")]
    NoRenewal,
}

impl SharePartition {
    /// Takes over what a member says; what is done with already is passed over. Returns what changed.
    ///
    /// # Errors
    /// [`AcknowledgeError`]; nothing is changed then.
    pub fn acknowledge(
        &mut self,
        member: &Arc<str>,
        acknowledgements: &[Acknowledgement],
        limits: &Limits,
        now_ms: i64,
    ) -> Result<Vec<StateBatch>, AcknowledgeError> {
        let mut changes = Vec::new();
        for acknowledgement in acknowledgements {
            self.check(member, acknowledgement, limits)?;
            for run in runs(acknowledgement) {
                let first = run.first.max(self.start);
                for span in self.in_flight.within(first, run.last) {
                    let count = span.value.count;
                    let value = match run.value {
                        Verdict::Accept => Delivery { state: State::Acknowledged, count },
                        Verdict::Gap | Verdict::Reject => Delivery { state: State::Archived, count },
                        Verdict::Release => Delivery::returned(count, limits.deliveries_max),
                        Verdict::Renew => Delivery { state: Self::lock(member, now_ms, limits), count },
                    };
                    changes.push(Span { first: span.first, last: span.last, value });
                }
            }
        }
        // A renewed lock is no news for the disk.
        let (renewed, ended): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|span| matches!(span.value.state, State::Acquired { .. }));
        renewed.into_iter().for_each(|span| self.put(span));
        Ok(self.change(ended))
    }

    fn check(&self, member: &str, said: &Acknowledgement, limits: &Limits) -> Result<(), AcknowledgeError> {
        if said.last < self.start {
            return Ok(());
        }
        let first = said.first.max(self.start);
        if self.in_flight.count() == 0 {
            return Err(AcknowledgeError::NothingHandedOut);
        }
        if self.end <= said.last {
            return Err(AcknowledgeError::NotHandedOut { offset: first.max(self.end) });
        }
        if let Some(span) =
            self.in_flight.within(first, said.last).find(|span| !span.value.is_held_by(member))
        {
            return Err(AcknowledgeError::NotHeld { offset: span.first });
        }
        if said.verdicts.contains(&Verdict::Renew) && !limits.may_renew {
            return Err(AcknowledgeError::NoRenewal);
        }
        Ok(())
    }
}

/// The runs of equal verdicts.
fn runs(said: &Acknowledgement) -> impl Iterator<Item = Span<Verdict>> {
    let is_single = said.verdicts.len() == 1;
    let mut first = said.first;
    said.verdicts.chunk_by(PartialEq::eq).filter_map(move |chunk| {
        let value = *chunk.first()?;
        let len = i64::try_from(chunk.len()).ok()?;
        let last = if is_single { said.last } else { first.saturating_add(len - 1).min(said.last) };
        let run = Span { first, last, value };
        first = last.saturating_add(1);
        Some(run)
    })
}
