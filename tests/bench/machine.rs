//! What the machine is and what else it is doing: printed beside every scenario, so that figures can be judged.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::connection::Endpoint;

/// A moment's load.
pub struct Load {
    average_1_min: f64,
    steal: u64,
    total: u64,
}

impl Load {
    /// Reads /proc/loadavg and /proc/stat; what cannot be read counts as zero.
    pub fn read() -> Self {
        let loadavg = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let cpu: Vec<u64> =
            stat.lines().next().unwrap_or_default().split_whitespace().skip(1).map(number).collect();
        Self {
            average_1_min: loadavg
                .split_whitespace()
                .next()
                .and_then(|text| text.parse().ok())
                .unwrap_or(0.0),
            steal: cpu.get(7).copied().unwrap_or(0),
            total: cpu.iter().take(8).sum(),
        }
    }

    /// Share of CPU time that the hypervisor took since `earlier`, in per cent.
    fn steal_percent_since(&self, earlier: &Self) -> f64 {
        let total = self.total.saturating_sub(earlier.total).max(1);
        100.0 * self.steal.saturating_sub(earlier.steal) as f64 / total as f64
    }

    /// One line for people.
    pub fn describe_since(&self, earlier: &Self) -> String {
        format!(
            "load average {:.2} before, {:.2} after; steal {:.1} %",
            earlier.average_1_min,
            self.average_1_min,
            self.steal_percent_since(earlier)
        )
    }

    /// The same for the JSON file.
    pub fn to_json_since(&self, earlier: &Self) -> Value {
        json!({
            "load_before": earlier.average_1_min,
            "load_after": self.average_1_min,
            "steal_percent": self.steal_percent_since(earlier),
        })
    }

    /// Something else is using the CPUs: figures taken now mean little.
    pub fn is_busy(&self) -> bool {
        self.average_1_min > 0.5
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

/// The machine in the words of /proc.
pub fn describe() -> Value {
    let line = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let field = |path: &str, name: &str| {
        let text = line(path);
        let found = text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split(':').nth(1));
        found.unwrap_or("unknown").trim().to_owned()
    };
    json!({
        "cpus": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "cpu": field("/proc/cpuinfo", "model name"),
        "memory": field("/proc/meminfo", "MemTotal"),
        "kernel": line("/proc/sys/kernel/osrelease"),
        "tcp_congestion_default": line("/proc/sys/net/ipv4/tcp_congestion_control"),
    })
}

/// The congestion control of the server's side of its connections, as `ss` sees it; the server is the one that sends data.
pub fn observed_congestion(endpoint: &Endpoint) -> String {
    let Ok(connection) = endpoint.connect() else {
        return "unknown".to_owned();
    };
    let port = endpoint.address.port();
    let output =
        Command::new("ss").args(["-Htin", "state", "established", &format!("sport = :{port}")]).output();
    drop(connection);
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let known = ["cubic", "bbr", "reno", "dctcp"];
    let found = text.split_whitespace().find(|word| known.contains(word));
    found.unwrap_or("unknown (ss not at hand)").to_owned()
}
