//! A line under construction: fields with one space between them, numbers without a detour over `format!`.

use std::io::Write;

use super::world::Address;

/// The bytes of one line.
#[derive(Default)]
pub(crate) struct Line(pub Vec<u8>);

impl Line {
    pub fn text(&mut self, s: &str) -> &mut Self {
        if !self.0.is_empty() {
            self.0.push(b' ');
        }
        self.0.extend_from_slice(s.as_bytes());
        self
    }

    pub fn number(&mut self, n: u64) -> &mut Self {
        self.text("").digits(n)
    }

    pub fn dashes(&mut self, count: usize) -> &mut Self {
        for _ in 0..count {
            self.text("-");
        }
        self
    }

    pub fn address(&mut self, a: Address) -> &mut Self {
        self.text("").bare_address(a)
    }

    pub fn socket(&mut self, a: Address, port: u64) -> &mut Self {
        self.address(a).glue(":").digits(port)
    }

    /// The same without a space before it.
    pub fn bare_socket(&mut self, a: Address, port: u64) -> &mut Self {
        self.bare_address(a).glue(":").digits(port)
    }

    /// Text behind the field before it, without a space.
    pub fn glue(&mut self, s: &str) -> &mut Self {
        self.0.extend_from_slice(s.as_bytes());
        self
    }

    pub fn digits(&mut self, mut n: u64) -> &mut Self {
        let mut reversed = Vec::<u8>::with_capacity(20);
        loop {
            reversed.push(b'0' + (n % 10) as u8);
            n /= 10;
            if n == 0 {
                break;
            }
        }
        self.0.extend(reversed.iter().rev());
        self
    }

    pub fn padded(&mut self, n: u64, width: usize) -> &mut Self {
        let mut power = 10u64;
        for _ in 1..width {
            if n < power {
                self.0.push(b'0');
            }
            power = power.saturating_mul(10);
        }
        // the zeros wanted are counted from the low end, so they are all before the digits
        self.digits(n)
    }

    pub fn hex(&mut self, n: u64) -> &mut Self {
        let _ = write!(self.0, "{n:016x}");
        self
    }

    /// Epoch seconds and microseconds as `2026-01-15T10:00:00.000000Z`; without fraction and zone where `micros` is none.
    pub fn time(&mut self, epoch: u64, micros: Option<u64>) -> &mut Self {
        let (y, m, d) = super::world::date(epoch);
        let second = epoch % 86_400;
        self.text("").digits(y).glue("-").padded(m, 2).glue("-").padded(d, 2).glue("T");
        self.padded(second / 3600, 2).glue(":").padded(second / 60 % 60, 2).glue(":").padded(second % 60, 2);
        if let Some(micros) = micros {
            self.glue(".").padded(micros, 6).glue("Z");
        }
        self
    }

    fn bare_address(&mut self, a: Address) -> &mut Self {
        match a {
            Address::V4(n) => {
                let [a, b, c, d] = n.to_be_bytes();
                self.digits(a.into())
                    .glue(".")
                    .digits(b.into())
                    .glue(".")
                    .digits(c.into())
                    .glue(".")
                    .digits(d.into())
            }
            Address::V6(n) => {
                let _ = write!(self.0, "{}", std::net::Ipv6Addr::from(n));
                self
            }
        }
    }
}
