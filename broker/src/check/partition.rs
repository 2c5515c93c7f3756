//! One partition: its folder, the order of its segments, and whether the checkpoint fits them. `segment.rs` has the walk through
//! each of them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use uuid::Uuid;

use crate::checkpoint::offline::Rescan;
use crate::storage::checkpoint::PartitionCheckpoint;
use crate::storage::compaction::replacement::{self, Replacement};
use crate::storage::data_dir::LastEnd;
use crate::storage::error::StorageError;
use crate::storage::file_names::{self, segment_file};
use crate::storage::files::{FileSystem, OpenMode};
use crate::storage::partition_metadata;
use crate::storage::state_file;
use crate::storage::summary::SegmentSummary;

use super::finding::{Finding, Kind, Remedy, Severity};
use super::folder::{self, Found};
use super::journal::Journal;
use super::listing::{self, Entry};
use super::plan::SegmentRepair;
use super::seal::{self, Seal};
use super::segment::{EpochTrack, Mark, SegmentTask, SegmentWalk, Walked};
use super::verdict::Judged;

/// What is known of a partition before it is looked at.
#[derive(Debug, Clone)]
pub(super) struct PartitionTask {
    /// Name of the folder.
    pub(super) folder: String,
    /// The catalog's, or, if that cannot be read, the folder's own.
    pub(super) topic_id: Uuid,
    pub(super) index: i32,
    /// Offsets may be missing between batches: the topic is compacted.
    pub(super) is_sparse: bool,
    pub(super) index_interval_bytes: u32,
    pub(super) checkpoint: Option<PartitionCheckpoint>,
    /// Bytes of its segments, to share out the work and for the progress.
    pub(super) bytes: u64,
}

/// What holds for all partitions.
pub(super) struct Situation<'a> {
    pub(super) fs: &'a dyn FileSystem,
    pub(super) root: &'a Path,
    pub(super) last_end: LastEnd,
    /// The checkpoint file could be read: who is not in it is unknown to the next start.
    pub(super) has_checkpoint: bool,
    /// Why partitions are not to be repaired now.
    pub(super) deferred: Option<&'static str>,
    pub(super) journal: &'a Journal,
    pub(super) records: bool,
    pub(super) bytes_read: AtomicU64,
}

/// What the check of a partition came to.
#[derive(Debug, Default)]
pub(super) struct PartitionReport {
    pub(super) findings: Vec<Finding>,
    pub(super) segments: u64,
    pub(super) batches: u64,
    pub(super) bytes: u64,
    pub(super) rescan: Option<Rescan>,
    pub(super) repairs: Vec<SegmentRepair>,
}

/// Checks one partition.
pub(super) fn check(situation: &Situation<'_>, task: &PartitionTask) -> PartitionReport {
    let mut check = PartitionCheck {
        situation,
        task,
        dir: situation.root.join(&task.folder),
        folder: PathBuf::from(&task.folder),
        report: PartitionReport::default(),
        epochs: EpochTrack::default(),
        wants_rescan: false,
        is_changed: false,
    };
    check.run();
    check.report
}

/// A check under way; `verdict.rs`, `caches.rs` and `agreement.rs` have its parts.
pub(super) struct PartitionCheck<'a> {
    pub(super) situation: &'a Situation<'a>,
    pub(super) task: &'a PartitionTask,
    pub(super) dir: PathBuf,
    /// Relative to the data directory.
    pub(super) folder: PathBuf,
    pub(super) report: PartitionReport,
    pub(super) epochs: EpochTrack,
    /// The checkpoint contradicts the log.
    pub(super) wants_rescan: bool,
    /// A repair changes a segment.
    pub(super) is_changed: bool,
}

/// A segment and its neighbours.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) found: Found,
    /// Base offset of the next one.
    pub(super) next_base: Option<i64>,
    /// Base offsets of files that are not there, and of which something tells.
    pub(super) lost: &'a [i64],
}

impl PartitionCheck<'_> {
    fn run(&mut self) {
        let entries = match listing::list(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return self.add(unreadable(self.folder.clone(), &error)),
        };
        self.check_metadata(&entries);
        let content = folder::sort(&self.folder, &entries);
        self.report.findings.extend(content.findings);
        let segments = self.without_replaced(content.segments.clone(), &content.replacing, &entries);
        let segments = self.without_leftovers(segments);
        let lost = self.lost(&content.segments, &content.strays);
        self.check_start(&segments, &lost);
        for (at, found) in segments.iter().enumerate() {
            let next_base = segments.get(at + 1).map(|next| next.base_offset);
            self.check_segment(Place { found: *found, next_base, lost: &lost }, &entries);
        }
        self.check_list(&segments, &content.segments);
        self.tell_strays(&content.strays);
        self.plan_rescan(&segments);
        self.plan_known();
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.report.findings.push(finding);
    }

    /// What a repair does, or why it does not now.
    pub(super) fn repair(&self, what: &'static str) -> Remedy {
        match self.situation.deferred {
            None => Remedy::Repair(what),
            Some(why) => Remedy::ByHand(why.to_owned()),
        }
    }

    pub(super) fn is_clean(&self) -> bool {
        self.situation.last_end == LastEnd::Clean
    }

    /// The checkpoint if the next start believes it without looking.
    pub(super) fn trusted(&self) -> Option<&PartitionCheckpoint> {
        self.task.checkpoint.as_ref().filter(|checkpoint| self.is_clean() && checkpoint.is_complete())
    }

    pub(super) fn active(&self) -> Option<SegmentSummary> {
        self.task.checkpoint.as_ref().and_then(|checkpoint| checkpoint.active)
    }

    pub(super) fn path(&self, base_offset: i64) -> PathBuf {
        segment_file(&self.folder, base_offset, file_names::LOG)
    }

    fn check_metadata(&mut self, entries: &[Entry]) {
        let path = self.folder.join(file_names::PARTITION_METADATA);
        let entry = listing::find(entries, file_names::PARTITION_METADATA);
        if entry.is_none_or(|entry| entry.file_bytes().is_none()) {
            let has_segments = entries
                .iter()
                .any(|entry| file_names::base_offset_of(&entry.name, file_names::LOG).is_some());
            if entry.is_none() && has_segments {
                self.add(Finding::new(
                    Severity::Info,
                    Kind::Metadata,
                    path,
                    "it is not there; the folder is taken for this topic's",
                ));
            }
            return;
        }
        match partition_metadata::read(self.situation.fs, &self.dir) {
            Ok(Some(found)) if found != self.task.topic_id => {
                let reason = format!("it names topic id {found}, the catalog has {}", self.task.topic_id);
                self.add(
                    Finding::new(Severity::Damage, Kind::Metadata, path, reason).by_hand(
                        "restore it from a backup, or move the folder away if it is another topic's",
                    ),
                );
            }
            Ok(Some(_)) => {}
            Ok(None) => self.add(Finding::new(
                Severity::Warning,
                Kind::Metadata,
                path,
                "it names no topic id; the folder is taken for this topic's",
            )),
            Err(StorageError::Io { source, .. }) => self.add(unreadable(path, &source)),
            Err(error) => self.add(unreadable(path, &io::Error::other(error))),
        }
    }

    /// Sets apart what a compacted segment has replaced, as recovery does.
    fn without_replaced(
        &mut self,
        mut segments: Vec<Found>,
        replacing: &[i64],
        entries: &[Entry],
    ) -> Vec<Found> {
        for base_offset in replacing {
            let marker = segment_file(&self.dir, *base_offset, file_names::REPLACES);
            let cleaned = self.path(*base_offset).with_added_extension(file_names::CLEANED);
            let is_named = cleaned
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| listing::find(entries, name).is_none());
            let loaded = state_file::load::<Replacement>(self.situation.fs, &marker, replacement::KIND);
            match loaded {
                Ok(Some(known)) if is_named => {
                    let old = |found: &mut Found| {
                        found.base_offset != *base_offset && known.replaced.contains(&found.base_offset)
                    };
                    for found in segments.extract_if(.., old).collect::<Vec<_>>() {
                        let path = self.path(found.base_offset);
                        self.add(
                            Finding::new(
                                Severity::Unfinished,
                                Kind::Obsolete,
                                path,
                                "a compacted segment has replaced it",
                            )
                            .at(0, found.size)
                            .next_start("removes it, when it recovers"),
                        );
                    }
                }
                // Nothing was replaced yet.
                Ok(_) => {}
                Err(error) => self.add(
                    Finding::new(
                        Severity::Damage,
                        Kind::StateFile,
                        self.folder.join(marker.file_name().unwrap_or_default()),
                        error.to_string(),
                    )
                    .by_hand("the broker does not start with it; restore the folder from a backup"),
                ),
            }
        }
        segments
    }

    /// Sets apart what an interrupted roll or deletion has left, as recovery does.
    fn without_leftovers(&mut self, mut segments: Vec<Found>) -> Vec<Found> {
        let last = segments.last().map(|found| found.base_offset);
        let active = self.active().map(|active| active.base_offset);
        let empty: Vec<Found> = segments
            .extract_if(.., |found| {
                let base = Some(found.base_offset);
                found.size == 0 && base != last && base != active
            })
            .collect();
        for found in empty {
            let path = self.path(found.base_offset);
            self.add(
                Finding::new(
                    Severity::Unfinished,
                    Kind::EmptySegment,
                    path,
                    "a roll that did not succeed has left it",
                )
                .at(0, 0)
                .next_start("removes it, when it recovers"),
            );
        }
        let start = self.task.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.start_offset);
        let Some(active) = active else { return segments };
        let next_bases = segments.iter().skip(1).map(|next| next.base_offset);
        let count = next_bases.take_while(|base| *base <= start && *base <= active).count();
        for found in segments.drain(..count).collect::<Vec<_>>() {
            let path = self.path(found.base_offset);
            self.add(
                Finding::new(Severity::Unfinished, Kind::Obsolete, path, "it lies below the log's start")
                    .at(0, found.size)
                    .next_start("removes it, when it recovers"),
            );
        }
        segments
    }

    fn check_segment(&mut self, place: Place<'_>, entries: &[Entry]) {
        let path = self.path(place.found.base_offset);
        let seal = place.next_base.map(|_| seal::load(self.situation.fs, &self.dir, entries, place.found));
        let walked = match self.walk(place, seal.as_ref(), entries) {
            Ok(walked) => walked,
            Err(error) => {
                self.epochs.forget();
                return self.add(unreadable(path, &error));
            }
        };
        self.report.segments += 1;
        self.report.batches += walked.batches;
        self.report.bytes += place.found.size;
        let judged = self.judge(place, &walked);
        let is_damaged = judged.is_damaged;
        let has_contradiction = self.check_mark(place, &walked, is_damaged);
        let rebuilds = match &seal {
            Some(seal) => self.check_seal(place, seal, &walked, &judged) || !judged.holes.is_empty(),
            None => {
                self.check_active_indexes(&walked, is_damaged || has_contradiction);
                false
            }
        };
        self.report.findings.extend(walked.findings);
        let Judged { holes, known, .. } = judged;
        self.is_changed |= !holes.is_empty();
        if self.situation.deferred.is_none() && (rebuilds || !holes.is_empty() || !known.is_empty()) {
            self.report.repairs.push(SegmentRepair {
                log: (self.task.topic_id, self.task.index),
                folder: self.folder.clone(),
                path,
                base_offset: place.found.base_offset,
                size: place.found.size,
                holes,
                known,
                is_closed: place.next_base.is_some(),
                rebuilds,
                index_interval_bytes: self.task.index_interval_bytes,
            });
        }
    }

    fn walk(&mut self, place: Place<'_>, seal: Option<&Seal>, entries: &[Entry]) -> io::Result<Walked> {
        let Situation { fs, records, bytes_read, .. } = self.situation;
        let found = place.found;
        let active = self.active().filter(|active| active.base_offset == found.base_offset);
        let known = match seal {
            Some(Seal::Good(seal)) => Some(**seal),
            Some(_) => None,
            None => active,
        };
        let indexes = known.map(|known| seal::open_indexes(*fs, &self.dir, entries, &known)).transpose()?;
        let end = self.task.checkpoint.as_ref().map(|checkpoint| checkpoint.end_offset);
        let path = self.path(found.base_offset);
        let file = fs.open(&self.situation.root.join(&path), OpenMode::Read)?;
        let task = SegmentTask {
            file,
            path: &path,
            base_offset: found.base_offset,
            size: found.size,
            is_sparse: self.task.is_sparse,
            follows: place.next_base.or(end),
            mark: active.map(|active| Mark { position: active.size, offset: active.next_offset }),
            indexes,
            records: *records,
            bytes_read,
        };
        SegmentWalk::new(task, &mut self.epochs).run()
    }
}

fn unreadable(file: PathBuf, error: &io::Error) -> Finding {
    Finding::new(Severity::Unreadable, Kind::Unreadable, file, error.to_string())
        .by_hand("check the mode of the file and the disk (dmesg, smartctl)")
}
