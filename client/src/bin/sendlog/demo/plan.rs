//! What was shipped in which order, so that readers can tell whether it came back.

use sendlog_protocol::records::Crc32c;

use crate::error::CliError;

/// Lines and bytes, newlines included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) lines: u64,
    pub(super) bytes: u64,
}

/// The bytes of a file, as far as they have come by.
#[derive(Debug, Default)]
pub(super) struct Digest {
    total: Total,
    crc: Crc32c,
}

impl Digest {
    pub(super) fn add(&mut self, text: &[u8], has_newline: bool) {
        self.crc.update(text);
        if has_newline {
            self.crc.update(b"\n");
        }
        self.total.lines += 1;
        self.total.bytes += u64::try_from(text.len()).unwrap_or(0) + u64::from(has_newline);
    }

    pub(super) fn total(&self) -> Total {
        self.total
    }
}

/// A file that was shipped once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shipment {
    /// Index in the corpus.
    pub(super) file: u32,
    pub(super) total: Total,
    pub(super) crc: u32,
}

/// Everything that was shipped, by partition.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) partitions: Vec<Vec<Shipment>>,
}

impl Plan {
    pub(super) fn new(partitions: i32) -> Self {
        Self { partitions: (0..partitions).map(|_| Vec::new()).collect() }
    }

    /// Notes a file that was shipped to a partition.
    pub(super) fn add(&mut self, partition: usize, file: u32, digest: &Digest) {
        if let Some(shipments) = self.partitions.get_mut(partition).filter(|_| 0 < digest.total.lines) {
            shipments.push(Shipment { file, total: digest.total, crc: digest.crc.value() });
        }
    }

    pub(super) fn total(&self) -> Total {
        let mut total = Total::default();
        for shipment in self.partitions.iter().flatten() {
            total.lines += shipment.total.lines;
            total.bytes += shipment.total.bytes;
        }
        total
    }
}

/// Compares what is read of a partition with what was shipped to it, file by file.
#[derive(Debug)]
pub(super) struct Check<'a> {
    partition: usize,
    left: std::slice::Iter<'a, Shipment>,
    current: Option<&'a Shipment>,
    digest: Digest,
}

impl<'a> Check<'a> {
    pub(super) fn new(plan: &'a Plan, partition: usize) -> Self {
        let mut left = plan.partitions.get(partition).map(Vec::as_slice).unwrap_or_default().iter();
        let current = left.next();
        Self { partition, left, current, digest: Digest::default() }
    }

    /// Takes the next line.
    ///
    /// # Errors
    /// The file that ends with it is not the one that was shipped, or nothing more was shipped.
    pub(super) fn add(&mut self, text: &[u8], has_newline: bool) -> Result<(), CliError> {
        let Some(shipment) = self.current else {
            return Err(self.difference("lines come after the last one that was shipped"));
        };
        self.digest.add(text, has_newline);
        if self.digest.total.lines < shipment.total.lines {
            return Ok(());
        }
        if self.digest.total != shipment.total || self.digest.crc.value() != shipment.crc {
            return Err(self.difference("bytes differ"));
        }
        self.digest = Digest::default();
        self.current = self.left.next();
        Ok(())
    }

    /// Whether everything that was shipped has come.
    pub(super) fn is_complete(&self) -> bool {
        self.current.is_none()
    }

    fn difference(&self, what: &str) -> CliError {
        let file = self.current.map_or(0, |shipment| shipment.file);
        let partition = self.partition;
        CliError::Different(format!("{what} (partition {partition}, file number {file})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(files: &[&[&str]]) -> Plan {
        let mut plan = Plan::new(1);
        for (index, lines) in (0..).zip(files) {
            let mut digest = Digest::default();
            lines.iter().for_each(|line| digest.add(line.as_bytes(), true));
            plan.add(0, index, &digest);
        }
        plan
    }

    #[test]
    fn what_was_shipped_passes() {
        let plan = plan(&[&["a", "b"], &[], &["", "c"]]);
        assert_eq!(plan.total(), Total { lines: 4, bytes: 7 });
        let mut check = Check::new(&plan, 0);
        for line in ["a", "b", "", "c"] {
            assert!(!check.is_complete());
            check.add(line.as_bytes(), true).unwrap();
        }
        assert!(check.is_complete());
        check.add(b"more", true).unwrap_err();
    }

    #[test]
    fn every_difference_is_noticed() {
        let plan = plan(&[&["ab", "c"]]);
        for (lines, last_has_newline) in
            [(["ab", "d"], true), (["a", "bc"], true), (["abc", ""], true), (["ab", "c"], false)]
        {
            let mut check = Check::new(&plan, 0);
            check.add(lines[0].as_bytes(), true).unwrap();
            check.add(lines[1].as_bytes(), last_has_newline).unwrap_err();
        }
    }
}
