//! Runs the `.slt` files.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use datafusion::arrow::datatypes::DataType;
use flowq::sql::errors::{Names, explain};
use flowq::sql::session::{Session, SessionError};
use sqllogictest::{AsyncDB, ColumnType, DBOutput, Runner, strict_column_validator};

use crate::sessions;

/// A column's type as a letter of `query`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Type {
    /// `B`
    Boolean,
    /// `I`: 32 and 64 bits
    Integer,
    /// `R`
    Float,
    /// `T`
    Text,
    /// `P`: in UTC, microseconds
    Timestamp,
    /// `D`
    Date,
    /// `?`
    Other,
}

const LETTERS: [(char, Type); 7] = [
    ('B', Type::Boolean),
    ('I', Type::Integer),
    ('R', Type::Float),
    ('T', Type::Text),
    ('P', Type::Timestamp),
    ('D', Type::Date),
    ('?', Type::Other),
];

impl ColumnType for Type {
    fn from_char(letter: char) -> Option<Type> {
        LETTERS.iter().find(|(known, _)| *known == letter).map(|(_, ty)| ty.clone())
    }

    fn to_char(&self) -> char {
        LETTERS.iter().find(|(_, ty)| ty == self).map_or('?', |(letter, _)| *letter)
    }
}

impl From<&DataType> for Type {
    fn from(ty: &DataType) -> Type {
        match ty {
            DataType::Boolean => Type::Boolean,
            DataType::Int32 | DataType::Int64 | DataType::UInt64 => Type::Integer,
            DataType::Float64 => Type::Float,
            DataType::Utf8 | DataType::Utf8View => Type::Text,
            DataType::Timestamp(_, Some(zone)) if zone.as_ref() == "UTC" || zone.as_ref() == "+00:00" => {
                Type::Timestamp
            }
            DataType::Date32 => Type::Date,
            _ => Type::Other,
        }
    }
}

/// An error as a user reads it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Said(String);

struct Engine {
    name: &'static str,
    session: Session,
}

#[async_trait]
impl AsyncDB for Engine {
    type Error = Said;
    type ColumnType = Type;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Type>, Said> {
        let said = |error: SessionError| match &error {
            SessionError::Engine(inner) => {
                Said(explain(inner, sql, &Names::of(self.session.context())).to_string())
            }
            SessionError::Forbidden(_) => Said(error.to_string()),
        };
        let mut output = DBOutput::StatementComplete(0);
        for statement in self.session.statements(sql).map_err(said)? {
            let answer = self.session.run(statement, None).await.map_err(said)?;
            let types: Vec<Type> =
                answer.schema().fields().iter().map(|field| Type::from(field.data_type())).collect();
            let rows = sessions::rows(&answer.collect().await.map_err(said)?);
            let shown = |cell: String| if cell.is_empty() { "(empty)".to_owned() } else { cell };
            let rows: Vec<Vec<String>> =
                rows.into_iter().map(|row| row.into_iter().map(shown).collect()).collect();
            output = match types.is_empty() {
                true => DBOutput::StatementComplete(0),
                false => DBOutput::Rows { types, rows },
            };
        }
        Ok(output)
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        self.name
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql")
}

fn run_files(name: &'static str, session: fn() -> Session) {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|suffix| suffix == "slt"));
    files.sort();
    assert!(files.len() >= 8, "{files:?}");
    let only = std::env::var("FLOWQ_SLT").unwrap_or_default();
    let mut failures = Vec::new();
    for file in files.iter().filter(|file| file.to_string_lossy().contains(&only)) {
        let mut runner = Runner::new(|| async { Ok(Engine { name, session: session() }) });
        runner.with_column_validator(strict_column_validator);
        if let Err(error) = sessions::runtime().block_on(runner.run_file_async(file)) {
            failures.push(error.display(false).to_string());
        }
    }
    assert!(failures.is_empty(), "over {name} tables:\n{}", failures.join("\n"));
}

/// Each file runs to its first mismatch; `FLOWQ_SLT=part-of-a-name` runs some.
#[test]
fn files_over_a_store() {
    run_files("stored", sessions::stored);
}

#[test]
fn files_over_raw_logs() {
    run_files("raw", sessions::raw);
}
