//! Small objects in memory: inflating every member, and what can be had of a damaged one.

use memchr::memchr;

use super::content::{is_gzip, read_step};
use super::gzip::{ByteSource, Ending, GzipSource, Plain};
use crate::parse::inflate::{InflateError, Inflater};

/// Whether a line may be longer than `line`: somewhere, half as many bytes hold no line end.
pub(super) fn has_long_line(text: &[u8], line: usize) -> bool {
    text.len() > line && text.chunks(line.div_ceil(2).max(1)).any(|window| memchr(b'\n', window).is_none())
}

/// Inflates all members of `raw`; `None` when they hold more than `limit`.
pub(super) fn inflate_whole(
    mut inflater: Option<&mut Inflater>,
    raw: &[u8],
    text: &mut Vec<u8>,
    limit: usize,
) -> Option<Ending> {
    text.clear();
    // The last four bytes are the last member's length, which for the usual single member is all of it.
    let stated = raw.last_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
    let guess = stated.max(raw.len().saturating_mul(4)).saturating_add(64).min(limit);
    text.reserve(guess);
    let mut at = 0usize;
    loop {
        let mut rest = raw.get(at..).unwrap_or_default();
        if at > 0 {
            let padding = rest.iter().position(|byte| *byte != 0).unwrap_or(rest.len());
            at += padding;
            rest = raw.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return Some(Ending::Complete);
            }
        }
        let result = match (&mut inflater, is_gzip(rest)) {
            (Some(inflater), true) => inflater.append_member(rest, text),
            _ => Err(InflateError::BadData),
        };
        match result {
            Ok(0) => return salvage(rest, at, text, limit),
            Ok(count) if text.len() <= limit => at += count,
            Ok(_) => return None,
            Err(InflateError::InsufficientSpace) => {
                if text.capacity() >= limit {
                    return None;
                }
                let wanted = text.capacity().saturating_mul(2).clamp(4096, limit.max(4096));
                text.reserve(wanted.saturating_sub(text.len()));
            }
            // libdeflate gives nothing of a damaged member: its beginning is had by streaming.
            Err(_) => return salvage(rest, at, text, limit),
        }
    }
}

fn salvage(rest: &[u8], at: usize, text: &mut Vec<u8>, limit: usize) -> Option<Ending> {
    let mut source = GzipSource::at_member(Plain(rest), at == 0);
    while text.len() <= limit {
        let count = read_step(&mut source, text).ok()?;
        if count == 0 {
            let base = at as u64;
            return Some(match source.ending() {
                Ending::Complete => Ending::Complete,
                Ending::Truncated { at } => Ending::Truncated { at: base + at },
                Ending::Corrupt { at } => Ending::Corrupt { at: base + at },
                Ending::TrailingGarbage { at, bytes } => Ending::TrailingGarbage { at: base + at, bytes },
            });
        }
    }
    None
}
