//! Parts of conversations on disk, where there are more of them than memory may hold: sorted runs, read back as one.

use super::conversation::{ConversationKey, Part, PartKey, Totals};
use super::role::{Certainty, Side};
use crate::rules::Direction;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes of a part on disk.
const SIZE: usize = 76;

/// Parts in order, in a file that goes with this.
#[derive(Debug)]
pub(super) struct Run {
    file: File,
    path: PathBuf,
    parts: u64,
}

impl Drop for Run {
    fn drop(&mut self) {
        // Where it was removed already, as it is wherever the system allows that of an open file, nothing is left to do.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Run {
    /// Writes parts, which have to be in order.
    pub(super) fn write(parts: &[Part]) -> io::Result<Run> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("flowq-{}-{number}.run", std::process::id()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        // An interrupted run leaves nothing behind.
        let _ = std::fs::remove_file(&path);
        let mut out = BufWriter::with_capacity(1 << 18, &file);
        for part in parts {
            out.write_all(&encode(part))?;
        }
        out.flush()?;
        drop(out);
        Ok(Run { file, path, parts: parts.len() as u64 })
    }

    fn read(&self) -> io::Result<Reader> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Reader { input: BufReader::with_capacity(1 << 18, file), left: self.parts })
    }
}

struct Reader {
    input: BufReader<File>,
    left: u64,
}

impl Reader {
    fn next(&mut self) -> io::Result<Option<Part>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let mut bytes = [0u8; SIZE];
        self.input.read_exact(&mut bytes)?;
        decode(&bytes).map(Some)
    }
}

/// All parts of the runs in order; equal ones are added up.
pub(super) struct Merged {
    readers: Vec<Reader>,
    heads: BinaryHeap<Reverse<(ConversationKey, PartKey, usize)>>,
    parts: Vec<Option<Part>>,
}

impl Merged {
    pub(super) fn new(runs: &[Run]) -> io::Result<Merged> {
        let readers = runs.iter().map(Run::read).collect::<io::Result<Vec<Reader>>>()?;
        let mut merged = Merged {
            parts: vec![None; readers.len()],
            readers,
            heads: BinaryHeap::with_capacity(runs.len()),
        };
        for at in 0..runs.len() {
            merged.advance(at)?;
        }
        Ok(merged)
    }

    fn advance(&mut self, at: usize) -> io::Result<()> {
        let Some((reader, slot)) = self.readers.get_mut(at).zip(self.parts.get_mut(at)) else {
            return Ok(());
        };
        *slot = reader.next()?;
        if let Some(part) = slot {
            self.heads.push(Reverse((part.key, part.of, at)));
        }
        Ok(())
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Part>> {
        let Some(Reverse((key, of, at))) = self.heads.pop() else { return Ok(None) };
        let Some(mut part) = self.parts.get_mut(at).and_then(Option::take) else { return Ok(None) };
        self.advance(at)?;
        while let Some(Reverse((next_key, next_of, from))) = self.heads.peek()
            && (*next_key, *next_of) == (key, of)
        {
            let from = *from;
            self.heads.pop();
            if let Some(same) = self.parts.get_mut(from).and_then(Option::take) {
                part.totals.add(&same.totals);
            }
            self.advance(from)?;
        }
        Ok(Some(part))
    }
}

fn encode(part: &Part) -> [u8; SIZE] {
    let mut bytes = [0u8; SIZE];
    let mut rest = bytes.as_mut_slice();
    let (key, of, totals) = (&part.key, &part.of, &part.totals);
    let (family, address) = match key.remote {
        IpAddr::V4(v4) => (4u8, u128::from(u32::from(v4))),
        IpAddr::V6(v6) => (6, u128::from(v6)),
    };
    let flags = [
        u8::from(key.direction == Direction::Egress),
        key.protocol,
        u8::from(key.port.is_some()),
        family,
        u8::from(of.side == Side::Reply),
        u8::from(of.rejected),
        totals.certainty as u8,
        u8::from(totals.flagged),
    ];
    let fields: [&[u8]; 12] = [
        &key.interface.to_le_bytes(),
        &key.epoch.to_le_bytes(),
        &key.port.unwrap_or(0).to_le_bytes(),
        &of.client.to_le_bytes(),
        &address.to_le_bytes(),
        &totals.records.to_le_bytes(),
        &totals.packets.to_le_bytes(),
        &totals.bytes.to_le_bytes(),
        &totals.first.to_le_bytes(),
        &totals.last.to_le_bytes(),
        &flags,
        &[],
    ];
    for field in fields {
        // The fields are as long as the array.
        let _ = rest.write(field);
    }
    bytes
}

fn decode(bytes: &[u8; SIZE]) -> io::Result<Part> {
    let mut rest = bytes.as_slice();
    fn take<const N: usize>(rest: &mut &[u8]) -> io::Result<[u8; N]> {
        let mut field = [0u8; N];
        rest.read_exact(&mut field)?;
        Ok(field)
    }
    let interface = u32::from_le_bytes(take(&mut rest)?);
    let epoch = u32::from_le_bytes(take(&mut rest)?);
    let port = u16::from_le_bytes(take(&mut rest)?);
    let client = u16::from_le_bytes(take(&mut rest)?);
    let address = u128::from_le_bytes(take(&mut rest)?);
    let records = u64::from_le_bytes(take(&mut rest)?);
    let packets = u64::from_le_bytes(take(&mut rest)?);
    let bytes = u64::from_le_bytes(take(&mut rest)?);
    let first = i64::from_le_bytes(take(&mut rest)?);
    let last = i64::from_le_bytes(take(&mut rest)?);
    let [egress, protocol, has_port, family, reply, rejected, certainty, flagged] = take(&mut rest)?;
    let remote = match family {
        4 => IpAddr::V4(Ipv4Addr::from(u32::try_from(address).unwrap_or(0))),
        _ => IpAddr::V6(Ipv6Addr::from(address)),
    };
    let certainty = match certainty {
        0 => Certainty::Guess,
        1 => Certainty::Likely,
        2 => Certainty::Ports,
        _ => Certainty::Sure,
    };
    let direction = if egress == 1 { Direction::Egress } else { Direction::Ingress };
    let side = if reply == 1 { Side::Reply } else { Side::Request };
    Ok(Part {
        key: ConversationKey {
            interface,
            epoch,
            direction,
            protocol,
            port: (has_port == 1).then_some(port),
            remote,
        },
        of: PartKey { side, rejected: rejected == 1, client },
        totals: Totals { records, packets, bytes, first, last, certainty, flagged: flagged == 1 },
    })
}
