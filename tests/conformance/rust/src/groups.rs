//! What the client must be able to do with a group by KIP-848, each in a group and on a topic of its own.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::admin::committed;
use crate::checks::{Outcome, equal, holds, say, told, unique, until};
use crate::load::{Load, create, create_unless_there, fill, topic};
use crate::member::{Member, Options, Order, numbers, split, values};

/// Members join and leave, and no record is lost.
pub async fn under_load() -> Outcome {
    let topic = topic("load", 6).await?;
    let load = Load::start(&topic, 6);
    let (a, b) = (Member::of(&topic).await?, Member::of(&topic).await?);
    split(&[&a, &b], &topic, &[3, 3]).await?;
    let c = Member::of(&topic).await?;
    split(&[&a, &b, &c], &topic, &[2, 2, 2]).await?;
    b.tell(Order::Leave).await?;
    split(&[&a, &c], &topic, &[3, 3]).await?;
    let written = load.end().await?;
    values(&[&a, &b, &c], &numbers(0, written)).await?;
    a.tell(Order::Leave).await?;
    c.tell(Order::Leave).await
}

/// Who comes back reads on where the last one stopped.
pub async fn resume() -> Outcome {
    let topic = topic("resume", 2).await?;
    fill(&topic, 0, 20, 2).await?;
    let first = Member::of(&topic).await?;
    values(&[&first], &numbers(0, 20)).await?;
    first.tell(Order::Leave).await?;
    fill(&topic, 20, 30, 2).await?;
    let second = Member::of(&topic).await?;
    values(&[&second], &numbers(20, 30)).await?;
    second.tell(Order::Leave).await?;
    equal(second.seen()?.len(), 10, "number of records after the return")
}

/// What is committed is what an admin sees and where the next member begins.
pub async fn commits() -> Outcome {
    let topic = topic("commits", 2).await?;
    let at = |partition| (topic.clone(), partition);
    let member = Member::manual(&topic).await?;
    split(&[&member], &topic, &[2]).await?;
    fill(&topic, 0, 20, 2).await?;
    values(&[&member], &numbers(0, 20)).await?;
    equal(committed(&topic, &topic).await?.len(), 0, "number of offsets before the first commit")?;
    let first = "so far, grüße";
    member.tell(Order::Commit(at(0), 4, first)).await?;
    member.tell(Order::Commit(at(1), 7, "")).await?;
    let both = vec![(0, 4, first.to_owned()), (1, 7, String::new())];
    equal(committed(&topic, &topic).await?, both, "what is committed")?;
    member.tell(Order::CommitAsync(at(0), 6, "later")).await?;
    let later = vec![(0, 6, "later".to_owned()), (1, 7, String::new())];
    until(async || {
        let found = committed(&topic, &topic).await?;
        Ok((found != later).then(|| format!("the asynchronous commit, but {found:?}")))
    })
    .await?;
    member.tell(Order::Leave).await?;
    let again = Member::manual(&topic).await?;
    let behind: Vec<_> = [12, 14, 15, 16, 17, 18, 19].map(|number: i32| number.to_string()).to_vec();
    values(&[&again], &behind).await?;
    equal(again.seen()?.len(), behind.len(), "number of records behind the commits")?;
    again.tell(Order::Leave).await
}

/// A paused partition gives nothing, and a sought offset is where reading goes on.
pub async fn seek_and_pause() -> Outcome {
    let topic = topic("seek", 2).await?;
    let odd =
        |from: usize, to: usize| (from..to).filter(|n| n % 2 == 1).map(|n| n.to_string()).collect::<Vec<_>>();
    fill(&topic, 0, 10, 2).await?;
    let member = Member::of(&topic).await?;
    values(&[&member], &numbers(0, 10)).await?;
    member.tell(Order::Pause((topic.clone(), 0))).await?;
    fill(&topic, 10, 20, 2).await?;
    values(&[&member], &odd(10, 20)).await?;
    equal(member.seen()?.len(), 15, "number of records with a paused partition")?;
    member.tell(Order::Resume((topic.clone(), 0))).await?;
    values(&[&member], &numbers(0, 20)).await?;
    member.forget();
    member.tell(Order::Seek((topic.clone(), 1), 3)).await?;
    values(&[&member], &odd(7, 20)).await?;
    let seen = member.seen()?;
    let early = seen.iter().find(|record| record.partition != 1 || record.offset < 3);
    holds(early.is_none(), || format!("{early:?} comes before the offset that was sought"))?;
    member.tell(Order::Leave).await
}

/// A static member that comes back has its partitions again, and the other one notices nothing.
pub async fn static_members() -> Outcome {
    let topic = topic("static", 4).await?;
    let joined = |instance: &str| {
        let instance = Some(instance.to_owned());
        Member::join(Options { group: topic.clone(), topic: topic.clone(), instance, ..Options::default() })
    };
    let (a, b) = (joined("one").await?, joined("two").await?);
    split(&[&a, &b], &topic, &[2, 2]).await?;
    let (had, kept, rebalances) = (a.assigned(), b.assigned(), b.rebalances());
    a.tell(Order::Leave).await?;
    let a = joined("one").await?;
    split(&[&a, &b], &topic, &[2, 2]).await?;
    equal(a.assigned(), had, "partitions after the bounce")?;
    equal(b.assigned(), kept, "partitions of the other member")?;
    equal(b.rebalances(), rebalances, "number of rebalances that the other member saw")?;
    a.tell(Order::Leave).await?;
    b.tell(Order::Leave).await
}

/// The broker matches the names, those of topics that are made later too.
pub async fn pattern() -> Outcome {
    let prefix = unique("pattern");
    let named = |suffix: &str| format!("{prefix}-{suffix}");
    for suffix in ["one", "two"] {
        create(&named(suffix), 1).await?;
    }
    let pattern = Some(format!("^{prefix}-.*"));
    let member = Member::join(Options { group: prefix.clone(), pattern, ..Options::default() }).await?;
    let assigned = async |count: usize| {
        until(async || {
            member.seen()?;
            let found = member.assigned();
            Ok((found.len() != count).then(|| format!("{count} topics, but {found:?}")))
        })
        .await
    };
    assigned(2).await?;
    create(&named("three"), 1).await?;
    create(&format!("other-{}", named("four")), 1).await?;
    for (number, suffix) in ["one", "two", "three"].into_iter().enumerate() {
        fill(&named(suffix), number, number + 1, 1).await?;
    }
    values(&[&member], &numbers(0, 3)).await?;
    assigned(3).await?;
    member.tell(Order::Leave).await
}

/// A member may wait for its topic.
pub async fn later_topic() -> Outcome {
    let topic = unique("later");
    let member = Member::of(&topic).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The consumer asks for its topic, and the broker makes what is asked for.
    create_unless_there(&topic, 2).await?;
    fill(&topic, 0, 2, 1).await?;
    values(&[&member], &numbers(0, 2)).await?;
    member.tell(Order::Leave).await
}

/// A member that is killed is missed, and the others read on in its place.
pub async fn lost_member() -> Outcome {
    let topic = topic("lost", 4).await?;
    let mut other = Other::start(&topic)?;
    let stdout = other.0.stdout.take().ok_or("no output of the other process")?;
    let line = tokio::task::spawn_blocking(|| BufReader::new(stdout).lines().next());
    let line = line.await.map_err(told("reading"))?.transpose().map_err(told("reading"))?;
    equal(line.as_deref(), Some(JOINED), "what the other process says")?;
    let member = Member::of(&topic).await?;
    split(&[&member], &topic, &[2]).await?;
    fill(&topic, 0, 8, 4).await?;
    drop(other);
    split(&[&member], &topic, &[4]).await?;
    values(&[&member], &numbers(0, 8)).await?;
    member.tell(Order::Leave).await
}

const JOINED: &str = "joined";

/// Stays a member in this process, until it is killed.
pub async fn stay(topic: &str) -> Outcome {
    let member = Member::of(topic).await?;
    until(async || Ok(member.assigned().is_empty().then(|| "partitions".to_owned()))).await?;
    say(JOINED);
    std::future::pending().await
}

/// The process of such a member, which does not outlive its check.
struct Other(Child);

impl Other {
    fn start(topic: &str) -> Outcome<Self> {
        let own = env::current_exe().map_err(told("this program"))?;
        let child =
            Command::new(own).args(["member", topic]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        child.map(Self).map_err(told("starting another process"))
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
