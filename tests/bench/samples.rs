//! The figures of several runs: a median with its range.

use std::fmt;

/// One figure per run, in run order.
#[derive(Clone, Default)]
pub struct Samples(pub Vec<f64>);

impl Samples {
    /// The middle value; the mean of the two middle ones for an even number; 0 for none.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => 0.0,
            len if len % 2 == 1 => sorted[len / 2],
            len => f64::midpoint(sorted[len / 2 - 1], sorted[len / 2]),
        }
    }

    /// The smallest.
    pub fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The largest.
    pub fn max(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// Run by run, this over that: the drift of the machine cancels out, as the runs were interleaved.
    pub fn over(&self, other: &Self) -> Self {
        Self(
            self.0
                .iter()
                .zip(&other.0)
                .filter(|(_, below)| **below != 0.0)
                .map(|(above, below)| above / below)
                .collect(),
        )
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            0 => write!(out, "-"),
            1 => write!(out, "{}", short(self.0[0])),
            _ => write!(out, "{} [{}..{}]", short(self.median()), short(self.min()), short(self.max())),
        }
    }
}

/// Three digits or so.
fn short(value: f64) -> String {
    match value.abs() {
        size if 100.0 <= size => format!("{value:.0}"),
        size if 10.0 <= size => format!("{value:.1}"),
        size if 1.0 <= size => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::Samples;

    #[test]
    fn medians_of_odd_and_even_numbers_of_runs() {
        assert!((Samples(vec![3.0, 1.0, 2.0]).median() - 2.0).abs() < 1e-9);
        assert!((Samples(vec![4.0, 1.0, 2.0, 3.0]).median() - 2.5).abs() < 1e-9);
    }

    #[test]
    fn ratios_pair_the_runs() {
        let ratio = Samples(vec![2.0, 9.0]).over(&Samples(vec![1.0, 3.0]));
        assert_eq!(ratio.to_string(), "2.50 [2.00..3.00]");
    }
}
