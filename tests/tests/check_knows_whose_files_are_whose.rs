//! `broker check`: state files that are damaged are named, folders that no topic claims are told and stay, and files of others,
//! of whatever kind and name, are no findings.

use std::fs;
use std::path::Path;

use sendlog_tests::data_check::CheckRun;
use sendlog_tests::data_files;
use sendlog_tests::planted_damage::{
    BATCHES, End, Original, found_exactly, goes_the_whole_way, original, originals, snapshot, warning,
};

#[test]
fn damaged_state_files_are_named() {
    for original in originals() {
        let names = ["sendlog.meta", "catalog.state", "producer-ids.state"];
        for name in names {
            let dir = original.copy(&format!("damaged {name}"));
            data_files::flip(&dir.join(name), 25);
            let found = CheckRun::on(&dir, &["--repair"]);
            let bad = found.bad();
            assert_eq!((found.code, bad.len()), (1, 1), "{name}: {bad:?}");
            assert_eq!((bad[0].severity.as_str(), bad[0].file.as_str()), ("damage", name));
            assert_eq!((bad[0].remedy.as_str(), found.steps.len()), ("by-hand", 0), "{name}: {found:?}");
            assert_eq!(found.summary["batches"], BATCHES + 1, "{name}: the logs are checked all the same");
        }
        let file = "checkpoint.state".to_owned();
        let plant = |dir: &Path| data_files::flip(&dir.join(&file), 90);
        goes_the_whole_way(
            original,
            "damaged checkpoint",
            plant,
            &[warning("state-file", file.clone())],
            0..0,
        );
    }
}

#[test]
fn folders_that_no_topic_claims_stay() {
    for original in originals() {
        let dir = original.copy("unclaimed");
        data_files::copy(&dir.join("t-0"), &dir.join("t-1"));
        data_files::copy(&dir.join("t-0"), &dir.join("gone-0"));
        let expected = ["gone-0", "t-1"].map(|name| warning("unclaimed", name.to_owned()));
        found_exactly(&dir, &expected, "unclaimed");
        let before = snapshot(&dir);
        let applied = CheckRun::on(&dir, &["--repair", "--apply"]);
        assert!(applied.done.is_empty(), "{applied:?}");
        assert_eq!(snapshot(&dir), before);
        fs::write(dir.join("t-0/partition.metadata"), "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ")
            .expect("written");
        let bad = CheckRun::on(&dir, &[]).bad();
        assert!(
            bad.iter().any(|finding| finding.kind == "metadata" && finding.severity == "damage"),
            "{bad:?}"
        );
    }
}

#[test]
fn files_of_others_are_listed_and_no_findings() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use std::os::unix::ffi::OsStrExt as _;
    let original = original(End::Stopped);
    let dir = original.copy("foreign");
    let not_utf8 = std::ffi::OsStr::from_bytes(b"\xff\xfe.log");
    for name in ["notes.txt", "t-0/notes.txt", "t-0/00000000000000000000.log.bak", "t-0/1.log", "new\nline"] {
        fs::write(dir.join(name), "mine").expect("written");
    }
    fs::write(dir.join("t-0").join(not_utf8), "mine").expect("written");
    fs::write(dir.join("x".repeat(255)), "mine").expect("written");
    fs::create_dir_all(dir.join("t-0/folder")).expect("made");
    fs::create_dir_all(dir.join("lost+found")).expect("made");
    fs::create_dir_all(dir.join("t-")).expect("made");
    for name in ["pipe", "t-0/pipe", "gone-0"] {
        mknodat(CWD, dir.join(name), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO can be made");
    }
    for name in ["loop", "t-0/loop"] {
        std::os::unix::fs::symlink("loop", dir.join(name)).expect("made");
    }
    let found = CheckRun::on(&dir, &["--repair"]);
    assert_eq!((found.code, found.bad(), found.steps.len()), (0, vec![], 0));
    let foreign = found.findings.iter().filter(|finding| finding.kind == "foreign").count();
    assert_eq!(foreign, 14, "{:#?}", found.findings);

    // In the place of our own files they are no strangers; and nobody waits for a writer.
    let segment = dir.join(Original::file(original.base(1), "log"));
    fs::remove_file(&segment).expect("it is there");
    mknodat(CWD, &segment, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO can be made");
    let catalog = dir.join("catalog.state");
    fs::remove_file(&catalog).expect("it is there");
    mknodat(CWD, &catalog, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO can be made");
    let bad = CheckRun::on(&dir, &[]).bad();
    let is_named =
        |name: &str| bad.iter().any(|finding| finding.file == name && finding.severity == "damage");
    assert!(is_named("catalog.state") && is_named(&Original::file(original.base(1), "log")), "{bad:#?}");
}
