//! AlterClientQuotas (key 49): change quotas of clients (KIP-546).

use crate::field::Double;

message! {
    /// The changes.
    pub struct AlterClientQuotasRequest: versions 0..=1, flexible from 1 {
        entries: Vec<AlterClientQuotasEntry>, 0..;
        validate_only: bool, 0..;
    }

    /// Changes of one entity.
    pub struct AlterClientQuotasEntry {
        entity: Vec<AlterClientQuotasEntity>, 0..;
        ops: Vec<AlterClientQuotasOp>, 0..;
    }

    /// A part of an entity.
    pub struct AlterClientQuotasEntity {
        entity_type: String, 0..;
        /// Null for the default.
        entity_name: Option<String>, 0.., nullable 0..;
    }

    /// One change.
    pub struct AlterClientQuotasOp {
        key: String, 0..;
        /// Not used to remove.
        value: Double, 0..;
        remove: bool, 0..;
    }
}

message! {
    /// What was changed.
    pub struct AlterClientQuotasResponse: versions 0..=1, flexible from 1 {
        throttle_time_ms: i32, 0..;
        entries: Vec<AlterClientQuotasEntryResult>, 0..;
    }

    /// Result of one entity.
    pub struct AlterClientQuotasEntryResult {
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        entity: Vec<AlterClientQuotasEntity>, 0..;
    }
}
