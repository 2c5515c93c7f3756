//! A mount namespace of our own: however this program ends, its mounts and loop devices go with it.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// Set for the program that has it.
const INSIDE: &str = "SENDLOG_CRASH_RIG_INSIDE";

/// Starts this program again, inside; returns there.
///
/// # Errors
/// Why that cannot be, in words.
pub fn enter() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("mounting takes root".to_owned());
    }
    if !Path::new("/dev/fuse").exists() {
        return Err("there is no /dev/fuse".to_owned());
    }
    if !Path::new("/dev/loop-control").exists() {
        return Err("there is no /dev/loop-control".to_owned());
    }
    if env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--"]).arg(program).args(env::args_os().skip(1));
    // Comes back only if it fails.
    Err(format!("unshare: {}", command.env(INSIDE, "1").exec()))
}
