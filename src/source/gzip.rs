//! Streaming gzip: several members, and an exact account of how the stream ended.
//!
//! flate2's own multi-member reader ends silently or with one error for all kinds of damage; a log reader has to keep
//! what came before the damage and say what it was, so header and trailer are read here and flate2 only inflates.

use std::io::{self, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

/// How much compressed text is read at a time.
const INPUT: usize = 256 * 1024;

/// How the compressed bytes ended. Offsets are in the bytes of the outermost layer that is damaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// At the end of a member, or of text that was never compressed. Zero padding counts as that.
    #[default]
    Complete,
    /// In the middle of a member, as in a download that broke off.
    Truncated {
        /// The length of what is there.
        at: u64,
    },
    /// Damaged: what follows could not be inflated, or the last member read fails its checksum.
    Corrupt {
        /// Where it was noticed.
        at: u64,
    },
    /// Something else follows the last member.
    TrailingGarbage {
        /// Where it begins.
        at: u64,
        /// How long it is.
        bytes: u64,
    },
}

impl Ending {
    /// Whether text is missing: not where only something follows that is not gzip.
    pub fn is_broken(self) -> bool {
        matches!(self, Ending::Truncated { .. } | Ending::Corrupt { .. })
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ending::Complete => f.write_str("complete"),
            Ending::Truncated { at } => write!(f, "gzip data breaks off at byte {at} (fetch the file again)"),
            Ending::Corrupt { at } => write!(f, "gzip data is corrupt near byte {at} (fetch the file again)"),
            Ending::TrailingGarbage { at, bytes } => {
                write!(f, "{bytes} bytes that are not gzip follow the gzip data at byte {at}")
            }
        }
    }
}

/// A stream of bytes that knows how the compressed layers below it ended.
pub(crate) trait ByteSource: Send {
    /// Reads some bytes; none only at the end.
    fn fill(&mut self, output: &mut [u8]) -> io::Result<usize>;
    /// How the stream ended; meaningful once `fill` has returned 0.
    fn ending(&self) -> Ending;
}

/// Reads until `output` is full or the stream ends.
pub(crate) fn fill_whole(source: &mut dyn ByteSource, output: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = output.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.fill(rest)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// Bytes already read, and then the rest of the stream.
pub(crate) struct Prefixed<S> {
    pub prefix: Vec<u8>,
    pub taken: usize,
    pub rest: S,
}

impl<S: ByteSource> ByteSource for Prefixed<S> {
    fn fill(&mut self, output: &mut [u8]) -> io::Result<usize> {
        let left = self.prefix.get(self.taken..).unwrap_or_default();
        if left.is_empty() {
            if self.taken > 0 {
                (self.prefix, self.taken) = (Vec::new(), 0);
            }
            return self.rest.fill(output);
        }
        let count = left.len().min(output.len());
        if let (Some(to), Some(from)) = (output.get_mut(..count), left.get(..count)) {
            to.copy_from_slice(from);
        }
        self.taken += count;
        Ok(count)
    }

    fn ending(&self) -> Ending {
        self.rest.ending()
    }
}

impl ByteSource for Box<dyn ByteSource> {
    fn fill(&mut self, output: &mut [u8]) -> io::Result<usize> {
        (**self).fill(output)
    }

    fn ending(&self) -> Ending {
        (**self).ending()
    }
}

/// Any reader as a source that ends whole.
pub(crate) struct Plain<R>(pub R);

impl<R: Read + Send> ByteSource for Plain<R> {
    fn fill(&mut self, output: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(output) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn ending(&self) -> Ending {
        Ending::Complete
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a member; `first` while none has been read.
    Between {
        first: bool,
    },
    Body,
    Done,
}

/// Why a header or trailer could not be read.
enum Cut {
    End,
    Bad,
}

/// The bytes in several gzip members.
pub(crate) struct GzipSource<S> {
    source: S,
    input: Vec<u8>,
    /// What of `input` has been used, and how much of it is filled.
    used: usize,
    filled: usize,
    /// Offset in the compressed stream of `input[0]`.
    base: u64,
    state: State,
    inflate: Decompress,
    crc: Crc,
    ending: Ending,
}

impl<S: ByteSource> GzipSource<S> {
    pub(crate) fn new(source: S) -> GzipSource<S> {
        GzipSource::at_member(source, true)
    }

    /// Begins at a member that is the `first` or follows others.
    pub(crate) fn at_member(source: S, first: bool) -> GzipSource<S> {
        GzipSource {
            source,
            input: vec![0; INPUT],
            used: 0,
            filled: 0,
            base: 0,
            state: State::Between { first },
            inflate: Decompress::new(false),
            crc: Crc::new(),
            ending: Ending::Complete,
        }
    }

    fn position(&self) -> u64 {
        self.base + self.used as u64
    }

    /// Reads more compressed bytes where all are used; false at the end.
    fn refill(&mut self) -> io::Result<bool> {
        if self.used < self.filled {
            return Ok(true);
        }
        self.base += self.filled as u64;
        (self.used, self.filled) = (0, 0);
        self.filled = self.source.fill(&mut self.input)?;
        Ok(self.filled > 0)
    }

    fn next_byte(&mut self) -> io::Result<Option<u8>> {
        if !self.refill()? {
            return Ok(None);
        }
        let byte = self.input.get(self.used).copied();
        self.used += 1;
        Ok(byte)
    }

    fn finish(&mut self, ending: Ending) {
        self.state = State::Done;
        self.ending = ending;
    }

    fn drain(&mut self) -> io::Result<u64> {
        let mut bytes = 0;
        while self.refill()? {
            bytes += (self.filled - self.used) as u64;
            self.used = self.filled;
        }
        Ok(bytes)
    }

    /// Reads up to and including the next member's header; false at the end of the stream.
    fn begin_member(&mut self, first: bool) -> io::Result<bool> {
        while !first && self.refill()? && self.input.get(self.used) == Some(&0) {
            self.used += 1;
        }
        let start = self.position();
        if !self.refill()? {
            let ending = if first { Ending::Truncated { at: start } } else { Ending::Complete };
            self.finish(ending);
            return Ok(false);
        }
        match self.read_header()? {
            Ok(()) => {
                self.inflate.reset(false);
                self.crc.reset();
                self.state = State::Body;
                return Ok(true);
            }
            Err(Cut::End) if first || self.position() - start > 2 => {
                let at = self.position();
                self.finish(Ending::Truncated { at });
            }
            // Two bytes or fewer at the end may be a header's beginning or anything else.
            Err(Cut::End) => {
                let bytes = self.position() - start;
                self.finish(Ending::TrailingGarbage { at: start, bytes });
            }
            Err(Cut::Bad) => {
                let at = self.position();
                let bytes = at - start + self.drain()?;
                let ending =
                    if first { Ending::Corrupt { at } } else { Ending::TrailingGarbage { at: start, bytes } };
                self.finish(ending);
            }
        }
        Ok(false)
    }

    /// RFC 1952, section 2.3.
    fn read_header(&mut self) -> io::Result<Result<(), Cut>> {
        for expected in [0x1f, 0x8b, 8] {
            match self.next_byte()? {
                None => return Ok(Err(Cut::End)),
                Some(byte) if byte != expected => return Ok(Err(Cut::Bad)),
                Some(_) => {}
            }
        }
        let Some(flags) = self.next_byte()? else { return Ok(Err(Cut::End)) };
        if flags & 0xe0 != 0 {
            return Ok(Err(Cut::Bad));
        }
        let mut skip = 6u32;
        if flags & 4 != 0 {
            if !self.skip(6)? {
                return Ok(Err(Cut::End));
            }
            let (Some(low), Some(high)) = (self.next_byte()?, self.next_byte()?) else {
                return Ok(Err(Cut::End));
            };
            skip = u32::from(low) + u32::from(high) * 256;
        }
        if !self.skip(skip)? {
            return Ok(Err(Cut::End));
        }
        // File name and comment, each ended by a zero byte.
        for _ in 0..(flags & 8 != 0) as u8 + (flags & 16 != 0) as u8 {
            loop {
                match self.next_byte()? {
                    None => return Ok(Err(Cut::End)),
                    Some(0) => break,
                    Some(_) => {}
                }
            }
        }
        if flags & 2 != 0 && !self.skip(2)? {
            return Ok(Err(Cut::End));
        }
        Ok(Ok(()))
    }

    fn skip(&mut self, count: u32) -> io::Result<bool> {
        for _ in 0..count {
            if self.next_byte()?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Checksum and length after the body.
    fn end_member(&mut self) -> io::Result<()> {
        let mut numbers = [0u32; 2];
        for number in &mut numbers {
            for shift in [0, 8, 16, 24] {
                let Some(byte) = self.next_byte()? else {
                    let at = self.position();
                    self.finish(Ending::Truncated { at });
                    return Ok(());
                };
                *number |= u32::from(byte) << shift;
            }
        }
        if numbers == [self.crc.sum(), self.crc.amount()] {
            self.state = State::Between { first: false };
        } else {
            let at = self.position();
            self.finish(Ending::Corrupt { at });
            self.drain()?;
        }
        Ok(())
    }
}

impl<S: ByteSource> ByteSource for GzipSource<S> {
    fn fill(&mut self, output: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.state {
                State::Done => return Ok(0),
                State::Between { first } => {
                    if !self.begin_member(first)? {
                        return Ok(0);
                    }
                }
                State::Body => {}
            }
            if output.is_empty() {
                return Ok(0);
            }
            let more = self.refill()?;
            let input = self.input.get(self.used..self.filled).unwrap_or_default();
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let result = self.inflate.decompress(input, output, FlushDecompress::None);
            let consumed = (self.inflate.total_in() - before_in) as usize;
            self.used += consumed;
            let produced = ((self.inflate.total_out() - before_out) as usize).min(output.len());
            self.crc.update(output.get(..produced).unwrap_or_default());
            match result {
                Ok(Status::StreamEnd) => self.end_member()?,
                Err(_) => {
                    let at = self.position();
                    self.finish(Ending::Corrupt { at });
                    self.drain()?;
                }
                Ok(_) if produced == 0 && !more => {
                    let at = self.position();
                    self.finish(Ending::Truncated { at });
                }
                // No progress with both input and room would repeat for ever.
                Ok(_) if produced == 0 && consumed == 0 => {
                    let at = self.position();
                    self.finish(Ending::Corrupt { at });
                    self.drain()?;
                }
                Ok(_) => {}
            }
            if produced > 0 {
                return Ok(produced);
            }
        }
    }

    fn ending(&self) -> Ending {
        // Damage below explains damage here.
        match self.source.ending() {
            Ending::Complete => self.ending,
            below => below,
        }
    }
}
