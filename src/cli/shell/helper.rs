//! The line editor's side of the shell: rustyline asks here when a line ends, what Tab gives and what has colour.
//!
//! A statement over several lines is one text in the editor. Its further lines begin with a margin as wide as the
//! prompt, shown as the continuation prompt. It is made of no-break spaces, which nobody types, so that it can be
//! taken out again without touching what was typed.

use std::borrow::Cow;
use std::path::Path;

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::config::{Behavior, ColorMode};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{
    CharSearch, Cmd, CompletionType, ConditionalEventHandler, Config, Context, Editor, Event, EventContext,
    EventHandler, Helper, Hinter, KeyCode, KeyEvent, Modifiers, Movement, RepeatCount,
};

use super::complete::{self, Offer, Vocabulary};
use super::{highlight, lexer};

/// The prompt.
pub const PROMPT: &str = "flowq> ";
const CONTINUATION: &str = "   ..> ";
const MARGIN: &str = "\u{a0}\u{a0}\u{a0}\u{a0}\u{a0}\u{a0}\u{a0}";
const HISTORY: usize = 10_000;

/// The editor as the shell uses it.
pub type LineEditor = Editor<ShellHelper, FileHistory>;

/// Sets the editor up. With `terminal_only` it stays out of a standard output that is not the terminal.
pub fn editor(color: bool, terminal_only: bool) -> rustyline::Result<LineEditor> {
    let config = Config::builder()
        .max_history_size(HISTORY)?
        .history_ignore_dups(true)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        // The helper writes no colour where none is wanted, and the continuation prompt comes through it in any case.
        .color_mode(ColorMode::Forced)
        .behavior(if terminal_only { Behavior::PreferTerm } else { Behavior::Stdio })
        .build();
    let history = FileHistory::with_config(&config);
    let mut editor = Editor::with_history(config, history)?;
    editor.set_helper(Some(ShellHelper {
        names: Vocabulary::default(),
        files: FilenameCompleter::new(),
        color,
    }));
    let key = |code| KeyEvent(code, Modifiers::NONE);
    for enter in [key(KeyCode::Enter), KeyEvent::ctrl('J'), KeyEvent::ctrl('M')] {
        editor.bind_sequence(enter, EventHandler::Conditional(Box::new(NextLine)));
    }
    for back in [key(KeyCode::Backspace), KeyEvent::ctrl('H')] {
        editor.bind_sequence(back, EventHandler::Conditional(Box::new(BackOverMargin)));
    }
    for home in [key(KeyCode::Home), KeyEvent::ctrl('A')] {
        editor.bind_sequence(home, EventHandler::Conditional(Box::new(HomeOfLine)));
    }
    editor.bind_sequence(key(KeyCode::Left), EventHandler::Conditional(Box::new(LeftOverMargin)));
    Ok(editor)
}

/// What was typed, without the margins.
pub fn typed(line: &str) -> String {
    line.replace(MARGIN, "").replace('\u{a0}', " ")
}

/// A text as the editor keeps it: each further line with its margin.
pub fn kept(text: &str) -> String {
    text.replace('\n', &format!("\n{MARGIN}"))
}

/// Reads the history; there may be none yet.
pub fn load_history(editor: &mut LineEditor, path: &Path) {
    if let Err(error) = editor.load_history(path) {
        log::debug!("no history: {error}");
    }
}

/// What the editor asks.
#[derive(Helper, Hinter)]
pub struct ShellHelper {
    /// What can be completed.
    pub names: Vocabulary,
    files: FilenameCompleter,
    color: bool,
}

impl Completer for ShellHelper {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        match complete::offer(line, at, &self.names) {
            Offer::File => self.files.complete(line, at, context),
            Offer::Words(begin, mut words) => {
                if let [command] = words.as_mut_slice()
                    && command.starts_with('.')
                {
                    command.push(' ');
                }
                let pair = |word: String| Pair {
                    display: word.trim_end_matches(['(', ' ']).to_owned(),
                    replacement: word,
                };
                Ok((begin, words.into_iter().map(pair).collect()))
            }
        }
    }
}

impl Validator for ShellHelper {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        Ok(match lexer::is_complete(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Highlighter for ShellHelper {
    fn highlight<'l>(&self, line: &'l str, _at: usize) -> Cow<'l, str> {
        let shown = if self.color { Cow::Owned(highlight::highlight(line)) } else { Cow::Borrowed(line) };
        if !shown.contains(MARGIN) {
            return shown;
        }
        // The margin takes the colour of what it stands in, a string or comment; it is the same to the editor.
        let continuation =
            if self.color { format!("\u{1b}[0;2m{CONTINUATION}\u{1b}[0m") } else { CONTINUATION.to_owned() };
        Cow::Owned(recolored(&shown, &continuation))
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _default: bool) -> Cow<'b, str> {
        if self.color { Cow::Owned(format!("\u{1b}[1m{prompt}\u{1b}[0m")) } else { Cow::Borrowed(prompt) }
    }

    fn highlight_char(&self, _line: &str, _at: usize, kind: CmdKind) -> bool {
        kind != CmdKind::MoveCursor
    }
}

/// Puts the continuation prompt for each margin; the colour that was on goes on behind it.
fn recolored(shown: &str, continuation: &str) -> String {
    let mut out = String::with_capacity(shown.len().saturating_add(continuation.len()));
    for (at, part) in shown.split(MARGIN).enumerate() {
        if at > 0 {
            let on = out.rfind('\u{1b}').and_then(|escape| out.get(escape..)).unwrap_or("");
            let code: String = on.split_inclusive('m').next().unwrap_or("").to_owned();
            out.push_str(continuation);
            if !code.is_empty() && code != "\u{1b}[0m" {
                out.push_str(&code);
            }
        }
        out.push_str(part);
    }
    out
}

/// Enter where the statement goes on.
struct NextLine;

impl ConditionalEventHandler for NextLine {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext) -> Option<Cmd> {
        if lexer::is_complete(context.line()) {
            return Some(Cmd::AcceptLine);
        }
        Some(Cmd::Insert(1, format!("\n{MARGIN}")))
    }
}

fn before<'c>(context: &'c EventContext) -> &'c str {
    context.line().get(..context.pos()).unwrap_or("")
}

/// Back over the margin and the line end before it. (Not by a number of characters: the editor puts the count that was
/// typed, one, in its place.)
const OVER_MARGIN: Movement = Movement::ViCharSearch(1, CharSearch::Backward('\n'));

fn is_after_margin(context: &EventContext) -> bool {
    before(context).strip_suffix(MARGIN).is_some_and(|rest| rest.ends_with('\n'))
}

/// Backspace at the beginning of a further line joins it to the line before.
struct BackOverMargin;

impl ConditionalEventHandler for BackOverMargin {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext) -> Option<Cmd> {
        is_after_margin(context).then_some(Cmd::Kill(OVER_MARGIN))
    }
}

/// Left at the beginning of a further line goes to the end of the line before.
struct LeftOverMargin;

impl ConditionalEventHandler for LeftOverMargin {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext) -> Option<Cmd> {
        is_after_margin(context).then_some(Cmd::Move(OVER_MARGIN))
    }
}

/// Home stays right of the margin.
struct HomeOfLine;

impl ConditionalEventHandler for HomeOfLine {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext) -> Option<Cmd> {
        let (_, line) = before(context).rsplit_once('\n')?;
        let typed = line.strip_prefix(MARGIN)?;
        // What is typed may hold a no-break space too; then Home goes behind that one.
        let behind_margin = Movement::ViCharSearch(1, CharSearch::BackwardAfter('\u{a0}'));
        Some(if typed.is_empty() { Cmd::Noop } else { Cmd::Move(behind_margin) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn helper(color: bool) -> ShellHelper {
        ShellHelper { names: Vocabulary::default(), files: FilenameCompleter::new(), color }
    }

    #[test]
    fn margins_come_and_go() {
        let text = "select 1,\n       'a\n\tb'\n;";
        assert_eq!(typed(&kept(text)), text);
        assert_eq!(MARGIN.chars().count(), PROMPT.chars().count());
        assert_eq!(CONTINUATION.chars().count(), PROMPT.chars().count());
    }

    #[test]
    fn margins_are_shown_as_a_prompt() {
        assert_eq!(helper(false).highlight(&kept("a\nb"), 0), "a\n   ..> b");
        assert_eq!(helper(true).highlight(&kept("a\nb"), 0), "a\n\u{1b}[0;2m   ..> \u{1b}[0mb");
        let text = helper(true).highlight(&kept("'a\nb'"), 0).into_owned();
        assert_eq!(text, "\u{1b}[32m'a\u{1b}[0m\n\u{1b}[32m\u{1b}[0;2m   ..> \u{1b}[0m\u{1b}[32mb'\u{1b}[0m");
    }
}
