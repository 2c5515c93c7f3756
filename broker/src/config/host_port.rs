//! A host and a port as they are written on the command line.

use std::fmt;
use std::str::FromStr;

/// Where to listen, or where clients are told to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address, IPv6 without brackets; never empty.
    pub host: String,
    /// 0 asks the system for a free port.
    pub port: u16,
}

impl FromStr for HostPort {
    type Err = String;

    /// Reads `HOST:PORT`, `:PORT` (every interface), `[V6]:PORT`, each with or without `PLAINTEXT://`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || format!("`{text}` is not HOST:PORT, such as 127.0.0.1:9092 or [::1]:9092");
        let address = match text.split_once("://") {
            Some(("PLAINTEXT", address)) => address,
            Some((protocol, _)) => {
                return Err(format!("the protocol {protocol} is not served; sendlog has PLAINTEXT only"));
            }
            None => text,
        };
        let (host, port) = address.rsplit_once(':').ok_or_else(wanted)?;
        let port = port.parse().map_err(|_| wanted())?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bracketed.unwrap_or(host);
        let is_readable = host.chars().all(|letter| letter.is_ascii_graphic() && !"/,[]".contains(letter));
        if !is_readable || 255 < host.len() || (bracketed.is_none() && host.contains(':')) {
            return Err(wanted());
        }
        let host = if host.is_empty() { "0.0.0.0" } else { host };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(out, "[{}]:{}", self.host, self.port);
        }
        write!(out, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        text.parse::<HostPort>().map(|address| address.to_string())
    }

    #[test]
    fn addresses_are_read_and_written() {
        assert_eq!(read("127.0.0.1:9092"), Ok("127.0.0.1:9092".into()));
        assert_eq!(read("PLAINTEXT://broker.local:9092"), Ok("broker.local:9092".into()));
        assert_eq!(read("[::1]:0"), Ok("[::1]:0".into()));
        assert_eq!(read(":9092"), Ok("0.0.0.0:9092".into()));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in ["", "9092", "host", "host:", "host:99999", "::1:9092", "a b:1", "a,b:1", "SSL://a:1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
