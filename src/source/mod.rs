//! Where bytes come from: locating objects, AWS's key grammars, decompression, envelopes, and what a file holds.
//!
//! The way of a file: [`mod@locate`] finds it, [`content`] turns its bytes into blocks of whole lines of text,
//! [`recognise()`] says from the first of them what they are, and [`envelope`] takes records out of JSON containers.
//! What the fields of a line mean and how it is cut is `format`'s and `parse`'s.

mod absolute;
pub mod aws_parquet;
mod buffers;
pub mod content;
mod content_kind;
pub mod decode;
pub mod envelope;
mod extent;
pub mod gzip;
mod identity;
mod json;
pub mod keys;
mod lines;
pub mod locate;
pub mod log_format;
mod ranges;
mod read_error;
pub mod reading;
mod recognise;
mod recognise_json;
pub mod shared;
pub mod strip;
mod vended;
mod whole;

pub use absolute::{absolute_name, path_of_name};
pub use content::{BlockInfo, ContentKind, ContentReader, Identity, Limits, ReadError, Scratch};
pub use envelope::{EnvelopeError, EnvelopeReader, EnvelopeStats, EventBlock};
pub use extent::{Extent, is_fuller};
pub use gzip::Ending;
pub use keys::{KeyDate, KeyKind, ObjectKey};
pub use locate::{Found, LocateError, Located, SkipReason, Skipped, locate};
pub use log_format::{LogFormatError, kind_of_fields, parse_log_format, unknown_fields};
pub use recognise::{JsonKind, Recognition, recognise, recognise_line};
pub use shared::SharedText;
pub use strip::{Stripped, strip_export_time};
