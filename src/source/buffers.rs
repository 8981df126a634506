//! What a thread keeps from object to object: bounds, buffers, the decompressor.

use std::ops::{Deref, DerefMut};

use crate::parse::inflate::Inflater;

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
    pub(super) limits: Limits,
    pub(super) inflater: Option<Inflater>,
    pub(super) raw: Vec<u8>,
    pub(super) text: Vec<u8>,
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

    /// Buffers for a reader that is handed its bytes otherwise.
    pub(super) fn of_text(limits: Limits, text: Vec<u8>) -> Scratch {
        Scratch { limits, inflater: None, raw: Vec::new(), text }
    }

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

/// Buffers of the caller's, or the reader's own.
pub(super) enum Held<'s> {
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
