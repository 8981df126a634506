//! Rows packed by column: texts as keys, numbers as distances from the least, everything else as it came.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, Int32DictionaryArray, PrimitiveArray, RecordBatch,
    RecordBatchOptions, StringArray, StringViewArray,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::{cast, concat};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Int32Type, Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::Result;

use crate::sql::coded::keys::Texts;
use crate::sql::coded::{coded_text, same_texts};

/// Unsigned numbers in as few bytes as the largest of them needs.
#[derive(Debug)]
enum Narrow {
    One(Vec<u8>),
    Two(Vec<u16>),
    Four(Vec<u32>),
}

impl Narrow {
    fn of(numbers: &[u32], most: u32) -> Narrow {
        if most <= u32::from(u8::MAX) {
            Narrow::One(numbers.iter().map(|number| *number as u8).collect())
        } else if most <= u32::from(u16::MAX) {
            Narrow::Two(numbers.iter().map(|number| *number as u16).collect())
        } else {
            Narrow::Four(numbers.to_vec())
        }
    }

    fn memory(&self) -> usize {
        match self {
            Narrow::One(numbers) => numbers.capacity(),
            Narrow::Two(numbers) => numbers.capacity() * 2,
            Narrow::Four(numbers) => numbers.capacity() * 4,
        }
    }

    /// `count` numbers from `from` on, fewer at the end, each as `convert` makes it.
    fn read<T>(&self, from: usize, count: usize, convert: impl Fn(u32) -> T) -> Vec<T> {
        fn part<N>(numbers: &[N], from: usize, count: usize) -> &[N] {
            let rest = numbers.get(from..).unwrap_or_default();
            rest.get(..count).unwrap_or(rest)
        }
        match self {
            Narrow::One(numbers) => {
                part(numbers, from, count).iter().map(|n| convert(u32::from(*n))).collect()
            }
            Narrow::Two(numbers) => {
                part(numbers, from, count).iter().map(|n| convert(u32::from(*n))).collect()
            }
            Narrow::Four(numbers) => part(numbers, from, count).iter().map(|n| convert(*n)).collect(),
        }
    }
}

#[derive(Debug)]
enum Column {
    /// Texts as keys into the distinct ones, of which there are some.
    Text { keys: Narrow, values: Arc<StringArray>, nulls: Option<NullBuffer> },
    /// Numbers as distances from the least one.
    Number { least: i64, above: Narrow, nulls: Option<NullBuffer> },
    /// Anything else.
    Other(ArrayRef),
}

/// Packed rows.
#[derive(Debug)]
pub struct Chunk {
    rows: usize,
    columns: Vec<Column>,
}

impl Chunk {
    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// About how many bytes it takes.
    pub fn memory(&self) -> usize {
        let nulls = |nulls: &Option<NullBuffer>| nulls.as_ref().map_or(0, |nulls| nulls.len() / 8);
        self.columns
            .iter()
            .map(|column| match column {
                Column::Text { keys, values, nulls: n } => {
                    keys.memory() + values.get_array_memory_size() + nulls(n)
                }
                Column::Number { above, nulls: n, .. } => above.memory() + nulls(n),
                Column::Other(array) => array.get_array_memory_size(),
            })
            .sum()
    }

    /// At most `count` rows from `from` on, of these columns, which `schema` describes: text coded or as it was.
    pub fn unpack(
        &self,
        schema: &SchemaRef,
        columns: &[usize],
        from: usize,
        count: usize,
    ) -> Result<RecordBatch> {
        let count = count.min(self.rows.saturating_sub(from));
        let arrays: Result<Vec<ArrayRef>> = columns
            .iter()
            .zip(schema.fields())
            .filter_map(|(column, field)| Some((self.columns.get(*column)?, field)))
            .map(|(column, field)| column.unpack(field.data_type(), from, count))
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(Arc::clone(schema), arrays?, &options)?)
    }
}

impl Column {
    fn unpack(&self, ty: &DataType, from: usize, count: usize) -> Result<ArrayRef> {
        let slice = |nulls: &Option<NullBuffer>| nulls.as_ref().map(|nulls| nulls.slice(from, count));
        Ok(match self {
            Column::Text { keys, values, nulls } => {
                let keys = Int32Array::new(keys.read(from, count, |key| key as i32).into(), slice(nulls));
                let coded: ArrayRef =
                    Arc::new(Int32DictionaryArray::try_new(keys, Arc::clone(values) as ArrayRef)?);
                if ty == &coded_text() { coded } else { cast(&coded, ty)? }
            }
            Column::Number { least, above, nulls } => match ty {
                DataType::Int32 => numbers::<Int32Type>(
                    above.read(from, count, |above| least.wrapping_add(i64::from(above)) as i32),
                    slice(nulls),
                    ty,
                ),
                DataType::Timestamp(..) => numbers::<TimestampMicrosecondType>(
                    above.read(from, count, |above| least.wrapping_add(i64::from(above))),
                    slice(nulls),
                    ty,
                ),
                _ => numbers::<Int64Type>(
                    above.read(from, count, |above| least.wrapping_add(i64::from(above))),
                    slice(nulls),
                    ty,
                ),
            },
            Column::Other(array) if array.data_type() == ty => array.slice(from, count),
            Column::Other(array) => cast(&array.slice(from, count), ty)?,
        })
    }
}

fn numbers<T: ArrowPrimitiveType>(
    values: Vec<T::Native>,
    nulls: Option<NullBuffer>,
    ty: &DataType,
) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(ty.clone()))
}

/// Packs rows as they come.
pub struct Packer {
    columns: Vec<Packing>,
    rows: usize,
}

enum Packing {
    Text(Box<PackedText>),
    Number { arrays: Vec<ArrayRef>, ty: DataType },
    Other(Vec<ArrayRef>),
}

impl Packer {
    /// Packs rows of this schema.
    pub fn new(schema: &SchemaRef) -> Packer {
        let packing = |ty: &DataType| match ty {
            DataType::Utf8View | DataType::Utf8 => Packing::Text(Box::new(PackedText::new(ty.clone()))),
            DataType::Int32 | DataType::Int64 | DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Packing::Number { arrays: Vec::new(), ty: ty.clone() }
            }
            _ => Packing::Other(Vec::new()),
        };
        Packer { columns: schema.fields().iter().map(|field| packing(field.data_type())).collect(), rows: 0 }
    }

    /// Whether these rows have the dictionaries of those that wait, so that nothing need be looked up to pack them together.
    pub fn fits(&self, batch: &RecordBatch) -> bool {
        self.columns.iter().zip(batch.columns()).all(|(packing, array)| match packing {
            Packing::Text(text) => text.fits(array),
            _ => true,
        })
    }

    /// How many bytes the texts of one column have that wait to be packed, at most.
    pub fn text_bytes(&self) -> usize {
        let bytes = self.columns.iter().map(|packing| match packing {
            Packing::Text(text) => text.texts.bytes(),
            _ => 0,
        });
        bytes.max().unwrap_or(0)
    }

    /// How many rows wait to be packed.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds rows.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        for (packing, array) in self.columns.iter_mut().zip(batch.columns()) {
            match packing {
                Packing::Text(text) => text.push(array)?,
                Packing::Number { arrays, .. } | Packing::Other(arrays) => arrays.push(Arc::clone(array)),
            }
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    /// The rows so far as a chunk.
    pub fn finish(&mut self) -> Result<Chunk> {
        let columns: Result<Vec<Column>> = self.columns.iter_mut().map(Packing::finish).collect();
        Ok(Chunk { rows: std::mem::take(&mut self.rows), columns: columns? })
    }
}

impl Packing {
    fn finish(&mut self) -> Result<Column> {
        Ok(match self {
            Packing::Text(text) => text.finish()?,
            Packing::Number { arrays, ty } => {
                let arrays = std::mem::take(arrays);
                let packed = match ty {
                    DataType::Int32 => pack::<Int32Type>(&arrays, i64::from),
                    DataType::Timestamp(..) => pack::<TimestampMicrosecondType>(&arrays, |value| value),
                    _ => pack::<Int64Type>(&arrays, |value| value),
                };
                match packed {
                    Some(packed) => packed,
                    None => Column::Other(joined(&arrays)?),
                }
            }
            Packing::Other(arrays) => Column::Other(joined(&std::mem::take(arrays))?),
        })
    }
}

/// Texts that wait to be packed.
struct PackedText {
    ty: DataType,
    /// The one dictionary of all rows, and their keys into it, [`NO_KEY`] for no text.
    coded: Option<(ArrayRef, Vec<u32>)>,
    /// Where there is no such dictionary: all distinct texts, and the number of each row's.
    texts: Texts,
    numbers: Vec<u32>,
}

/// The key of a row without a text.
const NO_KEY: u32 = u32::MAX;

impl PackedText {
    fn new(ty: DataType) -> PackedText {
        PackedText { ty, coded: None, texts: Texts::default(), numbers: Vec::new() }
    }

    fn fits(&self, array: &ArrayRef) -> bool {
        match (&self.coded, array.as_dictionary_opt::<Int32Type>()) {
            (Some((known, _)), Some(dictionary)) => same_texts(known, dictionary.values()),
            (Some(_), None) => false,
            (None, _) => true,
        }
    }

    fn push(&mut self, array: &ArrayRef) -> Result<()> {
        if let Some(dictionary) = array.as_dictionary_opt::<Int32Type>()
            && self.numbers.is_empty()
            && self.fits(array)
        {
            let (_, keys) = self.coded.get_or_insert_with(|| (Arc::clone(dictionary.values()), Vec::new()));
            let codes = dictionary.keys();
            match codes.null_count() {
                0 => keys.extend(codes.values().iter().map(|code| *code as u32)),
                _ => keys.extend(codes.iter().map(|code| code.map_or(NO_KEY, |code| code as u32))),
            }
            return Ok(());
        }
        self.look_up()?;
        self.texts.numbers(array, &mut self.numbers)
    }

    /// Numbers the rows so far by their texts, in place of their dictionary.
    fn look_up(&mut self) -> Result<()> {
        let Some((values, keys)) = self.coded.take() else { return Ok(()) };
        let keys: Int32Array = keys.iter().map(|key| (*key != NO_KEY).then_some(*key as i32)).collect();
        let coded: ArrayRef = Arc::new(Int32DictionaryArray::try_new(keys, values)?);
        self.texts.numbers(&coded, &mut self.numbers)
    }

    fn finish(&mut self) -> Result<Column> {
        let column = match self.coded.take() {
            // A dictionary of which most is used is kept as it is.
            Some((values, mut keys)) if (1..=keys.len()).contains(&values.len()) => {
                let nulls = keys.contains(&NO_KEY).then(|| keys.iter().map(|key| *key != NO_KEY).collect());
                if nulls.is_some() {
                    keys.iter_mut().filter(|key| **key == NO_KEY).for_each(|key| *key = 0);
                }
                let most = u32::try_from(values.len()).unwrap_or(u32::MAX);
                let values = Arc::new(values.as_string::<i32>().clone());
                Column::Text { keys: Narrow::of(&keys, most), values, nulls }
            }
            coded => {
                self.coded = coded;
                self.look_up()?;
                text_column(&self.ty, &self.texts, &self.numbers)?
            }
        };
        self.texts.clear();
        self.numbers.clear();
        Ok(column)
    }
}

fn text_column(ty: &DataType, texts: &Texts, numbers: &[u32]) -> Result<Column> {
    if texts.is_empty() || texts.bytes() > i32::MAX as usize {
        // There is no text for the key 0, or no array that codes them.
        let views: StringViewArray = numbers.iter().map(|number| texts.get(*number)).collect();
        return Ok(Column::Other(cast(&views, ty)?));
    }
    let nulls = numbers.contains(&0).then(|| numbers.iter().map(|number| *number != 0).collect());
    let keys: Vec<u32> = numbers.iter().map(|number| number.saturating_sub(1)).collect();
    let values: StringArray = (1..=texts.len() as u32).map(|number| texts.get(number)).collect();
    Ok(Column::Text { keys: Narrow::of(&keys, texts.len() as u32), values: Arc::new(values), nulls })
}

fn joined(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
    Ok(concat(&arrays)?)
}

/// Numbers as distances from the least; `None` where four bytes do not hold these.
fn pack<T: ArrowPrimitiveType>(arrays: &[ArrayRef], wide: impl Fn(T::Native) -> i64) -> Option<Column> {
    let arrays: Vec<&PrimitiveArray<T>> = arrays.iter().map(|array| array.as_primitive::<T>()).collect();
    let present = || arrays.iter().flat_map(|array| array.iter().flatten()).map(&wide);
    let plain = arrays.iter().all(|array| array.null_count() == 0);
    let (mut least, mut most) = (i64::MAX, i64::MIN);
    if plain {
        for value in arrays.iter().flat_map(|array| array.values().iter()) {
            let value = wide(*value);
            (least, most) = (least.min(value), most.max(value));
        }
    } else {
        present().for_each(|value| (least, most) = (least.min(value), most.max(value)));
    }
    if least > most {
        return None;
    }
    let span = u32::try_from(most.checked_sub(least)?).ok()?;
    // What stands under a null may be anything; there it is nothing.
    let distance = |value: T::Native| wide(value).wrapping_sub(least) as u32;
    let above: Vec<u32> = match plain {
        true => arrays.iter().flat_map(|array| array.values().iter()).map(|value| distance(*value)).collect(),
        false => {
            arrays.iter().flat_map(|array| array.iter()).map(|value| value.map_or(0, distance)).collect()
        }
    };
    let nulls = (!plain)
        .then(|| arrays.iter().flat_map(|array| (0..array.len()).map(|row| array.is_valid(row))).collect());
    Some(Column::Number { least, above: Narrow::of(&above, span), nulls })
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Float64Array, Int32Array, Int64Array, TimestampMicrosecondArray};
    use proptest::prelude::*;

    type Row = (Option<String>, Option<i32>, Option<i64>, Option<i64>);

    fn batch(rows: &[Row]) -> RecordBatch {
        let column = |values: Vec<Option<i64>>| TimestampMicrosecondArray::from(values).with_timezone("UTC");
        RecordBatch::try_from_iter_with_nullable([
            (
                "view",
                Arc::new(rows.iter().map(|row| row.0.as_deref()).collect::<StringViewArray>()) as ArrayRef,
                true,
            ),
            ("text", Arc::new(rows.iter().map(|row| row.0.as_deref()).collect::<StringArray>()) as _, true),
            ("int", Arc::new(rows.iter().map(|row| row.1).collect::<Int32Array>()) as _, true),
            ("long", Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()) as _, true),
            ("time", Arc::new(column(rows.iter().map(|row| row.3).collect())) as _, true),
            (
                "float",
                Arc::new(rows.iter().map(|row| row.1.map(f64::from)).collect::<Float64Array>()) as _,
                true,
            ),
        ])
        .unwrap()
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out_again(
            batches in prop::collection::vec(prop::collection::vec((
                prop::option::weighted(0.8, prop_oneof!["[ab]{0,2}", "[0-9.]{10,20}", "é{1,9}"]),
                prop::option::weighted(0.9, prop_oneof![any::<i32>(), 0..300i32]),
                prop::option::weighted(0.9, prop_oneof![Just(i64::MIN), Just(i64::MAX), 0..70_000i64]),
                prop::option::weighted(0.9, 1_700_000_000_000_000..1_700_000_900_000_000i64),
            ), 0..40), 1..5),
            from in 0usize..120,
            count in 1usize..60,
        ) {
            let all: Vec<RecordBatch> = batches.iter().map(|rows| batch(rows)).collect();
            let schema = all[0].schema();
            let whole = datafusion::arrow::compute::concat_batches(&schema, &all).unwrap();
            let mut packer = Packer::new(&schema);
            // A packer packs again and again.
            packer.push(&all[0]).unwrap();
            packer.finish().unwrap();
            all.iter().for_each(|batch| packer.push(batch).unwrap());
            let chunk = packer.finish().unwrap();
            prop_assert_eq!(chunk.rows(), whole.num_rows());
            let columns = [5, 0, 1, 2, 3, 4];
            let from = from.min(whole.num_rows());
            let found = chunk.unpack(&Arc::new(schema.project(&columns).unwrap()), &columns, from, count).unwrap();
            let wanted = whole.slice(from, count.min(whole.num_rows() - from)).project(&columns).unwrap();
            prop_assert_eq!(found, wanted);
        }
    }
}
