//! What an event may know of the world.

use uuid::Uuid;

use super::topics_image::TopicsImage;
use crate::config::Config;
use crate::config::group_config::GroupConfig;

/// A moment, by two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Wall clock, ms since 1970: for what is stored.
    pub wall_ms: i64,
    /// A clock that nobody sets, in ms: for time-outs.
    pub steady_ms: i64,
}

/// The world at the time of an event.
#[derive(Debug, Clone, Copy)]
pub struct Env<'a> {
    /// When it is.
    pub now: Moment,
    /// The broker's settings.
    pub config: &'a Config,
    /// The group's own settings.
    pub group: &'a GroupConfig,
    /// The topics.
    pub topics: &'a TopicsImage,
    /// A random id, another one for every event: for a member that needs one.
    pub fresh_id: Uuid,
}
