//! Keys to values, by the dictionaries of their columns.

use std::fs::File;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, DictionaryArray, Int32Array, new_null_array};
use datafusion::arrow::buffer::ScalarBuffer;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;

use super::super::coded_text;
use super::super::values::{Plain, nulls, own_texts, plain_numbers, plain_texts};
use super::{FEW, KeyedGroup};
use crate::parse::keyed::NULL;
use crate::store::decode::Column;

impl KeyedGroup {
    pub(super) fn reader(&mut self, given: usize) -> Option<(&mut Column, &File)> {
        let column = self.given.get(given)?.column?;
        Some((self.columns.get_mut(column)?, &self.file))
    }

    /// The dictionary of a column in Parquet's plain form; `None` where the file lacks the column.
    pub(super) fn dictionary(&mut self, given: usize) -> Result<Option<(&[u8], usize)>> {
        let Some((column, file)) = self.reader(given) else { return Ok(None) };
        Ok(Some(column.dictionary(file)?))
    }

    /// The distinct texts of a column.
    pub(super) fn texts(&mut self, given: usize) -> Result<Option<ArrayRef>> {
        if let Some(known) = self.given.get(given).and_then(|given| given.texts.clone()) {
            return Ok(Some(known));
        }
        let Some((bytes, count)) = self.dictionary(given)? else { return Ok(None) };
        let texts = plain_texts(Plain(bytes), count)?;
        Ok(self.given.get_mut(given).map(|given| Arc::clone(given.texts.insert(texts))))
    }

    /// The values of these keys.
    pub(super) fn array(&mut self, given: usize, keys: &[u32]) -> Result<ArrayRef> {
        let Some(ty) = self.given.get(given).map(|given| given.field.data_type().clone()) else {
            return Ok(new_null_array(&DataType::Null, keys.len()));
        };
        if ty != coded_text() {
            return self.numbers(given, &ty, keys);
        }
        let nulls = nulls(keys);
        let known = self.given.get(given).is_some_and(|given| given.texts.is_some());
        if let Some((bytes, count)) = self.dictionary(given)?
            && !known
            && keys.len() * FEW < count
        {
            let (texts, keys) = own_texts(bytes, keys)?;
            return Ok(Arc::new(DictionaryArray::try_new(Int32Array::new(keys, nulls), texts)?));
        }
        let Some(texts) = self.texts(given)? else { return Ok(new_null_array(&ty, keys.len())) };
        let keys =
            keys.iter().map(|key| if *key == NULL { 0 } else { *key as i32 }).collect::<ScalarBuffer<i32>>();
        Ok(Arc::new(DictionaryArray::try_new(Int32Array::new(keys, nulls), texts)?))
    }

    pub(super) fn numbers(&mut self, given: usize, ty: &DataType, keys: &[u32]) -> Result<ArrayRef> {
        let Some((bytes, _)) = self.dictionary(given)? else { return Ok(new_null_array(ty, keys.len())) };
        plain_numbers(bytes, ty, keys)
    }
}
