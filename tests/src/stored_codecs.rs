//! Looks into the broker's segment files for the codec of each batch. Clients fall back to no compression without a word
//! when a broker seems not to support a codec; reading back shows nothing of that, the stored batches do.

use std::fs;
use std::path::Path;

/// The word before the codec in the names of the topics to look at.
const MARK: &str = "-codec-";
/// Length of a batch's header, and places in it (record batch v2).
const HEADER_BYTES: usize = 61;
const LENGTH_AT: usize = 8;
const ATTRIBUTES_AT: usize = 21;
/// What the length in the header does not count: base offset and the length itself.
const LOG_OVERHEAD: usize = 12;

/// Checks that each topic named `...-codec-CODEC-...` has a batch with that codec, and none with another one. Batches
/// without any codec are all right: clients don't compress what would grow.
///
/// # Errors
/// When a topic is otherwise, a file cannot be read as batches, or there is no such topic.
pub fn check(data_dir: &Path) -> Result<(), String> {
    let mut topics = 0;
    for entry in fs::read_dir(data_dir).map_err(|error| format!("{}: {error}", data_dir.display()))? {
        let folder = entry.map_err(|error| error.to_string())?;
        let name = folder.file_name().to_string_lossy().into_owned();
        let Some((_, rest)) = name.split_once(MARK) else { continue };
        let wanted = code_of(rest.split('-').next().unwrap_or_default())?;
        let codecs = codecs_in(&folder.path().join("00000000000000000000.log"))?;
        if !codecs.contains(&wanted) || codecs.iter().any(|codec| ![0, wanted].contains(codec)) {
            return Err(format!("{name} has batches with the codecs {codecs:?}"));
        }
        topics += 1;
    }
    if topics == 0 {
        return Err(format!("no topic named ...{MARK}CODEC in {}", data_dir.display()));
    }
    Ok(())
}

fn code_of(codec: &str) -> Result<u8, String> {
    const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
    let found = (0_u8..).zip(CODECS).find(|(_, name)| *name == codec);
    found.map(|(code, _)| code).ok_or_else(|| format!("a topic names the codec {codec:?}"))
}

fn codecs_in(log: &Path) -> Result<Vec<u8>, String> {
    let bytes = fs::read(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let mut codecs = Vec::new();
    let mut rest = bytes.as_slice();
    while HEADER_BYTES <= rest.len() {
        let length = rest[LENGTH_AT..LENGTH_AT + 4].try_into().map(u32::from_be_bytes).unwrap_or_default();
        let size = LOG_OVERHEAD + usize::try_from(length).map_err(|error| error.to_string())?;
        if rest.len() < size {
            return Err(format!("{}: a batch of {size} bytes, {} left", log.display(), rest.len()));
        }
        codecs.push(rest[ATTRIBUTES_AT + 1] & 7);
        rest = &rest[size..];
    }
    Ok(codecs)
}
