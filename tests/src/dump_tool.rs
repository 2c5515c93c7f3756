//! Apache Kafka's `DumpLogSegments`.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::data_files;
use crate::process::Process;

/// Ends a tool that hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// The tool, for the files of a partition folder.
#[derive(Debug)]
pub struct DumpTool {
    /// Folder with Kafka's jars.
    pub jars: PathBuf,
    /// Folder of the partition.
    pub folder: PathBuf,
}

impl DumpTool {
    /// What it prints of these files.
    ///
    /// # Errors
    /// With what it says if it fails, or complains about anything.
    pub fn call(&self, options: &[&str], files: &[PathBuf]) -> Result<String, String> {
        let files: Vec<_> = files.iter().map(|path| path.display().to_string()).collect();
        let mut command = Command::new("java");
        command
            .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
            .arg(self.jars.join("*"));
        command
            .arg("org.apache.kafka.tools.DumpLogSegments")
            .args(options)
            .args(["--files", &files.join(",")]);
        let mut process = Process::spawn(&mut command).map_err(|error| error.to_string())?;
        let status = process.wait(LIMIT).map_err(|error| error.to_string())?;
        let (stdout, stderr) = (process.stdout().text(), process.stderr().text());
        let complaints =
            ["Mismatch", "mismatch", "out of order", "Corrupt", "Exception", "not found", "isvalid: false"];
        let complains = complaints.iter().any(|word| stdout.contains(word) || stderr.contains(word));
        if !status.is_some_and(|status| status.success()) || complains {
            let shown: String = (stderr + &stdout).lines().take(40).collect::<Vec<_>>().join("\n");
            return Err(format!("{options:?} on {files:?}: {status:?}\n{shown}"));
        }
        Ok(stdout)
    }

    /// Files of the folder with that extension, by name.
    #[must_use]
    pub fn files(&self, extension: &str) -> Vec<PathBuf> {
        let mut files = data_files::all(&self.folder);
        files.retain(|path| data_files::has_extension(path, extension));
        files.sort();
        files
    }

    /// The indexes' own order, and that each entry leads to its batch. There must be so many files at least.
    ///
    /// # Errors
    /// As [`DumpTool::call`].
    pub fn check_indexes(&self, extensions: &[&str], files_min: usize) -> Result<(), String> {
        let mut indexes = Vec::new();
        for extension in extensions {
            let files = self.files(extension);
            if files.len() < files_min {
                return Err(format!("{} files .{extension}", files.len()));
            }
            indexes.extend(files);
        }
        self.call(&["--index-sanity-check"], &indexes)?;
        self.call(&["--verify-index-only"], &indexes).map(drop)
    }
}
