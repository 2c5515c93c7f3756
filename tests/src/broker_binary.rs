//! Where the project's programs are: built once per test program, in the profile of the tests themselves.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A broker program to test instead of the one that `cargo build` makes.
const OVERRIDE: &str = "SENDLOG_TEST_BROKER";

/// The path of the broker program, built when it is out of date.
///
/// # Panics
/// When the program cannot be built.
pub fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| match env::var_os(OVERRIDE) {
        Some(path) => PathBuf::from(path),
        None => built().join("broker"),
    })
}

/// The path of the command-line tool, built when it is out of date.
///
/// # Panics
/// When the program cannot be built.
pub fn sendlog() -> PathBuf {
    built().join("sendlog")
}

/// The path of the broker that does not sync, for the crash rig to find out.
///
/// # Panics
/// When the program cannot be built.
pub fn lying() -> PathBuf {
    built().join("lying-broker")
}

/// The path of the client library's example that uses all of it.
///
/// # Panics
/// When the program cannot be built.
pub fn tour() -> PathBuf {
    built().join("examples/tour")
}

/// The folder that cargo builds into, taken from the place of the running test program.
///
/// # Panics
/// When the test program is not where cargo puts test programs.
pub fn target_dir() -> PathBuf {
    let profile_dir = profile_dir();
    profile_dir.parent().expect("the profile's folder is in the target folder").to_path_buf()
}

/// Builds all programs; returns the folder of the profile.
///
/// Together, and of the whole workspace: with the features that the tests' own build has, so that nothing is compiled again.
fn built() -> PathBuf {
    let profile_dir = profile_dir();
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--profile", profile, "--workspace", "--target-dir"])
        .arg(target_dir())
        .args(["--bin", "broker", "--bin", "sendlog", "--bin", "lying-broker", "--example", "tour"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .expect("cargo is there, it runs the tests");
    assert!(built.status.success(), "the programs do not build:\n{}", String::from_utf8_lossy(&built.stderr));
    profile_dir
}

/// `target/PROFILE` of `target/PROFILE/deps/TEST-HASH`.
fn profile_dir() -> PathBuf {
    let test_program = env::current_exe().expect("a process knows its program");
    let deps = test_program.parent().expect("a program is in a folder");
    let profile_dir =
        if deps.ends_with("deps") || deps.ends_with("examples") { deps.parent() } else { Some(deps) };
    profile_dir.expect("cargo puts test programs two folders deep").to_path_buf()
}
