//! Who sends a request, where that matters: members of groups are shown with it.

use super::Session;

/// The sender of a request.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// Its connection.
    pub session: &'a Session,
    /// What it calls itself; may be empty.
    pub client_id: &'a str,
}

impl Caller<'_> {
    /// Its address as Kafka shows it, with the slash of Java's `InetAddress`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("/{}", self.session.peer.ip().to_canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Fixture;

    #[test]
    fn a_host_is_an_address_with_a_slash() {
        let fixture = Fixture::new();
        let caller = Caller { session: &fixture.session, client_id: "" };
        assert_eq!(caller.host(), "/192.0.2.9");
    }
}
