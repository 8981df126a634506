//! Refused lines as rows of the table `quarantine`.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::error::ArrowError;

use super::work::Refused;

/// Lines of the file at `path`, as rows.
pub fn rows(path: &str, refused: &[Refused]) -> Result<RecordBatch, ArrowError> {
    let texts = |text: &dyn Fn(&Refused) -> String| {
        Arc::new(StringArray::from_iter_values(refused.iter().map(text))) as Arc<dyn arrow::array::Array>
    };
    let now = TimestampMicrosecondArray::from_value(chrono::Utc::now().timestamp_micros(), refused.len());
    RecordBatch::try_from_iter([
        ("kind", texts(&|refused| refused.kind.table().to_owned())),
        ("source_file", texts(&|_| path.to_owned())),
        (
            "line",
            Arc::new(Int64Array::from_iter_values(refused.iter().map(|refused| refused.line as i64))) as _,
        ),
        (
            "byte",
            Arc::new(Int64Array::from_iter_values(refused.iter().map(|refused| refused.byte as i64))) as _,
        ),
        ("reason", texts(&|refused| refused.reason.clone())),
        ("text", texts(&|refused| refused.text.clone())),
        ("ingested_at", Arc::new(now.with_timezone("UTC")) as _),
    ])
}
