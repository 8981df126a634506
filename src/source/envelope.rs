//! JSON containers into plain lines: `filter-log-events` pages, subscription envelopes, Firehose's `message` objects and
//! load balancer records.
//!
//! One event is one line, so that the line number is the event's ordinal from 1. Documents are scanned, never held:
//! memory is bounded by the longest message. Other JSON (CloudTrail, say) is named by `recognise` and not read here; a
//! document without events is counted.

use super::content::{ContentReader, ReadError};
use super::json::{JsonError, JsonScanner, Token};
use super::vended;
use crate::format::LogKind;

/// About how much text a block holds.
const BLOCK: usize = 4 << 20;
/// How much of a chunk is scanned before the block is looked at.
const STEP: usize = 256 * 1024;
/// A control message is tiny: whatever holds more is data, even if it does not say so until its end.
const UNDECIDED: usize = 1 << 20;
/// Members of a document that may be a load balancer record; longer documents are none.
const RECORD: usize = 1 << 20;

/// What was found in the containers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EnvelopeStats {
    /// Documents: envelopes, pages, or single records.
    pub documents: u64,
    /// Events given as lines.
    pub events: u64,
    /// Control messages (reachability probes) dropped.
    pub control_messages: u64,
    /// Events without text, given as empty lines to keep the numbering.
    pub without_message: u64,
    /// Events whose inner line ends were replaced by spaces.
    pub joined_lines: u64,
    /// Documents that hold no events and are no known record.
    pub unknown_documents: u64,
    /// The log kind of records that came as JSON members rather than as text; the last one where they differ.
    pub vended: Option<LogKind>,
}

/// Why a container could not be read on. Everything before has been given.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// The bytes could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The text is not JSON (any more).
    #[error("{path}: not json at byte {at}: expected {expected}, found {} (is the file whole?)", shown_byte(.found))]
    Json {
        /// The object.
        path: String,
        /// Where in the decoded content.
        at: u64,
        /// What would have been right.
        expected: &'static str,
        /// What is there; `None` at the end.
        found: Option<u8>,
    },
}

fn shown_byte(byte: &Option<u8>) -> String {
    byte.map_or_else(|| "the end".to_owned(), |byte| format!("`{}`", byte.escape_ascii()))
}

/// A block of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventBlock {
    /// The ordinal, from 1, of the block's first event.
    pub first_event: u64,
}

/// Events of one object, as blocks of lines.
pub struct EnvelopeReader<'s> {
    content: ContentReader<'s>,
    scanner: JsonScanner,
    events: Events,
    chunk: Vec<u8>,
    used: usize,
    given: u64,
    base: u64,
    failure: Option<EnvelopeError>,
    done: bool,
}

impl<'s> EnvelopeReader<'s> {
    /// Reads the events of a content from which nothing has been taken.
    pub fn new(content: ContentReader<'s>) -> EnvelopeReader<'s> {
        EnvelopeReader {
            base: content.offset(),
            content,
            scanner: JsonScanner::new(),
            events: Events::default(),
            chunk: Vec::new(),
            used: 0,
            given: 0,
            failure: None,
            done: false,
        }
    }

    /// What was found so far.
    pub fn stats(&self) -> EnvelopeStats {
        self.events.stats
    }

    /// The content below, for its ending and identity.
    pub fn content(&self) -> &ContentReader<'s> {
        &self.content
    }

    /// The next lines, into the caller's vector, whose old content is dropped. An error comes once, after the last
    /// block of what precedes it.
    pub fn next_block(&mut self, block: &mut Vec<u8>) -> Result<Option<EventBlock>, EnvelopeError> {
        block.clear();
        while !self.done && self.events.out.len() < BLOCK {
            if let Err(error) = self.scan_step() {
                self.failure = Some(error);
                self.events.break_off();
                self.done = true;
            }
        }
        if self.events.out.is_empty() {
            return self.failure.take().map_or(Ok(None), Err);
        }
        std::mem::swap(block, &mut self.events.out);
        let first_event = self.given + 1;
        self.given += std::mem::take(&mut self.events.out_events);
        Ok(Some(EventBlock { first_event }))
    }

    fn scan_step(&mut self) -> Result<(), EnvelopeError> {
        if self.used >= self.chunk.len() {
            self.used = 0;
            if !self.content.next_chunk(&mut self.chunk)? {
                self.done = true;
                let result = self.scanner.finish(|token| self.events.token(token));
                return result.map_err(|error| json_error(self.content.path(), self.base, error));
            }
        }
        let end = (self.used + STEP).min(self.chunk.len());
        let step = self.chunk.get(self.used..end).unwrap_or_default();
        let result = self.scanner.push(step, |token| self.events.token(token));
        self.used = end;
        result.map_err(|error| json_error(self.content.path(), self.base, error))
    }
}

fn json_error(path: &str, base: u64, error: JsonError) -> EnvelopeError {
    EnvelopeError::Json {
        path: path.to_owned(),
        at: base + error.at,
        expected: error.expected,
        found: error.found,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// An array of documents.
    Documents,
    Document,
    /// The array under `events` or `logEvents`.
    Events,
    Event,
    Other,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Member {
    Message,
    Events,
    LogEvents,
    MessageType,
    #[default]
    Other,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Verdict {
    #[default]
    Undecided,
    Data,
    Control,
}

/// The state of the open document, and the lines of those before.
#[derive(Default)]
struct Events {
    out: Vec<u8>,
    out_events: u64,
    /// Events of a document that may yet turn out to be a control message: `messageType` may come last.
    pending: Vec<u8>,
    pending_events: u64,
    verdict: Verdict,
    stack: Vec<Role>,
    member: Member,
    /// Whether the open event has given its message, and whether the document had any array of events or message.
    event_given: bool,
    recognised: bool,
    record: Vec<(String, Vec<u8>)>,
    record_bytes: usize,
    name: String,
    stats: EnvelopeStats,
}

impl Events {
    fn token(&mut self, token: Token<'_>) {
        match token {
            Token::BeginObject => {
                let role = match self.stack.last() {
                    None | Some(Role::Documents) => Role::Document,
                    Some(Role::Events) => Role::Event,
                    Some(_) => Role::Other,
                };
                match role {
                    Role::Document => self.begin_document(),
                    Role::Event => self.event_given = false,
                    _ => {}
                }
                self.stack.push(role);
                self.member = Member::Other;
            }
            Token::BeginArray => {
                let role = match (self.stack.last(), self.member) {
                    (None, _) => Role::Documents,
                    (Some(Role::Document), Member::Events | Member::LogEvents) => Role::Events,
                    _ => Role::Other,
                };
                if role == Role::Events {
                    self.recognised = true;
                    if self.member == Member::Events {
                        self.decide(Verdict::Data);
                    }
                }
                self.stack.push(role);
                self.member = Member::Other;
            }
            Token::EndArray => {
                self.stack.pop();
            }
            Token::EndObject => match self.stack.pop() {
                Some(Role::Event) if !self.event_given => {
                    self.stats.without_message += 1;
                    self.add(b"");
                }
                Some(Role::Document) => self.end_document(),
                _ => {}
            },
            Token::Key(key) => {
                self.member = match key {
                    b"message" => Member::Message,
                    b"events" => Member::Events,
                    b"logEvents" => Member::LogEvents,
                    b"messageType" => Member::MessageType,
                    _ => Member::Other,
                };
                if self.stack.last() == Some(&Role::Document) && self.record_bytes < RECORD {
                    self.name = vended::normal_name(&String::from_utf8_lossy(key));
                }
            }
            Token::Text(text) => self.value(text, true),
            Token::Scalar(text) => self.value(text, false),
        }
    }

    fn value(&mut self, text: &[u8], is_text: bool) {
        match (self.stack.last(), self.member) {
            (Some(Role::Event), Member::Message) if is_text && !self.event_given => {
                self.event_given = true;
                self.add(text);
            }
            (Some(Role::Document), Member::Message) if is_text => {
                self.recognised = true;
                self.decide(Verdict::Data);
                self.add(text);
            }
            (Some(Role::Document), Member::MessageType) if is_text => {
                self.decide(if text == b"CONTROL_MESSAGE" { Verdict::Control } else { Verdict::Data });
            }
            (Some(Role::Document), _) if self.record_bytes < RECORD => {
                let value = if !is_text && text == b"null" { b"-" } else { text };
                self.record_bytes += self.name.len() + value.len() + 64;
                self.record.push((std::mem::take(&mut self.name), value.to_vec()));
            }
            _ => {}
        }
    }

    fn begin_document(&mut self) {
        self.verdict = Verdict::Undecided;
        self.recognised = false;
        self.record.clear();
        self.record_bytes = 0;
        self.stats.documents += 1;
    }

    fn end_document(&mut self) {
        if self.verdict == Verdict::Control {
            self.stats.control_messages += 1;
            return;
        }
        self.decide(Verdict::Data);
        if self.recognised {
            return;
        }
        let mut line = Vec::new();
        let kind = if self.record_bytes < RECORD { vended::line(&self.record, &mut line) } else { None };
        match kind {
            Some(kind) => {
                self.stats.vended = Some(kind);
                self.add(&line);
            }
            None => self.stats.unknown_documents += 1,
        }
    }

    /// Settles what the open document is; what it was first settled as stands.
    fn decide(&mut self, verdict: Verdict) {
        if self.verdict != Verdict::Undecided {
            return;
        }
        self.verdict = verdict;
        if verdict == Verdict::Data {
            self.out.append(&mut self.pending);
            self.out_events += self.pending_events;
            self.stats.events += self.pending_events;
        }
        self.pending.clear();
        self.pending_events = 0;
    }

    /// The text ends inside a document: its events so far are kept.
    fn break_off(&mut self) {
        self.decide(Verdict::Data);
    }

    fn add(&mut self, message: &[u8]) {
        if self.verdict == Verdict::Control {
            return;
        }
        if self.verdict == Verdict::Undecided && self.pending.len() + message.len() > UNDECIDED {
            self.decide(Verdict::Data);
        }
        let message = message.trim_ascii_end();
        let target = match self.verdict {
            Verdict::Undecided => {
                self.pending_events += 1;
                &mut self.pending
            }
            _ => {
                self.out_events += 1;
                self.stats.events += 1;
                &mut self.out
            }
        };
        if memchr::memchr2(b'\n', b'\r', message).is_some() {
            self.stats.joined_lines += 1;
            target
                .extend(message.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
        } else {
            target.extend_from_slice(message);
        }
        target.push(b'\n');
    }
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
