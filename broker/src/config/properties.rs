//! Java's `.properties` format, as far as configuration files use it.
//!
//! A line is `key=value` or `key: value`; `#` and `!` begin a comment line; a backslash at the end joins
//! the next line; `\t`, `\n`, `\r`, `\f` and `\uXXXX` are escapes, before any other character a backslash
//! stands for nothing. Unlike Java, a key cannot be separated from its value by a space alone, and a line
//! without a separator is an error: both are slips more often than intent.

/// One setting of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// The line, from one, on which the setting begins.
    pub line: usize,
    /// Left of the separator.
    pub key: String,
    /// Right of the separator, without spaces around it.
    pub value: String,
}

/// What is wrong with which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The line, from one.
    pub line: usize,
    /// In words.
    pub problem: String,
}

/// Reads every setting of `text`, in order.
///
/// # Errors
/// The first line that is no setting.
pub fn parse(text: &str) -> Result<Vec<Property>, Malformed> {
    let mut properties = Vec::new();
    for (line, logical) in logical_lines(text) {
        let malformed = |problem: String| Malformed { line, problem };
        let Some(at) = separator(&logical) else {
            return Err(malformed(format!("no `=` in `{}`", shortened(&logical))));
        };
        let (key, rest) = logical.split_at(at);
        let value = rest.get(1..).unwrap_or("");
        let key = unescape(key.trim()).map_err(malformed)?;
        if key.is_empty() {
            return Err(malformed("no name before `=`".to_owned()));
        }
        let value = unescape(value.trim()).map_err(malformed)?;
        properties.push(Property { line, key, value });
    }
    Ok(properties)
}

/// Lines with continuations joined, comments and empty lines left out, each with the number of its first
/// line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut logical: Vec<(usize, String)> = Vec::new();
    let mut continues = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if !continues && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let joins_next = is_continued(line);
        let content = if joins_next { line.strip_suffix('\\').unwrap_or(line) } else { line };
        match logical.last_mut() {
            Some((_, joined)) if continues => joined.push_str(content),
            _ => logical.push((index + 1, content.to_owned())),
        }
        continues = joins_next;
    }
    logical
}

/// An odd number of backslashes at the end: the last one is not itself escaped.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Position of the first `=` or `:` that no backslash escapes.
fn separator(line: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'=' | b':' => return Some(at),
            _ => {}
        }
    }
    None
}

fn unescape(text: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        if next != '\\' {
            plain.push(next);
            continue;
        }
        match rest.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => {
                let digits: String = rest.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4);
                let letter = code.and_then(char::from_u32);
                plain.push(letter.ok_or_else(|| format!("\\u{digits} is not a character"))?);
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    Ok(plain)
}

fn shortened(line: &str) -> String {
    line.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(usize, String, String)> {
        parse(text).unwrap().into_iter().map(|p| (p.line, p.key, p.value)).collect()
    }

    #[test]
    fn settings_comments_and_continuations_are_read() {
        let text = "# a comment\n! another\n\n num.partitions = 3 \nlog.dirs=/data\\\n  /one\nlisteners: PLAINTEXT://:9092\n";
        let expected = vec![
            (4, "num.partitions".to_owned(), "3".to_owned()),
            (5, "log.dirs".to_owned(), "/data/one".to_owned()),
            (7, "listeners".to_owned(), "PLAINTEXT://:9092".to_owned()),
        ];
        assert_eq!(pairs(text), expected);
    }

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(pairs("a\\=b=c\\u0041\\\\\\t."), vec![(1, "a=b".to_owned(), "cA\\\t.".to_owned())]);
        assert_eq!(pairs("a="), vec![(1, "a".to_owned(), String::new())]);
    }

    #[test]
    fn malformed_lines_are_named() {
        assert_eq!(
            parse("a=1\nnonsense"),
            Err(Malformed { line: 2, problem: "no `=` in `nonsense`".into() })
        );
        assert_eq!(parse("\n=1"), Err(Malformed { line: 2, problem: "no name before `=`".into() }));
        assert!(parse("a=\\u12").is_err());
        assert!(parse("a=\\ud800").is_err());
    }

    #[test]
    fn a_trailing_backslash_at_the_end_of_the_file_joins_nothing() {
        assert_eq!(pairs("a=b\\"), vec![(1, "a".to_owned(), "b".to_owned())]);
    }
}
