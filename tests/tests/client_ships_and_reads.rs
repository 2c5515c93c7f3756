//! The client library and its command-line tool do what their documents say, against the real broker.

use std::process::{Command, Output};

use sendlog_tests::{Broker, BrokerOptions, broker_binary};

fn run(command: &mut Command) -> Output {
    let output = command.output().expect("the program starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed\n{stdout}\n{stderr}");
    output
}

#[test]
fn the_tour_of_the_library_goes_through() {
    let broker = Broker::start(BrokerOptions::default());
    run(Command::new(broker_binary::tour()).arg(broker.bootstrap()));
}

#[test]
fn files_come_back_byte_for_byte() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let broker = Broker::start(BrokerOptions::default());
    let awkward = b"one\r\n\n\rtwo\xff\xfe\nlast line without its end";
    for (name, bytes) in [("awkward", &awkward[..]), ("empty", b""), ("ends", b"a\nb\n")] {
        let (there, back) = (folder.path().join(name), folder.path().join(format!("{name}.back")));
        std::fs::write(&there, bytes).expect("a writable folder");
        let sendlog = |arguments: &[&str]| {
            let mut command = Command::new(broker_binary::sendlog());
            command.args(arguments).args(["--bootstrap", &broker.bootstrap(), name]);
            command
        };
        run(sendlog(&["topics", "create"]).args(["--partitions", "1"]));
        run(sendlog(&["produce"]).arg(&there));
        run(sendlog(&["consume"]).arg("--output").arg(&back));
        assert_eq!(std::fs::read(&back).expect("what was consumed"), bytes, "{name}");
    }
}

#[test]
fn the_demonstration_of_the_readme_verifies_every_byte() {
    let output = run(Command::new(broker_binary::sendlog())
        .args(["demo", "--size", "8MiB", "--readers", "1,2", "--broker"])
        .arg(broker_binary::path()));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    for expected in ["sendfile", "CPU", "MB/s"] {
        assert!(table.contains(expected), "no {expected} in\n{table}");
    }
}
