//! What a file of configuration is, how to read it, and what may be wrong with it.

use super::reading::Context;
use crate::network::history::Timestamp;
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Document {
    /// Output of an `aws … describe-…` or `get-…` command; holds its top-level key.
    AwsCli(&'static str),
    /// AWS Config history or snapshot, or the API's form of it.
    AwsConfig,
    /// `terraform show -json` of a state.
    TerraformState,
    /// `terraform show -json` of a plan.
    TerraformPlan,
    /// A raw `terraform.tfstate` of version 4.
    TerraformRawState,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Document::AwsCli(key) => write!(f, "AWS CLI output ({key})"),
            Document::AwsConfig => f.write_str("AWS Config items"),
            Document::TerraformState => f.write_str("Terraform state (show -json)"),
            Document::TerraformPlan => f.write_str("Terraform plan (show -json)"),
            Document::TerraformRawState => f.write_str("Terraform state (raw)"),
        }
    }
}

/// Why a whole file could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not JSON, or cut off.
    #[error("{file}: not readable as JSON at line {line} column {column}: {detail}; {hint}")]
    Json {
        /// The file.
        file: String,
        /// Line of the fault.
        line: usize,
        /// Column of the fault.
        column: usize,
        /// What the JSON reader says.
        detail: String,
        /// What to do.
        hint: &'static str,
    },
    /// JSON of no known form.
    #[error(
        "{file}: no known configuration form (top-level keys: {keys}); expected AWS CLI output, AWS Config or Terraform JSON"
    )]
    Unknown {
        /// The file.
        file: String,
        /// The keys that it has.
        keys: String,
    },
    /// AWS CLI output that no verdict needs.
    #[error("{file}: AWS CLI output that is not needed ({key})")]
    NotNeeded {
        /// The file.
        file: String,
        /// Its top-level key.
        key: String,
    },
    /// A Terraform document of a major version that this reader does not know.
    #[error(
        "{file}: terraform format_version {version} is not supported; use terraform show -json of a 1.x release"
    )]
    TerraformVersion {
        /// The file.
        file: String,
        /// The version.
        version: String,
    },
    /// A Terraform plan that was not made to its end.
    #[error(
        "{file}: the plan broke off with an error, so that changes may be missing in it; mend that and plan again"
    )]
    BrokenPlan {
        /// The file.
        file: String,
    },
    /// Routes of a transit gateway without their table's id.
    #[error(
        "{file}: routes of a transit gateway without their table's id; name the file after the table, as in \
         tgw-rtb-0123456789abcdef0.json"
    )]
    TableUnnamed {
        /// The file.
        file: String,
    },
    /// A recording of a call that failed.
    #[error("{file}: a recording of a call that failed with status {status}, which holds no configuration")]
    FailedCall {
        /// The file.
        file: String,
        /// The status of HTTP.
        status: i64,
    },
    /// A notification of AWS Config that names an object and does not hold it.
    #[error(
        "{file}: AWS Config's {kind}, which holds no configuration; import the object that it names, {object}"
    )]
    Elsewhere {
        /// The file.
        file: String,
        /// Its message type.
        kind: String,
        /// The object's key.
        object: String,
    },
    /// A known form of which nothing could be read.
    #[error("{file}: nothing in it could be read: {problem}")]
    Nothing {
        /// The file.
        file: String,
        /// The first thing that is wrong.
        problem: String,
    },
    /// Entries of a prefix list without the list's id.
    #[error(
        "{file}: prefix list entries without the list's id; name the file after the list, as in pl-0123456789abcdef0.json"
    )]
    ListUnnamed {
        /// The file.
        file: String,
    },
}

/// One thing wrong inside a file that was otherwise read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The object concerned, or `-`.
    pub object: String,
    /// What is wrong and what was done about it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.file, self.object, self.message)
    }
}

/// A document as UTF-8 without a byte order mark: PowerShell's `>` writes UTF-16. What is no text stays as it is.
pub fn plain_text(bytes: &[u8]) -> Cow<'_, [u8]> {
    let units = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let pairs = rest.chunks_exact(2).filter_map(|pair| <[u8; 2]>::try_from(pair).ok());
        String::from_utf16(&pairs.map(unit).collect::<Vec<u16>>()).ok()
    };
    let decoded = match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => return Cow::Borrowed(rest),
        [0xFF, 0xFE, rest @ ..] => units(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => units(rest, u16::from_be_bytes),
        _ => None,
    };
    decoded.map_or(Cow::Borrowed(bytes), |text| Cow::Owned(text.into_bytes()))
}

/// Which side of a Terraform plan to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlanSide {
    /// What exists before the apply (`prior_state`); the planned values where a plan has no prior state.
    #[default]
    Prior,
    /// What would exist after it (`planned_values`).
    Planned,
}

/// How to read a file.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// When the file was captured, where its form does not tell.
    pub captured_at: Option<Timestamp>,
    /// Which side of a plan.
    pub plan_side: PlanSide,
    /// The side of a plan is compared with the other one, and not taken for all there is: entries of network ACLs and
    /// groups of interfaces that the plan does not hold itself are kept as parts of these
    /// ([`NetworkAcl::is_part`](crate::network::NetworkAcl::is_part),
    /// [`NetworkInterface::is_part`](crate::network::NetworkInterface::is_part)), and what the plan leaves out of a side is
    /// nothing.
    pub compared: bool,
}

/// Why a document is of no known form.
pub(super) fn unknown(value: &Value, context: &Context) -> ReadError {
    let keys = match value {
        Value::Object(object) if !object.is_empty() => {
            object.keys().take(6).cloned().collect::<Vec<_>>().join(", ")
        }
        Value::Array(_) => {
            "none: a list of what is no whole object of one kind; keep the command's own output, without --query or jq"
                .to_owned()
        }
        _ => "none".to_owned(),
    };
    ReadError::Unknown { file: context.file.clone(), keys }
}
