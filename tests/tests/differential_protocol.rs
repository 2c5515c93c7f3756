//! The same requests, good and bad, in every version that both serve, are answered by sendlog as by an Apache Kafka, field
//! by field, but for the differences that docs/protocol.md lists.

use sendlog_tests::conformance::{self, Client};
use sendlog_tests::differential::compare;
use sendlog_tests::differential::listed::{self, DOCUMENT};
use sendlog_tests::differential::requests;
use sendlog_tests::differential::session::{self, Session};
use sendlog_tests::differential::transcript;
use sendlog_tests::real_kafka::{KafkaJars, RealKafka};
use sendlog_tests::{Broker, BrokerOptions};

#[test]
fn requests_are_answered_as_by_kafka() {
    let client = Client { name: "Kafka's answers", tools: &["java", "javac", "mvn"] };
    conformance::run(client, |report| {
        let jars = KafkaJars::install()?;
        let mut compared = asked_of_both(&jars)?;
        if compared.is_err() {
            // Kafka answers before all of it knows of a change. What differs by that alone does not do so twice.
            compared = asked_of_both(&jars)?;
        }
        report.check("the same is answered", compared);
        Ok(())
    });
}

fn asked_of_both(jars: &KafkaJars) -> Result<Result<(), String>, String> {
    let mut kafka = RealKafka::format(jars)?;
    kafka.start_and_wait()?;
    let settings =
        ["log.retention.ms=-1", "offsets.topic.num.partitions=1", "group.initial.rebalance.delay.ms=0"];
    let args = settings.iter().chain(&["node.id=1"]).flat_map(|setting| ["--set", setting]);
    let args = args.map(str::to_owned).collect();
    let broker = Broker::start(BrokerOptions { args, ..BrokerOptions::default() });
    let theirs = kafka.bootstrap().parse().map_err(|error| format!("{error}"))?;
    let both = [&session::served(theirs), &session::served(broker.address())];
    let script = requests::all();
    let theirs = Session::open(theirs).play(&script, both)?;
    let ours = Session::open(broker.address()).play(&script, both)?;
    for (name, steps) in [("requests-kafka", &theirs), ("requests-sendlog", &ours)] {
        transcript::keep(name, steps).map_err(|error| error.to_string())?;
    }
    if ours.len() <= 300 {
        return Err(format!("only {} steps", ours.len()));
    }
    let listed = listed::table(DOCUMENT, "differences: requests")?;
    kafka.stop()?;
    Ok(compare(&theirs, &ours, &listed))
}
