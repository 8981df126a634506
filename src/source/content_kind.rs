//! What a content is, by its magic bytes, and what to say of the kinds that are not read.

/// What a content is, by its first decoded bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentKind {
    /// Nothing.
    Empty,
    /// Text, or bytes of no known container.
    Text,
    /// Apache Parquet.
    Parquet,
    /// More layers of gzip than are taken off.
    NestedGzip,
    /// A zip archive.
    Zip,
    /// Framed snappy.
    Snappy,
    /// Zstandard.
    Zstd,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
    /// A tar archive.
    Tar,
    /// Apache ORC.
    Orc,
    /// Apache Avro.
    Avro,
    /// UTF-16 with its byte order mark, as PowerShell writes redirected output.
    Utf16,
}

/// Where a tar header says that it is one (POSIX.1-1988).
const TAR_MARK: usize = 257;

impl ContentKind {
    pub(crate) fn of(text: &[u8]) -> ContentKind {
        const MAGIC: [(&[u8], ContentKind); 13] = [
            (b"PAR1", ContentKind::Parquet),
            (b"\x1f\x8b", ContentKind::NestedGzip),
            (b"PK\x03\x04", ContentKind::Zip),
            (b"PK\x05\x06", ContentKind::Zip),
            (b"\xff\x06\x00\x00sNaPpY", ContentKind::Snappy),
            (b"\x28\xb5\x2f\xfd", ContentKind::Zstd),
            (b"BZh", ContentKind::Bzip2),
            (b"\xfd7zXZ\x00", ContentKind::Xz),
            (b"ORC", ContentKind::Orc),
            (b"Obj\x01", ContentKind::Avro),
            (b"\xff\xfe", ContentKind::Utf16),
            (b"\xfe\xff", ContentKind::Utf16),
            (b"", ContentKind::Text),
        ];
        if text.is_empty() {
            return ContentKind::Empty;
        }
        // The first member's header begins with its name, and with zeros behind that.
        let mark = text.get(TAR_MARK..).is_some_and(|rest| rest.starts_with(b"ustar"));
        if mark && text.get(..TAR_MARK).is_some_and(|header| header.contains(&0)) {
            return ContentKind::Tar;
        }
        MAGIC.iter().find(|(magic, _)| text.starts_with(magic)).map_or(ContentKind::Text, |(_, kind)| *kind)
    }

    /// Why a content of this kind is not read as text, and what to do; `None` for text, nothing and Parquet.
    pub fn refusal(self) -> Option<&'static str> {
        match self {
            ContentKind::Empty | ContentKind::Text | ContentKind::Parquet => None,
            ContentKind::NestedGzip => Some("more than three layers of gzip (gunzip it first)"),
            ContentKind::Zip => Some("zip objects are not read (unzip them first)"),
            ContentKind::Snappy => Some("snappy objects are not read (decompress them first)"),
            ContentKind::Zstd => Some("zstd objects are not read (run zstd -d first)"),
            ContentKind::Bzip2 => Some("bzip2 objects are not read (run bunzip2 first)"),
            ContentKind::Xz => Some("xz objects are not read (run unxz first)"),
            ContentKind::Tar => Some("tar archives are not read (unpack them first)"),
            ContentKind::Orc => Some("orc objects are not read (deliver text or parquet)"),
            ContentKind::Avro => Some("avro objects are not read (deliver text or parquet)"),
            ContentKind::Utf16 => Some("utf-16 text is not read (save it as utf-8)"),
        }
    }
}
