//! The files of a session over raw logs, and what has been learned about them so far.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::format::LogKind;
use crate::parse::flow::FieldList;
use crate::parse::{Cells, Refusal};
use crate::source::decode::{DecodeError, DecodeOptions, Decoder, Opening, Skip};
use crate::source::{
    ContentKind, ContentReader, Identity, KeyKind, Limits, Located, ReadError, Recognition, Scratch,
    absolute_name, is_fuller, recognise,
};
use crate::sql::formats::Formats;
use crate::sql::lacking::Lacking;
use crate::sql::unread::Unread;
use crate::store::may_be_copies;

use super::checked::Checked;
use super::quarantine::Quarantine;

/// Files up to this size are opened at once: finding out first what they hold would cost as much.
const SMALL: u64 = 256 * 1024;
/// So much of a larger file is read to find out what it holds.
const HEAD: usize = 64 * 1024;
/// So much of its text is looked at.
const HEAD_TEXT: usize = 16 * 1024;

/// Files of one size are compared by so many bytes at their end before they are compared whole.
const TAIL: u64 = 64;

/// What a file turned out to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holds {
    /// A log that begins with lines of this kind.
    Log(LogKind),
    /// Something else, or nothing that can be read.
    Nothing,
    /// No records, as is to be expected of some objects among logs.
    NoRecords,
}

/// A file with what is known of it.
#[derive(Debug)]
pub struct RawFile {
    /// Where it is.
    pub located: Located,
    /// Its absolute path, which is what `source_file` holds, as it does in a store.
    pub path: String,
    object_id: Option<String>,
    holds: OnceLock<Holds>,
    /// All kinds of lines in it; known once it has been read to its end, or where nothing else can follow.
    kinds: OnceLock<Vec<LogKind>>,
    pub(super) checked: OnceLock<Checked>,
    tail: OnceLock<Option<Vec<u8>>>,
    identity: OnceLock<Option<Identity>>,
}

impl RawFile {
    fn new(located: Located) -> RawFile {
        let absolute = (!located.is_stdin()).then(|| absolute_name(located.file())).flatten();
        let path = absolute.unwrap_or_else(|| located.path.clone());
        RawFile {
            object_id: located.object_id(),
            located,
            path,
            holds: OnceLock::new(),
            kinds: OnceLock::new(),
            checked: OnceLock::new(),
            tail: OnceLock::new(),
            identity: OnceLock::new(),
        }
    }

    /// Whether the other file holds the same bytes and AWS has not given the two different names. Little is read unless
    /// they are alike.
    pub fn is_copy_of(&self, other: &RawFile) -> bool {
        let alike = self.located.size == other.located.size
            && may_be_copies(self.object_id.as_deref(), other.object_id.as_deref());
        alike
            && self.tail().is_some()
            && self.tail() == other.tail()
            && self
                .identity()
                .is_some_and(|own| other.identity().is_some_and(|others| own.hash == others.hash))
    }

    /// The last bytes. Of a gzip file they hold the checksum and the size of what is compressed.
    fn tail(&self) -> Option<&[u8]> {
        let read = || {
            let mut file = File::open(self.located.file()).ok()?;
            file.seek(SeekFrom::Start(self.located.size.saturating_sub(TAIL))).ok()?;
            let mut tail = Vec::new();
            file.take(TAIL).read_to_end(&mut tail).ok()?;
            Some(tail)
        };
        self.tail.get_or_init(read).as_deref()
    }

    fn identity(&self) -> Option<&Identity> {
        self.identity.get_or_init(|| Identity::of_file(self.located.file()).ok()).as_ref()
    }

    /// What the file holds, if it has been opened before.
    pub fn holds(&self) -> Option<&Holds> {
        self.holds.get()
    }

    /// Remembers what the file holds.
    pub fn learn(&self, holds: Holds) {
        // The first to learn it is as right as any other.
        let _ = self.holds.set(holds);
    }

    /// Remembers that the file holds lines of these kinds and of no other.
    pub fn learn_kinds(&self, kinds: Vec<LogKind>) {
        let _ = self.kinds.set(kinds);
    }

    /// Whether the file may hold lines of this kind, by what is known without reading it.
    pub fn is_known_to_lack(&self, kind: LogKind) -> bool {
        if let Some(kinds) = self.kinds.get() {
            return !kinds.contains(&kind);
        }
        match self.holds() {
            Some(Holds::Log(first)) => !first.may_become(kind),
            Some(Holds::Nothing | Holds::NoRecords) => true,
            None => false,
        }
    }

    /// Whether the file may hold lines of this kind, by what is known or by a look at its first bytes.
    pub fn may_hold(&self, kind: LogKind) -> bool {
        if self.holds().is_some() {
            return !self.is_known_to_lack(kind);
        }
        let expected = match self.located.key.kind {
            Some(KeyKind::FlowLog) => LogKind::Flow.may_become(kind),
            _ => false,
        };
        if expected || self.located.size <= SMALL || self.located.is_stdin() {
            return true;
        }
        match self.head_kind() {
            Some(found) => {
                self.learn(Holds::Log(found));
                found.may_become(kind)
            }
            None => true,
        }
    }

    /// The kind of log by the first bytes; `None` where they do not tell for certain.
    fn head_kind(&self) -> Option<LogKind> {
        let mut head = Vec::new();
        File::open(self.located.file()).ok()?.take(HEAD as u64).read_to_end(&mut head).ok()?;
        let text = if head.starts_with(&[0x1f, 0x8b]) {
            let mut text = Vec::new();
            let decoder = flate2::read::MultiGzDecoder::new(io::Cursor::new(head));
            // The head ends in the middle of the stream; what came before its end counts.
            let _ = decoder.take(HEAD_TEXT as u64).read_to_end(&mut text);
            text
        } else {
            head.truncate(HEAD_TEXT);
            head
        };
        match recognise(ContentKind::Text, &text) {
            Recognition::FlowHeader { kind, .. } => Some(kind),
            Recognition::Alb => Some(LogKind::Alb),
            Recognition::AlbConnection => Some(LogKind::AlbConnection),
            Recognition::AlbHealthCheck => Some(LogKind::AlbHealthCheck),
            Recognition::Clb => Some(LogKind::Clb),
            Recognition::Nlb => Some(LogKind::Nlb),
            // What options or an envelope decide is found out by opening the file.
            _ => None,
        }
    }
}

/// Buffers of one reader, kept from file to file.
#[derive(Debug)]
pub struct Workspace {
    /// For reading and decompressing.
    pub scratch: Scratch,
    /// For cutting.
    pub cells: Cells,
    /// For what is not cut.
    pub refused: Vec<Refusal>,
}

/// Files by the columns that lines of theirs carry.
type ByFormat = Vec<(LogKind, Vec<usize>, BTreeSet<usize>)>;

/// All files of a session.
#[derive(Debug)]
pub struct RawInput {
    /// The files, in time order as far as their keys tell.
    pub files: Vec<RawFile>,
    /// How they are read.
    pub decode: DecodeOptions,
    /// What could not be read.
    pub quarantine: Quarantine,
    /// Files with a line that cannot be read are left out.
    pub strict: bool,
    /// How many may read a long file in full together, so that those of all long files are no more than the threads.
    pub checkers: usize,
    /// A query has taken lines as rows without looking at any field of theirs.
    pub unlooked: AtomicBool,
    limits: Limits,
    stdin: OnceLock<Result<Vec<u8>, String>>,
    carried: Mutex<BTreeSet<(LogKind, usize)>>,
    read: Mutex<ByFormat>,
    /// The fields of the rows that have been read, by file and kind.
    fields: Mutex<BTreeMap<(LogKind, usize), FieldList>>,
    workspaces: Mutex<Vec<Workspace>>,
}

impl RawInput {
    /// These files, read in this way.
    pub fn new(
        objects: Vec<Located>,
        decode: DecodeOptions,
        threads: usize,
        limits: Limits,
        strict: bool,
    ) -> RawInput {
        let long = objects.iter().filter(|object| object.size > limits.whole_file as u64).count();
        RawInput {
            checkers: threads.checked_div(long).unwrap_or(threads).max(1),
            unlooked: AtomicBool::new(false),
            files: objects.into_iter().map(RawFile::new).collect(),
            decode,
            quarantine: Quarantine::default(),
            strict,
            limits,
            stdin: OnceLock::new(),
            carried: Mutex::default(),
            read: Mutex::default(),
            fields: Mutex::default(),
            workspaces: Mutex::default(),
        }
    }

    /// All of standard input as it came, read once: each table of a session may need it.
    pub fn stdin(&self) -> Result<&[u8], ReadError> {
        let read = self.stdin.get_or_init(|| {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes).map_err(|error| error.to_string())
        });
        match read {
            Ok(bytes) => Ok(bytes),
            Err(error) => {
                Err(ReadError::Io { path: "-".to_owned(), at: 0, source: io::Error::other(error.clone()) })
            }
        }
    }

    /// Remembers which columns the file of this number carries.
    pub fn note_carried(&self, number: usize, kind: LogKind, columns: &[usize]) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        match read.iter_mut().find(|(of, known, _)| *of == kind && known == columns) {
            Some((_, _, files)) => drop(files.insert(number)),
            None => read.push((kind, columns.to_vec(), BTreeSet::from([number]))),
        }
        drop(read);
        let mut carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        if columns.iter().any(|column| !carried.contains(&(kind, *column))) {
            carried.extend(columns.iter().map(|column| (kind, *column)));
        }
    }

    /// Remembers the fields that rows of the file of this number have.
    pub fn note_fields(&self, number: usize, kind: LogKind, fields: &FieldList) {
        let mut known = self.fields.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry((kind, number)).or_default().merge(fields);
    }

    /// What is known of the fields of files of a kind, by the rows that have been read.
    pub fn formats(&self, kind: LogKind) -> Formats {
        let known = self.fields.lock().unwrap_or_else(PoisonError::into_inner);
        let mut formats = Formats::of(kind);
        for ((_, number), fields) in known.range((kind, 0)..=(kind, usize::MAX)) {
            if let Some((file, fields)) = self.files.get(*number).zip(fields.get()) {
                formats.add(&file.path, fields);
            }
        }
        formats
    }

    /// What could not be read, as far as files have been read, of those that hold this kind of log or, by their names, may.
    pub fn unread(&self, kind: LogKind) -> Vec<Unread> {
        let files: HashMap<&str, &RawFile> =
            self.files.iter().map(|file| (file.path.as_str(), file)).collect();
        let may_hold = |path: &str| {
            files.get(path).is_none_or(|file| match file.holds() {
                Some(Holds::Log(held)) => held.may_become(kind),
                Some(Holds::NoRecords) => false,
                Some(Holds::Nothing) | None => match file.located.key.kind {
                    Some(KeyKind::FlowLog) => LogKind::Flow.may_become(kind),
                    Some(_) => false,
                    None => true,
                },
            })
        };
        self.quarantine.unread(kind, may_hold)
    }

    /// The columns of a kind that some file which has been read carries; empty before the first was read.
    pub fn carried(&self, kind: LogKind) -> Vec<usize> {
        let carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        carried.range((kind, 0)..=(kind, usize::MAX)).map(|(_, column)| *column).collect()
    }

    /// Forgets which files statements have read.
    pub fn forget_read(&self) {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How many of the files that statements have read hold lines of a kind without these columns. A file with several
    /// headers counts once for each set of fields.
    pub fn lacking(&self, kind: LogKind, columns: &BTreeSet<String>) -> Lacking {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |is_counted: &dyn Fn(&[usize]) -> bool| {
            let counted = read.iter().filter(|(of, carried, _)| *of == kind && is_counted(carried));
            counted.map(|(_, _, files)| files.len() as u64).sum::<u64>()
        };
        let mut lacking = Lacking::new("files");
        let total = count(&|_| true);
        for name in columns {
            let Some(column) = kind.column_index(name) else { continue };
            lacking.add(name, count(&|carried| !carried.contains(&column)), total);
        }
        lacking
    }

    /// Whether several read the file of this number together, if it can be read so. How long standard input is shows
    /// when it is read.
    pub fn is_long(&self, number: usize) -> bool {
        let is_long =
            |file: &RawFile| file.located.is_stdin() || file.located.size > self.limits.whole_file as u64;
        self.files.get(number).is_some_and(is_long)
    }

    /// Opens a file.
    pub fn open<'s>(&self, file: &RawFile, scratch: &'s mut Scratch) -> Result<Opening<'s>, DecodeError> {
        if !file.located.is_stdin() {
            return Decoder::open(&file.located, &self.decode, scratch);
        }
        let reader = ContentReader::from_bytes(self.stdin()?, &file.located.path, scratch)?;
        Decoder::open_reader(reader, &file.located, &self.decode)
    }

    /// Whether files have been opened and none of them holds a log that can be read.
    pub fn nothing_recognised(&self) -> bool {
        let is_log = |file: &RawFile| matches!(file.holds(), Some(Holds::Log(_)));
        let is_known = |file: &RawFile| file.holds().is_some() || self.quarantine.is_copy(&file.path);
        self.files.iter().all(|file| is_known(file) && !is_log(file))
            && self.files.iter().any(|file| file.holds() == Some(&Holds::Nothing))
    }

    /// Notes that a file cannot be opened.
    pub fn note_problem(&self, file: &RawFile, problem: String) {
        file.learn(Holds::Nothing);
        self.quarantine.add_problem(&file.path, problem);
    }

    /// Notes why a file is not read.
    pub fn note_skip(&self, file: &RawFile, skip: &Skip) {
        file.learn(if skip.expected { Holds::NoRecords } else { Holds::Nothing });
        if !skip.expected {
            self.quarantine.add_skipped(&file.path, &skip.what);
        }
    }

    /// Of these files, those that are no copy of one before them, and no lesser copy of another: the same log synced twice,
    /// restored beside the original or saved under another name counts once, and so does a download that broke off beside
    /// the whole.
    pub fn without_copies<'a>(&self, files: Vec<(usize, &'a RawFile)>) -> Vec<(usize, &'a RawFile)> {
        let mut fullest: HashMap<&str, &RawFile> = HashMap::new();
        for (_, file) in &files {
            let Some(id) = file.object_id.as_deref() else { continue };
            let known = fullest.entry(id).or_insert(file);
            if is_fuller(&file.located, &known.located) {
                *known = file;
            }
        }
        let mut by_size: HashMap<u64, Vec<&RawFile>> = HashMap::with_capacity(files.len());
        let mut originals = Vec::with_capacity(files.len());
        for (number, file) in files {
            let fuller = file.object_id.as_deref().and_then(|id| fullest.get(id));
            if let Some(fuller) = fuller.filter(|fuller| fuller.located.size != file.located.size) {
                self.quarantine.add_copy(&file.path, &format!("less of the same object as {}", fuller.path));
                continue;
            }
            let of_size = by_size.entry(file.located.size).or_default();
            // Pipes have no size before they are read.
            let comparable = file.located.size > 0 && !file.located.is_stdin();
            match of_size.iter().find(|other| comparable && file.is_copy_of(other)) {
                Some(other) => {
                    self.quarantine.add_copy(&file.path, &format!("the same content as {}", other.path))
                }
                None => {
                    of_size.push(file);
                    originals.push((number, file));
                }
            }
        }
        originals
    }

    /// Buffers that no other reader uses; give them back when done.
    pub fn borrow_workspace(&self) -> Workspace {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_else(|| {
            let scratch = Scratch::with_limits(self.limits);
            Workspace { scratch, cells: Cells::default(), refused: Vec::new() }
        })
    }

    /// Takes buffers back.
    pub fn return_workspace(&self, workspace: Workspace) {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).push(workspace);
    }
}
