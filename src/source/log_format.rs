//! Field names of flow logs: in header lines, and as users give them with `--log-format`.

use crate::format::{LogKind, flow, tgw};

/// Why a list of fields is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogFormatError {
    /// No name in it.
    #[error("the log format names no field (copy it from `aws ec2 describe-flow-logs`, LogFormat)")]
    Empty,
    /// A name that no flow log has.
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

/// Reads a `--log-format`: field names with spaces or commas between them, bare or as `${name}`, as a header line or
/// `describe-flow-logs` gives them, in quotes or not.
pub fn parse_log_format(text: &str) -> Result<Vec<String>, LogFormatError> {
    let separator = |c: char| c.is_whitespace() || matches!(c, ',' | '"' | '\'' | '`');
    // `${a}${b}` without a space between is taken too.
    let text = text.replace("${", " ").replace('}', " ");
    let mut fields: Vec<String> = Vec::new();
    for token in text.split(separator).filter(|token| !token.is_empty()) {
        let Some(name) = known_name(token) else {
            return Err(LogFormatError::Unknown { name: token.to_owned(), nearest: nearest(token) });
        };
        if fields.iter().any(|field| field == name) {
            return Err(LogFormatError::Duplicate { name: name.to_owned() });
        }
        fields.push(name.to_owned());
    }
    if fields.is_empty() {
        return Err(LogFormatError::Empty);
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
    (distance <= 1 + token.chars().count() / 3).then_some(name)
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
        assert_eq!(error(" '' "), LogFormatError::Empty);
        assert!(matches!(error("start start"), LogFormatError::Duplicate { .. }));
        assert!(matches!(error("vpc-id tgw-id"), LogFormatError::Mixed { .. }));
    }

    #[test]
    fn kinds() {
        assert_eq!(kind_of_fields(&["version", "srcaddr"]), LogKind::Flow);
        assert_eq!(kind_of_fields(&["version", "packets-lost-blackhole"]), LogKind::TransitGateway);
        assert_eq!(kind_of_fields(&["resource-type"]), LogKind::TransitGateway);
    }
}
