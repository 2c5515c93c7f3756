//! DescribeClientQuotas (key 48): quotas of clients (KIP-546).

use crate::field::Double;

message! {
    /// Which quotas.
    pub struct DescribeClientQuotasRequest: versions 0..=1, flexible from 1 {
        components: Vec<ClientQuotaComponent>, 0..;
        /// Leaves out entities of more types than the components name.
        strict: bool, 0..;
    }

    /// One kind of entity.
    pub struct ClientQuotaComponent {
        entity_type: String, 0..;
        /// 0: this name; 1: the default; 2: any name.
        match_type: i8, 0..;
        r#match: Option<String>, 0.., nullable 0..;
    }
}

message! {
    /// The quotas.
    pub struct DescribeClientQuotasResponse: versions 0..=1, flexible from 1 {
        throttle_time_ms: i32, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        entries: Option<Vec<DescribeClientQuotasEntry>> = Some(Vec::new()), 0.., nullable 0..;
    }

    /// Quotas of one entity.
    pub struct DescribeClientQuotasEntry {
        entity: Vec<DescribeClientQuotasEntity>, 0..;
        values: Vec<DescribeClientQuotasValue>, 0..;
    }

    /// A part of an entity.
    pub struct DescribeClientQuotasEntity {
        entity_type: String, 0..;
        /// Null for the default.
        entity_name: Option<String>, 0.., nullable 0..;
    }

    /// One quota.
    pub struct DescribeClientQuotasValue {
        key: String, 0..;
        value: Double, 0..;
    }
}
