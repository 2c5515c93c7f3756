//! Many classic groups whose members join, beat, leave and come back without a pause, while the broker is killed: every
//! request is answered, nobody is assigned what is another's, and in the end every group is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Barrier, Mutex, mpsc};
use std::thread;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use sendlog_tests::classic_member::{ClassicMember, describe};
use sendlog_tests::{Broker, BrokerOptions, Kafka};

const GROUPS: usize = 12;
const MEMBERS: usize = 4;
/// Generations that each member goes through before it stays.
const ROUNDS: usize = 15;
const KILLS: usize = 3;
const UNKNOWN_MEMBER_ID: i16 = 25;

/// One member, which behaves as clients do.
struct Client {
    member: ClassicMember,
    address: SocketAddr,
    random: SmallRng,
}

impl Client {
    /// Joins and gets its part. An error says that this is to be tried again.
    fn enter(&mut self) -> io::Result<()> {
        self.member.try_ask_to_join()?;
        let joined = self.member.try_joined()?;
        self.check(joined.error_code)?;
        self.member.try_ask_to_sync()?;
        let synced = self.member.try_synced()?;
        self.check(synced.error_code)?;
        assert_eq!(synced.assignment, self.member.id.as_bytes(), "what is another's");
        Ok(())
    }

    fn check(&mut self, code: i16) -> io::Result<()> {
        if code == UNKNOWN_MEMBER_ID {
            self.member.id.clear();
        }
        if code == 0 { Ok(()) } else { Err(io::Error::other(format!("error {code}"))) }
    }

    fn enter_at_last(&mut self) {
        while self.enter().is_err() {
            self.recover();
        }
    }

    /// Whether it is a member of a generation that goes on.
    fn beat(&mut self) -> io::Result<()> {
        let code = self.member.try_heartbeat()?;
        self.check(code)
    }

    /// After an error of whatever kind, on a connection on which no answer is due.
    fn recover(&mut self) {
        while self.member.try_reconnect(self.address).is_err() {
            thread::yield_now();
        }
    }

    fn live(&mut self, entered: &mpsc::Sender<()>) {
        for _ in 0..ROUNDS {
            self.enter_at_last();
            // The killer counts no further than it has to.
            let _ = entered.send(());
            for _ in 0..self.random.random_range(0..20) {
                if self.beat().is_err() {
                    self.recover();
                    break;
                }
            }
            if self.random.random_range(0..4) == 0 {
                if self.member.try_leave().is_err() {
                    self.recover();
                }
                self.member.id.clear();
            }
        }
    }

    /// Goes on until its group has these clients as its members, and nobody else.
    fn settle(&mut self, group: &str, present: &Mutex<BTreeMap<usize, String>>, number: usize) {
        loop {
            self.enter_at_last();
            present.lock().expect("no client panics").insert(number, self.member.id.clone());
            while self.beat().is_ok() {
                let described = describe(self.member.kafka(), group);
                let members: BTreeSet<_> = described.members.into_iter().map(|one| one.member_id).collect();
                let clients: BTreeSet<_> =
                    present.lock().expect("no client panics").values().cloned().collect();
                if described.group_state == "Stable" && members.len() == MEMBERS && members == clients {
                    return;
                }
                thread::yield_now();
            }
            self.recover();
        }
    }
}

#[test]
fn every_group_is_whole_in_the_end() {
    let mut broker = Broker::start(BrokerOptions::with_args([
        "--set",
        "group.initial.rebalance.delay.ms=20",
        "--set",
        "offsets.topic.num.partitions=3",
    ]));
    let address = broker.address();
    let (entered, entries) = mpsc::channel();
    let lived = Barrier::new(GROUPS * MEMBERS + 1);
    let present: Vec<Mutex<BTreeMap<usize, String>>> = (0..GROUPS).map(|_| Mutex::default()).collect();
    thread::scope(|scope| {
        for number in 0..GROUPS * MEMBERS {
            let (entered, lived, present) = (entered.clone(), &lived, &present[number % GROUPS]);
            scope.spawn(move || {
                let group = format!("g{}", number % GROUPS);
                let mut member = ClassicMember::new(address, &group);
                // Members that a kill leaves behind, which nobody knows, are gone soon.
                member.session_timeout_ms = 6000;
                let random = SmallRng::seed_from_u64(number as u64);
                let mut client = Client { member, address, random };
                client.live(&entered);
                lived.wait();
                client.settle(&group, present, number);
            });
        }
        for _ in 0..KILLS {
            entries.iter().take(GROUPS * MEMBERS * ROUNDS / (KILLS + 1)).for_each(drop);
            broker.restart_on_same_port();
        }
        lived.wait();
    });
    let mut kafka = Kafka::open(address);
    for number in 0..GROUPS {
        assert_eq!(describe(&mut kafka, &format!("g{number}")).members.len(), MEMBERS);
    }
}
