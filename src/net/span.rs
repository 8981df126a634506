//! Stretches of time in words.

/// A stretch of time as people say it: the two largest units.
pub fn span(seconds: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, name) in UNITS {
        let count = rest.checked_div(unit).unwrap_or(0);
        rest = rest.checked_rem(unit).unwrap_or(0);
        match (count, parts.is_empty()) {
            (0, true) => {}
            (0, false) => break,
            (count, _) => parts.push(format!("{count} {name}")),
        }
        if parts.len() == 2 {
            break;
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn distances_are_told_in_units_that_people_use() {
        let told: Vec<String> = [59, 3_600, 3_700, 192_099_600, 86_401].into_iter().map(span).collect();
        assert_eq!(told, ["59 s", "1 h", "1 h 1 min", "2223 d 9 h", "1 d"]);
    }
}
