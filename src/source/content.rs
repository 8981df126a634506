//! The bytes of one object as blocks of whole lines of text: decompression, damage, content identity.
//!
//! Compression is found by magic bytes, never by name. A file that is small enough (nearly all are) is read whole,
//! inflated by libdeflate and handed over as one block without a copy; anything else is streamed in bounded memory. What
//! the text is, is `recognise`'s; JSON containers are opened by `envelope`.

use std::fs::File;
use std::io::{self, Read};
use std::ops::{Deref, DerefMut};
use std::path::Path;

use memchr::{memchr, memrchr};

pub use super::content_kind::ContentKind;
use super::gzip::{ByteSource, Ending, GzipSource, Plain, Prefixed, fill_whole};
pub use super::identity::Identity;
use super::identity::{Hashed, Tally};
use super::locate::{Located, unix_nanos};
use super::whole::{has_long_line, inflate_whole};
use crate::parse::inflate::Inflater;

/// How much text [`ContentReader::sniff`] shows at most.
pub const SNIFF: usize = 64 * 1024;
/// How many layers of gzip are taken off (a Firehose stream that compresses compressed records gives two).
const LAYERS: u8 = 3;
const STEP: usize = 256 * 1024;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// What bounds the memory of reading; per thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Files of at most this many (compressed) bytes are read whole.
    pub whole_file: usize,
    /// Text of at most this many bytes is handed over as one block.
    pub whole_text: usize,
    /// Streamed text comes in blocks of about this many bytes.
    pub block: usize,
    /// Lines longer than about this are cut.
    pub line: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { whole_file: 24 << 20, whole_text: 96 << 20, block: 4 << 20, line: 16 << 20 }
    }
}

/// Buffers and the decompressor, kept by each thread from file to file: fresh large buffers cost more in page faults
/// than the work done in them.
#[derive(Debug)]
pub struct Scratch {
    limits: Limits,
    inflater: Option<Inflater>,
    raw: Vec<u8>,
    text: Vec<u8>,
}

impl Scratch {
    /// Empty buffers, default limits.
    pub fn new() -> Scratch {
        Scratch::with_limits(Limits::default())
    }

    /// Empty buffers.
    pub fn with_limits(limits: Limits) -> Scratch {
        Scratch { limits, inflater: Inflater::new().ok(), raw: Vec::new(), text: Vec::new() }
    }
}

impl Scratch {
    /// Gives back the buffer of a block that is no longer needed, for the next text.
    pub(crate) fn take_text_buffer(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() > self.text.capacity() {
            self.text = buffer;
        }
    }
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch::new()
    }
}

/// Why an object could not be read (on).
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is gone since it was listed.
    #[error("{path}: no such file (it may have been moved since it was listed)")]
    NotFound {
        /// The object.
        path: String,
    },
    /// It may not be read.
    #[error("{path}: permission denied (check the file's owner and mode)")]
    PermissionDenied {
        /// The object.
        path: String,
    },
    /// Reading failed.
    #[error("{path}: cannot be read at byte {at}: {source}")]
    Io {
        /// The object.
        path: String,
        /// How many bytes of it had been read.
        at: u64,
        /// The cause.
        source: io::Error,
    },
    /// More than the caller asked for at most.
    #[error("{path}: holds more than {limit} bytes when decompressed (decompress it first)")]
    TooLarge {
        /// The object.
        path: String,
        /// The bound.
        limit: usize,
    },
}

impl ReadError {
    pub(crate) fn open(path: String, source: io::Error) -> ReadError {
        match source.kind() {
            io::ErrorKind::NotFound => ReadError::NotFound { path },
            io::ErrorKind::PermissionDenied => ReadError::PermissionDenied { path },
            _ => ReadError::Io { path, at: 0, source },
        }
    }
}

/// What a block is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockInfo {
    /// Where it begins in the decoded content, in bytes.
    pub offset: u64,
    /// The block is one line that was longer than [`Limits::line`]; so many bytes of its end have been dropped.
    pub cut: Option<u64>,
}

enum State {
    /// The text lies in `Scratch::text`.
    Whole,
    Stream(Box<dyn ByteSource>),
    End,
}

/// Buffers of the caller's, or the reader's own.
enum Held<'s> {
    Borrowed(&'s mut Scratch),
    Own(Box<Scratch>),
}

impl Deref for Held<'_> {
    type Target = Scratch;

    fn deref(&self) -> &Scratch {
        match self {
            Held::Borrowed(scratch) => scratch,
            Held::Own(scratch) => scratch,
        }
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Scratch {
        match self {
            Held::Borrowed(scratch) => scratch,
            Held::Own(scratch) => scratch,
        }
    }
}

/// One object's decoded text.
pub struct ContentReader<'s> {
    scratch: Held<'s>,
    path: String,
    modified: i64,
    state: State,
    /// Streamed text that has been read and not handed over.
    carry: Vec<u8>,
    offset: u64,
    layers: u8,
    kind: ContentKind,
    ending: Ending,
    tally: Tally,
    identity: Option<Identity>,
}

impl<'s> ContentReader<'s> {
    /// Opens a located object, or standard input. A small file is read and inflated here.
    pub fn open(located: &Located, scratch: &'s mut Scratch) -> Result<ContentReader<'s>, ReadError> {
        if located.is_stdin() {
            return ContentReader::start("-", Box::new(io::stdin()), None, 0, scratch);
        }
        ContentReader::open_path(located.file(), &located.path, scratch)
    }

    /// Opens a file; `shown` is its name in messages.
    pub fn open_path(
        path: &Path,
        shown: &str,
        scratch: &'s mut Scratch,
    ) -> Result<ContentReader<'s>, ReadError> {
        let open = || -> io::Result<(File, std::fs::Metadata)> {
            let file = File::open(path)?;
            let data = file.metadata()?;
            Ok((file, data))
        };
        let (file, data) = open().map_err(|source| ReadError::open(shown.to_owned(), source))?;
        let modified = data.modified().ok().map(unix_nanos).unwrap_or(0);
        let size = data.is_file().then_some(data.len());
        ContentReader::start(shown, Box::new(file), size, modified, scratch)
    }

    /// Reads bytes in memory.
    pub fn from_bytes(
        bytes: &[u8],
        shown: &str,
        scratch: &'s mut Scratch,
    ) -> Result<ContentReader<'s>, ReadError> {
        let input = Box::new(io::Cursor::new(bytes.to_vec()));
        ContentReader::start(shown, input, Some(bytes.len() as u64), 0, scratch)
    }

    fn start(
        shown: &str,
        mut input: Box<dyn Read + Send>,
        size: Option<u64>,
        modified: i64,
        scratch: &'s mut Scratch,
    ) -> Result<ContentReader<'s>, ReadError> {
        scratch.raw.clear();
        scratch.text.clear();
        let whole = scratch.limits.whole_file;
        // One byte more than the bound shows that there is more.
        let take = if size.is_some_and(|size| size > whole as u64) { 0 } else { whole as u64 + 1 };
        scratch.raw.reserve(size.map_or(0, |size| size.min(take) as usize + 1));
        let read = (&mut input).take(take).read_to_end(&mut scratch.raw);
        let at = scratch.raw.len() as u64;
        read.map_err(|source| ReadError::Io { path: shown.to_owned(), at, source })?;
        let mut reader = ContentReader {
            scratch: Held::Borrowed(scratch),
            path: shown.to_owned(),
            modified,
            state: State::Whole,
            carry: Vec::new(),
            offset: 0,
            layers: 0,
            kind: ContentKind::Empty,
            ending: Ending::Complete,
            tally: Tally::default(),
            identity: None,
        };
        if take > 0 && at <= whole as u64 {
            reader.decode_whole()?;
        } else {
            let rest = Hashed { source: Plain(input), tally: reader.tally.clone() };
            let prefix = std::mem::take(&mut reader.scratch.raw);
            reader.tally.add(&prefix);
            reader.stream(Box::new(Prefixed { prefix, taken: 0, rest }))?;
        }
        Ok(reader)
    }

    fn decode_whole(&mut self) -> Result<(), ReadError> {
        let Scratch { limits, inflater, raw, text } = &mut *self.scratch;
        self.identity = Some(Identity::of_bytes(raw, self.modified));
        while self.layers < LAYERS && is_gzip(raw) {
            match inflate_whole(inflater.as_mut(), raw, text, limits.whole_text) {
                Some(ending) => {
                    if self.ending == Ending::Complete {
                        self.ending = ending;
                    }
                    self.layers += 1;
                    std::mem::swap(raw, text);
                }
                None => {
                    let prefix = std::mem::take(raw);
                    return self.stream(Box::new(Prefixed { prefix, taken: 0, rest: Plain(io::empty()) }));
                }
            }
        }
        std::mem::swap(raw, text);
        self.kind = ContentKind::of(text);
        if self.kind == ContentKind::Text
            && (text.len() > limits.whole_text || has_long_line(text, limits.line))
        {
            let prefix = std::mem::take(text);
            return self.stream(Box::new(Prefixed { prefix, taken: 0, rest: Plain(io::empty()) }));
        }
        if text.starts_with(BOM) {
            text.drain(..BOM.len());
            self.offset = BOM.len() as u64;
        }
        Ok(())
    }

    fn stream(&mut self, mut source: Box<dyn ByteSource>) -> Result<(), ReadError> {
        loop {
            let mut prefix = vec![0; SNIFF];
            let filled = fill_whole(&mut *source, &mut prefix).map_err(|source| self.failed(source))?;
            prefix.truncate(filled);
            if self.layers >= LAYERS || !is_gzip(&prefix) {
                self.carry = prefix;
                break;
            }
            self.layers += 1;
            source = Box::new(GzipSource::new(Prefixed { prefix, taken: 0, rest: source }));
        }
        self.kind = ContentKind::of(&self.carry);
        if self.carry.starts_with(BOM) {
            self.carry.drain(..BOM.len());
            self.offset = BOM.len() as u64;
        }
        self.state = State::Stream(source);
        Ok(())
    }

    /// Whether the text comes in blocks, being too long to be one.
    pub fn is_stream(&self) -> bool {
        matches!(self.state, State::Stream(_))
    }

    /// Moves the rest of a stream to a reader that needs none of the caller's buffers; this one is at its end.
    pub(super) fn detach(&mut self) -> ContentReader<'static> {
        let limits = self.scratch.limits;
        let text = if self.is_stream() { Vec::new() } else { std::mem::take(&mut self.scratch.text) };
        let own = Scratch { limits, inflater: None, raw: Vec::new(), text };
        ContentReader {
            scratch: Held::Own(Box::new(own)),
            path: self.path.clone(),
            modified: self.modified,
            state: std::mem::replace(&mut self.state, State::End),
            carry: std::mem::take(&mut self.carry),
            offset: self.offset,
            layers: self.layers,
            kind: self.kind,
            ending: self.ending,
            tally: self.tally.clone(),
            identity: self.identity,
        }
    }

    fn failed(&self, source: io::Error) -> ReadError {
        ReadError::Io { path: self.path.clone(), at: self.tally.bytes(), source }
    }

    /// The object's name in messages.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The first decoded bytes, at most [`SNIFF`] of them; only before the first block is taken.
    pub fn sniff(&self) -> &[u8] {
        let text = match self.state {
            State::Whole => &self.scratch.text,
            _ => &self.carry,
        };
        text.get(..SNIFF).unwrap_or(text)
    }

    /// How much decoded content has been handed over or dropped, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What the decoded content is.
    pub fn kind(&self) -> ContentKind {
        self.kind
    }

    /// How many layers of gzip have been taken off.
    pub fn layers(&self) -> u8 {
        self.layers
    }

    /// How the compressed bytes ended; final once everything has been read.
    pub fn ending(&self) -> Ending {
        match &self.state {
            State::Stream(source) if self.ending == Ending::Complete => source.ending(),
            _ => self.ending,
        }
    }

    /// The object's identity: at once for an object that is read whole, otherwise when everything has been read.
    pub fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// The next block of whole lines, into the caller's vector, whose old content is dropped (and whose memory is
    /// reused). Only the last line of the content may lack its end, and a block of one cut line does. An object that is
    /// read whole comes as one block; otherwise blocks hold about [`Limits::block`] bytes.
    pub fn next_block(&mut self, block: &mut Vec<u8>) -> Result<Option<BlockInfo>, ReadError> {
        block.clear();
        let offset = self.offset;
        match &mut self.state {
            State::End => return Ok(None),
            State::Whole => {
                std::mem::swap(block, &mut self.scratch.text);
                self.state = State::End;
            }
            State::Stream(source) => {
                let limits = self.scratch.limits;
                std::mem::swap(block, &mut self.carry);
                let mut last = memrchr(b'\n', block);
                loop {
                    let length = block.len();
                    if length >= limits.block.max(1) && (last.is_some() || length > limits.line) {
                        break;
                    }
                    let count = match read_step(&mut **source, block) {
                        Ok(count) => count,
                        Err(source) => return Err(self.failed(source)),
                    };
                    if count == 0 {
                        self.end();
                        self.offset += block.len() as u64;
                        return Ok((!block.is_empty()).then_some(BlockInfo { offset, cut: None }));
                    }
                    let new = memrchr(b'\n', block.get(length..).unwrap_or_default());
                    last = new.map(|at| length + at).or(last);
                }
                match last {
                    Some(at) => {
                        self.carry.clear();
                        self.carry.extend_from_slice(block.get(at + 1..).unwrap_or_default());
                        block.truncate(at + 1);
                    }
                    None => {
                        return self
                            .cut_line(block)
                            .map(|dropped| Some(BlockInfo { offset, cut: Some(dropped) }));
                    }
                }
            }
        }
        self.offset += block.len() as u64;
        Ok((!block.is_empty()).then_some(BlockInfo { offset, cut: None }))
    }

    /// Drops the end of a line that is too long; what follows it stays for the next block.
    fn cut_line(&mut self, block: &mut Vec<u8>) -> Result<u64, ReadError> {
        let keep = self.scratch.limits.line;
        let mut dropped = block.len().saturating_sub(keep) as u64;
        block.truncate(keep);
        self.carry.clear();
        while let State::Stream(source) = &mut self.state {
            self.carry.clear();
            let count = match read_step(&mut **source, &mut self.carry) {
                Ok(count) => count,
                Err(source) => return Err(self.failed(source)),
            };
            if count == 0 {
                self.end();
                break;
            }
            if let Some(at) = memchr(b'\n', &self.carry) {
                self.carry.drain(..=at);
                self.offset += 1;
                dropped += at as u64;
                break;
            }
            dropped += count as u64;
        }
        self.offset += block.len() as u64 + dropped;
        Ok(dropped)
    }

    /// The next bytes of the content, cut anywhere, into the caller's vector. Not to be mixed with
    /// [`next_block`](Self::next_block). False at the end.
    pub fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> Result<bool, ReadError> {
        chunk.clear();
        match &mut self.state {
            State::End => return Ok(false),
            State::Whole => {
                std::mem::swap(chunk, &mut self.scratch.text);
                self.state = State::End;
            }
            State::Stream(source) => {
                std::mem::swap(chunk, &mut self.carry);
                self.carry.clear();
                while chunk.len() < STEP {
                    let count = match read_step(&mut **source, chunk) {
                        Ok(count) => count,
                        Err(source) => return Err(self.failed(source)),
                    };
                    if count == 0 {
                        self.end();
                        break;
                    }
                }
            }
        }
        self.offset += chunk.len() as u64;
        Ok(!chunk.is_empty())
    }

    /// All that is left, for containers such as Parquet that are not read as a stream.
    pub fn read_all(&mut self, output: &mut Vec<u8>, limit: usize) -> Result<(), ReadError> {
        let mut chunk = Vec::new();
        output.clear();
        while self.next_chunk(&mut chunk)? {
            if output.len() + chunk.len() > limit {
                return Err(ReadError::TooLarge { path: self.path.clone(), limit });
            }
            if output.is_empty() {
                std::mem::swap(output, &mut chunk);
            } else {
                output.extend_from_slice(&chunk);
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        self.ending = self.ending();
        self.state = State::End;
        if self.identity.is_none() {
            self.identity = Some(self.tally.identity(self.modified));
        }
    }
}

pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x1f\x8b")
}

pub(super) fn read_step(source: &mut dyn ByteSource, output: &mut Vec<u8>) -> io::Result<usize> {
    let length = output.len();
    output.resize(length + STEP, 0);
    let result = fill_whole(source, output.get_mut(length..).unwrap_or_default());
    output.truncate(length + result.as_ref().map_or(0, |count| *count));
    result
}

#[cfg(test)]
#[path = "content_tests.rs"]
mod tests;
