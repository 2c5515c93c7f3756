//! The address in Metadata and DescribeCluster is the one that the client dialled, which it can reach, unless
//! `--advertise` says otherwise.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use sendlog_protocol::messages::{DescribeClusterRequest, MetadataRequest};
use sendlog_tests::broker_binary;
use sendlog_tests::conformance::say;
use sendlog_tests::process::Process;
use sendlog_tests::wire_client::WireClient;
use tempfile::TempDir;

const START_LIMIT: Duration = Duration::from_secs(60);

/// A broker that listens where the test says; the harness's own listens on 127.0.0.1.
struct Listening {
    _process: Process,
    port: u16,
    _data_dir: TempDir,
}

impl Listening {
    fn on(listen: &str, more: &[&str]) -> Self {
        let data_dir = TempDir::with_prefix("sendlog-").expect("a temporary directory can be made");
        let mut command = Command::new(broker_binary::path());
        command.arg("--data-dir").arg(data_dir.path().join("data")).args(["--listen", listen]).args(more);
        let process = Process::spawn(&mut command).expect("the broker program can be run");
        let port = |text: &str| {
            let (complete, _) = text.rsplit_once('\n')?;
            let line = complete.lines().find_map(|line| line.trim_start().strip_prefix("address "))?;
            line.trim().parse().ok().map(|address: SocketAddr| address.port())
        };
        let port = process.stdout().wait_for(START_LIMIT, port);
        let port = port.unwrap_or_else(|| panic!("the broker is not ready:\n{}", process.stderr().text()));
        Self { _process: process, port, _data_dir: data_dir }
    }

    /// What a client that dials `host` is told, by Metadata of the oldest and the newest version and by
    /// DescribeCluster: they must agree.
    fn told(&self, host: impl Into<IpAddr>) -> (String, i32) {
        let mut client = WireClient::connect(SocketAddr::new(host.into(), self.port));
        let mut told = Vec::new();
        for version in [0, 13] {
            let metadata = client.call(version, &MetadataRequest::default());
            assert_eq!(metadata.brokers.len(), 1);
            told.extend(metadata.brokers.into_iter().map(|broker| (broker.host, broker.port)));
        }
        for version in [0, 1] {
            let cluster = client.call(version, &DescribeClusterRequest::default());
            assert_eq!(cluster.brokers.len(), 1);
            told.extend(cluster.brokers.into_iter().map(|broker| (broker.host, broker.port)));
        }
        assert!(told.iter().all(|address| *address == told[0]), "{told:?}");
        told.remove(0)
    }
}

#[test]
fn each_client_is_told_the_address_it_dialled() {
    let broker = Listening::on("0.0.0.0:0", &[]);
    let port = i32::from(broker.port);
    assert_eq!(broker.told(Ipv4Addr::new(127, 0, 0, 1)), ("127.0.0.1".to_owned(), port));
    assert_eq!(broker.told(Ipv4Addr::new(127, 0, 0, 2)), ("127.0.0.2".to_owned(), port));
    // Again, so that no client is told what another one dialled.
    assert_eq!(broker.told(Ipv4Addr::new(127, 0, 0, 1)), ("127.0.0.1".to_owned(), port));
}

#[test]
fn ipv6_clients_are_told_an_ipv6_address_and_ipv4_ones_an_ipv4_address() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        say("skipped: no IPv6 here");
        return;
    }
    let broker = Listening::on("[::]:0", &[]);
    let port = i32::from(broker.port);
    assert_eq!(broker.told(Ipv6Addr::LOCALHOST), ("::1".to_owned(), port));
    assert_eq!(broker.told(Ipv4Addr::LOCALHOST), ("127.0.0.1".to_owned(), port));
}

#[test]
fn an_advertised_address_wins() {
    let broker = Listening::on("127.0.0.1:0", &["--advertise", "log.example.org:19092"]);
    assert_eq!(broker.told(Ipv4Addr::LOCALHOST), ("log.example.org".to_owned(), 19092));
    let broker =
        Listening::on("127.0.0.1:0", &["--set", "advertised.listeners=PLAINTEXT://other.example.org:7"]);
    assert_eq!(broker.told(Ipv4Addr::LOCALHOST), ("other.example.org".to_owned(), 7));
}
