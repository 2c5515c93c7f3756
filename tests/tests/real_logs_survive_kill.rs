//! A broker that is killed in the middle and restarted loses no acknowledged line of an idempotent producer and keeps
//! none twice.

use std::time::Duration;

use sendlog_tests::conformance::{self, Client};
use sendlog_tests::process::Process;
use sendlog_tests::{Broker, BrokerOptions, real_logs};

const LIMIT: Duration = Duration::from_secs(300);

#[test]
fn acknowledged_lines_survive_kills() {
    let client = Client { name: "real logs", tools: &["python3"] };
    conformance::run(client, |report| {
        let mut broker = Broker::start(BrokerOptions::default());
        let mut command = real_logs::program("crash")?;
        command.env("SENDLOG_TEST_BOOTSTRAP", broker.bootstrap());
        let mut program = Process::spawn(&mut command).map_err(|error| error.to_string())?;
        for tenths in [2, 5, 8] {
            let line = format!("acknowledged {tenths} tenths\n");
            let reached = program.stdout().wait_for(LIMIT, |text| text.contains(&line).then_some(()));
            reached.ok_or_else(|| format!("never {line:?}: {}", program.stderr().text()))?;
            broker.kill();
            broker.restart_on_same_port();
        }
        report.add_program(&mut program);
        let stopped = broker.terminate();
        let clean = if stopped.success() { Ok(()) } else { Err(broker.stderr().text()) };
        report.check("broker stops cleanly", clean);
        Ok(())
    });
}
