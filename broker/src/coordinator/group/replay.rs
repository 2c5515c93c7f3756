//! How the records of the log make a group, kind and all.

use sendlog_protocol::group_records::GroupRecord;

use super::classic::ClassicGroup;
use super::consumer::ConsumerGroup;
use super::group::{Group, Kind};
use super::record;
use super::share::ShareGroup;

/// The kind of group that a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Classic,
    Consumer,
    Share,
}

impl Group {
    /// Takes over a record of the log. The first one of a kind makes the group of that kind; the tombstone of the group's
    /// own record makes it nobody's.
    pub(super) fn replay(&mut self, record: GroupRecord) {
        let (of, is_end) = match record {
            GroupRecord::OffsetCommit(key, value) => {
                self.offsets_mut().apply(record::offset_change(key, value));
                return;
            }
            GroupRecord::GroupMetadata(_, ref value) => (Of::Classic, value.is_none()),
            GroupRecord::ConsumerGroupMetadata(_, ref value) => (Of::Consumer, value.is_none()),
            GroupRecord::ShareGroupMetadata(_, ref value) => (Of::Share, value.is_none()),
            GroupRecord::ConsumerGroupPartitionMetadata(..)
            | GroupRecord::ConsumerGroupMemberMetadata(..)
            | GroupRecord::ConsumerGroupTargetAssignmentMetadata(..)
            | GroupRecord::ConsumerGroupTargetAssignmentMember(..)
            | GroupRecord::ConsumerGroupCurrentMemberAssignment(..)
            | GroupRecord::ConsumerGroupRegularExpression(..) => (Of::Consumer, false),
            GroupRecord::ShareGroupMemberMetadata(..)
            | GroupRecord::ShareGroupTargetAssignmentMetadata(..)
            | GroupRecord::ShareGroupTargetAssignmentMember(..)
            | GroupRecord::ShareGroupCurrentMemberAssignment(..)
            | GroupRecord::ShareGroupStatePartitionMetadata(..) => (Of::Share, false),
        };
        self.replay_kind(of, is_end, &record);
    }

    fn replay_kind(&mut self, of: Of, is_end: bool, record: &GroupRecord) {
        if is_end {
            if self.is_of(of) {
                *self.kind_mut() = Kind::Simple;
            }
            return;
        }
        if !self.is_of(of) {
            if is_tombstone(record) {
                // Of a group that was another kind before.
                return;
            }
            let kind = match of {
                Of::Classic => Kind::Classic(Box::new(ClassicGroup::new(self.id()))),
                Of::Consumer => Kind::Consumer(Box::new(ConsumerGroup::new(self.id()))),
                Of::Share => Kind::Share(ShareGroup::new(self.id())),
            };
            *self.kind_mut() = kind;
        }
        match self.kind_mut() {
            Kind::Simple => {}
            Kind::Classic(group) => group.replay(record),
            Kind::Consumer(group) => group.replay(record),
            Kind::Share(group) => group.replay(record),
        }
    }

    fn is_of(&self, of: Of) -> bool {
        match self.kind() {
            Kind::Simple => false,
            Kind::Classic(_) => of == Of::Classic,
            Kind::Consumer(_) => of == Of::Consumer,
            Kind::Share(_) => of == Of::Share,
        }
    }
}

fn is_tombstone(record: &GroupRecord) -> bool {
    match record {
        GroupRecord::OffsetCommit(_, value) => value.is_none(),
        GroupRecord::GroupMetadata(_, value) => value.is_none(),
        GroupRecord::ConsumerGroupMetadata(_, value) => value.is_none(),
        GroupRecord::ConsumerGroupPartitionMetadata(_, value) => value.is_none(),
        GroupRecord::ConsumerGroupMemberMetadata(_, value) => value.is_none(),
        GroupRecord::ConsumerGroupTargetAssignmentMetadata(_, value) => value.is_none(),
        GroupRecord::ConsumerGroupTargetAssignmentMember(_, value) => value.is_none(),
        GroupRecord::ConsumerGroupCurrentMemberAssignment(_, value) => value.is_none(),
        GroupRecord::ConsumerGroupRegularExpression(_, value) => value.is_none(),
        GroupRecord::ShareGroupMemberMetadata(_, value) => value.is_none(),
        GroupRecord::ShareGroupMetadata(_, value) => value.is_none(),
        GroupRecord::ShareGroupTargetAssignmentMetadata(_, value) => value.is_none(),
        GroupRecord::ShareGroupTargetAssignmentMember(_, value) => value.is_none(),
        GroupRecord::ShareGroupCurrentMemberAssignment(_, value) => value.is_none(),
        GroupRecord::ShareGroupStatePartitionMetadata(_, value) => value.is_none(),
    }
}
