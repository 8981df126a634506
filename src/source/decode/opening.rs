//! How an object is opened: what it holds is recognised and its envelope taken off.

use std::sync::Arc;

use super::{Decoder, Feed, Opening, SPARE};
use crate::source::aws_parquet::ParquetFeed;
use crate::source::content::{BlockInfo, ContentKind, ContentReader, Scratch};
use crate::source::envelope::EnvelopeReader;
use crate::source::lines::{Lines, describe};
use crate::source::locate::Located;
use crate::source::reading::{DecodeError, DecodeOptions, Skip};
use crate::source::recognise::{JsonKind, Recognition, recognise};
use crate::source::shared::SharedText;

impl<'s> Decoder<'s> {
    /// Opens an object and recognises what it holds.
    pub fn open(
        located: &Located,
        options: &DecodeOptions,
        scratch: &'s mut Scratch,
    ) -> Result<Opening<'s>, DecodeError> {
        scratch.take_text_buffer(SPARE.take());
        Decoder::open_reader(ContentReader::open(located, scratch)?, located, options)
    }

    /// Recognises what a reader that nothing has been taken from holds; `located` is what it reads.
    pub fn open_reader(
        reader: ContentReader<'s>,
        located: &Located,
        options: &DecodeOptions,
    ) -> Result<Opening<'s>, DecodeError> {
        match reader.kind() {
            ContentKind::Empty => {
                // What breaks off before its first byte of text is no object without records.
                let ending = reader.ending();
                return Ok(match ending.is_broken() {
                    true => skip(&ending.to_string(), false),
                    false => skip("empty", true),
                });
            }
            ContentKind::Parquet => {
                let path = located.path.clone();
                let feed = ParquetFeed::open(reader, located)
                    .map_err(|source| DecodeError::Parquet { path: path.clone(), source })?;
                let Some(feed) = feed else {
                    return Ok(skip("a Parquet file that holds no flow log columns", false));
                };
                let lines = Lines {
                    kind: feed.kind(),
                    layout: Some(feed.layout().clone()),
                    timestamped: false,
                    carried: feed.layout().carried(),
                };
                return Ok(Opening::Log(Box::new(Decoder::new(
                    Feed::Parquet(Box::new(feed)),
                    lines,
                    located,
                    options,
                ))));
            }
            ContentKind::Text => {}
            other => return Ok(skip(other.refusal().unwrap_or("binary data"), false)),
        }
        let recognition = recognise(ContentKind::Text, reader.sniff());
        if let Recognition::Json(kind) = &recognition {
            return Decoder::open_events(reader, kind, located, options);
        }
        let headerless = recognition.is_headerless();
        Ok(match Lines::of(recognition, options) {
            Ok(lines) => {
                let decoder = Decoder::new(Feed::Text(reader), lines, located, options);
                Opening::Log(Box::new(decoder.without_header(headerless, options)))
            }
            Err(skip) => Opening::Skip(skip),
        })
    }

    /// Notes by which field list the lines are read, where no header says it.
    fn without_header(mut self, headerless: bool, options: &DecodeOptions) -> Decoder<'s> {
        if headerless {
            let default = || self.lines.layout.as_ref().map(|layout| layout.names.join(" "));
            self.log_format = options.log_format().or_else(default);
        }
        self
    }

    fn open_events(
        reader: ContentReader<'s>,
        kind: &JsonKind,
        located: &Located,
        options: &DecodeOptions,
    ) -> Result<Opening<'s>, DecodeError> {
        let mut events = EnvelopeReader::new(reader);
        let mut block = Vec::new();
        // The first event tells what the events are; control messages and empty pages may come before it.
        let Some(first) = events.next_block(&mut block)? else {
            return Ok(skip("an envelope without log events", true));
        };
        let recognition = recognise(ContentKind::Text, &block);
        let headerless = recognition.is_headerless();
        Ok(match Lines::of(recognition, options) {
            Ok(lines) => {
                let decoder = Decoder::new(Feed::Events(Box::new(events)), lines, located, options);
                let mut decoder = decoder.without_header(headerless, options);
                decoder.block = block;
                decoder.next_line = first.first_event;
                decoder.begin_block(BlockInfo::default());
                Opening::Log(Box::new(decoder))
            }
            Err(skip) => {
                Opening::Skip(Skip { what: format!("{} of: {}", describe(*kind), skip.what), ..skip })
            }
        })
    }

    /// Takes its share of a text that several threads read; `located` is what it is of.
    pub fn of_shared(
        shared: Arc<SharedText>,
        located: &Located,
        options: &DecodeOptions,
    ) -> Decoder<'static> {
        let lines = shared.lines();
        Decoder::new(Feed::Shared(shared), lines, located, options)
    }

    /// Lets several threads read the object, where that is worth it: a long text of which nothing has been taken. This
    /// one reads on as one of them.
    pub fn share(&mut self) -> Option<Arc<SharedText>> {
        let Feed::Text(reader) = &mut self.feed else { return None };
        if !reader.is_stream() || self.next_line != 1 || self.at < self.block.len() {
            return None;
        }
        let shared = Arc::new(SharedText::new(reader.detach(), self.lines.clone()));
        self.feed = Feed::Shared(Arc::clone(&shared));
        Some(shared)
    }
}

fn skip<'s>(what: &str, expected: bool) -> Opening<'s> {
    Opening::Skip(Skip { what: what.to_owned(), expected })
}
