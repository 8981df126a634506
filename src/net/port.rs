//! Inclusive port ranges.

use std::fmt;
use std::str::FromStr;

/// An inclusive range of ports, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRange {
    first: u16,
    last: u16,
}

/// Why a text or a pair of numbers is not a port range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortRangeError {
    /// The first port is above the last.
    #[error("port range {first}-{last} is upside down; write the smaller port first")]
    UpsideDown {
        /// First port as given.
        first: i64,
        /// Last port as given.
        last: i64,
    },
    /// A bound is no port number.
    #[error("port {port} is outside 0 to 65535")]
    OutOfRange {
        /// The number as given.
        port: i64,
    },
    /// Neither `n` nor `n-m`.
    #[error("{text:?} is no port or port range; write 443 or 1024-65535")]
    Malformed {
        /// The text as given.
        text: String,
    },
}

impl PortRange {
    /// Every port.
    pub const ALL: PortRange = PortRange { first: 0, last: u16::MAX };

    /// `first..=last`, or `None` when that is empty.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first <= last).then_some(PortRange { first, last })
    }

    /// One port.
    pub fn single(port: u16) -> Self {
        PortRange { first: port, last: port }
    }

    /// From the integers of a configuration file, which may be out of range.
    pub fn from_bounds(first: i64, last: i64) -> Result<Self, PortRangeError> {
        let port = |port: i64| u16::try_from(port).map_err(|_| PortRangeError::OutOfRange { port });
        PortRange::new(port(first)?, port(last)?).ok_or(PortRangeError::UpsideDown { first, last })
    }

    /// The smallest port.
    pub fn first(&self) -> u16 {
        self.first
    }

    /// The largest port.
    pub fn last(&self) -> u16 {
        self.last
    }

    /// Whether `port` is in the range.
    pub fn contains(&self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    /// Whether the whole of `other` is in the range.
    pub fn covers(&self, other: &PortRange) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// Whether this is every port.
    pub fn is_all(&self) -> bool {
        *self == PortRange::ALL
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl FromStr for PortRange {
    type Err = PortRangeError;

    fn from_str(text: &str) -> Result<Self, PortRangeError> {
        let malformed = || PortRangeError::Malformed { text: text.to_string() };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |part: &str| part.trim().parse::<i64>().map_err(|_| malformed());
        PortRange::from_bounds(number(first)?, number(last)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_written() {
        for (text, shown) in
            [("443", "443"), ("0-65535", "0-65535"), ("80-80", "80"), ("1024 - 2048", "1024-2048")]
        {
            assert_eq!(text.parse::<PortRange>().unwrap().to_string(), shown);
        }
        assert!("0-65535".parse::<PortRange>().unwrap().is_all());
    }

    #[test]
    fn what_is_no_range_is_named() {
        let said = |text: &str| text.parse::<PortRange>().unwrap_err().to_string();
        assert_eq!(said("90-80"), "port range 90-80 is upside down; write the smaller port first");
        assert_eq!(said("65536"), "port 65536 is outside 0 to 65535");
        assert_eq!(said("http"), "\"http\" is no port or port range; write 443 or 1024-65535");
        assert_eq!(PortRange::from_bounds(-1, 5), Err(PortRangeError::OutOfRange { port: -1 }));
    }

    #[test]
    fn bounds_are_inside() {
        let range = PortRange::new(1024, 2048).unwrap();
        assert!(
            range.contains(1024) && range.contains(2048) && !range.contains(1023) && !range.contains(2049)
        );
        assert!(range.covers(&PortRange::single(1500)) && !range.covers(&PortRange::ALL));
        assert_eq!(PortRange::new(2, 1), None);
    }
}
