//! Which logs have the field `reject-reason`, as far as their records show it.
//!
//! A record without a reason is none of Block Public Access only where its log would have named that (spec 8.7, rows 16, 17, 22 and
//! 23). The fields of a flow log are chosen when it is created and are the same in all its objects; those of other flow logs say
//! nothing of it, whatever their version.

use hashbrown::{Equivalent, HashSet};

use crate::attribute::Action;
use crate::source::keys::is_flow_log_id;
use crate::sql::records::{Columns, NONE, REASON_SINCE, Text};

/// A format: the version that its records name, and the flow log, or the file where its name tells no flow log.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Format {
    version: Option<i32>,
    log: String,
}

/// The same, as it is looked up.
#[derive(Hash)]
struct Asked<'a> {
    version: Option<i32>,
    log: &'a str,
}

impl Equivalent<Format> for Asked<'_> {
    fn equivalent(&self, known: &Format) -> bool {
        self.version == known.version && self.log == known.log
    }
}

/// Formats of which some record named a reason.
#[derive(Debug, Default)]
pub(super) struct Reasons(HashSet<Format>);

impl Reasons {
    /// Takes note of the REJECTs that name a reason.
    pub(super) fn note(&mut self, columns: &Columns) {
        for row in 0..if columns.has(Text::RejectReason) { columns.rows() } else { 0 } {
            if columns.action(row) != Action::Reject || columns.key(Text::RejectReason, row) == NONE {
                continue;
            }
            let asked = Asked { version: columns.version(row), log: log(columns, row) };
            if !self.0.contains(&asked) {
                self.0.insert(Format { version: asked.version, log: asked.log.to_owned() });
            }
        }
    }

    pub(super) fn merge(&mut self, other: Reasons) {
        self.0.extend(other.0);
    }

    /// Whether a row that names no reason comes from a log that would have named one.
    pub(super) fn are_in_format(&self, columns: &Columns, row: usize) -> bool {
        let version = columns.version(row);
        version == Some(REASON_SINCE)
            || (!self.0.is_empty() && self.0.contains(&Asked { version, log: log(columns, row) }))
    }
}

/// What tells a row's flow log from others.
fn log(columns: &Columns, row: usize) -> &str {
    let file = columns.text(Text::Source, row).unwrap_or_default();
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    name.split('_').find(|part| is_flow_log_id(part)).unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{over, rows};
    use crate::rules::fixture::Fixture;
    use crate::source::decode::DecodeOptions;
    use crate::source::locate;
    use crate::sql::catalog::TableSource;
    use crate::sql::raw::RawTables;

    const FIELDS: &str = "version interface-id srcaddr dstaddr srcport dstport protocol start end action log-status tcp-flags flow-direction";

    /// A log of SYNs to 10.0.2.20 that were rejected, each with its reason, if the format has the field.
    fn log(reasons: &[&str]) -> String {
        let with_field = if reasons == [""] { "" } else { " reject-reason" };
        let line = |(port, reason): (usize, &&str)| {
            format!(
                "11 eni-b 198.51.100.7 10.0.2.20 {} 443 6 1714651200 1714651260 REJECT OK 2 ingress {reason}\n",
                50_000 + port
            )
        };
        let lines: String = reasons.iter().enumerate().map(line).collect();
        format!("{FIELDS}{with_field}\n{lines}")
    }

    #[tokio::test]
    async fn a_reason_that_one_log_names_says_nothing_of_other_logs() {
        let folder = tempfile::tempdir().unwrap();
        let name = |log: &str, at: &str| {
            format!("111122223333_vpcflowlogs_us-east-1_{log}_20240502T12{at}Z_0a1b2c3d.log")
        };
        for (name, reasons) in [
            ("custom.log".to_owned(), &[""][..]),
            (name("fl-00000000000000001", "00"), &["BPA"]),
            (name("fl-00000000000000001", "05"), &["-"]),
            (name("fl-00000000000000002", "00"), &["-"]),
        ] {
            std::fs::write(folder.path().join(name), log(reasons)).unwrap();
        }
        let network = Fixture::new(
            "vpc vpc-1 10.0.0.0/16
             subnet subnet-2 vpc-1 10.0.2.0/24
             eni eni-b subnet-2 10.0.2.20 groups=sg-b
             nacl acl-2 vpc-1 subnet-2
             acl-2 in 100 allow all 0.0.0.0/0
             acl-2 out 100 allow all 0.0.0.0/0
             sg-b in all 0.0.0.0/0
             bpa subnet-2 block-bidirectional",
        )
        .network();
        let found = locate(&[folder.path().to_string_lossy().into_owned()], None);
        let raw = RawTables::new(found.objects, DecodeOptions::default());
        let context = over(raw.open("flow_logs").await.unwrap().unwrap(), Some(network));
        let judged = "select regexp_replace(source_file, '.*[/_](custom|fl-0*[12]_20240502T12..).*', '\\1'), verdict, confidence \
            from reject_attribution order by 1";
        assert_eq!(
            rows(&context, judged).await,
            [
                // Whether they have the field is not known: row 22 as far as it goes.
                "custom|VPC_BPA|WEAK",
                "fl-00000000000000001_20240502T1200|VPC_BPA|PROVEN",
                // It would have been named: row 28.
                "fl-00000000000000001_20240502T1205|CONFIG_MISMATCH|WEAK",
                "fl-00000000000000002_20240502T1200|VPC_BPA|WEAK",
            ]
        );
    }
}
