//! Random events, and what holds after each of them: all that waits is answered once and at last, generations only rise, and
//! what is in the log makes the same group.

use proptest::prelude::*;

use super::*;

/// How many clients there are.
const CLIENTS: usize = 5;
/// More time than anything in a group waits for.
const LONG_MS: i64 = 10 * 60 * 1000;

#[derive(Debug, Clone)]
enum Event {
    /// A client does what a right one would do next.
    Act {
        client: usize,
    },
    /// A client joins with the id that it has. With `fresh` it has forgotten that.
    Join {
        client: usize,
        fresh: bool,
        needs_id_first: bool,
        can_skip: bool,
        protocols: u8,
    },
    /// A client asks for its assignment; a leader brings everyone's.
    Sync {
        client: usize,
        stale: bool,
    },
    Heartbeat {
        client: usize,
    },
    Leave {
        clients: Vec<usize>,
        by_instance: bool,
    },
    Pass {
        ms: i64,
    },
    Restart {
        size_max: usize,
    },
}

fn client() -> impl Strategy<Value = usize> {
    0..CLIENTS
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        24 => client().prop_map(|client| Event::Act { client }),
        4 => (client(), prop::bool::weighted(0.2), any::<bool>(), any::<bool>(), 1..8_u8).prop_map(
            |(client, fresh, needs_id_first, can_skip, protocols)| {
                Event::Join { client, fresh, needs_id_first, can_skip, protocols }
            }
        ),
        2 => (client(), prop::bool::weighted(0.1)).prop_map(|(client, stale)| Event::Sync { client, stale }),
        2 => client().prop_map(|client| Event::Heartbeat { client }),
        1 => (prop::collection::vec(client(), 1..3), any::<bool>())
            .prop_map(|(clients, by_instance)| Event::Leave { clients, by_instance }),
        4 => prop_oneof![6 => 0..INITIAL_DELAY_MS, 2 => 0..SESSION_MS, 1 => 0..LONG_MS].prop_map(|ms| Event::Pass { ms }),
        1 => (2..=CLIENTS).prop_map(|size_max| Event::Restart { size_max }),
    ]
}

/// Clients, of which the first two are static, and the group that they make.
struct World {
    bench: Bench,
    ids: Vec<String>,
    joins: Vec<(usize, Asked)>,
    syncs: Vec<(usize, Asked)>,
}

impl World {
    fn new() -> Self {
        let ids = vec![String::new(); CLIENTS];
        Self { bench: Bench::new(), ids, joins: Vec::new(), syncs: Vec::new() }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Act { client } => {
                let next = self.next_of(*client);
                return self.happen(&next);
            }
            Event::Join { client, fresh, needs_id_first, can_skip, protocols } => {
                let id = if *fresh { "" } else { &self.ids[*client] };
                let names = ["a", "b", "c"].into_iter().enumerate();
                let known: Vec<&str> =
                    names.filter(|(bit, _)| protocols & (1 << bit) != 0).map(|(_, name)| name).collect();
                let mut join = joining(id).with_protocols(&known);
                join.needs_id_first = *needs_id_first;
                join.can_skip_assignment = *can_skip;
                if let Some(instance) = instance(*client) {
                    join = join.of_instance(instance);
                }
                let asked = self.bench.ask_join(&join);
                self.joins.push((*client, asked));
            }
            Event::Sync { client, stale } => {
                let generation = self.bench.group.generation() - i32::from(*stale);
                let assignments: Vec<(&str, &str)> =
                    self.ids.iter().map(|id| (id.as_str(), id.as_str())).collect();
                let asked = self.bench.ask_sync(&self.ids[*client], generation, &assignments);
                self.syncs.push((*client, asked));
            }
            Event::Heartbeat { client } => {
                let generation = self.bench.group.generation();
                self.bench.heartbeat(&self.ids[*client], generation);
            }
            Event::Leave { clients, by_instance } => {
                let ids = self.ids.clone();
                let named = |client: &usize| match instance(*client) {
                    Some(instance) if *by_instance => ("", Some(instance)),
                    _ => (ids[*client].as_str(), None),
                };
                let members: Vec<_> = clients.iter().map(named).collect();
                self.bench.leave(&members);
            }
            Event::Pass { ms } => self.bench.pass(*ms),
            Event::Restart { size_max } => {
                // Connections are gone with what waited.
                self.joins.clear();
                self.syncs.clear();
                self.bench = Bench {
                    log: self.bench.log.clone(),
                    ..self.bench.restarted(&[&format!("group.max.size={size_max}")])
                };
            }
        }
        self.take_answers();
    }

    fn next_of(&self, client: usize) -> Event {
        let joins = Event::Join { client, fresh: false, needs_id_first: true, can_skip: true, protocols: 7 };
        let group = &self.bench.group;
        let Some(member) = group.member(&self.ids[client]) else { return joins };
        match group.state {
            State::PreparingRebalance(_) if member.awaiting_join.is_none() => joins,
            State::CompletingRebalance if member.awaiting_sync.is_none() => {
                Event::Sync { client, stale: false }
            }
            _ => Event::Heartbeat { client },
        }
    }

    /// Clients learn their ids.
    fn take_answers(&mut self) {
        let bench = &self.bench;
        self.joins.retain(|(client, asked)| {
            if bench.is_waiting(*asked) {
                return true;
            }
            let answer = bench.joined(*asked);
            if answer.error_code == 0 || answer.error_code == ErrorCode::MemberIdRequired.code() {
                self.ids[*client] = answer.member_id;
            } else if answer.error_code == ErrorCode::UnknownMemberId.code() {
                self.ids[*client].clear();
            }
            false
        });
        self.syncs.retain(|(_, asked)| bench.is_waiting(*asked));
    }

    fn check(&self, generation_before: i32) {
        let group = &self.bench.group;
        assert!(generation_before <= group.generation());
        let parked = group.members().map(|member| {
            usize::from(member.awaiting_join.is_some()) + usize::from(member.awaiting_sync.is_some())
        });
        assert_eq!(parked.sum::<usize>(), self.joins.len() + self.syncs.len(), "a ticket is lost or kept");
        let is_waited_for =
            self.joins.is_empty() && self.syncs.is_empty() || group.next_deadline_ms().is_some();
        assert!(is_waited_for, "requests wait for nothing");
        assert_eq!(group.members().len() == 0, group.leader().is_none());
        assert!(group.leader().is_none_or(|leader| group.member(leader).is_some()));
        let bytes: usize = group.members().map(Member::bytes).sum();
        assert!(bytes <= group.roster.bytes());
        match group.state {
            State::Empty => assert_eq!(group.members().len(), 0),
            State::PreparingRebalance(_) => assert_eq!(self.syncs, []),
            State::CompletingRebalance => assert_eq!(self.joins, []),
            State::Stable => {
                assert_eq!((&self.joins[..], &self.syncs[..]), (&[][..], &[][..]));
                assert_ne!(group.members().len(), 0);
            }
        }
        if matches!(group.state, State::CompletingRebalance | State::Stable) {
            let protocol = group.protocol().expect("a generation has a protocol");
            assert!(
                group.members().all(|member| member.protocols.iter().any(|known| known.name == protocol))
            );
        }
        let is_whole =
            group.state == State::Stable || (group.state == State::Empty && 0 < group.generation());
        if is_whole {
            assert_eq!(self.bench.log.last(), Some(&group.record()), "the log is behind");
            let mut replayed = ClassicGroup::new(group.id());
            self.bench.log.iter().for_each(|record| replayed.replay(record));
            assert_eq!(replayed.record(), group.record());
        }
    }
}

fn instance(client: usize) -> Option<&'static str> {
    ["i0", "i1"].get(client).copied()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_request_is_answered_once_and_the_log_has_the_group(
        events in prop::collection::vec(event(), 1..120)
    ) {
        let mut world = World::new();
        for event in &events {
            let restarts = matches!(event, Event::Restart { .. });
            let before = if restarts { 0 } else { world.bench.group.generation() };
            world.happen(event);
            world.check(before);
        }
        // Nobody says anything any more: everything ends.
        for _ in 0..10 {
            world.bench.pass(LONG_MS);
        }
        world.take_answers();
        world.check(0);
        prop_assert_eq!((world.joins.len(), world.syncs.len()), (0, 0));
        prop_assert!(world.bench.group.is_empty());
        prop_assert_eq!(world.bench.group.next_deadline_ms(), None);
    }
}
