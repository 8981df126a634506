//! Values of a dictionary in Parquet's plain form as arrays.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray, StringArray};
use datafusion::arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use datafusion::common::Result;
use parquet::errors::ParquetError;

use crate::parse::keyed::NULL;

/// Texts in Parquet's plain form: each behind its length.
#[derive(Clone)]
pub struct Plain<'a>(pub &'a [u8]);

impl<'a> Iterator for Plain<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        self.0 = rest;
        Some(text)
    }
}

fn damaged() -> ParquetError {
    ParquetError::General("a dictionary that is cut short (the file is damaged)".to_owned())
}

/// So many texts as an array.
pub fn plain_texts<'a>(texts: impl Iterator<Item = &'a [u8]> + Clone, count: usize) -> Result<ArrayRef> {
    let (mut bytes, mut ends) = (Vec::with_capacity(texts.clone().map(<[u8]>::len).sum()), vec![0i32]);
    ends.reserve(count);
    for text in texts.take(count) {
        bytes.extend_from_slice(text);
        ends.push(i32::try_from(bytes.len()).map_err(|_| damaged())?);
    }
    if ends.len() != count + 1 {
        return Err(damaged().into());
    }
    Ok(Arc::new(StringArray::try_new(OffsetBuffer::new(ends.into()), Buffer::from_vec(bytes), None)?))
}

/// The texts of these keys alone, and the keys into them.
pub fn own_texts(bytes: &[u8], keys: &[u32]) -> Result<(ArrayRef, ScalarBuffer<i32>)> {
    let mut used: Vec<u32> = keys.iter().copied().filter(|key| *key != NULL).collect();
    used.sort_unstable();
    used.dedup();
    let mut all = Plain(bytes);
    let mut next = 0;
    let mut texts = Vec::with_capacity(used.len());
    for key in &used {
        texts.push(all.nth((key - next) as usize).ok_or_else(damaged)?);
        next = key + 1;
    }
    let place = |key: &u32| used.binary_search(key).map_or(0, |place| place as i32);
    Ok((plain_texts(texts.iter().copied(), texts.len())?, keys.iter().map(place).collect()))
}

/// Which rows have a value, if not all.
pub fn nulls(keys: &[u32]) -> Option<NullBuffer> {
    let nulls = NullBuffer::new(BooleanBuffer::collect_bool(keys.len(), |row| {
        keys.get(row).is_some_and(|key| *key != NULL)
    }));
    (nulls.null_count() > 0).then_some(nulls)
}

/// The values of these keys.
///
/// # Errors
/// Where the dictionary lacks a key.
fn values_of<T: ArrowPrimitiveType, const N: usize>(
    values: &[[u8; N]],
    keys: &[u32],
    value: impl Fn([u8; N]) -> T::Native,
) -> Result<PrimitiveArray<T>> {
    let mut beyond = false;
    let of_key = |key: &u32| match values.get(*key as usize) {
        Some(bytes) => value(*bytes),
        None => {
            beyond |= *key != NULL;
            T::Native::default()
        }
    };
    let array = keys.iter().map(of_key).collect();
    if beyond { Err(damaged().into()) } else { Ok(PrimitiveArray::new(array, nulls(keys))) }
}

/// The numbers or times of these keys, as an array of this type.
///
/// # Errors
/// Where the dictionary lacks a key.
pub fn plain_numbers(bytes: &[u8], ty: &DataType, keys: &[u32]) -> Result<ArrayRef> {
    let (fours, eights) = (bytes.as_chunks::<4>().0, bytes.as_chunks::<8>().0);
    Ok(match ty {
        DataType::Int32 => Arc::new(values_of::<Int32Type, 4>(fours, keys, i32::from_le_bytes)?),
        DataType::Float64 => Arc::new(values_of::<Float64Type, 8>(eights, keys, f64::from_le_bytes)?),
        DataType::Timestamp(_, zone) => {
            let times = values_of::<TimestampMicrosecondType, 8>(eights, keys, i64::from_le_bytes)?;
            Arc::new(times.with_timezone_opt(zone.clone()))
        }
        _ => Arc::new(values_of::<Int64Type, 8>(eights, keys, i64::from_le_bytes)?),
    })
}
