//! What the two programs share: how they are called, how a scenario is chosen and a fault named.

use std::process::ExitCode;

use clap::Parser;

/// Multiplies the runs of every scenario: the long form of the tests.
pub const FACTOR_VARIABLE: &str = "SENDLOG_MODEL_FACTOR";

/// Runs the broker's own code under interleavings of a model's choice. Exits with 0 if every run held, and prints what
/// did not and how to repeat it otherwise.
#[derive(Debug, Parser)]
pub struct Options {
    /// Scenario to run; all of them by default
    pub scenario: Option<String>,
    /// Prints the scenarios, and the faults that can be planted in each
    #[arg(long)]
    pub list: bool,
    /// Breaks the code in this way: the run must fail
    #[arg(long)]
    pub planted: Option<String>,
    /// Multiplies the number of runs
    #[arg(long, default_value_t = 1, env = FACTOR_VARIABLE)]
    pub factor: usize,
    /// Seed of the random interleavings
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Repeats the one interleaving that a failure has printed
    #[arg(long)]
    pub replay: Option<String>,
}

/// Faults that can be planted, by name.
#[derive(Debug)]
pub struct Faults<F: 'static>(pub &'static [(&'static str, F)]);

impl<F: Copy + PartialEq> Faults<F> {
    /// The fault of that name.
    pub fn named(&self, wanted: &str) -> Option<F> {
        self.0.iter().find(|(name, _)| *name == wanted).map(|(_, fault)| *fault)
    }

    fn name(&self, fault: F) -> &'static str {
        self.0.iter().find(|(_, other)| *other == fault).map_or("", |(name, _)| name)
    }
}

/// Something that holds under every interleaving.
#[derive(Debug)]
pub struct Scenario<F: 'static, R> {
    /// What it is called by.
    pub name: &'static str,
    /// What it shows.
    pub shows: &'static str,
    /// How it is run.
    pub run: R,
    /// Faults that it sees.
    pub faults: &'static [F],
}

/// What is to be run, and broken.
#[derive(Debug)]
pub struct Chosen<F: 'static, R: 'static> {
    /// At least one.
    pub scenarios: Vec<&'static Scenario<F, R>>,
    /// The fault to plant.
    pub planted: Option<F>,
}

impl Options {
    /// Chooses what these options ask for.
    ///
    /// # Errors
    /// The exit code, if there is nothing to run: the list was printed, or a name is unknown.
    pub fn choose<F: Copy + PartialEq, R>(
        &self,
        scenarios: &'static [Scenario<F, R>],
        faults: &Faults<F>,
    ) -> Result<Chosen<F, R>, ExitCode> {
        let is_wanted =
            |scenario: &&Scenario<F, R>| self.scenario.as_ref().is_none_or(|name| name == scenario.name);
        let scenarios: Vec<_> = scenarios.iter().filter(is_wanted).collect();
        if self.list {
            for scenario in &scenarios {
                println!("{:10} {}", scenario.name, scenario.shows);
                for fault in scenario.faults {
                    println!("{:10}   --planted {}", "", faults.name(*fault));
                }
            }
            return Err(ExitCode::SUCCESS);
        }
        let planted = self.planted.as_deref().map(|name| faults.named(name));
        if scenarios.is_empty() || planted == Some(None) {
            eprintln!("no such scenario or fault; --list has them");
            return Err(ExitCode::from(2));
        }
        Ok(Chosen { scenarios, planted: planted.flatten() })
    }
}
