//! Random histories of clients that follow the protocol: answers are lost, members are slow, come, go and are put out, topics
//! change, the broker restarts.
//!
//! At every moment no partition has two owners, and what a client reads is what the broker believes it to read. When the
//! world calms down, everything is assigned within a few heartbeats of each.

use proptest::prelude::*;
use sendlog_protocol::error_code::ErrorCode;

use super::*;

const CLIENTS: usize = 5;
const TOPICS: [&str; 3] = ["t0", "t1", "u0"];

/// A client as a real one behaves.
#[derive(Debug, Clone, Default)]
struct Client {
    name: String,
    /// Its id changes when a static one starts anew.
    starts: usize,
    is_static: bool,
    /// `None` while it is no member.
    epoch: Option<i32>,
    /// What it reads.
    owned: Assignment,
    /// What it was last told to read.
    told: Option<Assignment>,
    topics: BTreeSet<String>,
    regex: Option<String>,
    has_new_subscription: bool,
    /// An answer was lost: it says all again, and does nothing before it has heard what now holds.
    has_lost: bool,
    /// What it reads has changed since it last said so and was heard.
    has_news: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Heartbeat {
        client: usize,
        is_lost: bool,
    },
    /// Does what it was told.
    Reconcile(usize),
    Leave(usize),
    /// A static client stops for a while.
    Away(usize),
    Subscribe {
        client: usize,
        mask: u8,
    },
    Topic {
        topic: usize,
        partitions: i32,
    },
    Pass(i64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    prop_oneof![
        8 => (client.clone(), prop::bool::weighted(0.2)).prop_map(|(client, is_lost)| Step::Heartbeat { client, is_lost }),
        6 => client.clone().prop_map(Step::Reconcile),
        1 => client.clone().prop_map(Step::Leave),
        1 => client.clone().prop_map(Step::Away),
        1 => (client, any::<u8>()).prop_map(|(client, mask)| Step::Subscribe { client, mask }),
        1 => (0..TOPICS.len(), 0..6).prop_map(|(topic, partitions)| Step::Topic { topic, partitions }),
        2 => prop_oneof![0..2000i64, 0..50_000i64].prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

struct Simulation {
    world: World,
    clients: Vec<Client>,
}

impl Client {
    fn id(&self) -> String {
        format!("{}-{}", self.name, self.starts)
    }

    fn request(&self) -> ConsumerGroupHeartbeatRequest {
        let is_full = self.epoch.is_none() || self.has_new_subscription || self.has_lost;
        ConsumerGroupHeartbeatRequest {
            instance_id: self.is_static.then(|| self.name.clone()),
            rebalance_timeout_ms: if is_full { 30_000 } else { -1 },
            subscribed_topic_names: is_full.then(|| self.topics.iter().cloned().collect()),
            subscribed_topic_regex: is_full.then(|| self.regex.clone().unwrap_or_default()),
            topic_partitions: (is_full || self.has_news).then(|| reported(&self.owned)),
            ..beat(&self.id(), self.epoch.unwrap_or(0))
        }
    }

    fn stop(&mut self) {
        self.epoch = None;
        self.owned.clear();
        self.told = None;
    }
}

impl Simulation {
    fn new() -> Self {
        let world = World::new(&[("t0", 3), ("t1", 4)], &["group.consumer.assignment.interval.ms=500"]);
        let client = |number: usize| Client {
            name: format!("c{number}"),
            is_static: number % 2 == 1,
            topics: ["t0".to_owned(), "t1".to_owned()].into(),
            ..Client::default()
        };
        Self { world, clients: (0..CLIENTS).map(client).collect() }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Heartbeat { client, is_lost } => self.heartbeat(client, is_lost),
            Step::Reconcile(client) => self.reconcile(client),
            Step::Leave(client) => self.leave(client, -1),
            Step::Away(client) if self.clients[client].is_static => self.leave(client, -2),
            Step::Away(_) => {}
            Step::Subscribe { client, mask } => self.subscribe(client, mask),
            Step::Topic { topic, partitions } => {
                let now = self.world.topics.get(TOPICS[topic]).map_or(0, |(_, partitions)| *partitions);
                // Topics grow, or go.
                if partitions == 0 || now < partitions {
                    self.world.set_topic(TOPICS[topic], partitions);
                }
            }
            Step::Pass(ms) => self.world.pass(ms),
            Step::Restart => self.world.restart(),
        }
        self.check();
    }

    fn heartbeat(&mut self, client: usize, is_lost: bool) {
        let request = self.clients[client].request();
        let answer = self.world.heartbeat(&request);
        let client = &mut self.clients[client];
        client.has_lost = is_lost;
        if is_lost {
            client.told = None;
            return;
        }
        match answer {
            Ok(answer) => {
                client.epoch = Some(answer.member_epoch);
                client.has_news = false;
                client.has_new_subscription = false;
                client.told = received(&answer).or(client.told.take());
            }
            Err(refused) => {
                let fenced = [
                    ErrorCode::FencedMemberEpoch,
                    ErrorCode::UnknownMemberId,
                    ErrorCode::UnreleasedInstanceId,
                    ErrorCode::FencedInstanceId,
                ];
                assert!(fenced.contains(&refused.code), "{refused:?}");
                client.stop();
            }
        }
    }

    /// Stops to read what it shall not, then begins to read what it shall.
    fn reconcile(&mut self, client: usize) {
        let client = &mut self.clients[client];
        if let Some(told) = client.told.take()
            && told != client.owned
        {
            client.owned = told;
            client.has_news = true;
        }
    }

    fn leave(&mut self, client: usize, epoch: i32) {
        let Some(was) = self.clients[client].epoch else { return };
        let request = ConsumerGroupHeartbeatRequest { member_epoch: epoch, ..self.clients[client].request() };
        let answer = self.world.heartbeat(&request);
        assert!(answer.is_ok() || was != 0, "{answer:?}");
        let client = &mut self.clients[client];
        client.stop();
        client.starts += 1;
    }

    fn subscribe(&mut self, client: usize, mask: u8) {
        let client = &mut self.clients[client];
        let named = TOPICS.iter().enumerate().filter(|(bit, _)| mask & (1 << bit) != 0);
        client.topics = named.map(|(_, topic)| (*topic).to_owned()).collect();
        client.regex =
            [None, Some("t.".to_owned()), Some(".*0".to_owned())][usize::from(mask >> 6) % 3].clone();
        client.has_new_subscription = true;
    }

    fn check(&self) {
        for client in &self.clients {
            let Some(member) = self.world.group.members.get(client.id().as_str()) else { continue };
            // One that is away, or that the broker has put out and that came back, has nothing by then.
            if client.epoch != Some(member.holding.epoch)
                && client.epoch != Some(member.holding.previous_epoch)
            {
                continue;
            }
            let held: BTreeSet<(Uuid, i32)> = member.holding.partitions().collect();
            let reads =
                client.owned.iter().flat_map(|(topic, partitions)| partitions.iter().map(|p| (*topic, *p)));
            for partition in reads {
                assert!(
                    held.contains(&partition),
                    "{} reads {partition:?}, which it does not hold",
                    client.id()
                );
            }
        }
    }

    /// Everyone is up and well; within so many rounds everything has its reader.
    fn settle(&mut self) {
        const ROUNDS: usize = 8;
        // Static members that left an unclean place behind wait for its session to end.
        self.world.pass(50_000);
        for _ in 0..ROUNDS {
            for client in 0..CLIENTS {
                self.heartbeat(client, false);
                self.reconcile(client);
                self.check();
            }
            self.world.pass(1000);
        }
        assert_eq!(self.world.group.state_name(), "Stable");
        let mut reads = BTreeSet::new();
        for client in &self.clients {
            assert_eq!(
                client.owned,
                self.world.assigned(&client.id()),
                "{} reads what it is to",
                client.id()
            );
            reads.extend(
                client.owned.iter().flat_map(|(topic, partitions)| partitions.iter().map(|p| (*topic, *p))),
            );
        }
        let is_wanted = |name: &str| {
            self.clients.iter().any(|client| {
                let by_regex = match client.regex.as_deref() {
                    Some("t.") => name.starts_with('t'),
                    Some(_) => name.ends_with('0'),
                    None => false,
                };
                by_regex || client.topics.contains(name)
            })
        };
        let wanted = self.world.topics.iter().filter(|(name, _)| is_wanted(name));
        let wanted: BTreeSet<(Uuid, i32)> = wanted
            .flat_map(|(_, (id, partitions))| (0..*partitions).map(|partition| (*id, partition)))
            .collect();
        assert_eq!(reads, wanted, "everything that somebody wants is read");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn members_never_share_a_partition_and_soon_have_them_all(steps in prop::collection::vec(step(), 1..120)) {
        let mut simulation = Simulation::new();
        for step in &steps {
            simulation.apply(step);
        }
        simulation.world.check_stored();
        simulation.settle();
        simulation.world.check_stored();
    }
}
