//! What each stage of an ingest costs: the stages are run one after another over each file, on one thread, with the
//! library's own parts, and each is timed by itself; then the whole ingest is timed beside them.
//!
//! Files are taken one by one and rows go through in the batches and row groups of the real job, so that the caches
//! and the memory are about those of the real job too.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowq::format::{self, ColumnType, LogKind};
use flowq::ingest::rows::Group;
use flowq::ingest::work::batch_rows;
use flowq::ingest::{IngestOptions, Watch, ingest};
use flowq::parse::cells::{Cells, Wanted};
use flowq::parse::elb::ElbCutter;
use flowq::parse::flow::{FlowCutter, Layout};
use flowq::parse::inflate::Inflater;
use flowq::parse::keyed::KeyedColumn;
use flowq::parse::progress::Progress;
use flowq::parse::scan::Separators;
use flowq::source::decode::DecodeOptions;
use flowq::source::{ContentReader, Located, Recognition, Scratch, recognise};
use flowq::store::encode::{ChunkOptions, Encoder};
use parquet::arrow::ArrowSchemaConverter;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use crate::corpus::{Corpus, Options, median, scratch};

/// Rows of a row group, as in the real job.
const ROW_GROUP: usize = 512 * 1024;

/// Bytes searched for separators at a time, as the cutter does it.
const STRETCH: usize = 64 * 1024;

/// The time of one pass, by stage.
#[derive(Clone, Default)]
struct Pass {
    rows: u64,
    text: u64,
    /// Rows that are not of their columns' types; none in generated logs.
    bad: u64,
    files_left_out: u64,
    inflate: Duration,
    content: Duration,
    lines: Duration,
    fields: Duration,
    values: Duration,
    encode: Duration,
    write: Duration,
    stored: u64,
    columns: BTreeMap<String, Column>,
}

/// One column's part.
#[derive(Clone, Copy, Default)]
struct Column {
    values: Duration,
    encode: Duration,
    bytes: u64,
}

/// Runs `cargo bench -- stages`.
pub fn run(args: &[String]) -> Result<(), String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let defaults = Options { data: None, rows: 2_000_000, runs: 3, threads, tasks: Vec::new(), times: 1 };
    let options = defaults.parse(args)?;
    let corpus = Corpus::get(&options, options.rows)?;
    let (mut passes, mut alone, mut together) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.runs {
        passes.push(pass(&corpus)?);
        alone.push(whole(&corpus, 1)?);
        together.push(whole(&corpus, options.threads)?);
    }
    report(&corpus, &passes, median(alone), median(together), options.threads);
    Ok(())
}

/// Seconds of a whole ingest into a store of its own.
fn whole(corpus: &Corpus, threads: usize) -> Result<f64, String> {
    let store = scratch().join("stages-store");
    let _ = std::fs::remove_dir_all(&store);
    let options = IngestOptions {
        inputs: vec![corpus.folder.to_string_lossy().into_owned()],
        store: store.clone(),
        decode: DecodeOptions::default(),
        strict: false,
        dry_run: false,
        threads,
    };
    let begun = Instant::now();
    ingest(&options, &Watch::default()).map_err(|error| error.to_string())?;
    let seconds = begun.elapsed().as_secs_f64();
    std::fs::remove_dir_all(&store).map_err(|error| error.to_string())?;
    Ok(seconds)
}

/// How lines are cut.
enum Cutter {
    Flow(FlowCutter),
    Elb(ElbCutter),
}

impl Cutter {
    /// The cutter for what a block holds, and the columns that it fills.
    fn of(block: &[u8]) -> Option<(LogKind, Vec<usize>, Cutter)> {
        let kind = flowq::source::ContentKind::Text;
        let layout = match recognise(kind, block) {
            Recognition::FlowHeader { fields, .. } => Layout::bind(&fields),
            Recognition::FlowDefault => Layout::flow_default(),
            Recognition::TgwDefault => Layout::transit_gateway_default(),
            other => {
                let kind = other.kind()?;
                if matches!(other, Recognition::Json(_) | Recognition::FlowHeaderless { .. }) {
                    return None;
                }
                let columns: Vec<usize> = (0..kind.columns().len()).collect();
                let wanted = Wanted::new(columns.len(), &columns, true);
                return Some((kind, columns, Cutter::Elb(ElbCutter::new(kind, &wanted))));
            }
        };
        let (kind, columns) = (layout.kind, layout.carried());
        let wanted = Wanted::new(kind.columns().len(), &columns, true);
        Some((kind, columns, Cutter::Flow(FlowCutter::new(layout, wanted))))
    }

    fn cut(&mut self, block: &[u8], line: u64, from: usize, rows: usize, cells: &mut Cells) -> Progress {
        let mut refused = Vec::new();
        match self {
            Cutter::Flow(cutter) => cutter.cut_block(block, line, from, rows, cells, &mut refused),
            Cutter::Elb(cutter) => cutter.cut_block(block, line, from, rows, cells, &mut refused),
        }
    }
}

/// One set of columns under construction, and the file that it goes to.
struct Table {
    group: Group,
    columns: Vec<KeyedColumn>,
    writer: SerializedFileWriter<File>,
}

impl Table {
    fn new(group: Group, path: &Path) -> Result<Table, String> {
        let fail = |error: parquet::errors::ParquetError| error.to_string();
        let all = group.kind.columns();
        let mut columns: Vec<KeyedColumn> =
            group.columns.iter().map(|column| KeyedColumn::new(all[*column].ty)).collect();
        columns.push(KeyedColumn::new(ColumnType::Text));
        columns.push(KeyedColumn::new(ColumnType::Int64));
        let schema = ArrowSchemaConverter::new().convert(&group.schema()).map_err(fail)?;
        let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let properties = Arc::new(WriterProperties::default());
        let writer = SerializedFileWriter::new(file, schema.root_schema_ptr(), properties).map_err(fail)?;
        Ok(Table { group, columns, writer })
    }

    fn name(&self, slot: usize) -> &'static str {
        match self.group.columns.get(slot) {
            Some(column) => self.group.kind.columns()[*column].name,
            None if slot == self.group.columns.len() => format::SOURCE_FILE,
            None => format::SOURCE_LINE,
        }
    }

    fn rows(&self) -> usize {
        self.columns.last().map_or(0, KeyedColumn::len)
    }

    fn push(&mut self, block: &[u8], cells: &Cells, path: &str, pass: &mut Pass) {
        let mut bad = Vec::new();
        let carried = self.group.columns.len();
        for slot in 0..self.columns.len() {
            let name = self.name(slot);
            let begun = Instant::now();
            let column = &mut self.columns[slot];
            match cells.spans.get(slot) {
                Some(spans) if slot < carried => column.push_spans(block, spans, &mut bad),
                _ if slot == carried => column.push_repeated(Some(path), cells.rows()),
                _ => column.push_values(cells.lines.iter().map(|line| *line as i64)),
            }
            let took = begun.elapsed();
            pass.values += took;
            pass.columns.entry(name.to_owned()).or_default().values += took;
        }
        pass.bad += bad.len() as u64;
    }

    /// Encodes what there is as a row group and appends it to the file.
    fn flush(&mut self, encoder: &mut Encoder, pass: &mut Pass) -> Result<(), String> {
        if self.rows() == 0 {
            return Ok(());
        }
        let fail = |error: parquet::errors::ParquetError| error.to_string();
        let descr = self.writer.schema_descr().clone();
        let mut chunks = Vec::with_capacity(self.columns.len());
        for (slot, column) in self.columns.iter().enumerate() {
            let name = self.name(slot);
            let options = ChunkOptions { bloom_filter: Group::wants_bloom_filter(name) };
            let begun = Instant::now();
            let chunk = encoder.encode(&descr.column(slot), column, options).map_err(fail)?;
            let took = begun.elapsed();
            pass.encode += took;
            let part = pass.columns.entry(name.to_owned()).or_default();
            part.encode += took;
            part.bytes += chunk.bytes.len() as u64;
            chunks.push(chunk);
        }
        let begun = Instant::now();
        let mut group = self.writer.next_row_group().map_err(fail)?;
        for chunk in chunks {
            group.append_column(&chunk.bytes, chunk.close).map_err(fail)?;
        }
        group.close().map_err(fail)?;
        pass.write += begun.elapsed();
        let begun = Instant::now();
        self.columns.iter_mut().for_each(KeyedColumn::clear);
        pass.values += begun.elapsed();
        Ok(())
    }
}

/// Takes the corpus through all stages once.
fn pass(corpus: &Corpus) -> Result<Pass, String> {
    let mut pass = Pass::default();
    let folder = scratch().join("stages-parquet");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let mut tables: HashMap<Group, Table> = HashMap::new();
    let mut encoder = Encoder::new(1).map_err(|error| error.to_string())?;
    let mut inflater = Inflater::new().map_err(|error| error.to_string())?;
    let (mut scratch, mut block, mut spare) = (Scratch::new(), Vec::new(), Vec::new());
    let (mut separators, mut cells) = (Separators::default(), Cells::default());
    for file in &corpus.files {
        inflate_alone(file, &mut inflater, &mut spare, &mut pass)?;
        let begun = Instant::now();
        let mut reader = ContentReader::open(file, &mut scratch).map_err(|error| error.to_string())?;
        pass.content += begun.elapsed();
        let mut cutter = None;
        let mut line = 1;
        loop {
            let begun = Instant::now();
            let more = reader.next_block(&mut block).map_err(|error| error.to_string())?;
            pass.content += begun.elapsed();
            if more.is_none() {
                break;
            }
            if cutter.is_none() {
                cutter = Cutter::of(&block);
            }
            let Some((kind, columns, cutter)) = &mut cutter else {
                pass.files_left_out += 1;
                break;
            };
            pass.text += block.len() as u64;
            if matches!(cutter, Cutter::Flow(_)) {
                find_separators(&block, &mut separators, &mut pass);
            }
            let group = Group { kind: *kind, date: None, columns: columns.as_slice().into(), extra: false };
            if !tables.contains_key(&group) {
                let path = folder.join(format!("{}.parquet", tables.len()));
                tables.insert(group.clone(), Table::new(group.clone(), &path)?);
            }
            let Some(table) = tables.get_mut(&group) else { continue };
            let wanted = Wanted::new(kind.columns().len(), columns, true);
            let mut from = 0;
            while from < block.len() {
                let begun = Instant::now();
                let rows = batch_rows(&cells);
                cells.reset(&wanted);
                let progress = cutter.cut(&block, line, from, rows, &mut cells);
                pass.fields += begun.elapsed();
                if progress.next == from {
                    return Err(format!("{}: the cutter stands still at byte {from}", file.path));
                }
                from = progress.next;
                line += progress.lines;
                pass.rows += cells.rows() as u64;
                table.push(&block, &cells, &file.path, &mut pass);
                if table.rows() >= ROW_GROUP {
                    table.flush(&mut encoder, &mut pass)?;
                }
            }
        }
    }
    for mut table in tables.into_values() {
        table.flush(&mut encoder, &mut pass)?;
        let begun = Instant::now();
        table.writer.finish().map_err(|error| error.to_string())?;
        pass.write += begun.elapsed();
        pass.stored += table.writer.bytes_written() as u64;
    }
    std::fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
    Ok(pass)
}

/// The limit: gzip members inflated in memory, nothing else.
fn inflate_alone(
    file: &Located,
    inflater: &mut Inflater,
    text: &mut Vec<u8>,
    pass: &mut Pass,
) -> Result<(), String> {
    let raw = std::fs::read(file.file()).map_err(|error| format!("{}: {error}", file.path))?;
    let begun = Instant::now();
    inflate_members(&raw, inflater, text);
    pass.inflate += begun.elapsed();
    Ok(())
}

/// Inflates as many whole members as there are; returns the bytes of text.
pub fn inflate_members(raw: &[u8], inflater: &mut Inflater, text: &mut Vec<u8>) -> u64 {
    let (mut at, mut bytes) = (0, 0);
    while raw[at..].starts_with(&[0x1f, 0x8b]) {
        text.clear();
        // The length in the trailer of the last member, which mostly is the only one.
        let stated = raw.last_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length) as usize);
        text.reserve(stated.max(raw.len() * 4).min(1 << 30) + 64);
        match inflater.append_member(&raw[at..], text) {
            Ok(taken) if taken > 0 => {
                at += taken;
                bytes += text.len() as u64;
            }
            _ => break,
        }
    }
    bytes
}

fn find_separators(block: &[u8], separators: &mut Separators, pass: &mut Pass) {
    let begun = Instant::now();
    let mut from = 0;
    while from < block.len() {
        separators.find(block, from, from + STRETCH);
        std::hint::black_box(&separators);
        from += STRETCH;
    }
    pass.lines += begun.elapsed();
}

fn report(corpus: &Corpus, passes: &[Pass], alone: f64, together: f64, threads: usize) {
    let Some(first) = passes.first() else { return };
    let (rows, text) = (first.rows.max(1) as f64, first.text as f64);
    let of =
        |stage: fn(&Pass) -> Duration| median(passes.iter().map(|pass| stage(pass).as_secs_f64()).collect());
    let inflate = of(|pass| pass.inflate);
    let content = of(|pass| pass.content);
    let lines = of(|pass| pass.lines);
    let fields = of(|pass| pass.fields);
    let values = of(|pass| pass.values);
    let encode = of(|pass| pass.encode);
    let write = of(|pass| pass.write);
    let rest = alone - content - fields - values - encode - write;
    println!(
        "{} files, {} rows, {:.1} MB on disk, {:.1} MB of text, {:.1} MB of Parquet; {} runs, medians\n",
        corpus.files.len(),
        first.rows,
        corpus.bytes as f64 / 1e6,
        text / 1e6,
        first.stored as f64 / 1e6,
        passes.len(),
    );
    println!("| stage | ns per row | MB/s of text | share of the ingest |\n|---|---:|---:|---:|");
    let print = |name: &str, seconds: f64| {
        let speed = if seconds > 0.0 { text / 1e6 / seconds } else { f64::NAN };
        println!("| {name} | {:.1} | {speed:.0} | {:.1} % |", seconds * 1e9 / rows, 100.0 * seconds / alone);
    };
    print("content: read, hash, inflate", content);
    print("— of this, inflating alone", inflate);
    print("fields: lines into cells", fields);
    print("— of this, finding separators alone", lines);
    print("values: cells into dictionary keys", values);
    print("encode: keys into compressed Parquet chunks", encode);
    print("write: chunks into files", write);
    print("the rest: days, bookkeeping, sync, commit", rest);
    print("**whole ingest, 1 thread**", alone);
    print(&format!("**whole ingest, {threads} threads**"), together);
    println!("\n| column | values, ns per row | encode, ns per row | bytes per row |\n|---|---:|---:|---:|");
    for name in first.columns.keys() {
        let of =
            |part: fn(&Column) -> f64| median(passes.iter().map(|pass| part(&pass.columns[name])).collect());
        println!(
            "| {name} | {:.1} | {:.1} | {:.2} |",
            of(|column| column.values.as_secs_f64()) * 1e9 / rows,
            of(|column| column.encode.as_secs_f64()) * 1e9 / rows,
            of(|column| column.bytes as f64) / rows,
        );
    }
    if first.bad + first.files_left_out > 0 {
        println!("\n{} cells of the wrong type, {} files left out", first.bad, first.files_left_out);
    }
}
