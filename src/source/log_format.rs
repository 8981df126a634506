//! Field names of flow logs: in header lines, and as users give them with `--log-format`.

use crate::format::{LogKind, flow, tgw};

/// Why a list of fields is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogFormatError {
    /// No name in it.
    #[error("the log format names no field (copy it from `aws ec2 describe-flow-logs`, LogFormat)")]
    Empty,
    /// A name that no flow log has and that is like one which they have, or that cannot be one.
    #[error("unknown flow log field `{name}`{}", hint(.nearest))]
    Unknown {
        /// As given.
        name: String,
        /// The known name that is most like it.
        nearest: Option<&'static str>,
    },
    /// A name given twice.
    #[error("flow log field `{name}` is named twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// Names of VPC and of Transit Gateway flow logs together.
    #[error("`{vpc}` is a field of VPC flow logs, `{tgw}` of Transit Gateway flow logs (give one format)")]
    Mixed {
        /// A name that only VPC flow logs have.
        vpc: String,
        /// A name that only Transit Gateway flow logs have.
        tgw: String,
    },
}

fn hint(nearest: &Option<&'static str>) -> String {
    nearest.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}

/// The log's own spelling of a field name, where it is one; `_` for `-` is taken, as Athena writes them.
pub(crate) fn known_name(token: &str) -> Option<&'static str> {
    let columns = || flow::COLUMNS.iter().chain(tgw::COLUMNS);
    columns().find(|column| column.log_name == token || column.name == token).map(|column| column.log_name)
}

fn only_in(name: &str, kind: LogKind) -> bool {
    let has = |kind: LogKind| kind.columns().iter().any(|column| column.log_name == name);
    let other = if kind == LogKind::Flow { LogKind::TransitGateway } else { LogKind::Flow };
    has(kind) && !has(other)
}

/// The log a list of field names belongs to: any name that only Transit Gateway flow logs have decides.
pub fn kind_of_fields<S: AsRef<str>>(fields: &[S]) -> LogKind {
    let tgw = fields
        .iter()
        .map(AsRef::as_ref)
        .any(|name| name.starts_with("tgw-") || name == "resource-type" || name.starts_with("packets-lost-"));
    if tgw { LogKind::TransitGateway } else { LogKind::Flow }
}

/// Whether a name may be that of a field which came after this version of flowq.
fn may_be_new(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_lowercase())
        && token.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
}

/// The names of a field list that flowq does not know; their values end in `extra`.
pub fn unknown_fields(fields: &[String]) -> impl Iterator<Item = &str> {
    fields.iter().map(String::as_str).filter(|name| known_name(name).is_none())
}

/// Reads a `--log-format`: field names with spaces or commas between them, bare or as `${name}`, as a header line or
/// `describe-flow-logs` gives them, in quotes or not. Names that are not known are kept where others are and they are not
/// likely to be mistyped.
pub fn parse_log_format(text: &str) -> Result<Vec<String>, LogFormatError> {
    let separator = |c: char| c.is_whitespace() || matches!(c, ',' | '"' | '\'' | '`');
    // `${a}${b}` without a space between is taken too.
    let text = text.replace("${", " ").replace('}', " ");
    let mut fields: Vec<String> = Vec::new();
    for token in text.split(separator).filter(|token| !token.is_empty()) {
        let known = known_name(token);
        let nearest = nearest(token).filter(|_| known.is_none());
        if known.is_none() && (nearest.is_some() || !may_be_new(token)) {
            return Err(LogFormatError::Unknown { name: token.to_owned(), nearest });
        }
        let name = known.unwrap_or(token);
        if fields.iter().any(|field| field == name) {
            return Err(LogFormatError::Duplicate { name: name.to_owned() });
        }
        fields.push(name.to_owned());
    }
    let Some(first) = fields.first() else { return Err(LogFormatError::Empty) };
    if unknown_fields(&fields).count() == fields.len() {
        return Err(LogFormatError::Unknown { name: first.clone(), nearest: None });
    }
    let vpc = fields.iter().find(|name| only_in(name, LogKind::Flow));
    let tgw = fields.iter().find(|name| only_in(name, LogKind::TransitGateway));
    if let (Some(vpc), Some(tgw)) = (vpc, tgw) {
        return Err(LogFormatError::Mixed { vpc: vpc.clone(), tgw: tgw.clone() });
    }
    Ok(fields)
}

fn nearest(token: &str) -> Option<&'static str> {
    let token = token.to_ascii_lowercase();
    let names = flow::COLUMNS.iter().chain(tgw::COLUMNS).map(|column| column.log_name);
    let (distance, name) = names.map(|name| (strsim::damerau_levenshtein(&token, name), name)).min()?;
    (distance <= 2.min(1 + token.chars().count() / 4)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_format() {
        let expected = Ok(vec!["srcaddr".to_owned(), "pkt-dstaddr".to_owned(), "action".to_owned()]);
        for text in [
            "srcaddr pkt-dstaddr action",
            "${srcaddr} ${pkt-dstaddr} ${action}",
            "'${srcaddr} ${pkt-dstaddr} ${action}'",
            "\"srcaddr\",\"pkt_dstaddr\", action\n",
            "${srcaddr}${pkt-dstaddr}${action}",
        ] {
            assert_eq!(parse_log_format(text), expected, "{text}");
        }
    }

    #[test]
    fn refusals() {
        let error = |text: &str| parse_log_format(text).unwrap_err();
        let unknown = error("srcaddr dstadr");
        assert_eq!(unknown, LogFormatError::Unknown { name: "dstadr".into(), nearest: Some("dstaddr") });
        assert_eq!(unknown.to_string(), "unknown flow log field `dstadr` (did you mean `dstaddr`?)");
        assert_eq!(error("xxxxxxxxx"), LogFormatError::Unknown { name: "xxxxxxxxx".into(), nearest: None });
        assert!(matches!(error("srcaddr flow-directoin"), LogFormatError::Unknown { nearest: Some(_), .. }));
        assert!(matches!(error("srcaddr SELECT"), LogFormatError::Unknown { nearest: None, .. }));
        assert!(matches!(error("srcaddr new-field new-field"), LogFormatError::Duplicate { .. }));
        assert_eq!(error(" '' "), LogFormatError::Empty);
        assert!(matches!(error("start start"), LogFormatError::Duplicate { .. }));
        assert!(matches!(error("vpc-id tgw-id"), LogFormatError::Mixed { .. }));
    }

    #[test]
    fn fields_of_later_versions_are_kept() {
        let fields = parse_log_format("${srcaddr} ${bytes} ${new-field}").unwrap();
        assert_eq!(fields, ["srcaddr", "bytes", "new-field"]);
        assert_eq!(unknown_fields(&fields).collect::<Vec<_>>(), ["new-field"]);
    }

    #[test]
    fn kinds() {
        assert_eq!(kind_of_fields(&["version", "srcaddr"]), LogKind::Flow);
        assert_eq!(kind_of_fields(&["version", "packets-lost-blackhole"]), LogKind::TransitGateway);
        assert_eq!(kind_of_fields(&["resource-type"]), LogKind::TransitGateway);
    }
}
