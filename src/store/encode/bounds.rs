//! The least and the greatest value of a page and of a chunk, found by keys and by leading bytes where that is enough.

use parquet::basic::Type as PhysicalType;
use parquet::data_type::ByteArray;
use parquet::file::statistics::{Statistics, ValueStatistics};

use crate::parse::keyed::{IntValues, KeyedColumn, NULL, SMALL, TextValues, Values};

/// Statistics keep this many bytes of a text.
const STATISTICS_BYTES: usize = 64;

/// Up to this many distinct texts, each page's smallest and largest are worth finding.
const RANKED: usize = 4096;

/// Finds the bounds of a column's pages and of the whole.
pub(super) struct Bounds<'a> {
    column: &'a KeyedColumn,
    physical: PhysicalType,
    /// The rank of each text among the sorted ones, where they are few.
    ranks: Option<Ranks>,
}

struct Ranks {
    of: Vec<u32>,
    sorted: Vec<u32>,
}

impl<'a> Bounds<'a> {
    pub(super) fn new(column: &'a KeyedColumn, physical: PhysicalType) -> Bounds<'a> {
        let ranks = match &column.values {
            Values::Text(text) if !text.is_plain() && text.len() <= RANKED => Some(rank(text)),
            _ => None,
        };
        Bounds { column, physical, ranks }
    }

    /// The least and the greatest value of a page, in Parquet's plain form; `None` where they were not worth finding.
    pub(super) fn page(&self, rows: std::ops::Range<usize>) -> Option<(Vec<u8>, Vec<u8>)> {
        let keys = self.column.keys.get(rows)?;
        match &self.column.values {
            Values::Int(ints) => {
                let (least, most) = int_bounds(ints, keys)?;
                let bytes = |value: i64| match self.physical {
                    PhysicalType::INT32 => (value as i32).to_le_bytes().to_vec(),
                    _ => value.to_le_bytes().to_vec(),
                };
                Some((bytes(least), bytes(most)))
            }
            Values::Text(text) => {
                let ranks = self.ranks.as_ref()?;
                let (least, most) = ranks.bounds(keys)?;
                let bytes = |rank: u32| {
                    let key = ranks.sorted.get(rank as usize)?;
                    Some(text.get(*key as usize).to_vec())
                };
                Some((bytes(least)?, bytes(most)?))
            }
            Values::Float(_) => None,
        }
    }

    /// The chunk's bounds. Unused values of the dictionary may widen them; they never narrow them.
    pub(super) fn chunk(&self, nulls: u64) -> Option<Statistics> {
        let nulls = Some(nulls);
        match &self.column.values {
            Values::Int(ints) => {
                let (least, most) = ints.bounds().unzip();
                Some(match self.physical {
                    PhysicalType::INT32 => {
                        Statistics::int32(least.map(|v| v as i32), most.map(|v| v as i32), None, nulls, false)
                    }
                    _ => Statistics::int64(least, most, None, nulls, false),
                })
            }
            Values::Text(text) => {
                let (least, most) = match &self.ranks {
                    Some(ranks) => (ranks.sorted.first().copied(), ranks.sorted.last().copied()),
                    None => extremes(text).unzip(),
                };
                let least = least.map(|key| text.get(key as usize));
                let most = most.map(|key| text.get(key as usize));
                let (least, least_exact) = least.map_or((None, true), lower_bound);
                let (most, most_exact) = most.map_or((None, true), upper_bound);
                Some(Statistics::ByteArray(
                    ValueStatistics::new(least, most, None, nulls, false)
                        .with_min_is_exact(least_exact)
                        .with_max_is_exact(most_exact),
                ))
            }
            Values::Float(floats) => {
                let least = floats.values().min_by(f64::total_cmp);
                let most = floats.values().max_by(f64::total_cmp);
                Some(Statistics::double(least, most, None, nulls, false))
            }
        }
    }
}

/// The least and the greatest of the integers that these keys stand for.
fn int_bounds(ints: &IntValues, keys: &[u32]) -> Option<(i64, i64)> {
    // Small numbers are their own keys. Where there is nothing else, both passes are done in vectors.
    if !keys.iter().fold(false, |any, key| any | (*key >= SMALL && *key != NULL)) {
        let least = keys.iter().copied().min().filter(|key| *key != NULL)?;
        let most = keys.iter().map(|key| if *key == NULL { 0 } else { *key }).max()?;
        return Some((i64::from(least), i64::from(most)));
    }
    let mut values = keys.iter().filter(|key| **key != NULL).filter_map(|key| ints.get(*key));
    let first = values.next()?;
    Some(values.fold((first, first), |(least, most), value| (least.min(value), most.max(value))))
}

impl Ranks {
    /// The least and the greatest rank of these keys.
    fn bounds(&self, keys: &[u32]) -> Option<(u32, u32)> {
        if self.sorted.len() == 1 {
            return keys.iter().any(|key| *key != NULL).then_some((0, 0));
        }
        let mut values = keys.iter().filter_map(|key| self.of.get(*key as usize).copied());
        let first = values.next()?;
        Some(values.fold((first, first), |(least, most), value| (least.min(value), most.max(value))))
    }
}

fn rank(text: &TextValues) -> Ranks {
    let mut sorted: Vec<u32> = (0..text.len() as u32).collect();
    sorted.sort_unstable_by(|a, b| text.get(*a as usize).cmp(text.get(*b as usize)));
    let mut of = vec![0; sorted.len()];
    for (rank, key) in sorted.iter().enumerate() {
        if let Some(place) = of.get_mut(*key as usize) {
            *place = rank as u32;
        }
    }
    Ranks { of, sorted }
}

/// The keys of the least and the greatest text. Nearly every comparison is decided by the first sixteen bytes.
fn extremes(text: &TextValues) -> Option<(u32, u32)> {
    let first = (leading(text.get(0)), 0);
    let mut bounds = (!text.is_empty()).then_some((first, first))?;
    for key in 1..text.len() as u32 {
        let this = text.get(key as usize);
        let head = leading(this);
        let (least, most) = bounds;
        if head < least.0 || (head == least.0 && this < text.get(least.1 as usize)) {
            bounds.0 = (head, key);
        }
        if head > most.0 || (head == most.0 && this > text.get(most.1 as usize)) {
            bounds.1 = (head, key);
        }
    }
    Some((bounds.0.1, bounds.1.1))
}

/// The first sixteen bytes as a number that is ordered as they are, short texts filled up with zeros.
#[inline(always)]
fn leading(text: &[u8]) -> u128 {
    match (text.first_chunk::<16>(), text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(whole), ..) => u128::from_be_bytes(*whole),
        (None, Some(first), Some(last)) => {
            // The two reads overlap, and agree where they do.
            let behind = 8 * (16 - text.len() as u32);
            u128::from(u64::from_be_bytes(*first)) << 64 | u128::from(u64::from_be_bytes(*last)) << behind
        }
        _ => text.iter().zip(0..).fold(0, |word, (byte, at)| word | u128::from(*byte) << (120 - 8 * at)),
    }
}

/// A text that is not greater, and whether it is the text itself.
fn lower_bound(text: &[u8]) -> (Option<ByteArray>, bool) {
    match std::str::from_utf8(text) {
        Ok(whole) if whole.len() > STATISTICS_BYTES => {
            let cut = whole.floor_char_boundary(STATISTICS_BYTES);
            (Some(ByteArray::from(&whole[..cut])), false)
        }
        _ => (Some(ByteArray::from(text.to_vec())), true),
    }
}

/// A text that is not less, and whether it is the text itself; none where a cut one cannot be raised.
fn upper_bound(text: &[u8]) -> (Option<ByteArray>, bool) {
    let Ok(whole) = std::str::from_utf8(text) else { return (None, true) };
    if whole.len() <= STATISTICS_BYTES {
        return (Some(ByteArray::from(text.to_vec())), true);
    }
    let cut = &whole[..whole.floor_char_boundary(STATISTICS_BYTES)];
    // Raise the last ASCII character that can be raised, and drop what follows it.
    let raised = cut.bytes().rposition(|byte| byte < 0x7E && byte.is_ascii()).and_then(|at| {
        let mut kept = cut.get(..at + 1)?.as_bytes().to_vec();
        *kept.last_mut()? += 1;
        Some(ByteArray::from(kept))
    });
    (raised, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::ColumnType;
    use crate::parse::cells::Span;
    use proptest::prelude::*;

    fn column_of(ty: ColumnType, cells: &[String]) -> KeyedColumn {
        let mut column = KeyedColumn::new(ty);
        let (mut block, mut spans) = (Vec::new(), Vec::new());
        for cell in cells {
            let start = block.len();
            block.extend_from_slice(cell.as_bytes());
            spans.push(Span::new(start, block.len()));
            block.push(b' ');
        }
        column.push_spans(&block, &spans, &mut Vec::new());
        column
    }

    proptest! {
        #[test]
        fn extremes_are_those_of_comparing_whole_texts(
            texts in prop::collection::vec(prop_oneof!["[ab\0é]{0,20}", "Root=1-696[ab]{0,18}", "[a-f]{1,3}"], 0..40),
        ) {
            let mut values = TextValues::default();
            texts.iter().for_each(|text| { values.key_of(text); });
            let found = extremes(&values)
                .map(|(least, most)| (values.get(least as usize).to_vec(), values.get(most as usize).to_vec()));
            let naive = texts.iter().min().zip(texts.iter().max());
            prop_assert_eq!(found, naive.map(|(least, most)| (least.clone().into_bytes(), most.clone().into_bytes())));
        }

        #[test]
        fn bounds_of_pages_are_those_of_their_values(
            values in prop::collection::vec(
                prop_oneof![4 => (0i64..70_000).prop_map(Some), 1 => any::<i64>().prop_map(Some), 1 => Just(None)], 0..60),
            small: bool,
        ) {
            let values: Vec<Option<i64>> =
                values.into_iter().map(|value| value.map(|value| if small { value.rem_euclid(65_536) } else { value })).collect();
            let cells: Vec<String> =
                values.iter().map(|value| value.map_or("-".to_owned(), |value| value.to_string())).collect();
            let column = column_of(ColumnType::Int64, &cells);
            let found = Bounds::new(&column, PhysicalType::INT64).page(0..cells.len());
            let present = || values.iter().flatten().copied();
            let naive = present().min().zip(present().max());
            prop_assert_eq!(found, naive.map(|(least, most)| (least.to_le_bytes().to_vec(), most.to_le_bytes().to_vec())));
        }
    }
}
