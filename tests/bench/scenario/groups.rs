//! Groups: 1,000 that commit offsets at once, the rebalance of one with 100 members, classic and of the consumer protocol, and how
//! long after kill -9 the broker knows all of them again.

use std::io;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use sendlog_protocol::messages::ListGroupsRequest;
use sendlog_tests::Kafka;

use crate::admin::Admin;

use crate::bench::{Bench, OWN};
use crate::connection::Endpoint;
use crate::contender::{Contender, Session};
use crate::load::board::Board;
use crate::load::classic_member::ClassicMember;
use crate::load::commits::Commits;
use crate::load::consumer_members::ConsumerMembers;
use crate::meter::{Measured, Worker, measure};
use crate::process::read_cpu_seconds;
use crate::report::{Bound, Case};

const GROUPS: usize = 1000;
const GROUPS_PER_THREAD: usize = 50;
const MEMBERS: usize = 100;
const PARTITIONS: usize = 200;
const COMMITS: &str = "commits/s";
const P50: &str = "p50 ms";
const P99: &str = "p99 ms";
const CPU_PER_COMMIT: &str = "CPU us/commit";
const FORM_MS: &str = "100 join: ms";
const FORM_CPU: &str = "CPU ms";
const ADD_MS: &str = "one more: ms";
const ADD_CPU: &str = "CPU ms ";
const READY_MS: &str = "ready ms";
const KNOWN_MS: &str = "all known ms";
const COMMITTED: &str = "commits in the log";
/// A broker that forgets groups is not fast.
const KNOWN_TIMEOUT: Duration = Duration::from_secs(120);

pub fn run(bench: &Bench) -> io::Result<Vec<Case>> {
    let contenders = Contender::brokers(bench)?;
    let mut commits =
        Case::new(format!("{GROUPS} groups commit, each over its connection, one request at a time"));
    let mut classic = Case::new(format!("a classic group of {MEMBERS} members, heartbeats every 50 ms"));
    let mut consumer = Case::new(format!(
        "a consumer group (KIP-848) of {MEMBERS} members, {PARTITIONS} partitions, heartbeats every 50 ms"
    ));
    for run in 0..bench.options.runs {
        for index in bench.order(run, contenders.len()) {
            let contender = &contenders[index];
            commit(bench, &mut commits, contender)?;
            rebalance(bench, &mut classic, contender, form_classic)?;
            rebalance(bench, &mut consumer, contender, form_consumer)?;
        }
    }
    commits.target("commits a second", commits.samples(OWN, COMMITS), Bound::AtLeast(5000.0));
    let other = &bench.options.name;
    commits.note_ratio(&format!("commits over {other}'s"), &commits.ratio(OWN, other, COMMITS));
    commits.note_ratio(&format!("p99 over {other}'s"), &commits.ratio(OWN, other, P99));
    for case in [&mut classic, &mut consumer] {
        for metric in [FORM_MS, ADD_MS] {
            case.note_ratio(&format!("{metric}, over {other}'s"), &case.ratio(OWN, other, metric));
        }
    }
    let mut cases = vec![commits, classic, consumer];
    if bench.starts_brokers() {
        cases.push(restarts(bench)?);
    }
    Ok(cases)
}

fn commit(bench: &Bench, case: &mut Case, contender: &Contender) -> io::Result<()> {
    let session = contender.begin(bench, 1)?;
    let measured = commit_all(bench, &session.endpoint, &session.topic)?;
    let name = &contender.name;
    case.add(name, COMMITS, measured.operations_per_second());
    case.add(name, P50, measured.latency_ms(0.5));
    case.add(name, P99, measured.latency_ms(0.99));
    let per_commit = |cpu_seconds: f64| cpu_seconds * 1e6 / measured.operations as f64;
    case.add_known(name, CPU_PER_COMMIT, measured.cpu_seconds.map(per_commit));
    session.end()
}

fn commit_all(bench: &Bench, endpoint: &Endpoint, topic: &str) -> io::Result<Measured> {
    Commits { endpoint, topic, groups: 0..GROUPS }.prepare()?;
    let worker = |first: usize| -> Worker<'_> {
        let commits = Commits { endpoint, topic, groups: first..(first + GROUPS_PER_THREAD).min(GROUPS) };
        Box::new(move |meter| commits.run(meter))
    };
    let workers = (0..GROUPS).step_by(GROUPS_PER_THREAD).map(worker).collect();
    measure(workers, endpoint.pid, bench.read_window(), None)
}

fn restarts(bench: &Bench) -> io::Result<Case> {
    let mut case = Case::new(format!("{GROUPS} groups after kill -9, all their commits in the log"));
    for _ in 0..bench.options.runs {
        restart(bench, &mut case)?;
    }
    Ok(case)
}

/// Commits are not compacted, so that there is something to read.
fn restart(bench: &Bench, case: &mut Case) -> io::Result<()> {
    let (data, topic) = (bench.new_folder()?, bench.new_topic());
    let settings = ["--set", "log.cleaner.enable=false"];
    let server = bench.start_broker(&data, &settings)?;
    Admin::connect(&server.endpoint)?.create_topic(&topic, 1)?;
    let committed = commit_all(bench, &server.endpoint, &topic)?.operations;
    server.kill()?;
    let started = Instant::now();
    let server = bench.start_broker(&data, &settings)?;
    let ready = server.wait_ready()?;
    let mut kafka = Kafka::open(server.endpoint.address);
    loop {
        let answer = kafka.call(4, &ListGroupsRequest::default())?;
        if answer.error_code == 0 && GROUPS <= answer.groups.len() {
            break;
        }
        if KNOWN_TIMEOUT < started.elapsed() {
            return Err(io::Error::other(format!(
                "{} groups are known after the restart",
                answer.groups.len()
            )));
        }
    }
    case.add(OWN, KNOWN_MS, started.elapsed().as_secs_f64() * 1e3);
    case.add(OWN, READY_MS, ready.as_secs_f64() * 1e3);
    case.add(OWN, COMMITTED, committed as f64);
    server.stop()?;
    std::fs::remove_dir_all(&data)
}

/// What a phase took.
struct Phase {
    milliseconds: f64,
    cpu_milliseconds: Option<f64>,
}

/// 100 members join, then one more.
type Form = fn(&str, &Session) -> io::Result<[Phase; 2]>;

fn rebalance(bench: &Bench, case: &mut Case, contender: &Contender, form: Form) -> io::Result<()> {
    let session = contender.begin(bench, i32::try_from(PARTITIONS).map_err(io::Error::other)?)?;
    let group = bench.new_topic();
    let [joined, added] = form(&group, &session)?;
    case.add(&contender.name, FORM_MS, joined.milliseconds);
    case.add_known(&contender.name, FORM_CPU, joined.cpu_milliseconds);
    case.add(&contender.name, ADD_MS, added.milliseconds);
    case.add_known(&contender.name, ADD_CPU, added.cpu_milliseconds);
    session.end()
}

fn timed(endpoint: &Endpoint, work: impl FnOnce() -> io::Result<()>) -> io::Result<Phase> {
    let cpu = || endpoint.pid.and_then(|pid| read_cpu_seconds(pid).ok());
    let (started, before) = (Instant::now(), cpu());
    work()?;
    let (elapsed, after) = (started.elapsed(), cpu());
    let cpu_milliseconds = before.zip(after).map(|(before, after)| (after - before) * 1e3);
    Ok(Phase { milliseconds: elapsed.as_secs_f64() * 1e3, cpu_milliseconds })
}

fn form_classic(group: &str, session: &Session) -> io::Result<[Phase; 2]> {
    let (board, endpoint) = (Board::default(), &session.endpoint);
    // Connected before the clock runs.
    let connect = |number| ClassicMember::connect(endpoint, group, number, &board);
    let members = (0..MEMBERS).map(connect).collect::<io::Result<Vec<_>>>()?;
    let last = connect(MEMBERS)?;
    thread::scope(|scope| {
        let mut running = Vec::new();
        let phases = timed(endpoint, || {
            running.extend(members.into_iter().map(|member| start(scope, member, &board)));
            board.until_stable(MEMBERS)
        });
        let phases = phases.and_then(|joined| {
            let added = timed(endpoint, || {
                running.push(start(scope, last, &board));
                board.until_stable(MEMBERS + 1)
            })?;
            Ok([joined, added])
        });
        board.stop();
        for member in running {
            member.join().map_err(|_| io::Error::other("a member panicked"))??;
        }
        phases
    })
}

/// A member that ends by an error ends the others too.
fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    member: ClassicMember<'scope>,
    board: &'scope Board,
) -> ScopedJoinHandle<'scope, io::Result<()>> {
    scope.spawn(move || member.run().inspect_err(|_| board.stop()))
}

fn form_consumer(group: &str, session: &Session) -> io::Result<[Phase; 2]> {
    let endpoint = &session.endpoint;
    let mut members = ConsumerMembers::new(group, &session.topic, PARTITIONS);
    members.add(endpoint, MEMBERS)?;
    let joined = timed(endpoint, || members.until_stable())?;
    members.add(endpoint, 1)?;
    let added = timed(endpoint, || members.until_stable())?;
    members.leave()?;
    Ok([joined, added])
}
