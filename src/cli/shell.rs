//! The SQL shell: `flowq sql` on a terminal.

use super::Printer;
use super::engine::Engine;
use crate::sql::queries::Library;

/// Reads statements and dot commands until `.quit` or the end of input.
pub fn run(engine: Engine, library: &Library, printer: &Printer) -> anyhow::Result<u8> {
    let _ = (engine, library, printer);
    anyhow::bail!("give a statement: flowq sql \"select …\"")
}
