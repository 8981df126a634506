//! The shell's own commands: `.tables`, `\d` and so on, as typed and as meant. Doing them is the shell's.

use crate::sql::errors::nearest;

/// What is known of a command, for help and completion.
#[derive(Debug)]
pub struct Doc {
    /// The name with its dot.
    pub name: &'static str,
    /// Another way to type it.
    pub alias: Option<&'static str>,
    /// Its arguments.
    pub arguments: &'static str,
    /// What it does.
    pub what: &'static str,
}

const fn doc(
    name: &'static str,
    alias: Option<&'static str>,
    arguments: &'static str,
    what: &'static str,
) -> Doc {
    Doc { name, alias, arguments, what }
}

/// Every command, in the order of the help.
pub const DOCS: [Doc; 12] = [
    doc(".tables", Some("\\dt"), "", "the tables there are"),
    doc(".schema", None, "[TABLE]", "the columns as SQL, with what they mean"),
    doc("\\d", None, "[TABLE]", "the columns of a table; without one, the tables"),
    doc(".inspect", None, "TABLE", "its columns with type, meaning, nulls and distinct values of a sample"),
    doc(".queries", None, "[NAME]", "the named queries, or the text of one"),
    doc(".run", None, "NAME [--param value]", "run a named query"),
    doc(".functions", Some("\\df"), "[TEXT]", "the functions that flowq adds"),
    doc(".mode", None, "[FORMAT]", "table, csv, tsv, json, ndjson, markdown or parquet"),
    doc(".output", None, "[FILE|stdout]", "write results to a file from now on"),
    doc(".read", None, "FILE", "run the statements and commands of a file"),
    doc(".timer", None, "[on|off]", "say after each statement how long it took"),
    doc(".help", Some("\\?"), "", "this"),
];

/// The last of the help.
pub const QUIT: Doc = doc(".quit", Some("\\q"), "", "leave (also Ctrl-D)");

/// What was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `.tables`
    Tables,
    /// `.schema [TABLE]`
    Schema(Option<String>),
    /// `\d TABLE`
    Describe(String),
    /// `.inspect TABLE`
    Inspect(String),
    /// `.queries [NAME]`
    Queries(Option<String>),
    /// `.run NAME …`
    Run(String, Vec<String>),
    /// `.functions [TEXT]`
    Functions(Option<String>),
    /// `.mode [FORMAT]`
    Mode(Option<String>),
    /// `.output [FILE]`; `None` is the terminal.
    Output(Option<String>),
    /// `.read FILE`
    Read(String),
    /// `.timer [on|off]`
    Timer(Option<bool>),
    /// `.help`
    Help,
    /// `.quit`
    Quit,
}

/// Why a command line means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such command.
    #[error("no command {name}; {}", .near.map_or_else(|| ".help lists them".to_owned(), |near| format!("did you mean {near}?")))]
    Unknown {
        /// As typed.
        name: String,
        /// The nearest command.
        near: Option<&'static str>,
    },
    /// It takes something else.
    #[error("usage: {name} {arguments}")]
    Usage {
        /// The command.
        name: &'static str,
        /// What it takes.
        arguments: &'static str,
    },
    /// A quote is open.
    #[error("a quote is not closed")]
    OpenQuote,
}

/// Reads a command line.
///
/// # Errors
/// Unknown names, with the nearest one, and arguments that the command does not take.
pub fn parse(line: &str) -> Result<Command, CommandError> {
    let line = line.trim().trim_end_matches(';').trim_end();
    let words = words(line)?;
    let (name, arguments) = words.split_first().map_or(("", &[][..]), |(name, rest)| (name.as_str(), rest));
    let name = name.to_ascii_lowercase();
    let usage = || match all().find(|doc| doc.name == name || doc.alias == Some(name.as_str())) {
        Some(doc) => CommandError::Usage { name: doc.name, arguments: doc.arguments },
        None => unknown(&name),
    };
    let one = || match arguments {
        [one] => Ok(one.clone()),
        _ => Err(usage()),
    };
    let at_most_one = || match arguments {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        _ => Err(usage()),
    };
    let none = |command: Command| if arguments.is_empty() { Ok(command) } else { Err(usage()) };
    match name.as_str() {
        ".tables" | "\\dt" => none(Command::Tables),
        ".schema" => Ok(Command::Schema(at_most_one()?)),
        "\\d" | "\\d+" => Ok(at_most_one()?.map_or(Command::Tables, Command::Describe)),
        ".inspect" => Ok(Command::Inspect(one()?)),
        ".queries" => Ok(Command::Queries(at_most_one()?)),
        ".run" => match arguments.split_first() {
            Some((query, parameters)) => Ok(Command::Run(query.clone(), parameters.to_vec())),
            None => Err(usage()),
        },
        ".functions" | "\\df" => Ok(Command::Functions(at_most_one()?)),
        ".mode" => Ok(Command::Mode(at_most_one()?)),
        ".output" | ".o" | "\\o" => Ok(Command::Output(at_most_one()?.filter(|file| file != "stdout"))),
        ".read" | "\\i" => Ok(Command::Read(one()?)),
        ".timer" | "\\timing" => match at_most_one()?.map(|word| word.to_ascii_lowercase()).as_deref() {
            None => Ok(Command::Timer(None)),
            Some("on") => Ok(Command::Timer(Some(true))),
            Some("off") => Ok(Command::Timer(Some(false))),
            Some(_) => Err(CommandError::Usage { name: ".timer", arguments: "[on|off]" }),
        },
        ".help" | "\\?" | "\\h" | "help" | ".h" => Ok(Command::Help),
        ".quit" | ".exit" | ".q" | "\\q" | "quit" | "exit" => none(Command::Quit),
        _ => Err(unknown(&name)),
    }
}

fn all() -> impl Iterator<Item = &'static Doc> {
    DOCS.iter().chain([&QUIT])
}

/// Every name that completion offers.
pub fn names() -> impl Iterator<Item = &'static str> {
    all().map(|doc| doc.name).chain(all().filter_map(|doc| doc.alias))
}

fn unknown(name: &str) -> CommandError {
    let dotted = || names().chain([".exit"]).filter(|known| known.starts_with('.'));
    // The beginning of a name is as good as a near one.
    let begins = || dotted().find(|known| name.len() > 2 && known.starts_with(name));
    let near = nearest(name, dotted()).and_then(|near| dotted().find(|known| *known == near)).or_else(begins);
    CommandError::Unknown { name: name.to_owned(), near }
}

/// Cuts a command line into words; quotes hold a word together.
fn words(line: &str) -> Result<Vec<String>, CommandError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(CommandError::OpenQuote);
    }
    words.extend(word);
    Ok(words)
}

/// The help.
pub fn help() -> String {
    let mut text = String::from("Statements end with a semicolon and may go over several lines.\n\n");
    let left = |doc: &Doc| {
        let alias = doc.alias.map_or_else(String::new, |alias| format!(", {alias}"));
        format!("{}{alias} {}", doc.name, doc.arguments).trim_end().to_owned()
    };
    let width = all().map(|doc| left(doc).len()).max().unwrap_or(0);
    for doc in all() {
        text.push_str(&format!("  {:width$}  {}\n", left(doc), doc.what));
    }
    text.push_str(
        "\nTab completes, Ctrl-R searches the history, Ctrl-C clears the line or ends the query.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        let some = |text: &str| Some(text.to_owned());
        let run = Command::Run("rejected".into(), vec!["--from".into(), "2026-01-15 10:00".into()]);
        for (line, command) in [
            (".tables", Command::Tables),
            (" .TABLES ; ", Command::Tables),
            ("\\dt", Command::Tables),
            ("\\d", Command::Tables),
            ("\\d flow_logs", Command::Describe("flow_logs".into())),
            (".schema", Command::Schema(None)),
            (".schema flow_logs;", Command::Schema(some("flow_logs"))),
            (".inspect alb_logs", Command::Inspect("alb_logs".into())),
            (".mode csv", Command::Mode(some("csv"))),
            (".timer OFF", Command::Timer(Some(false))),
            (".timer", Command::Timer(None)),
            (".output 'my file.csv'", Command::Output(some("my file.csv"))),
            (".output stdout", Command::Output(None)),
            (".output", Command::Output(None)),
            (".read \"a b.sql\"", Command::Read("a b.sql".into())),
            (".run rejected --from '2026-01-15 10:00'", run),
            (".queries", Command::Queries(None)),
            (".help", Command::Help),
            ("\\?", Command::Help),
            ("help", Command::Help),
            (".quit", Command::Quit),
            (".exit", Command::Quit),
            ("\\q", Command::Quit),
            ("EXIT", Command::Quit),
        ] {
            assert_eq!(parse(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, message) in [
            (".table", "no command .table; did you mean .tables?"),
            (".inspct flow_logs", "no command .inspct; did you mean .inspect?"),
            (".sch", "no command .sch; did you mean .schema?"),
            (".exti", "no command .exti; did you mean .exit?"),
            (".vacuum", "no command .vacuum; .help lists them"),
            (".", "no command .; .help lists them"),
            (".inspect", "usage: .inspect TABLE"),
            (".inspect a b", "usage: .inspect TABLE"),
            (".timer maybe", "usage: .timer [on|off]"),
            (".read 'a", "a quote is not closed"),
        ] {
            assert_eq!(parse(line).map_err(|error| error.to_string()), Err(message.to_owned()), "{line}");
        }
    }

    #[test]
    fn the_help_names_every_command() {
        let help = help();
        assert!(names().all(|name| help.contains(name)));
    }
}
