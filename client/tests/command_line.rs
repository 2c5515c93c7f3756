//! `sendlog produce` and `sendlog consume` give back every byte, and their errors name what is wrong.

#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

mod fake;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use fake::FakeCluster;

/// Lines of all kinds; the last one has no newline.
const ODD: &[u8] = b"plain\ncarriage return\r\n\r\n\nzero \0 and \xff\xfe\n\n\nno newline";

async fn sendlog(cluster: &FakeCluster, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sendlog"));
    command.args(["--bootstrap", cluster.address()]).args(arguments);
    run(command, input.to_vec()).await
}

/// On a thread of its own, because the fake broker runs on this one.
async fn run(mut command: Command, input: Vec<u8>) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    tokio::task::spawn_blocking(move || {
        let writing = std::thread::spawn(move || {
            // A program that fails early does not read.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().unwrap();
        writing.join().unwrap();
        output
    })
    .await
    .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn succeeds(cluster: &FakeCluster, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let output = sendlog(cluster, arguments, input).await;
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_comes_back() {
    let cluster = FakeCluster::start("t", 3).await;
    for input in [ODD, b"", b"\n", b"x", b"x\n"] {
        cluster.create("t", 3);
        succeeds(&cluster, &["produce", "t"], input).await;
        assert_eq!(text(&succeeds(&cluster, &["consume", "t"], b"").await), text(input));
        let lines = input.split_inclusive(|byte| *byte == b'\n').count();
        assert_eq!(cluster.with_log("t", 0, |log| log.end()), i64::try_from(lines).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_codecs_make_no_difference() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let large = (0..50_000).map(|number| format!("line {number}\n")).collect::<String>();
    let (odd, large_file) = (file("odd", ODD), file("large", large.as_bytes()));
    let expected = [ODD, large.as_bytes(), ODD].concat();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let cluster = FakeCluster::start("t", 1).await;
        let arguments = ["produce", "t", &odd, &large_file, "-", "-z", codec, "--batch-bytes", "50k"];
        succeeds(&cluster, &arguments, ODD).await;
        let output = directory.path().join(codec);
        succeeds(&cluster, &["consume", "t", "-o", &output.display().to_string()], b"").await;
        assert!(std::fs::read(&output).unwrap() == expected, "{codec}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_part_can_be_had() {
    let cluster = FakeCluster::start("t", 2).await;
    let lines = (0..100).map(|number| format!("{number}\n")).collect::<String>();
    succeeds(&cluster, &["produce", "t", "-p", "1"], lines.as_bytes()).await;
    let part = async |arguments: &[&str]| {
        let arguments = [["consume", "t"].as_slice(), arguments].concat();
        text(&succeeds(&cluster, &arguments, b"").await)
    };
    assert_eq!(part(&["--from", "10", "--until", "12"]).await, "10\n11\n");
    assert_eq!(part(&["--from", "98"]).await, "98\n99\n");
    assert_eq!(part(&["--from", "100"]).await, "");
    assert_eq!(part(&["--from", "latest"]).await, "");
    assert_eq!(part(&["-p", "0"]).await, "");
    assert_eq!(part(&["-p", "1", "-n", "2"]).await, "0\n1\n");
    assert_eq!(part(&["--follow", "--from", "97", "-n", "2"]).await, "97\n98\n");
    assert_eq!(part(&["--from", "@0"]).await, lines);
    assert_eq!(part(&["--from", "@99999999999999"]).await, "");
    assert_eq!(part(&["--until", "@0"]).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_choose_the_partition() {
    let cluster = FakeCluster::start("t", 5).await;
    succeeds(&cluster, &["produce", "t", "--key", "foobar"], b"a\nb\n").await;
    let partition = usize::try_from((sendlog_client::murmur2(b"foobar") & i32::MAX) % 5).unwrap();
    assert_eq!(cluster.values("t", partition), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_what_is_wrong() {
    let cluster = FakeCluster::start("t", 2).await;
    let fails = async |arguments: &[&str], code: i32, words: &[&str]| {
        let output = sendlog(&cluster, arguments, b"x\n").await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    };
    fails(&["consume", "missing"], 1, &["there is no topic missing"]).await;
    fails(&["consume", "t", "-p", "2"], 2, &["0 to 1", "not 2"]).await;
    fails(&["consume", "t", "--from", "yesterday"], 2, &["--from", "earliest"]).await;
    fails(&["produce", "t", "/no/such/file"], 1, &["/no/such/file", "No such file"]).await;
    fails(&["produce", "t", "-p", "2"], 1, &["line 1", "no partition 2"]).await;
    fails(&["produce", "t", "-z", "rar"], 2, &["zstd"]).await;
    fails(&["consume", "t", "-o", "/"], 1, &["/:"]).await;
    fails(&["demo", "--broker", "/no/such/broker", "/etc/hostname"], 1, &["/no/such/broker"]).await;
    fails(&["demo", "/no/such/logs"], 1, &["/no/such/logs"]).await;
    fails(&["demo", "/proc/self/fd"], 1, &["no readable text files"]).await;
    assert!(!Path::new("/no").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_before_an_interrupt_is_shipped() {
    let cluster = FakeCluster::start("t", 1).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_sendlog"));
    command.args(["--bootstrap", cluster.address(), "produce", "t"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\ntwo\nunfinished").unwrap();
    while cluster.with_log("t", 0, |log| log.end()) < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert_eq!(cluster.values("t", 0), ["one", "two"]);
    drop(stdin);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_a_broker_is_named() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sendlog"));
    // Nobody listens on port 1.
    command.args(["--bootstrap", "127.0.0.1:1", "topics", "list"]);
    let output = run(command, Vec::new()).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("127.0.0.1:1"), "{}", text(&output.stderr));
}
