//! Statistics of a data file as Delta keeps them, taken from the Parquet footer.

use chrono::{DateTime, Datelike};
use parquet::basic::{IntType, LogicalType, TimeUnit};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescriptor;
use serde_json::{Map, Number, Value, json};

/// Texts are kept to this many characters, as Delta's own writers do.
const TEXT_CHARS: usize = 32;

/// What is known of a data file without opening it. A column without an entry is not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileStats {
    /// Rows.
    pub rows: u64,
    /// A lower bound of each column's values.
    pub min: Map<String, Value>,
    /// An upper bound of each column's values.
    pub max: Map<String, Value>,
    /// Nulls of each column.
    pub null_count: Map<String, Value>,
}

impl FileStats {
    /// Takes the statistics that the footer has, over all row groups. Times become ISO 8601 with milliseconds,
    /// texts prefixes of 32 characters, both rounded outwards.
    pub fn from_parquet_footer(footer: &ParquetMetaData) -> FileStats {
        let mut stats = FileStats {
            rows: footer.row_groups().iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).sum(),
            ..FileStats::default()
        };
        for (index, column) in footer.file_metadata().schema_descr().columns().iter().enumerate() {
            // Nested columns have no place in Delta's flat statistics that readers agree upon.
            let [name] = column.path().parts() else { continue };
            let groups: Option<Vec<Group<'_>>> = footer
                .row_groups()
                .iter()
                .map(|group| {
                    let chunk = group.columns().get(index)?;
                    let statistics = chunk.statistics()?;
                    let values = u64::try_from(chunk.num_values()).ok();
                    Some(Group {
                        statistics,
                        only_nulls: values.is_some() && statistics.null_count_opt() == values,
                    })
                })
                .collect();
            let Some(groups) = groups.filter(|groups| !groups.is_empty()) else { continue };
            let nulls: Option<Vec<u64>> =
                groups.iter().map(|group| group.statistics.null_count_opt()).collect();
            if let Some(nulls) = nulls {
                stats.null_count.insert(name.clone(), Value::from(nulls.iter().sum::<u64>()));
            }
            if let Some((min, max)) = bounds(column, &groups) {
                if let Some(min) = min {
                    stats.min.insert(name.clone(), min);
                }
                if let Some(max) = max {
                    stats.max.insert(name.clone(), max);
                }
            }
        }
        stats
    }

    /// The JSON of Delta's `stats`.
    pub fn to_json(&self) -> String {
        json!({
            "numRecords": self.rows,
            "minValues": self.min,
            "maxValues": self.max,
            "nullCount": self.null_count,
        })
        .to_string()
    }
}

/// One row group's share of a column.
struct Group<'a> {
    statistics: &'a Statistics,
    only_nulls: bool,
}

type Bounds = (Option<Value>, Option<Value>);

/// The bounds over all row groups; groups of nulls only have none of their own.
fn bounds(column: &ColumnDescriptor, groups: &[Group<'_>]) -> Option<Bounds> {
    let (mut ints, mut floats, mut texts) = (None, None, None);
    for group in groups.iter().filter(|group| !group.only_nulls) {
        match group.statistics {
            Statistics::Int32(s) => {
                widen(&mut ints, pair(s.min_opt(), s.max_opt(), |&v| Some(i64::from(v))))?
            }
            Statistics::Int64(s) => widen(&mut ints, pair(s.min_opt(), s.max_opt(), |&v| Some(v)))?,
            Statistics::Double(s) => {
                // A file with a NaN may have bounds that leave it out; then nothing is known.
                let finite = |v: &f64| v.is_finite().then_some(*v);
                widen(&mut floats, pair(s.min_opt(), s.max_opt(), finite))?;
            }
            Statistics::ByteArray(s) => {
                let text = |v: &parquet::data_type::ByteArray| v.as_utf8().ok().map(str::to_string);
                widen(&mut texts, pair(s.min_opt(), s.max_opt(), text))?;
            }
            _ => return None,
        }
    }
    if let Some((min, max)) = ints {
        return match column.logical_type_ref() {
            Some(LogicalType::Timestamp(time)) => {
                let micros = match time.unit {
                    TimeUnit::MICROS => (min, max),
                    TimeUnit::MILLIS => (min.checked_mul(1000)?, max.checked_mul(1000)?),
                    _ => return None,
                };
                Some((iso_millis(micros.0.div_euclid(1000)), iso_millis(ceil_millis(micros.1))))
            }
            None | Some(LogicalType::Integer(IntType { is_signed: true, .. })) => {
                Some((Some(Value::from(min)), Some(Value::from(max))))
            }
            _ => None,
        };
    }
    if let Some((min, max)) = floats {
        return Some((Number::from_f64(min).map(Value::from), Number::from_f64(max).map(Value::from)));
    }
    let (min, max) = texts?;
    match column.logical_type_ref() {
        Some(LogicalType::String) => Some((
            Some(Value::from(min.chars().take(TEXT_CHARS).collect::<String>())),
            upper_prefix(&max).map(Value::from),
        )),
        _ => None,
    }
}

/// Both ends of a group's values, where they are known.
fn pair<T: ?Sized, V>(min: Option<&T>, max: Option<&T>, read: impl Fn(&T) -> Option<V>) -> Option<(V, V)> {
    Some((read(min?)?, read(max?)?))
}

/// Widens what is known by one more group; `None` where that makes it unknown.
fn widen<V: PartialOrd>(known: &mut Option<(V, V)>, group: Option<(V, V)>) -> Option<()> {
    let (min, max) = group?;
    *known = Some(match known.take() {
        None => (min, max),
        Some((low, high)) => (if min < low { min } else { low }, if max > high { max } else { high }),
    });
    Some(())
}

fn ceil_millis(micros: i64) -> i64 {
    micros.div_euclid(1000) + i64::from(micros.rem_euclid(1000) > 0)
}

fn iso_millis(millis: i64) -> Option<Value> {
    let time = DateTime::from_timestamp_millis(millis).filter(|time| (0..=9999).contains(&time.year()))?;
    Some(Value::from(time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()))
}

/// A text of at most 32 characters that is not below any text beginning as this one does.
fn upper_prefix(text: &str) -> Option<String> {
    if text.chars().nth(TEXT_CHARS).is_none() {
        return Some(text.to_string());
    }
    let mut prefix: Vec<char> = text.chars().take(TEXT_CHARS).collect();
    while let Some(last) = prefix.pop() {
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            last => u32::from(last).checked_add(1).and_then(char::from_u32),
        };
        if let Some(next) = next {
            prefix.push(next);
            return Some(prefix.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    };
    use parquet::arrow::ArrowWriter;

    fn footer(columns: Vec<(&str, ArrayRef)>) -> FileStats {
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        FileStats::from_parquet_footer(&writer.close().unwrap())
    }

    #[test]
    fn bounds_are_rounded_outwards() {
        let long = "x".repeat(40);
        let stats = footer(vec![
            ("n", Arc::new(Int64Array::from(vec![Some(7), None, Some(-3)]))),
            ("t", Arc::new(TimestampMicrosecondArray::from(vec![1_500, -1_500, 0]).with_timezone("UTC"))),
            ("s", Arc::new(StringArray::from(vec![long.as_str(), "abc", "abd"]))),
            ("f", Arc::new(Float64Array::from(vec![0.5, 1.5, 2.5]))),
            ("empty", Arc::new(Int64Array::from(vec![None, None, None]))),
        ]);
        assert_eq!(stats.rows, 3);
        assert_eq!((&stats.min["n"], &stats.max["n"]), (&json!(-3), &json!(7)));
        assert_eq!(stats.min["t"], json!("1969-12-31T23:59:59.998Z"));
        assert_eq!(stats.max["t"], json!("1970-01-01T00:00:00.002Z"));
        assert_eq!(stats.min["s"], json!("abc"));
        assert_eq!(stats.max["s"], json!(format!("{}y", "x".repeat(31))));
        assert_eq!((&stats.min["f"], &stats.max["f"]), (&json!(0.5), &json!(2.5)));
        assert_eq!(stats.null_count["n"], json!(1));
        assert_eq!(stats.null_count["empty"], json!(3));
        assert!(!stats.min.contains_key("empty"));
    }

    #[test]
    fn the_upper_prefix_carries() {
        let top = "\u{10ffff}".repeat(40);
        assert_eq!(upper_prefix(&top), None);
        assert_eq!(upper_prefix(&format!("a{top}")), Some("b".to_string()));
        assert_eq!(upper_prefix("short"), Some("short".to_string()));
    }
}
