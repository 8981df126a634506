//! Where the columns of a row group come from: keys into dictionaries, the usual reader, or nowhere.

use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::Type as PhysicalType;

use super::super::coded_text;
use super::super::filter::CodedFilter;
use crate::store::decode::Place;

/// Whether values of such a type are made of the keys of a column of such pages.
fn can_give(ty: &DataType, physical: PhysicalType) -> bool {
    match ty {
        DataType::Int32 => physical == PhysicalType::INT32,
        DataType::Float64 => physical == PhysicalType::DOUBLE,
        DataType::Int64 | DataType::Timestamp(TimeUnit::Microsecond, _) => physical == PhysicalType::INT64,
        ty => ty == &coded_text() && physical == PhysicalType::BYTE_ARRAY,
    }
}

/// Where a column of a row group comes from.
pub enum Origin {
    /// It is made of keys.
    Keys(Place),
    /// The usual reader gives it.
    Other,
    /// The file lacks it.
    Absent,
}

/// Where these columns come from in a row group; `None` if it is better read as usual: it has none of them as keys, or
/// there is no condition on keys alone that others could be told the rows by.
pub fn origins(
    metadata: &ArrowReaderMetadata,
    group: usize,
    read: &Schema,
    condition: Option<&CodedFilter>,
) -> Option<Vec<Origin>> {
    let parquet = metadata.metadata();
    let columns = parquet.row_groups().get(group)?.columns();
    let index = parquet.offset_index().and_then(|index| index.get(group));
    let place = |field: &Field| {
        let stored = metadata.schema().field_with_name(field.name()).ok()?;
        let is_it = |path: &[String]| path == [field.name().as_str()];
        let leaf = columns.iter().position(|column| is_it(column.column_path().parts()))?;
        let place = Place::of(columns.get(leaf)?, index.and_then(|index| index.get(leaf)))?;
        let fits = stored.data_type() == field.data_type() && can_give(field.data_type(), place.physical);
        fits.then_some(place)
    };
    let is_asked =
        |name: &str| condition.is_some_and(|condition| condition.columns().any(|asked| asked == name));
    let mut any = false;
    let mut origins = Vec::with_capacity(read.fields().len());
    for field in read.fields() {
        origins.push(match place(field) {
            Some(place) => {
                any |= condition.is_none() || is_asked(field.name());
                Origin::Keys(place)
            }
            None if metadata.schema().field_with_name(field.name()).is_err() => Origin::Absent,
            None if condition.is_some() && !is_asked(field.name()) => Origin::Other,
            None => return None,
        });
    }
    any.then_some(origins)
}
