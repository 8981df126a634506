//! What is gathered, on disk where there is more of it than memory may hold: sorted runs, read back as one.

use super::conversation::{ConversationKey, Part, PartKey, Totals};
use super::role::{Certainty, Side};
use crate::rules::Direction;
use rayon::slice::ParallelSliceMut;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a sorted run holds: rows of one length, of which those with equal keys add up.
pub(super) trait Row: Copy {
    /// The order of a run.
    type Key: Ord + Copy;
    /// The bytes of a row.
    const SIZE: usize;

    fn key(&self) -> Self::Key;
    fn add(&mut self, other: &Self);
    /// Appends [`Row::SIZE`] bytes.
    fn encode(&self, into: &mut Vec<u8>);
    fn decode(bytes: &[u8]) -> io::Result<Self>;
}

/// Sorts rows, and adds up those with equal keys.
pub(super) fn settle_order<R: Row + Send>(rows: &mut Vec<R>) {
    rows.par_sort_unstable_by_key(Row::key);
    rows.dedup_by(|later, earlier| {
        let same = later.key() == earlier.key();
        if same {
            earlier.add(later);
        }
        same
    });
}

/// Rows in order, in a file that goes with this.
#[derive(Debug)]
pub(super) struct Run<R> {
    file: File,
    path: PathBuf,
    rows: u64,
    of: PhantomData<fn() -> R>,
}

impl<R> Drop for Run<R> {
    fn drop(&mut self) {
        // Where it was removed already, as it is wherever the system allows that of an open file, nothing is left to do.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl<R: Row> Run<R> {
    /// Writes rows, which have to be in order.
    pub(super) fn write(rows: &[R]) -> io::Result<Run<R>> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("flowq-{}-{number}.run", std::process::id()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        // An interrupted run leaves nothing behind.
        let _ = std::fs::remove_file(&path);
        let mut out = BufWriter::with_capacity(1 << 18, &file);
        let mut bytes = Vec::with_capacity(R::SIZE);
        for row in rows {
            bytes.clear();
            row.encode(&mut bytes);
            out.write_all(&bytes)?;
        }
        out.flush()?;
        drop(out);
        Ok(Run { file, path, rows: rows.len() as u64, of: PhantomData })
    }

    fn read(&self) -> io::Result<Reader> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Reader {
            input: BufReader::with_capacity(1 << 18, file),
            left: self.rows,
            bytes: vec![0; R::SIZE],
        })
    }
}

struct Reader {
    input: BufReader<File>,
    left: u64,
    bytes: Vec<u8>,
}

impl Reader {
    fn next<R: Row>(&mut self) -> io::Result<Option<R>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        self.input.read_exact(&mut self.bytes)?;
        R::decode(&self.bytes).map(Some)
    }
}

/// All rows of the runs in order; equal ones are added up.
pub(super) struct Merged<R: Row> {
    readers: Vec<Reader>,
    heads: BinaryHeap<Reverse<(R::Key, usize)>>,
    rows: Vec<Option<R>>,
}

impl<R: Row> Merged<R> {
    pub(super) fn new(runs: &[Run<R>]) -> io::Result<Merged<R>> {
        // Runs share one place in their file with those that read them, so each is read through once before the next time.
        let readers = runs.iter().map(Run::read).collect::<io::Result<Vec<Reader>>>()?;
        let mut merged =
            Merged { rows: vec![None; readers.len()], readers, heads: BinaryHeap::with_capacity(runs.len()) };
        for at in 0..runs.len() {
            merged.advance(at)?;
        }
        Ok(merged)
    }

    fn advance(&mut self, at: usize) -> io::Result<()> {
        let Some((reader, slot)) = self.readers.get_mut(at).zip(self.rows.get_mut(at)) else {
            return Ok(());
        };
        *slot = reader.next()?;
        if let Some(row) = slot {
            self.heads.push(Reverse((row.key(), at)));
        }
        Ok(())
    }

    pub(super) fn next(&mut self) -> io::Result<Option<R>> {
        let Some(Reverse((key, at))) = self.heads.pop() else { return Ok(None) };
        let Some(mut row) = self.rows.get_mut(at).and_then(Option::take) else { return Ok(None) };
        self.advance(at)?;
        while let Some(Reverse((next_key, from))) = self.heads.peek()
            && *next_key == key
        {
            let from = *from;
            self.heads.pop();
            if let Some(same) = self.rows.get_mut(from).and_then(Option::take) {
                row.add(&same);
            }
            self.advance(from)?;
        }
        Ok(Some(row))
    }
}

/// Rows in order, in memory or on disk.
#[derive(Debug)]
pub(super) enum Sorted<R: Row> {
    Held(Vec<R>),
    Runs(Vec<Run<R>>),
}

impl<R: Row> Sorted<R> {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Sorted::Held(rows) => rows.is_empty(),
            Sorted::Runs(runs) => runs.is_empty(),
        }
    }

    /// Each row in order.
    pub(super) fn each(&self, mut take: impl FnMut(R) -> io::Result<()>) -> io::Result<()> {
        match self {
            Sorted::Held(rows) => rows.iter().try_for_each(|row| take(*row)),
            Sorted::Runs(runs) => {
                let mut merged = Merged::new(runs)?;
                while let Some(row) = merged.next()? {
                    take(row)?;
                }
                Ok(())
            }
        }
    }
}

/// Whole numbers and addresses as they lie in a row.
pub(super) trait Field: Sized {
    fn put(&self, into: &mut Vec<u8>);
    fn take(rest: &mut &[u8]) -> io::Result<Self>;
}

macro_rules! fields {
    ($($kind:ty),*) => { $(
        impl Field for $kind {
            fn put(&self, into: &mut Vec<u8>) {
                into.extend_from_slice(&self.to_le_bytes());
            }

            fn take(rest: &mut &[u8]) -> io::Result<Self> {
                let mut bytes = [0u8; std::mem::size_of::<$kind>()];
                rest.read_exact(&mut bytes)?;
                Ok(<$kind>::from_le_bytes(bytes))
            }
        }
    )* };
}

fields!(u8, u16, u32, u64, i64, u128);

impl Field for bool {
    fn put(&self, into: &mut Vec<u8>) {
        u8::from(*self).put(into);
    }

    fn take(rest: &mut &[u8]) -> io::Result<Self> {
        Ok(u8::take(rest)? == 1)
    }
}

impl Field for IpAddr {
    fn put(&self, into: &mut Vec<u8>) {
        let (is_v4, bits) = match self {
            IpAddr::V4(v4) => (true, u128::from(u32::from(*v4))),
            IpAddr::V6(v6) => (false, u128::from(*v6)),
        };
        is_v4.put(into);
        bits.put(into);
    }

    fn take(rest: &mut &[u8]) -> io::Result<Self> {
        let is_v4 = bool::take(rest)?;
        let bits = u128::take(rest)?;
        Ok(match is_v4 {
            true => IpAddr::V4(Ipv4Addr::from(u32::try_from(bits).unwrap_or(0))),
            false => IpAddr::V6(Ipv6Addr::from(bits)),
        })
    }
}

impl Field for Direction {
    fn put(&self, into: &mut Vec<u8>) {
        self.is_egress().put(into);
    }

    fn take(rest: &mut &[u8]) -> io::Result<Self> {
        Ok(if bool::take(rest)? { Direction::Egress } else { Direction::Ingress })
    }
}

impl Field for Totals {
    fn put(&self, into: &mut Vec<u8>) {
        [self.records, self.packets, self.bytes].iter().for_each(|sum| sum.put(into));
        [self.first, self.last].iter().for_each(|time| time.put(into));
        (self.certainty as u8).put(into);
        self.flagged.put(into);
    }

    fn take(rest: &mut &[u8]) -> io::Result<Self> {
        Ok(Totals {
            records: u64::take(rest)?,
            packets: u64::take(rest)?,
            bytes: u64::take(rest)?,
            first: i64::take(rest)?,
            last: i64::take(rest)?,
            certainty: match u8::take(rest)? {
                0 => Certainty::Guess,
                1 => Certainty::Likely,
                2 => Certainty::Ports,
                _ => Certainty::Sure,
            },
            flagged: bool::take(rest)?,
        })
    }
}

/// The bytes of [`Totals`].
pub(super) const TOTALS_SIZE: usize = 5 * 8 + 2;
/// The bytes of an address.
pub(super) const ADDRESS_SIZE: usize = 1 + 16;

impl Row for Part {
    type Key = (ConversationKey, PartKey);
    const SIZE: usize = 4 + 4 + 1 + 1 + 1 + 2 + ADDRESS_SIZE + 1 + 1 + 2 + TOTALS_SIZE;

    fn key(&self) -> Self::Key {
        (self.key, self.of)
    }

    fn add(&mut self, other: &Self) {
        self.totals.add(&other.totals);
    }

    fn encode(&self, into: &mut Vec<u8>) {
        let (key, of) = (&self.key, &self.of);
        key.interface.put(into);
        key.epoch.put(into);
        key.direction.put(into);
        key.protocol.put(into);
        key.port.is_some().put(into);
        key.port.unwrap_or(0).put(into);
        key.remote.put(into);
        (of.side == Side::Reply).put(into);
        of.rejected.put(into);
        of.client.put(into);
        self.totals.put(into);
    }

    fn decode(mut bytes: &[u8]) -> io::Result<Self> {
        let rest = &mut bytes;
        let (interface, epoch, direction) = (u32::take(rest)?, u32::take(rest)?, Direction::take(rest)?);
        let protocol = u8::take(rest)?;
        let (has_port, port) = (bool::take(rest)?, u16::take(rest)?);
        let remote = IpAddr::take(rest)?;
        let side = if bool::take(rest)? { Side::Reply } else { Side::Request };
        let of = PartKey { side, rejected: bool::take(rest)?, client: u16::take(rest)? };
        let port = has_port.then_some(port);
        let key = ConversationKey { interface, epoch, direction, protocol, port, remote };
        Ok(Part { key, of, totals: Totals::take(rest)? })
    }
}
