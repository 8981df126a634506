//! The bytes of one object as blocks of whole lines of text: decompression, damage, content identity.
//!
//! Compression is found by magic bytes, never by name. A file that is small enough (nearly all are) is read whole,
//! inflated by libdeflate and handed over as one block without a copy; anything else is streamed in bounded memory. What
//! the text is, is `recognise`'s; JSON containers are opened by `envelope`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use memchr::{memchr, memrchr};

use super::buffers::Held;
pub use super::buffers::{Limits, Scratch};
pub use super::content_kind::ContentKind;
use super::gzip::{ByteSource, Ending, GzipSource, Plain, Prefixed, fill_whole};
pub use super::identity::Identity;
use super::identity::{Hashed, Tally};
use super::locate::{Located, unix_nanos};
use super::ranges::{self, Ranges};
pub use super::read_error::ReadError;
use super::whole::{has_long_line, inflate_whole};

/// How much text [`ContentReader::sniff`] shows at most.
pub const SNIFF: usize = 64 * 1024;
/// How many layers of gzip are taken off (a Firehose stream that compresses compressed records gives two).
const LAYERS: u8 = 3;
const STEP: usize = 256 * 1024;
const BOM: &[u8] = b"\xef\xbb\xbf";

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

/// One object's decoded text.
pub struct ContentReader<'s> {
    scratch: Held<'s>,
    path: String,
    modified: i64,
    state: State,
    /// Streamed text that has been read and not handed over.
    carry: Vec<u8>,
    /// The file, where it is too long to be read whole.
    long: Option<Arc<File>>,
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
        let is_long = size.is_some_and(|size| size > scratch.limits.whole_file as u64);
        let long = if is_long { file.try_clone().ok().map(Arc::new) } else { None };
        let reader = ContentReader::start(shown, Box::new(file), size, modified, scratch)?;
        Ok(ContentReader { long, ..reader })
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
            long: None,
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
        let own = Scratch::of_text(limits, text);
        ContentReader {
            scratch: Held::Own(Box::new(own)),
            path: self.path.clone(),
            modified: self.modified,
            state: std::mem::replace(&mut self.state, State::End),
            carry: std::mem::take(&mut self.carry),
            long: self.long.take(),
            offset: self.offset,
            layers: self.layers,
            kind: self.kind,
            ending: self.ending,
            tally: self.tally.clone(),
            identity: self.identity,
        }
    }

    /// The rest of a long plain file as ranges; nothing may have been taken, nor be taken then.
    pub(super) fn ranges(&self) -> Option<Ranges> {
        let plain = self.layers == 0 && self.is_stream() && ranges::SUPPORTED;
        let file = self.long.as_ref().filter(|_| plain)?;
        Some(Ranges::new(Arc::clone(file), self.offset, self.scratch.limits))
    }

    /// How many bytes of an object that is streamed have been read, as they are stored.
    pub fn consumed(&self) -> u64 {
        self.tally.bytes()
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
