//! Tests of the storage engine as a whole: against a model, with failing files, with damaged files.

mod appends;
mod damaged_index;
mod data_directory;
mod failing_files;
mod fixture;
mod full_disk;
mod model;
mod readers;
mod simulated_disk;
mod torn_tail;
