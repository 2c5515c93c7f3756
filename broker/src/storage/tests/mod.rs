//! Tests of the storage engine as a whole: against a model, with failing files, with damaged files.

mod appends;
mod corruption;
mod crash_model;
mod damage;
mod damaged_index;
mod data_directory;
mod durable_model;
mod failing_files;
mod failing_life;
mod fixture;
mod full_disk;
mod journal;
mod machine;
mod model;
mod readers;
mod simulated_disk;
mod slow_disk;
mod torn_tail;
