//! The broker ends and comes back under a group, in order and by SIGKILL.

use crate::checks::{Outcome, run, say, want};
use crate::load::{Load, topic};
use crate::member::{Member, Order, numbers, split, values};

struct Settled {
    topic: String,
    load: Load,
    members: [Member; 2],
}

impl Settled {
    async fn new() -> Outcome<Self> {
        let topic = topic("restarts", 4).await?;
        let load = Load::start(&topic, 4);
        let members = [Member::of(&topic).await?, Member::of(&topic).await?];
        let settled = Self { topic, load, members };
        settled.balanced().await?;
        Ok(settled)
    }

    async fn balanced(&self) -> Outcome {
        split(&self.all(), &self.topic, &[2, 2]).await
    }

    fn all(&self) -> Vec<&Member> {
        self.members.iter().collect()
    }

    /// Nothing is lost, and all go on.
    async fn goes_on(&self, before: usize) -> Outcome {
        self.load.goes_on(before).await?;
        values(&self.all(), &numbers(0, self.load.written())).await?;
        self.balanced().await
    }

    async fn end(self) -> Outcome {
        let Self { load, members, .. } = self;
        let written = load.end().await?;
        values(&members.iter().collect::<Vec<_>>(), &numbers(0, written)).await?;
        for member in &members {
            member.tell(Order::Leave).await?;
        }
        Ok(())
    }
}

/// Runs these checks, for which nothing else may be at work.
pub async fn restarts() {
    let settled = match Settled::new().await {
        Ok(settled) => settled,
        Err(reason) => {
            return run("consumer/broker stopped and started under a group", async { Err(reason) }).await;
        }
    };
    for (wish, name) in
        [("restart", "broker stopped and started under a group"), ("kill", "broker killed under a group")]
    {
        let before = settled.load.written();
        let name = format!("consumer/{name}");
        if want(wish).await {
            run(&name, settled.goes_on(before)).await;
        } else {
            say(&format!("skip {name}: nobody here owns the broker"));
        }
    }
    run("consumer/broker killed under a group: nothing is lost in the end", settled.end()).await;
}
