//! A started server process: the broker, or a floor. Both print an `address` line once they listen.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

use crate::admin::Admin;
use crate::connection::Endpoint;

/// Recovery of a large directory by a slow broker is still a start.
const START_TIMEOUT: Duration = Duration::from_secs(180);
const STOP_TIMEOUT: Duration = Duration::from_secs(120);

/// A running child process; killed when dropped.
pub struct Server {
    child: Child,
    /// Standard error goes there.
    log: PathBuf,
    pub endpoint: Endpoint,
    /// From just before the start of the process.
    started: Instant,
}

impl Server {
    /// Starts `command` and returns once it has printed its address.
    pub fn start(command: &mut Command, log: &Path, congestion: Option<&str>) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(log)?);
        let started = Instant::now();
        let mut child = command.spawn().map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", command.get_program().to_string_lossy()))
        })?;
        let address = read_address(&mut child).map_err(|error| {
            let _ = child.kill();
            let _ = child.wait();
            let text = fs::read_to_string(log).unwrap_or_default();
            let tail: Vec<&str> = text.lines().rev().take(10).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            io::Error::other(format!("{error}; it logged:\n{}", tail.join("\n")))
        })?;
        let endpoint = Endpoint { address, pid: Some(child.id()), congestion: congestion.map(str::to_owned) };
        Ok(Self { child, log: log.to_owned(), endpoint, started })
    }

    /// How long it took from the start of the process to the first answered ApiVersions.
    pub fn wait_ready(&self) -> io::Result<Duration> {
        Admin::connect(&self.endpoint)?.api_versions()?;
        Ok(self.started.elapsed())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM; how long the process took to end.
    pub fn stop(mut self) -> io::Result<Duration> {
        let start = Instant::now();
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.ok_or_else(|| io::Error::other("a child without a PID"))?, Signal::TERM)?;
        while start.elapsed() < STOP_TIMEOUT {
            if let Some(status) = self.child.try_wait()? {
                if !status.success() {
                    eprintln!("warning: a server ended with {status}; see {}", self.log.display());
                }
                return Ok(start.elapsed());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Err(io::Error::other(format!("a server did not stop within {STOP_TIMEOUT:?} of SIGTERM")))
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_address(child: &mut Child) -> io::Result<SocketAddr> {
    let mut stdout = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
    let deadline = Instant::now() + START_TIMEOUT;
    let mut text = String::new();
    loop {
        if let Some(address) = find_address(&text) {
            // Drained to its end: a full pipe would stop the server.
            thread::spawn(move || io::copy(&mut stdout, &mut io::sink()));
            return Ok(address);
        }
        text.push_str(&read_some(&mut stdout, deadline)?);
    }
}

fn read_some(stdout: &mut ChildStdout, deadline: Instant) -> io::Result<String> {
    let left =
        Timespec::try_from(deadline.saturating_duration_since(Instant::now())).map_err(io::Error::other)?;
    if poll(&mut [PollFd::new(&*stdout, PollFlags::IN)], Some(&left))? == 0 {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "the server printed no address line in time"));
    }
    let mut chunk = [0; 1024];
    let read = stdout.read(&mut chunk)?;
    if read == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server ended without an address line"));
    }
    Ok(String::from_utf8_lossy(&chunk[..read]).into_owned())
}

/// From `  address     127.0.0.1:9092`, once the line is complete.
fn find_address(text: &str) -> Option<SocketAddr> {
    let complete = &text[..text.rfind('\n')?];
    complete.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("address")).then(|| words.next()?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::find_address;

    #[test]
    fn the_address_is_read_from_a_complete_line_only() {
        assert_eq!(find_address("sendlog 0.1.0\n  address     127.0.0.1:90"), None);
        let address = find_address("sendlog 0.1.0\n  address     127.0.0.1:9092\n");
        assert_eq!(address, Some(([127, 0, 0, 1], 9092).into()));
    }
}
