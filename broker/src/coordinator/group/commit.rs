//! Who commits offsets.

/// The sender of a commit, as a group checks it.
#[derive(Debug, Clone, Copy)]
pub struct CommitCheck<'a> {
    /// Empty if no member commits.
    pub member_id: &'a str,
    /// Set by static members alone.
    pub instance_id: Option<&'a str>,
    /// Generation of a classic group, epoch of a member of the consumer protocol; below 0 for neither.
    pub generation_or_epoch: i32,
    /// Version of the request: from 9 on members of the consumer protocol may send it.
    pub version: i16,
}
