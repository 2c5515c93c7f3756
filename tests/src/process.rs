//! A child process whose output is collected and whose end can be awaited with a deadline.

use std::io::{self, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::output::Output;

/// A running or ended child process. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Output,
    stderr: Output,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` with no input and both output streams collected.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        Self::spawn_with(command, Stdio::null())
    }

    /// As [`spawn`](Self::spawn), and the program can be [told](Self::tell) something.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn_with_input(command: &mut Command) -> io::Result<Self> {
        Self::spawn_with(command, Stdio::piped())
    }

    fn spawn_with(command: &mut Command, stdin: Stdio) -> io::Result<Self> {
        let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().map(Output::collect).unwrap_or_default();
        let stderr = child.stderr.take().map(Output::collect).unwrap_or_default();
        Ok(Self { child, stdin, stdout, stderr, ended: None })
    }

    /// Writes a line to its standard input.
    ///
    /// # Errors
    /// When it has none, or does not read any more.
    pub fn tell(&mut self, line: &str) -> io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        stdin.write_all(format!("{line}\n").as_bytes())?;
        stdin.flush()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard output.
    pub fn stdout(&self) -> &Output {
        &self.stdout
    }

    /// What it wrote to standard error.
    pub fn stderr(&self) -> &Output {
        &self.stderr
    }

    /// Waits for its end; `None` when it still runs after `timeout`. Its output is complete afterwards, unless a child
    /// of its own still holds a stream open.
    ///
    /// # Errors
    /// When the operating system cannot tell.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        if let Some(status) = self.ended {
            return Ok(Some(status));
        }
        let pidfd = pidfd_open(self.pid(), PidfdFlags::empty())?;
        let limit = Timespec::try_from(timeout).map_err(io::Error::other)?;
        let mut interest = [PollFd::new(&pidfd, PollFlags::IN)];
        // A wait ends early when this process is stopped and continued.
        if retry_on_intr(|| poll(&mut interest, Some(&limit)))? == 0 {
            return Ok(None);
        }
        self.reap().map(Some)
    }

    /// Sends a signal. One that comes too late, after the end, is not an error.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if self.ended.is_none() {
            // Not yet reaped, so the id cannot belong to another process.
            kill_process(self.pid(), signal)?;
        }
        Ok(())
    }

    /// SIGKILL, and waits for the end.
    ///
    /// # Errors
    /// When the process cannot be killed or waited for.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        match self.ended {
            Some(status) => Ok(status),
            None => {
                self.child.kill()?;
                self.reap()
            }
        }
    }

    fn reap(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait()?;
        self.ended = Some(status);
        for output in [&self.stdout, &self.stderr] {
            output.wait_for_end(Duration::from_secs(1));
        }
        Ok(status)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended by itself, and a test that ends has no use for the error.
        let _ = self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;
    use std::time::Duration;

    use rustix::process::Signal;

    use super::Process;

    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn the_end_and_all_output_of_a_process_are_seen() {
        let mut process = Process::spawn(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]))
            .expect("sh runs");
        let status = process.wait(LIMIT).expect("it can be waited for").expect("it ends");
        assert_eq!(status.code(), Some(3));
        assert_eq!((process.stdout().text().as_str(), process.stderr().text().as_str()), ("out\n", "err\n"));
    }

    #[test]
    fn output_is_awaited_and_signals_arrive() {
        let mut process =
            Process::spawn(Command::new("sh").args(["-c", "echo ready; exec sleep 60"])).expect("sh runs");
        let line = |text: &str| text.contains('\n').then(|| text.to_owned());
        assert_eq!(process.stdout().wait_for(LIMIT, line).as_deref(), Some("ready\n"));
        assert_eq!(process.wait(Duration::ZERO).expect("it can be waited for"), None);
        process.signal(Signal::TERM).expect("it takes signals");
        let status = process.wait(LIMIT).expect("it can be waited for").expect("it ends");
        assert_eq!(status.signal(), Some(Signal::TERM.as_raw()));
    }
}
