//! Where the value of a setting comes from.

/// What DescribeConfigs calls the source of a value (`DescribeConfigsResponse.ConfigSource`), the strongest first within a
/// resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Set on the topic.
    DynamicTopic,
    /// Set on the group.
    Group,
    /// Set on the subscription to client metrics.
    ClientMetrics,
    /// Set on this broker while it runs.
    DynamicBroker,
    /// Set on all brokers while they run.
    DynamicDefaultBroker,
    /// Set in the broker's file or command line.
    StaticBroker,
    /// The table's.
    Default,
}

impl Source {
    /// Those of a broker's settings, the strongest first.
    pub const OF_BROKER: [Self; 4] =
        [Self::DynamicBroker, Self::DynamicDefaultBroker, Self::StaticBroker, Self::Default];

    /// Kafka's number.
    #[must_use]
    pub fn code(self) -> i8 {
        match self {
            Self::DynamicTopic => 1,
            Self::DynamicBroker => 2,
            Self::DynamicDefaultBroker => 3,
            Self::StaticBroker => 4,
            Self::Default => 5,
            Self::ClientMetrics => 7,
            Self::Group => 8,
        }
    }
}
