//! Where client programs and their libraries are installed: `target/conformance`, once per state of their files.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::broker_binary;
use crate::process::Process;

/// Ends an installation that hangs.
const INSTALL_LIMIT: Duration = Duration::from_secs(900);

/// Whether a command can be found.
pub fn has(tool: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

/// The folder of a language's programs in the repository.
pub fn source(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance").join(language)
}

/// The Python of a virtual environment with the clients of `requirements.txt`.
///
/// # Errors
/// With the output of the installation when it fails.
pub fn python() -> Result<PathBuf, String> {
    let requirements = source("python").join("requirements.txt");
    let environment = installed("python", &[&requirements], |folder| {
        call(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
        let mut install = Command::new(folder.join("bin/pip"));
        install.args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary",
            ":all:",
            "--requirement",
        ]);
        call(install.arg(&requirements))
    })?;
    Ok(environment.join("bin/python"))
}

/// A folder with the Node programs and their packages.
///
/// # Errors
/// With the output of the installation when it fails.
pub fn node() -> Result<PathBuf, String> {
    let source = source("node");
    let locks = [source.join("package.json"), source.join("package-lock.json")];
    let folder = installed("node", &[&locks[0], &locks[1]], |folder| {
        copy_files(&source, folder)?;
        call(
            Command::new("npm")
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                .current_dir(folder),
        )
    })?;
    // Modules are looked up from where a program lies, so the programs go to the packages.
    copy_files(&source, &folder)?;
    Ok(folder)
}

/// A built Go program. Go's own cache makes repeats quick.
///
/// # Errors
/// With the output of the build when it fails.
pub fn go(program: &str) -> Result<PathBuf, String> {
    let folder = folder("go")?;
    let built = folder.join(program);
    let mut build = Command::new("go");
    build.env("GOTOOLCHAIN", "local").current_dir(source("go"));
    call(build.args(["build", "-o"]).arg(&built).arg(format!("./{program}")))?;
    Ok(built)
}

/// The built Rust program, of packages of its own. Cargo's own cache makes repeats quick.
///
/// # Errors
/// With the output of the build when it fails.
pub fn rust() -> Result<PathBuf, String> {
    let folder = folder("rust")?;
    let mut build = Command::new("cargo");
    // The settings of the run around it, such as flags for coverage, are not meant for it.
    build.env_remove("RUSTFLAGS").env("CARGO_TARGET_DIR", &folder).current_dir(source("rust"));
    call(build.args(["build", "--quiet", "--locked"]))?;
    Ok(folder.join("debug/sendlog-conformance"))
}

/// A folder with the jars of a `pom.xml` in the folder `project`, its property `version.kafka` set to `version`.
///
/// # Errors
/// With the output of the installation when it fails.
pub fn jars(project: &str, version: &str) -> Result<PathBuf, String> {
    let pom = source(project).join("pom.xml");
    installed(&format!("{project}-{version}"), &[&pom], |folder| {
        fs::copy(&pom, folder.join("pom.xml")).map_err(|error| error.to_string())?;
        let mut maven = Command::new("mvn");
        maven.args(["--quiet", "--batch-mode", &format!("-Dversion.kafka={version}")]);
        maven.args(["dependency:copy-dependencies", "-DoutputDirectory=."]);
        // Two of Maven that fill an empty local repository at once get in each other's way.
        let _alone = lock(&base()?.join("maven.lock"))?;
        call(maven.current_dir(folder))
    })
}

/// A folder with the classes of the Java programs in the folder `project`, compiled against `jars`.
///
/// # Errors
/// With the compiler's messages.
pub fn java_classes(project: &str, version: &str, jars: &Path) -> Result<PathBuf, String> {
    java_classes_of(&[project], version, jars)
}

/// As [`java_classes`], of the programs in several folders together.
///
/// # Errors
/// With the compiler's messages.
pub fn java_classes_of(projects: &[&str], version: &str, jars: &Path) -> Result<PathBuf, String> {
    let mut sources = Vec::new();
    for project in projects {
        sources.extend(files_of(&source(project))?);
    }
    let sources: Vec<_> =
        sources.iter().filter(|path| path.extension().is_some_and(|e| e == "java")).collect();
    let paths: Vec<_> = sources.iter().map(|path| path.as_path()).collect();
    let name = projects.join("-").replace('/', "-");
    installed(&format!("{name}-{version}-classes"), &paths, |folder| {
        let mut compiler = Command::new("javac");
        compiler.arg("-cp").arg(jars.join("*")).arg("-d").arg(folder);
        call(compiler.args(["-Xlint:-options", "--release", "17"]).args(&sources))
    })
}

/// The command `kcat`, installed from Debian's packages where that is possible and it is missing.
pub fn install_kcat() {
    install("kcat", "kcat");
}

/// The command `mkfs.xfs`, likewise.
pub fn install_mkfs_xfs() {
    install("mkfs.xfs", "xfsprogs");
}

/// Where this does not work, the test says what it misses.
fn install(program: &str, package: &str) {
    if !has(program) {
        let _ = apt_install(package);
    }
}

/// Installs one of Debian's packages.
///
/// # Errors
/// Where that is not possible, with the reason.
pub fn apt_install(package: &str) -> Result<(), String> {
    if !has("apt-get") || !rustix::process::getuid().is_root() {
        return Err("no apt-get, or no right to use it".to_owned());
    }
    // It does not wait for another one of itself.
    let _alone = lock(&base()?.join("apt.lock"))?;
    let apt = |arguments: &[&str]| {
        call(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(arguments))
    };
    let install = ["install", "--yes", "--quiet", package];
    apt(&install).or_else(|_| apt(&["update"]).and_then(|()| apt(&install)))
}

/// The folder `target/conformance/NAME`, filled by `install` unless it is already, for the same content of `inputs`.
fn installed(
    name: &str,
    inputs: &[&Path],
    install: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let folder = base()?.join(name);
    let _lock = lock(&beside(&folder, "lock"))?;
    let stamp_file = beside(&folder, "stamp");
    let stamp = digest(inputs)?;
    if fs::read_to_string(&stamp_file).is_ok_and(|found| found == stamp) {
        return Ok(folder);
    }
    // What a changed list of packages no longer has must not stay.
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(told)?;
    }
    fs::create_dir(&folder).map_err(told)?;
    install(&folder)?;
    fs::write(&stamp_file, stamp).map_err(told)?;
    Ok(folder)
}

/// The folder that all of it is in.
fn base() -> Result<PathBuf, String> {
    existing(broker_binary::target_dir().join("conformance"))
}

/// The folder of a language whose own tool keeps order in it.
fn folder(language: &str) -> Result<PathBuf, String> {
    existing(base()?.join(language))
}

fn existing(folder: PathBuf) -> Result<PathBuf, String> {
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

/// Keeps two test programs from installing into one folder at the same time.
fn lock(path: &Path) -> Result<File, String> {
    let locked = File::create(path).and_then(|file| file.lock().map(|()| file));
    locked.map_err(|error| format!("{}: {error}", path.display()))
}

/// A file of a folder's own next to it. (Of `java-4.4.0`, `with_extension` would make `java-4.4.stamp`, and the same
/// of `java-4.4.0-classes`.)
fn beside(folder: &Path, kind: &str) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(".");
    name.push(kind);
    name.into()
}

fn digest(inputs: &[&Path]) -> Result<String, String> {
    let mut digest = Sha256::new();
    for input in inputs {
        digest.update(fs::read(input).map_err(|error| format!("{}: {error}", input.display()))?);
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<_> = entries.iter().map(fs::DirEntry::path).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

/// Copies the files of a folder, each in one step: programs of other tests may be reading what is there.
fn copy_files(from: &Path, to: &Path) -> Result<(), String> {
    for file in files_of(from)? {
        let copy = to.join(file.file_name().unwrap_or_default());
        let copied = tempfile::NamedTempFile::new_in(to).and_then(|new| {
            fs::copy(&file, new.path())?;
            Ok(new.persist(&copy)?)
        });
        copied.map_err(|error| format!("{}: {error}", copy.display()))?;
    }
    Ok(())
}

/// Runs a command to its end; with all that it printed when it fails.
fn call(command: &mut Command) -> Result<(), String> {
    let ended = Process::spawn(command)
        .and_then(|mut process| process.wait(INSTALL_LIMIT).map(|status| (process, status)))
        .map_err(|error| format!("{command:?}: {error}"));
    let (process, status) = ended?;
    if status.is_some_and(|status| status.success()) {
        return Ok(());
    }
    let (stdout, stderr) = (process.stdout().text(), process.stderr().text());
    Err(format!("{command:?}: {status:?}\n{stdout}\n{stderr}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    /// A name that no other run of this test has.
    fn name(version: &str) -> String {
        format!("workshop-test-{}-{version}", std::process::id())
    }

    fn clear(name: &str) {
        let folder = base().unwrap().join(name);
        fs::remove_dir_all(&folder).unwrap();
        fs::remove_file(beside(&folder, "stamp")).unwrap();
        fs::remove_file(beside(&folder, "lock")).unwrap();
    }

    /// Their names differ in what looks like an extension.
    #[test]
    fn installations_are_told_apart() {
        let names = [name("4.4.0"), name("4.4.0-classes"), name("4.4.1")];
        let is_installed_anew = |name: &String| {
            let mut called = false;
            let install = |_: &Path| {
                called = true;
                Ok(())
            };
            installed(name, &[], install).unwrap();
            called
        };
        assert_eq!(names.each_ref().map(is_installed_anew), [true; 3]);
        assert_eq!(names.each_ref().map(is_installed_anew), [false; 3]);
        names.iter().for_each(|name| clear(name));
    }

    /// Several at once, of which one installs and the others wait for it, each time anew.
    #[test]
    fn many_may_ask_for_one_installation() {
        let inputs = tempfile::tempdir().unwrap();
        let (input, started) = (inputs.path().join("input"), Barrier::new(8));
        let name = name("1");
        for round in 0..50 {
            fs::write(&input, round.to_string()).unwrap();
            let ask = || {
                started.wait();
                let folder = installed(&name, &[&input], |folder| {
                    fs::copy(&input, folder.join("copy")).map(drop).map_err(|error| error.to_string())
                });
                assert_eq!(fs::read_to_string(folder.unwrap().join("copy")).unwrap(), round.to_string());
            };
            thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(ask))));
        }
        clear(&name);
    }
}
