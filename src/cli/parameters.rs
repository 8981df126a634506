//! A query's parameters among the words of a command line: `flowq run NAME --limit 5` is `--param limit=5`.
//!
//! Options that flowq knows win. Every other word that begins with two dashes is a parameter, wherever it stands.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

/// The words with each parameter of `flowq run` as `--param NAME=VALUE`; the words of other commands as they are.
/// `--param NAME` stands for a parameter without a value.
pub fn spell_out(words: Vec<OsString>, cli: &Command) -> Vec<OsString> {
    let mut known = cli.clone();
    known.build();
    let Some(at) = subcommand_at(&words, &known) else { return words };
    let name = words.get(at).and_then(|word| word.to_str()).unwrap_or_default();
    match known.find_subcommand(name) {
        Some(command) if name == "run" => spell_out_after(words, at, command),
        _ => words,
    }
}

/// The long options of a subcommand, global ones among them.
pub fn long_options(cli: &Command, subcommand: &str) -> Vec<String> {
    let mut known = cli.clone();
    known.build();
    let command = known.find_subcommand(subcommand);
    command
        .into_iter()
        .flat_map(Command::get_arguments)
        .filter_map(Arg::get_long_and_visible_aliases)
        .flatten()
        .map(str::to_owned)
        .collect()
}

/// Where the subcommand's name stands, behind the program's and options with their values.
fn subcommand_at(words: &[OsString], cli: &Command) -> Option<usize> {
    let mut at = 1;
    loop {
        let word = words.get(at)?.to_str()?;
        if !word.starts_with('-') {
            return Some(at);
        }
        let takes_next = takes_next_word(word, cli)?;
        at += if takes_next { 2 } else { 1 };
    }
}

fn spell_out_after(words: Vec<OsString>, subcommand: usize, command: &Command) -> Vec<OsString> {
    let mut spelled: Vec<OsString> = Vec::with_capacity(words.len());
    let mut words = words.into_iter().enumerate().peekable();
    while let Some((at, word)) = words.next() {
        let text = word
            .to_str()
            .filter(|text| at > subcommand && text.starts_with('-'))
            .unwrap_or_default()
            .to_owned();
        if text == "--" {
            spelled.push(word);
            break;
        }
        match (takes_next_word(&text, command), text.strip_prefix("--")) {
            (None, Some(parameter)) => {
                let mut pair = OsString::from(format!("--param={parameter}"));
                if !parameter.contains('=')
                    && let Some((_, value)) = words.next_if(|(_, next)| !starts_with_dashes(next))
                {
                    pair.push("=");
                    pair.push(value);
                }
                spelled.push(pair);
            }
            (takes_next, _) => {
                spelled.push(word);
                if takes_next == Some(true) {
                    spelled.extend(words.next().map(|(_, value)| value));
                }
            }
        }
    }
    spelled.extend(words.map(|(_, word)| word));
    spelled
}

/// A value may begin with one dash, as negative numbers do.
fn starts_with_dashes(word: &OsStr) -> bool {
    word.as_encoded_bytes().starts_with(b"--")
}

/// Whether the word after this option is its value; `None` where the option is not known.
fn takes_next_word(word: &str, command: &Command) -> Option<bool> {
    let takes_value = |arg: &Arg| arg.get_action().takes_values();
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        let has_name =
            |arg: &Arg| arg.get_long_and_visible_aliases().is_some_and(|names| names.contains(&name));
        let arg = command.get_arguments().find(|arg| has_name(arg))?;
        return Some(takes_value(arg) && value.is_none());
    }
    // `-o FILE`, `-oFILE`, `-vv`: the first one that takes a value takes the rest of the word, or else the next word.
    let mut letters = word.strip_prefix('-')?.chars();
    while let Some(letter) = letters.next() {
        let arg = command.get_arguments().find(|arg| arg.get_short() == Some(letter))?;
        if takes_value(arg) {
            return Some(letters.next().is_none());
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn spelled(line: &str) -> String {
        let words = line.split_whitespace().map(OsString::from).collect();
        let spelled = spell_out(words, &super::super::Cli::command());
        spelled.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn parameters_are_found_wherever_they_stand() {
        for (typed, meant) in [
            ("flowq run top_talkers --limit 3", "flowq run top_talkers --param=limit=3"),
            ("flowq run --limit 3 top_talkers", "flowq run --param=limit=3 top_talkers"),
            ("flowq run t --limit=3 --port 443", "flowq run t --param=limit=3 --param=port=443"),
            ("flowq run t --min -1", "flowq run t --param=min=-1"),
            ("flowq run t --usual a=b", "flowq run t --param=usual=a=b"),
            ("flowq --store s run t --limit 3", "flowq --store s run t --param=limit=3"),
            ("flowq -q -o out run t --limit 3", "flowq -q -o out run t --param=limit=3"),
        ] {
            assert_eq!(spelled(typed), meant);
        }
    }

    #[test]
    fn known_options_keep_their_values() {
        for line in [
            "flowq run t --raw dir --format csv --store s",
            "flowq run t --from 2026-01-15 --to=2026-01-16 -o out -vv",
            "flowq run t --since 2026-01-15 --until 2026-01-16",
            "flowq run t --raw --limit",
            "flowq run t -- --limit 3",
            "flowq run t --param limit=3",
        ] {
            assert_eq!(spelled(line), line);
        }
        assert_eq!(
            spelled("flowq run t --format csv --limit 3 --raw dir"),
            "flowq run t --format csv --param=limit=3 --raw dir"
        );
    }

    #[test]
    fn a_parameter_does_not_take_an_option_for_its_value() {
        assert_eq!(spelled("flowq run t --limit --format csv"), "flowq run t --param=limit --format csv");
        assert_eq!(spelled("flowq run t --limit"), "flowq run t --param=limit");
    }

    #[test]
    fn other_commands_are_left_alone() {
        for line in [
            "flowq sql --limit 3",
            "flowq",
            "flowq --wrong run t --limit 3",
            "flowq queries show run --limit 3",
        ] {
            assert_eq!(spelled(line), line);
        }
    }

    #[test]
    fn no_parameter_of_a_query_hides_behind_an_option() {
        let options = long_options(&super::super::Cli::command(), "run");
        assert!(options.iter().any(|option| option == "format"), "{options:?}");
        for query in crate::sql::queries::library(None).unwrap().iter() {
            for param in &query.params {
                assert!(!options.contains(&param.name.replace('_', "-")), "{} of {}", param.name, query.name);
            }
        }
    }
}
