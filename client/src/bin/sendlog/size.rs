//! Sizes as people write and read them.

const UNITS: [(&str, u64); 10] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("kb", 1000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
    ("b", 1),
];

/// Parses `1GiB`, `500 MB`, `64k` (1024), `1000000`.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let unit = UNITS.iter().find_map(|(unit, factor)| Some((lower.strip_suffix(unit)?, *factor)));
    let (number, factor) = unit.unwrap_or((&lower, 1));
    let size = number.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    size.filter(|size| 0 < *size).ok_or_else(|| "expected a size such as 1GiB, 500MB or 1000000".to_owned())
}

/// Bytes in the largest binary unit that keeps the number above 1.
pub(crate) fn show_size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people, with two digits after the point")]
    let number = bytes as f64;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", number / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", number / 1_048_576.0),
        _ => format!("{:.2} GiB", number / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_both_systems() {
        for (text, size) in [
            ("1GiB", 1 << 30),
            ("500 MB", 500_000_000),
            ("64k", 65536),
            ("1000000", 1_000_000),
            ("7b", 7),
            ("2g", 2 << 30),
        ] {
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
        for bad in ["", "0", "GiB", "1.5G", "-1", "99999999999g", "1 apple"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        assert_eq!(show_size(1 << 30), "1.00 GiB");
        assert_eq!(show_size(1536), "1.5 KiB");
    }
}
