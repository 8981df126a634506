//! Rows for people to read at a terminal: numbers in columns, and what is long beside them or on lines of its own, wrapped
//! at spaces, so that ids and rules stay whole. Other formats show the columns as they are.

use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use crate::sql::output::shown_cells;

/// Text beside the numbers has at least this much room, else it stands below them.
const LEAST_ROOM: usize = 48;
const GAP: usize = 2;

/// A row of a result.
pub struct Row<'a> {
    schema: &'a Schema,
    cells: &'a [String],
}

impl Row<'_> {
    /// The value of a column in words; empty where it is null.
    pub fn get(&self, name: &str) -> &str {
        let cell = self.schema.index_of(name).ok().and_then(|at| self.cells.get(at));
        cell.map_or("", String::as_str)
    }
}

/// How the rows of a result are shown.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The columns in front, each with what stands over it.
    pub columns: &'static [(&'static str, &'static str)],
    /// What stands over the text.
    pub title: &'static str,
    /// The text of a row.
    pub text: fn(&Row<'_>) -> String,
    /// What stands below it, line by line; empty ones are left out.
    pub below: fn(&Row<'_>) -> Vec<String>,
}

/// A column in front of the texts.
pub struct Column {
    pub head: String,
    /// Numbers stand at the right.
    pub numeric: bool,
}

/// A row as it is shown.
pub struct Entry {
    pub cells: Vec<String>,
    pub text: String,
    pub below: Vec<String>,
}

impl Layout {
    /// The rows of these batches.
    pub fn entries(&self, batch: &RecordBatch) -> anyhow::Result<Vec<Entry>> {
        let schema = batch.schema();
        let rows = shown_cells(batch, "").context("cannot show the rows")?;
        let entry = |cells: &Vec<String>| {
            let row = Row { schema: &schema, cells };
            let mut below = (self.below)(&row);
            below.retain(|line| !line.is_empty());
            Entry {
                cells: self.columns.iter().map(|(name, _)| row.get(name).to_owned()).collect(),
                text: (self.text)(&row),
                below,
            }
        };
        Ok(rows.iter().map(entry).collect())
    }

    /// The columns in front.
    pub fn heads(&self, schema: &Schema) -> Vec<Column> {
        let numeric =
            |name: &str| schema.field_with_name(name).is_ok_and(|field| field.data_type().is_numeric());
        let columns = self.columns.iter();
        columns.map(|(name, head)| Column { head: (*head).to_owned(), numeric: numeric(name) }).collect()
    }
}

/// Entries one below the other, within so many columns of a terminal; `None` wraps nothing.
pub fn sheet(columns: &[Column], title: &str, entries: &[Entry], width: Option<usize>) -> String {
    let mut out = String::new();
    let widths: Vec<usize> = (columns.iter().enumerate())
        .map(|(at, column)| {
            let cells = entries.iter().filter_map(|entry| entry.cells.get(at));
            cells.map(|cell| length(cell)).fold(length(&column.head), usize::max)
        })
        .collect();
    let left: usize = widths.iter().map(|width| width.saturating_add(GAP)).sum();
    let longest = entries.iter().map(|entry| length(&entry.text)).max().unwrap_or(0);
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(left));
    let beside = room >= longest.min(LEAST_ROOM);
    if !columns.is_empty() {
        let heads: Vec<String> = columns.iter().map(|column| column.head.clone()).collect();
        let mut line = numbers(columns, &widths, &heads);
        let mut rule = widths.iter().map(|width| "─".repeat(*width)).collect::<Vec<_>>().join("  ");
        if beside {
            line.push_str(title);
            let under = longest.max(length(title)).min(room);
            rule.push_str(&format!("  {}", "─".repeat(under)));
        }
        out.push_str(&format!("{}\n{rule}\n", line.trim_end()));
    }
    for (at, entry) in entries.iter().enumerate() {
        // Without numbers nothing else shows where the next one begins.
        if columns.is_empty() && at > 0 {
            out.push('\n');
        }
        let front = numbers(columns, &widths, &entry.cells);
        let indent = if beside {
            put(&mut out, &front, left, &entry.text, width);
            left
        } else {
            out.push_str(&format!("{}\n", front.trim_end()));
            put(&mut out, "  ", 4, &entry.text, width);
            2
        };
        for line in &entry.below {
            let margin = " ".repeat(indent.saturating_add(2));
            put(&mut out, &margin, indent.saturating_add(4), line, width);
        }
    }
    out
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Cells aligned, with the gap behind each.
fn numbers(columns: &[Column], widths: &[usize], cells: &[String]) -> String {
    let mut line = String::new();
    for ((column, width), cell) in columns.iter().zip(widths).zip(cells) {
        let space = " ".repeat(width.saturating_sub(length(cell)));
        let (before, behind) = if column.numeric { (space.as_str(), "") } else { ("", space.as_str()) };
        line.push_str(&format!("{before}{cell}{behind}{}", " ".repeat(GAP)));
    }
    line
}

/// Text behind `front`, wrapped at spaces; later lines begin in column `hang`. A word that is longer than a line stays whole.
fn put(out: &mut String, front: &str, hang: usize, text: &str, width: Option<usize>) {
    let width = width.unwrap_or(usize::MAX);
    out.push_str(front);
    let mut at = length(front);
    let mut is_first = true;
    for word in text.split(' ') {
        let needed = length(word).saturating_add(usize::from(!is_first));
        if !is_first && at.saturating_add(needed) > width {
            out.push('\n');
            out.push_str(&" ".repeat(hang));
            at = hang;
            is_first = true;
        }
        if !is_first {
            out.push(' ');
            at = at.saturating_add(1);
        }
        out.push_str(word);
        at = at.saturating_add(length(word));
        is_first = false;
    }
    out.push('\n');
}

/// Lines that are too long for a terminal, wrapped with what follows a line further in. Commands and Terraform are left as they
/// are, to be copied.
pub fn fitted(text: &str, width: Option<usize>) -> String {
    let Some(columns) = width else { return text.to_owned() };
    let mut out = String::with_capacity(text.len());
    let mut in_terraform = false;
    for line in text.lines() {
        let words = line.trim_start();
        in_terraform |= words.ends_with(" {");
        if in_terraform || words.starts_with("aws ") || words.starts_with('#') || length(line) <= columns {
            in_terraform &= words != "}";
            out.push_str(line);
            out.push('\n');
            continue;
        }
        let margin = length(line).saturating_sub(length(words));
        let number = words.find(". ").filter(|at| words.chars().take(*at).all(|c| c.is_ascii_digit()));
        let hang = margin.saturating_add(number.map_or(2, |at| at.saturating_add(2)));
        put(&mut out, &" ".repeat(margin), hang, words, width);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(conversations: &str, text: &str) -> Entry {
        Entry {
            cells: vec![conversations.to_owned()],
            text: text.to_owned(),
            below: vec!["seen at ten".to_owned()],
        }
    }

    #[test]
    fn long_texts_go_below_the_numbers_where_there_is_no_room_beside_them() {
        let columns = [Column { head: "conversations".to_owned(), numeric: true }];
        let text =
            "group sg-0123456789abcdef0 inbound rule sgr-0123456789abcdef0 allow tcp 443 from 203.0.113.0/24";
        let entries = [rule("77", text), rule("4", "group sg-1 inbound")];
        assert_eq!(
            sheet(&columns, "rule", &entries, Some(100)),
            "conversations  rule\n\
             ─────────────  ─────────────────────────────────────────────────────────────────────────────────────\n\
             \u{20}          77  group sg-0123456789abcdef0 inbound rule sgr-0123456789abcdef0 allow tcp 443 from\n\
             \u{20}              203.0.113.0/24\n\
             \u{20}                seen at ten\n\
             \u{20}           4  group sg-1 inbound\n\
             \u{20}                seen at ten\n"
        );
        assert_eq!(
            sheet(&columns, "rule", &entries, Some(60)),
            "conversations\n\
             ─────────────\n\
             \u{20}          77\n\
             \u{20} group sg-0123456789abcdef0 inbound rule\n\
             \u{20}   sgr-0123456789abcdef0 allow tcp 443 from 203.0.113.0/24\n\
             \u{20}   seen at ten\n\
             \u{20}           4\n\
             \u{20} group sg-1 inbound\n\
             \u{20}   seen at ten\n"
        );
        let piped = sheet(&columns, "rule", &entries, None);
        assert!(piped.contains(&format!("           77  {text}\n")), "{piped}");
    }

    #[test]
    fn commands_are_not_wrapped() {
        let text = "  5. there: the first entry that matches denies it\n  aws ec2 describe-vpcs --vpc-ids vpc-1 vpc-2\n\
                    resource \"a\" \"b\" {\n  description = \"one two three four five six\"\n}\n  one two three four five six\n";
        assert_eq!(
            fitted(text, Some(24)),
            "  5. there: the first\n     entry that matches\n     denies it\n  aws ec2 describe-vpcs --vpc-ids vpc-1 vpc-2\n\
             resource \"a\" \"b\" {\n  description = \"one two three four five six\"\n}\n  one two three four\n    five six\n"
        );
        assert_eq!(fitted(text, None), text);
    }
}
