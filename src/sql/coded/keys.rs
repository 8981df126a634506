//! Groups of rows by the values of some columns: each distinct combination has a number, in the order of its first row.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, Int64Array, StringViewBuilder, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{Result, internal_err, resources_err};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::same_texts;
use crate::parse::keyed::{NULL as NO_KEY, TextValues};

/// No value has this number yet.
const UNKNOWN: u32 = u32::MAX;

/// The number of null.
const NULL: u32 = 0;

/// Numbers from 0 to below this are found without hashing: ports, protocols, most counts.
const SMALL: usize = 1 << 16;

/// The distinct values of one column, numbered from 1 on.
#[derive(Debug)]
enum Values {
    Text(Texts),
    Number { ty: DataType, small: Vec<u32>, others: HashMap<i64, u32, FixedState>, values: Vec<i64> },
}

/// Whether rows can be grouped by a column of this type.
pub fn can_group_by(ty: &DataType) -> bool {
    matches!(
        ty,
        DataType::Utf8View
            | DataType::Int32
            | DataType::Int64
            | DataType::Timestamp(TimeUnit::Microsecond, _)
    )
}

impl Values {
    fn new(ty: &DataType) -> Values {
        match ty {
            DataType::Utf8View => Values::Text(Texts::default()),
            ty => Values::Number {
                ty: ty.clone(),
                small: Vec::new(),
                others: HashMap::default(),
                values: Vec::new(),
            },
        }
    }

    fn clear(&mut self) {
        match self {
            Values::Text(texts) => texts.clear(),
            Values::Number { small, others, values, .. } => {
                small.fill(UNKNOWN);
                others.clear();
                values.clear();
            }
        }
    }

    fn memory(&self) -> usize {
        match self {
            Values::Text(texts) => texts.memory(),
            Values::Number { small, others, values, .. } => {
                small.len() * 4 + others.len() * 24 + values.len() * 8
            }
        }
    }

    /// Adds the number of each row's value.
    fn numbers(&mut self, array: &ArrayRef, numbers: &mut Vec<u32>) -> Result<()> {
        match self {
            Values::Text(texts) => texts.numbers(array, numbers),
            Values::Number { ty, small, others, values } => {
                small.resize(SMALL, UNKNOWN);
                let mut number = |value: i64| {
                    if let Some(number) =
                        small.get(value as usize).copied().filter(|number| *number != UNKNOWN)
                    {
                        return number;
                    }
                    let mut new = || {
                        values.push(value);
                        values.len() as u32
                    };
                    match small.get_mut(value as usize) {
                        Some(number) => {
                            *number = new();
                            *number
                        }
                        None => *others.entry(value).or_insert_with(new),
                    }
                };
                match ty {
                    DataType::Int32 => each::<Int32Type>(array, numbers, |value| number(i64::from(value))),
                    DataType::Int64 => each::<Int64Type>(array, numbers, number),
                    _ => each::<TimestampMicrosecondType>(array, numbers, number),
                }
            }
        }
    }

    /// The values of these numbers.
    fn array(&self, numbers: impl ExactSizeIterator<Item = u32>) -> ArrayRef {
        match self {
            Values::Text(texts) => {
                let mut views = StringViewBuilder::with_capacity(numbers.len());
                numbers.for_each(|number| views.append_option(texts.get(number)));
                Arc::new(views.finish())
            }
            Values::Number { ty, values, .. } => {
                let value = |number: u32| values.get(number.checked_sub(1)? as usize).copied();
                let values = numbers.map(value);
                match ty {
                    DataType::Int32 => {
                        let narrow = |value: i64| i32::try_from(value).unwrap_or_default();
                        Arc::new(values.map(|value| value.map(narrow)).collect::<Int32Array>())
                    }
                    DataType::Int64 => Arc::new(values.collect::<Int64Array>()),
                    ty => {
                        let zone = match ty {
                            DataType::Timestamp(_, zone) => zone.clone(),
                            _ => None,
                        };
                        let values: TimestampMicrosecondArray = values.collect();
                        Arc::new(values.with_timezone_opt(zone))
                    }
                }
            }
        }
    }
}

/// Distinct texts, numbered from 1 on; 0 is the number of no text.
#[derive(Debug, Default)]
pub struct Texts {
    texts: TextValues,
    /// The dictionary of the last batch, and for each of its keys the number of its text.
    known: Option<(ArrayRef, Vec<u32>)>,
}

impl Texts {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// How many bytes they have together.
    pub fn bytes(&self) -> usize {
        self.texts.bytes.len()
    }

    /// The text of a number.
    pub fn get(&self, number: u32) -> Option<Cow<'_, str>> {
        let key = number.checked_sub(1)? as usize;
        (key < self.texts.len()).then(|| String::from_utf8_lossy(self.texts.get(key)))
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.texts.clear();
        self.known = None;
    }

    fn memory(&self) -> usize {
        self.texts.memory() + self.known.as_ref().map_or(0, |(_, numbers)| numbers.len() * 4)
    }

    /// Adds the number of each row's text to `numbers`.
    ///
    /// # Errors
    /// Where the array is not one of texts, or the distinct texts take more than 4 GB.
    pub fn numbers(&mut self, array: &ArrayRef, numbers: &mut Vec<u32>) -> Result<()> {
        match array.data_type() {
            DataType::Utf8View => self.number_each(array.as_string_view().iter(), numbers),
            DataType::Utf8 => self.number_each(array.as_string::<i32>().iter(), numbers),
            _ => self.number_coded(array, numbers),
        }
    }

    fn number_each<'t>(
        &mut self,
        texts: impl Iterator<Item = Option<&'t str>>,
        numbers: &mut Vec<u32>,
    ) -> Result<()> {
        let mut last = ("", NULL);
        let mut full = false;
        numbers.extend(texts.map(|text| match text {
            None => NULL,
            Some(text) if last.1 != NULL && text == last.0 => last.1,
            Some(text) => {
                let key = self.texts.key_of(text);
                full |= key == NO_KEY;
                last = (text, key.wrapping_add(1));
                last.1
            }
        }));
        not_full(full)
    }

    fn number_coded(&mut self, array: &ArrayRef, numbers: &mut Vec<u32>) -> Result<()> {
        let Some(dictionary) = array.as_dictionary_opt::<Int32Type>() else {
            return internal_err!("text is expected, not {}", array.data_type());
        };
        let Some(texts) = dictionary.values().as_string_opt::<i32>() else {
            return internal_err!("coded text is made of texts, not of {}", dictionary.values().data_type());
        };
        let known = match self.known.take() {
            Some((known, of_key)) if same_texts(&known, dictionary.values()) => (known, of_key),
            _ => (Arc::clone(dictionary.values()), vec![UNKNOWN; texts.len()]),
        };
        let (_, of_key) = self.known.insert(known);
        let mut full = false;
        let mut number = |key: i32| match of_key.get_mut(key as usize) {
            Some(number) if *number != UNKNOWN => *number,
            Some(number) => {
                if texts.is_null(key as usize) {
                    *number = NULL;
                } else {
                    let key = self.texts.key_of(texts.value(key as usize));
                    full |= key == NO_KEY;
                    *number = key.wrapping_add(1);
                }
                *number
            }
            None => NULL,
        };
        let keys = dictionary.keys();
        match keys.null_count() {
            0 => numbers.extend(keys.values().iter().map(|key| number(*key))),
            _ => numbers.extend(keys.iter().map(|key| key.map_or(NULL, &mut number))),
        }
        not_full(full)
    }
}

fn not_full(full: bool) -> Result<()> {
    if full {
        return resources_err!("the distinct texts of a column take more than 4 GB");
    }
    Ok(())
}

fn each<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    numbers: &mut Vec<u32>,
    mut number: impl FnMut(T::Native) -> u32,
) -> Result<()> {
    let Some(array) = array.as_primitive_opt::<T>() else {
        return internal_err!("rows are grouped by {}, not by {}", T::DATA_TYPE, array.data_type());
    };
    match array.null_count() {
        0 => numbers.extend(array.values().iter().map(|value| number(*value))),
        _ => numbers.extend(array.iter().map(|value| value.map_or(NULL, &mut number))),
    }
    Ok(())
}

/// Distinct pairs of numbers.
#[derive(Debug, Default)]
struct Pairs {
    numbers: HashMap<(u32, u32), u32, FixedState>,
    pairs: Vec<(u32, u32)>,
}

impl Pairs {
    /// Puts the number of each pair in the place of its first.
    fn join(&mut self, first: &mut [u32], second: &[u32]) {
        let mut last = None;
        for (first, second) in first.iter_mut().zip(second) {
            let pair = (*first, *second);
            *first = match last {
                Some((known, number)) if known == pair => number,
                _ => {
                    let number = *self.numbers.entry(pair).or_insert_with(|| {
                        self.pairs.push(pair);
                        (self.pairs.len() - 1) as u32
                    });
                    last = Some((pair, number));
                    number
                }
            };
        }
    }

    fn clear(&mut self) {
        self.numbers.clear();
        self.pairs.clear();
    }

    fn memory(&self) -> usize {
        self.pairs.len() * 30
    }
}

/// The groups of some columns.
#[derive(Debug)]
pub struct Groups {
    columns: Vec<Values>,
    /// For each column but the first, the combinations of those before it with it.
    joined: Vec<Pairs>,
    /// The group of each number that the joins end with.
    of_number: Vec<u32>,
    /// The number of each group.
    groups: Vec<u32>,
    numbers: Vec<u32>,
    next: Vec<u32>,
}

impl Groups {
    /// Groups by columns of these types; by none, all rows are one group.
    pub fn new(types: &[DataType]) -> Groups {
        Groups {
            columns: types.iter().map(Values::new).collect(),
            joined: types.iter().skip(1).map(|_| Pairs::default()).collect(),
            of_number: Vec::new(),
            groups: Vec::new(),
            numbers: Vec::new(),
            next: Vec::new(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The group of each of so many rows, whose columns, as coded text and numbers, these are.
    ///
    /// # Errors
    /// Where a column is not of the type that it was announced with, or its distinct texts take more than 4 GB.
    pub fn of_rows(&mut self, rows: usize, columns: &[ArrayRef], groups: &mut Vec<usize>) -> Result<()> {
        groups.clear();
        self.numbers.clear();
        let mut columns = self.columns.iter_mut().zip(columns);
        match columns.next() {
            Some((values, array)) => values.numbers(array, &mut self.numbers)?,
            None => self.numbers.resize(rows, 0),
        }
        for ((values, array), joined) in columns.zip(&mut self.joined) {
            self.next.clear();
            values.numbers(array, &mut self.next)?;
            joined.join(&mut self.numbers, &self.next);
        }
        let (of_number, all) = (&mut self.of_number, &mut self.groups);
        groups.extend(self.numbers.iter().map(|number| {
            let place = *number as usize;
            match of_number.get(place) {
                Some(group) if *group != UNKNOWN => *group as usize,
                _ => {
                    let group = all.len();
                    all.push(*number);
                    if of_number.len() <= place {
                        of_number.resize((place + 1).max(of_number.len() * 2), UNKNOWN);
                    }
                    of_number.get_mut(place).into_iter().for_each(|known| *known = group as u32);
                    group
                }
            }
        }));
        Ok(())
    }

    /// The columns of all groups, in the groups' order, text as views.
    pub fn columns(&self) -> Vec<ArrayRef> {
        let mut numbers = self.groups.clone();
        let mut seconds: Vec<Vec<u32>> = Vec::new();
        for joined in self.joined.iter().rev() {
            let pair = |number: &u32| joined.pairs.get(*number as usize).copied().unwrap_or((NULL, NULL));
            seconds.push(numbers.iter().map(|number| pair(number).1).collect());
            numbers.iter_mut().for_each(|number| *number = pair(number).0);
        }
        let of_columns = std::iter::once(numbers).chain(seconds.into_iter().rev());
        let columns = self.columns.iter().zip(of_columns);
        columns.map(|(values, numbers)| values.array(numbers.into_iter())).collect()
    }

    /// Forgets all groups.
    pub fn clear(&mut self) {
        self.columns.iter_mut().for_each(Values::clear);
        self.joined.iter_mut().for_each(Pairs::clear);
        self.of_number.clear();
        self.groups.clear();
    }

    /// About how many bytes they take.
    pub fn memory(&self) -> usize {
        self.columns.iter().map(Values::memory).sum::<usize>()
            + self.joined.iter().map(Pairs::memory).sum::<usize>()
            + (self.of_number.len() + self.groups.len() + self.numbers.len() + self.next.len()) * 4
    }
}
