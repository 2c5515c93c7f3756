//! One topic: its partitions copied, checked, and described as a broker's checkpoint describes them.

use std::path::Path;
use std::sync::Arc;

use super::copy::Copier;
use super::epochs::SeenEpochs;
use super::error::{AdoptError, TopicRefusal};
use super::plan::{PartitionPlan, TopicPlan};
use super::settings;
use super::staging::Staging;
use super::transactions::{TransactionCount, Transactions};
use crate::checkpoint::AddedPartition;
use crate::config::scope::Overrides;
use crate::partition::ProducerStates;
use crate::storage::import::{Import, ImportError, Imported, import};
use crate::storage::store::Store;

/// A topic that was checked.
#[derive(Debug)]
pub(super) struct AdoptedTopic {
    pub(super) plan: TopicPlan,
    pub(super) overrides: Overrides,
    pub(super) partitions: Vec<AdoptedPartition>,
    /// What somebody should know.
    pub(super) notes: Vec<String>,
}

/// A partition that was checked.
#[derive(Debug)]
pub(super) struct AdoptedPartition {
    pub(super) imported: Imported,
    pub(super) transactions: TransactionCount,
    /// For the checkpoint; none for one that was never written to.
    pub(super) added: Option<AddedPartition>,
}

/// How topics are adopted.
pub(super) struct Adoption<'a> {
    pub(super) store: &'a Arc<Store>,
    pub(super) now_ms: i64,
    pub(super) allow_aborted: bool,
}

/// Why a topic was not adopted: it cannot be, or nothing can.
pub(super) enum Failure {
    Refused(TopicRefusal),
    Broken(AdoptError),
}

impl<E: Into<AdoptError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

impl Adoption<'_> {
    /// Copies and checks all partitions.
    pub(super) fn adopt(
        &self,
        topic: TopicPlan,
        staging: &mut Staging<'_>,
        copier: &mut Copier,
    ) -> Result<AdoptedTopic, Failure> {
        let fs = self.store.fs();
        let mut partitions = Vec::new();
        for partition in &topic.partitions {
            let source = &partition.folder.path;
            if partition.is_untouched() {
                partitions.push(self.check(&topic, partition, source, true)?);
                continue;
            }
            let folder = staging.create(&format!("{}-{}", topic.name, partition.folder.index), topic.id)?;
            for segment in &partition.segments {
                copier.copy(fs, &source.join(&segment.name), &folder.join(&segment.name), segment.size)?;
            }
            partitions.push(self.check(&topic, partition, &folder, false)?);
        }
        self.finish(topic, partitions)
    }

    /// Checks all partitions where they are, and writes nothing.
    pub(super) fn look(&self, topic: TopicPlan) -> Result<AdoptedTopic, Failure> {
        let mut partitions = Vec::new();
        for partition in &topic.partitions {
            partitions.push(self.check(&topic, partition, &partition.folder.path, true)?);
        }
        self.finish(topic, partitions)
    }

    fn check(
        &self,
        topic: &TopicPlan,
        partition: &PartitionPlan,
        dir: &Path,
        is_dry_run: bool,
    ) -> Result<AdoptedPartition, Failure> {
        let task = Import {
            store: self.store,
            dir,
            start_offset: partition.folder.log_start,
            cut_torn_end: !partition.folder.is_clean,
            is_dry_run,
            now_ms: self.now_ms,
        };
        let mut producers = ProducerStates::default();
        let mut epochs = SeenEpochs::default();
        let mut transactions = Transactions::default();
        let imported = import(task, &mut |batch| {
            producers.replay(&batch.header, self.now_ms);
            epochs.see(batch.header.leader_epoch, batch.header.base_offset);
            transactions.see(batch)
        });
        let imported = imported.map_err(|error| match error {
            ImportError::Storage(error) => Failure::from(error),
            ImportError::OldFormat { .. } => Failure::Refused(TopicRefusal::OldFormat(error)),
            ImportError::Damaged { .. } | ImportError::StartBehindEnd { .. } => {
                Failure::Refused(TopicRefusal::Damaged(error))
            }
        })?;
        let added = (!partition.is_untouched()).then(|| AddedPartition {
            topic_id: topic.id,
            index: partition.folder.index,
            log: imported.checkpoint.clone(),
            producers: producers.entries().map(|(id, entry)| (id, entry.clone())).collect(),
            epochs: epochs.into_epochs(partition.epochs.as_deref(), imported.checkpoint.end_offset),
        });
        Ok(AdoptedPartition { imported, transactions: transactions.count(), added })
    }

    fn finish(&self, plan: TopicPlan, partitions: Vec<AdoptedPartition>) -> Result<AdoptedTopic, Failure> {
        let mut transactions = TransactionCount::default();
        partitions.iter().for_each(|partition| transactions += partition.transactions);
        let TransactionCount { committed, aborted, unfinished, .. } = transactions;
        if 0 < aborted + unfinished && !self.allow_aborted {
            return Err(Failure::Refused(TopicRefusal::Aborted { aborted, unfinished }));
        }
        let has_gaps = partitions.iter().any(|partition| partition.imported.has_gaps);
        let settings::Adapted { overrides, mut notes } =
            settings::adapt(plan.settings.clone(), has_gaps).map_err(Failure::Refused)?;
        if plan.is_id_new {
            notes.push(format!("it had no topic id and gets {}", plan.id));
        }
        if 0 < committed {
            notes.push(format!(
                "{committed} committed transactions: records and markers are kept as they are"
            ));
        }
        if 0 < aborted + unfinished {
            notes.push(format!(
                "{aborted} aborted and {unfinished} unfinished transactions: every consumer sees their records"
            ));
        }
        for (partition, plan) in partitions.iter().zip(&plan.partitions) {
            if 0 < partition.imported.cut_bytes {
                let (index, bytes) = (plan.folder.index, partition.imported.cut_bytes);
                notes.push(format!("partition {index}: {bytes} bytes of a torn end are cut off the copy"));
            }
        }
        Ok(AdoptedTopic { plan, overrides, partitions, notes })
    }
}
