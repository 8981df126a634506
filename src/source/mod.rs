//! Where bytes come from: locating objects, AWS's key grammars, decompression, envelopes, and what a file holds.
//!
//! The way of a file: [`locate`] finds it, [`content`] turns its bytes into blocks of whole lines of text,
//! [`recognise`] says from the first of them what they are, and [`envelope`] takes records out of JSON containers.
//! What the fields of a line mean and how it is cut is `format`'s and `parse`'s.

pub mod content;
pub mod gzip;
pub mod keys;
pub mod locate;

pub use content::{BlockInfo, ContentKind, ContentReader, Identity, Limits, ReadError, Scratch};
pub use gzip::Ending;
pub use keys::{KeyDate, KeyKind, ObjectKey};
pub use locate::{Found, LocateError, Located, SkipReason, Skipped, locate};
