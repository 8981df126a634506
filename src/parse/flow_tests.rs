//! Flow log lines against splitting each one on its own.

use proptest::prelude::*;

use super::*;
use crate::format::LogKind;

/// Cuts a whole text in batches of `max_rows`; gives each row's cells, the refusals, and the counts.
fn cut(text: &[u8], layout: Layout, max_rows: usize) -> (Vec<Vec<Option<String>>>, Vec<Refusal>, Progress) {
    let wanted = Wanted::all(layout.kind.columns().len());
    let mut cutter = FlowCutter::new(layout, wanted.clone());
    let (mut rows, mut refused, mut total) = (Vec::new(), Vec::new(), Progress::default());
    let mut cells = Cells::default();
    while total.next < text.len() && total.rebound.is_none() {
        cells.reset(&wanted);
        let done = cutter.cut_block(text, total.lines + 1, total.next, max_rows, &mut cells, &mut refused);
        assert!(done.next > total.next, "a call has to come forward");
        for row in 0..cells.rows() {
            let text = |span: Span| {
                let text = String::from_utf8_lossy(span.of(text)).into_owned();
                Some(text).filter(|text| !text.is_empty() && text != "-")
            };
            rows.push(cells.spans.iter().map(|column| text(column[row])).collect());
        }
        total.next = done.next;
        total.lines += done.lines;
        total.blank += done.blank;
        total.headers += done.headers;
        total.rebound = done.rebound;
    }
    (rows, refused, total)
}

fn naive(text: &str, layout: &Layout) -> Vec<Vec<Option<String>>> {
    let mut rows = Vec::new();
    let ended = text.ends_with('\n');
    let lines: Vec<&str> = text.split('\n').collect();
    for (at, line) in lines.iter().enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let tokens: Vec<&str> = line.split(' ').filter(|token| !token.is_empty()).collect();
        let open = at + 1 == lines.len() && !ended;
        if tokens.is_empty() || (open && tokens.len() < layout.columns.len()) {
            continue;
        }
        let mut row = vec![None; layout.kind.columns().len()];
        for (token, column) in tokens.iter().zip(&layout.columns) {
            if let (Some(column), true) = (column, *token != "-") {
                row[*column] = Some((*token).to_owned());
            }
        }
        rows.push(row);
    }
    rows
}

proptest! {
    #[test]
    fn rows_are_what_splitting_each_line_gives(
        lines in prop::collection::vec(
            prop_oneof![
                6 => prop::collection::vec("[0-9A-Z.:-]{1,6}", 4).prop_map(|tokens| tokens.join(" ")),
                1 => "[0-9A-Z -]{0,24}",
                1 => Just(String::new()),
            ],
            0..60,
        ),
        ended in any::<bool>(),
        crlf in any::<bool>(),
        max_rows in 1usize..40,
    ) {
        let layout = Layout::bind(&["version", "srcaddr", "action", "log-status"]);
        let mut text = lines.join(if crlf { "\r\n" } else { "\n" });
        if ended && !text.is_empty() {
            text.push('\n');
        }
        let (rows, refused, total) = cut(text.as_bytes(), layout.clone(), max_rows);
        prop_assert_eq!(&rows, &naive(&text, &layout));
        prop_assert_eq!(total.lines, rows.len() as u64 + refused.len() as u64 + total.blank + total.headers);
        let lines = text.split('\n').count() as u64 - u64::from(text.is_empty() || text.ends_with('\n'));
        prop_assert_eq!(total.lines, lines);
    }

    #[test]
    fn any_bytes_are_accounted_for(text in prop::collection::vec(any::<u8>(), 0..400)) {
        let (rows, refused, total) = cut(&text, Layout::flow_default(), 7);
        if total.rebound.is_none() {
            prop_assert_eq!(total.lines, rows.len() as u64 + refused.len() as u64 + total.blank + total.headers);
        }
    }
}

proptest! {
    /// The naive way: convert every column of every line and see which lines have a bad one.
    #[test]
    fn a_line_with_too_few_or_too_many_fields_is_refused_for_what_is_in_it(
        lines in prop::collection::vec(
            prop::collection::vec(
                prop_oneof![
                    3 => Just("2"), 2 => Just("10.0.0.1"), 1 => Just("-"), 1 => Just("1768471200"), 1 => Just("2001:db8::7"),
                    1 => Just("99999999999999999999"), 1 => Just("REJECT"), 1 => Just("+1"), 1 => Just("10.0.0.999"),
                ],
                1..8,
            ),
            1..30,
        ),
    ) {
        // Not in table order.
        let layout = Layout::bind(&["start", "srcaddr", "action", "bytes", "version"]);
        let text: String = lines.iter().map(|tokens| format!("{}\n", tokens.join(" "))).collect();
        let columns = layout.kind.columns();
        let mut expected = Vec::new();
        for (number, tokens) in lines.iter().enumerate().filter(|(_, tokens)| tokens.len() != 5) {
            for name in ["version", "srcaddr", "bytes", "start"] {
                let column = columns.iter().find(|column| column.name == name).unwrap();
                let field = ["start", "srcaddr", "action", "bytes", "version"].iter().position(|n| *n == name);
                let Some(token) = tokens.get(field.unwrap()) else { continue };
                let mut bad = Vec::new();
                let span = Span::new(0, token.len());
                crate::parse::columns::Converter::new(column.ty).array(token.as_bytes(), &[span], &mut bad);
                if !bad.is_empty() {
                    expected.push((number as u64 + 1, refusal_reason(column, token.as_bytes())));
                    break;
                }
            }
        }
        for wanted in [vec![], vec!["action"], vec!["version", "start"]] {
            let slots: Vec<usize> = wanted.iter().map(|name| layout.kind.column_index(name).unwrap()).collect();
            let wanted = Wanted::new(columns.len(), &slots, false);
            let mut cells = Cells::default();
            cells.reset(&wanted);
            let mut refused = Vec::new();
            let mut cutter = FlowCutter::new(layout.clone(), wanted);
            let done = cutter.cut_block(text.as_bytes(), 1, 0, 1000, &mut cells, &mut refused);
            let found: Vec<_> = refused.iter().map(|refusal| (refusal.line, refusal.reason.clone())).collect();
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(done.lines as usize, cells.rows() + refused.len());
        }
        // Whoever wants all converts all, and finds it there.
        let (_, refused, _) = cut(text.as_bytes(), layout, 1000);
        prop_assert_eq!(refused, vec![]);
    }
}

#[test]
fn a_second_header_of_another_format_stops_the_cutter() {
    let text = b"version srcaddr\n2 10.0.0.1\naction dstaddr version\nACCEPT 10.0.0.2 2\n";
    let (rows, _, total) = cut(text, Layout::bind(&["version", "srcaddr"]), 100);
    assert_eq!(rows.len(), 1);
    assert_eq!(total.headers, 2);
    assert_eq!(total.rebound.unwrap().names, ["action", "dstaddr", "version"]);
    assert_eq!(total.next, text.len() - "ACCEPT 10.0.0.2 2\n".len());
}

#[test]
fn one_name_alone_is_a_header_only_on_the_first_line() {
    let layout = Layout::bind(&["instance-tag"]);
    let (rows, _, total) = cut(b"instance-tag\nregion\nx\n", layout, 100);
    assert_eq!((rows.len(), total.headers), (2, 1));
}

#[test]
fn the_event_time_of_an_export_is_told_by_its_shape() {
    for time in ["2026-01-15T10:00:00.000Z", "2026-01-15T10:00:00Z"] {
        assert!(is_event_time(time.as_bytes()), "{time}");
    }
    for other in ["2026-01-15T10:00:00", "2026-01-15T10:00:00.Z", "2", "2026-01-15T10:00:00.00xZ"] {
        assert!(!is_event_time(other.as_bytes()), "{other}");
    }
}

#[test]
fn lines_without_a_header_are_read_by_the_format_that_fits() {
    let wide = Layout::bind(&["interface-id", "srcaddr", "dstaddr", "action"]);
    let swapped = Layout::bind(&["srcaddr", "dstaddr", "action", "interface-id"]);
    let wanted = Wanted::all(wide.kind.columns().len());
    let mut cutter =
        FlowCutter::new(wide, wanted.clone()).with_alternatives(&[swapped, Layout::flow_default()]);
    let mut cells = Cells::default();
    cells.reset(&wanted);
    let text = b"eni-1 10.0.0.1 10.0.0.2 ACCEPT\n10.0.0.3 10.0.0.4 REJECT eni-2\n\
        2 123456789012 eni-3 10.0.0.5 10.0.0.6 1 2 6 1 40 1768471200 1768471258 ACCEPT OK\n";
    cutter.cut_block(text, 1, 0, 100, &mut cells, &mut Vec::new());
    let column = |name: &str| {
        let at = LogKind::Flow.column_index(name).unwrap();
        cells.spans[at]
            .iter()
            .map(|span| String::from_utf8_lossy(span.of(text)).into_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(column("interface_id"), ["eni-1", "eni-2", "eni-3"]);
    assert_eq!(column("srcaddr"), ["10.0.0.1", "10.0.0.3", "10.0.0.5"]);
    assert_eq!(column("action"), ["ACCEPT", "REJECT", "ACCEPT"]);
    let default = Layout::flow_default().names.join(" ");
    let lists: Vec<&str> = cells.field_lists.iter().map(AsRef::as_ref).collect();
    assert_eq!(
        lists,
        ["interface-id srcaddr dstaddr action", "srcaddr dstaddr action interface-id", &default]
    );
}

#[test]
fn a_row_has_the_fields_that_its_line_holds_and_a_file_those_of_all_its_rows() {
    let layout = Layout::bind(&["srcaddr", "dstaddr", "action", "x-unknown"]);
    let wanted = Wanted::all(layout.kind.columns().len());
    let lists = |text: &[u8]| {
        let mut cutter = FlowCutter::new(layout.clone(), wanted.clone());
        let mut cells = Cells::default();
        cells.reset(&wanted);
        cutter.cut_block(text, 2, 0, 100, &mut cells, &mut Vec::new());
        let mut file = FieldList::default();
        cells.field_lists.iter().for_each(|list| file.add(list));
        (cells.field_lists.iter().map(|list| list.to_string()).collect::<Vec<_>>(), file.get().cloned())
    };
    let whole = "srcaddr dstaddr action x-unknown";
    let rows = b"10.0.0.1 10.0.0.2 ACCEPT 1\n10.0.0.1 10.0.0.2 ACCEPT 1\n";
    assert_eq!(lists(rows), (vec![whole.to_owned()], Some(whole.into())));
    let short = b"10.0.0.1 10.0.0.2 ACCEPT 1\n10.0.0.1 10.0.0.2 ACCEPT\n";
    assert_eq!(lists(short), (vec![whole.to_owned(), "srcaddr dstaddr action".to_owned()], None));
    assert_eq!(lists(b""), (vec![], None));
}

#[test]
fn a_first_line_that_begins_with_an_unknown_name_is_a_header() {
    let names = ["brand-new-field", "srcaddr", "dstaddr", "action"];
    let text = b"brand-new-field srcaddr dstaddr action\nx 10.0.0.1 10.0.0.2 ACCEPT\nbrand-new-field srcaddr dstaddr action\n";
    let (rows, _, total) = cut(text, Layout::bind(&names), 100);
    assert_eq!((rows.len(), total.headers), (1, 2));
}
