//! A row group whose columns are keys into dictionaries: a condition on one column is asked once for each distinct value,
//! and of the other columns only the keys of rows for which it holds are looked at. Columns that are no keys are left to
//! the usual reader, which is told the rows.

mod arrays;
mod origin;
mod others;

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{Result, ScalarValue};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use super::coded_text;
use super::filter::{CodedFilter, Part};
use super::scan::BATCH_ROWS;
use super::values::Plain;
use crate::format::EVENT_DATE;
use crate::store::decode::{Answers, Bits, Column};
pub use origin::{Origin, origins};
pub use others::OtherReader;
use others::{Others, ranges, within};

/// Where so few rows are given that their texts are this small a part of a dictionary, they get one of their own.
const FEW: usize = 16;

/// A column of a scan.
struct Given {
    field: Arc<Field>,
    /// Its reader, if the file has it as keys.
    column: Option<usize>,
    /// Whether the usual reader gives it.
    is_other: bool,
    /// Its distinct texts, once they have been asked for.
    texts: Option<ArrayRef>,
    /// The keys of rows that are to be given out.
    keys: Vec<u32>,
}

/// What a row has to fulfil.
enum Test {
    /// A key of the column of that number, what this says.
    Key { given: usize, answers: Answers },
    /// All rows of a batch are asked.
    Rows(Part),
}

/// Rows that are looked at together.
enum Window {
    /// It has not been asked yet which of them are wanted.
    New(Range<usize>),
    /// These are.
    Asked(Range<usize>, Bits),
}

/// A row group that is being read.
pub struct KeyedGroup {
    file: File,
    columns: Vec<Column>,
    given: Vec<Given>,
    /// So many of the columns are given out, the others are the condition's only.
    shown: usize,
    schema: SchemaRef,
    date: Option<i32>,
    tests: Vec<Test>,
    /// The rows that the page index leaves, if not all.
    chosen: Option<Vec<Range<usize>>>,
    /// Rows that are looked at together; none may match if it is empty.
    windows: std::vec::IntoIter<Window>,
    /// Gives the columns that are no keys, of the rows that are wanted.
    others: Option<Others>,
    /// Rows whose keys are ready.
    ready: usize,
    ended: bool,
    /// Whether a batch has been given.
    gave: bool,
    keys: Vec<u32>,
}

impl KeyedGroup {
    /// A row group of so many rows whose columns come from there; the first, `shown`, of `read` are given out. `columns`
    /// are readers of an earlier one, which come back from [`into_columns`](KeyedGroup::into_columns).
    ///
    /// # Errors
    /// Where the file cannot be read, or is damaged.
    pub fn new(
        file: File,
        date: Option<i32>,
        (read, origins): (&Schema, Vec<Origin>),
        shown: &SchemaRef,
        (condition, chosen): (Option<CodedFilter>, Option<RowSelection>),
        mut columns: Vec<Column>,
        others: OtherReader<'_>,
    ) -> Result<KeyedGroup> {
        let mut given = Vec::with_capacity(origins.len());
        let mut used = 0;
        for (field, origin) in read.fields().iter().zip(origins) {
            let is_other = matches!(origin, Origin::Other);
            let column = match origin {
                Origin::Keys(place) => {
                    if columns.len() == used {
                        columns.push(Column::default());
                    }
                    columns.get_mut(used).into_iter().for_each(|column| column.begin(place.clone()));
                    used += 1;
                    Some(used - 1)
                }
                _ => None,
            };
            given.push(Given { field: Arc::clone(field), column, is_other, texts: None, keys: Vec::new() });
        }
        let mut group = KeyedGroup {
            file,
            columns,
            given,
            shown: shown.fields().len(),
            schema: Arc::clone(shown),
            date,
            tests: Vec::new(),
            chosen: chosen.map(|rows| ranges(&rows)),
            windows: Vec::new().into_iter(),
            others: None,
            ready: 0,
            ended: false,
            gave: false,
            keys: Vec::new(),
        };
        if group.ask(condition)? {
            let windows = group.cut()?.into_iter().map(Window::New);
            group.windows = windows.collect::<Vec<_>>().into_iter();
            if group.given.iter().any(|given| given.is_other) {
                group.tell_others(others)?;
            }
        }
        Ok(group)
    }

    /// Finds all rows that are wanted, and has the usual reader give its columns of these.
    fn tell_others(&mut self, others: OtherReader<'_>) -> Result<()> {
        let mut windows = Vec::new();
        let mut selectors = Vec::new();
        let mut at = 0;
        for window in std::mem::take(&mut self.windows) {
            let Window::New(rows) = window else { continue };
            let Some(wanted) = self.wanted(&rows)? else { continue };
            for place in wanted.places_in(0, rows.len()) {
                let row = rows.start + place;
                match selectors.last_mut() {
                    Some(RowSelector { row_count, skip: false }) if row == at => *row_count += 1,
                    _ => {
                        selectors.push(RowSelector::skip(row - at));
                        selectors.push(RowSelector::select(1));
                    }
                }
                at = row + 1;
            }
            windows.push(Window::Asked(rows, wanted));
        }
        if !windows.is_empty() {
            let names =
                self.given.iter().filter(|given| given.is_other).map(|given| given.field.name().as_str());
            let reader = others(&names.collect::<Vec<_>>(), RowSelection::from(selectors))?;
            self.others = Some(Others { reader, left: None });
        }
        self.windows = windows.into_iter();
        Ok(())
    }

    /// The readers, for the next row group.
    pub fn into_columns(self) -> Vec<Column> {
        self.columns
    }

    /// Asks what can be asked of the distinct values. `false` if no row can match.
    fn ask(&mut self, condition: Option<CodedFilter>) -> Result<bool> {
        let mut tests: Vec<Test> = Vec::new();
        for part in condition.into_iter().flat_map(CodedFilter::into_parts) {
            let name = part.column().map(str::to_owned);
            let given = self.given.iter().position(|given| Some(given.field.name()) == name.as_ref());
            let answers = match given {
                Some(given) => self.answers(&part, given)?,
                None => None,
            };
            let (Some(given), Some(answers)) = (given, answers) else {
                tests.push(Test::Rows(part));
                continue;
            };
            if answers.are_all_no() {
                return Ok(false);
            }
            let known = tests.iter_mut().find_map(|test| match test {
                Test::Key { given: known, answers } if *known == given => Some(answers),
                _ => None,
            });
            match known {
                Some(known) => {
                    known.and(&answers);
                    if known.are_all_no() {
                        return Ok(false);
                    }
                }
                None => tests.push(Test::Key { given, answers }),
            }
        }
        // Those first that leave the fewest rows, and those last that have to be asked row by row.
        tests.sort_by(|one, other| one.share().total_cmp(&other.share()));
        self.tests = tests;
        Ok(true)
    }

    /// What a condition says of each value of a column; `None` where that cannot be said.
    fn answers(&mut self, part: &Part, given: usize) -> Result<Option<Answers>> {
        let Some(ty) = self.given.get(given).map(|given| given.field.data_type().clone()) else {
            return Ok(None);
        };
        if let Some(wanted) = part.texts() {
            let Some((bytes, count)) = self.dictionary(given)? else { return Ok(None) };
            let mut of_key = vec![0; count];
            for (text, holds) in Plain(bytes).zip(&mut of_key) {
                *holds = u8::from(wanted.contains(&text));
            }
            return Ok(Some(Answers::new(of_key, false)));
        }
        let values = match ty == coded_text() {
            true => self.texts(given)?,
            false => {
                let Some((_, count)) = self.dictionary(given)? else { return Ok(None) };
                let keys: Vec<u32> = (0..u32::try_from(count).unwrap_or(u32::MAX)).collect();
                Some(self.numbers(given, &ty, &keys)?)
            }
        };
        let holds = values.and_then(|values| part.answers(&values));
        Ok(holds.map(|mut holds| {
            let of_none = holds.pop().unwrap_or(false);
            Answers::new(holds.into_iter().map(u8::from).collect(), of_none)
        }))
    }

    /// The rows in pieces that lie in one page of the column that is looked at first.
    fn cut(&mut self) -> Result<Vec<Range<usize>>> {
        let first = match self.tests.first() {
            Some(Test::Key { given, .. }) => self.given.get(*given).and_then(|given| given.column),
            _ => self.given.iter().find_map(|given| given.column),
        };
        let Some(column) = first.and_then(|first| self.columns.get_mut(first)) else { return Ok(Vec::new()) };
        let pages = column.pages(&self.file)?;
        let pieces = pages.into_iter().flat_map(|page| {
            let end = page.end;
            page.step_by(BATCH_ROWS).map(move |from| from..end.min(from + BATCH_ROWS))
        });
        let Some(chosen) = &self.chosen else { return Ok(pieces.collect()) };
        let is_wanted = |rows: &Range<usize>| {
            let next = chosen.partition_point(|range| range.end <= rows.start);
            chosen.get(next).is_some_and(|range| range.start < rows.end)
        };
        Ok(pieces.filter(is_wanted).collect())
    }

    /// The next rows; `None` after the last. A row group without any gives a batch without rows.
    ///
    /// # Errors
    /// Where the file cannot be read, or is damaged, and those of the condition.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while !self.ended {
            let (rows, wanted) = match self.windows.next() {
                Some(Window::New(rows)) => match self.wanted(&rows)? {
                    Some(wanted) => (rows, wanted),
                    None => continue,
                },
                Some(Window::Asked(rows, wanted)) => (rows, wanted),
                None => {
                    self.ended = true;
                    break;
                }
            };
            self.get_ready(rows, &wanted)?;
            if self.ready >= BATCH_ROWS {
                break;
            }
        }
        if self.ready == 0 && self.gave {
            return Ok(None);
        }
        self.give().map(Some)
    }

    /// Which of these rows are wanted; `None` if it is none of them.
    fn wanted(&mut self, rows: &Range<usize>) -> Result<Option<Bits>> {
        let mut wanted = self.chosen.as_ref().map(|chosen| within(chosen, rows));
        let mut tests = std::mem::take(&mut self.tests);
        for test in &mut tests {
            let left = match test {
                Test::Key { given, answers } => self.test_keys(*given, answers, rows, wanted.take())?,
                Test::Rows(part) => self.test_rows(part, rows, wanted.take())?,
            };
            let none = left.ones() == 0;
            wanted = Some(left);
            if none {
                break;
            }
        }
        self.tests = tests;
        let wanted = wanted.unwrap_or_else(|| {
            let mut all = Bits::default();
            all.push_run(true, rows.len());
            all
        });
        Ok((wanted.ones() > 0).then_some(wanted))
    }

    /// Makes the keys ready of those of these rows that are wanted.
    fn get_ready(&mut self, rows: Range<usize>, wanted: &Bits) -> Result<()> {
        let count = wanted.ones();
        let wanted = (count < rows.len()).then_some(wanted);
        for given in self.given.iter_mut().take(self.shown) {
            if let Some(column) = given.column.and_then(|column| self.columns.get_mut(column)) {
                column.keys(&self.file, rows.clone(), wanted, &mut given.keys)?;
            }
        }
        self.ready += count;
        Ok(())
    }

    fn test_keys(
        &mut self,
        given: usize,
        answers: &Answers,
        rows: &Range<usize>,
        wanted: Option<Bits>,
    ) -> Result<Bits> {
        let column = self.given.get(given).and_then(|given| given.column);
        let Some(column) = column.and_then(|column| self.columns.get_mut(column)) else {
            return Ok(Bits::default());
        };
        if let Some(mut wanted) = wanted {
            if wanted.ones() * FEW < rows.len() {
                self.keys.clear();
                column.keys(&self.file, rows.clone(), Some(&wanted), &mut self.keys)?;
                let mut keys = self.keys.iter();
                wanted.retain(|| keys.next().is_some_and(|key| answers.of(*key)));
            } else {
                let mut found = Bits::default();
                column.test(&self.file, rows.clone(), answers, &mut found)?;
                wanted.and(&found);
            }
            return Ok(wanted);
        }
        let mut found = Bits::default();
        column.test(&self.file, rows.clone(), answers, &mut found)?;
        Ok(found)
    }

    fn test_rows(&mut self, part: &mut Part, rows: &Range<usize>, wanted: Option<Bits>) -> Result<Bits> {
        let count = wanted.as_ref().map_or(rows.len(), Bits::ones);
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        let names: Vec<String> = part.columns().map(str::to_owned).collect();
        for name in names {
            let Some(place) = self.given.iter().position(|given| *given.field.name() == name) else {
                continue;
            };
            let mut keys = std::mem::take(&mut self.keys);
            keys.clear();
            if let Some(column) = self.reader(place) {
                column.0.keys(column.1, rows.clone(), wanted.as_ref(), &mut keys)?;
                arrays.push(self.array(place, &keys)?);
                fields.extend(self.given.get(place).map(|given| Arc::clone(&given.field)));
            }
            self.keys = keys;
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?;
        let holds = part.holds(&batch)?;
        let mut wanted = wanted.unwrap_or_else(|| {
            let mut all = Bits::default();
            all.push_run(true, rows.len());
            all
        });
        let mut holds = holds.iter();
        wanted.retain(|| holds.next().unwrap_or(false));
        Ok(wanted)
    }

    /// A batch of the rows that are ready.
    fn give(&mut self) -> Result<RecordBatch> {
        self.gave = true;
        // The usual reader gives so many at a time.
        let rows = if self.others.is_some() { self.ready.min(BATCH_ROWS) } else { self.ready };
        self.ready -= rows;
        let others = self.others.as_mut().map(|others| others.take(rows)).transpose()?;
        let mut arrays = Vec::with_capacity(self.shown);
        for place in 0..self.shown {
            let Some(given) = self.given.get_mut(place) else { continue };
            let ty = given.field.data_type().clone();
            if given.column.is_some() {
                let mut keys = std::mem::take(&mut given.keys);
                arrays.push(self.array(place, keys.get(..rows).unwrap_or_default())?);
                keys.drain(..rows.min(keys.len()));
                self.given
                    .get_mut(place)
                    .into_iter()
                    .for_each(|given| given.keys = std::mem::take(&mut keys));
                continue;
            }
            let other = others.as_ref().and_then(|others| others.column_by_name(given.field.name()));
            arrays.push(match other {
                Some(array) if array.data_type() == &ty => Arc::clone(array),
                Some(array) => cast(array, &ty)?,
                None if given.field.name() == EVENT_DATE => {
                    ScalarValue::Date32(self.date).to_array_of_size(rows)?
                }
                None => new_null_array(&ty, rows),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?)
    }
}

impl Test {
    /// About how many rows it may leave of a whole.
    fn share(&self) -> f64 {
        match self {
            Test::Key { answers, .. } => answers.share(),
            Test::Rows(_) => 2.0,
        }
    }
}
