//! Readers of every configuration form: each file is recognised by its content, what is wrong in it is named and counted,
//! and nothing that is wrong stops the rest.

mod aws;
mod balancers;
mod config;
mod count;
mod groups;
mod join;
mod node;
mod terraform;
mod terraform_rules;
#[cfg(test)]
mod tests;
mod traffic;

pub use count::Moments;

use super::history::{Observation, Origin, Timeline, Timestamp};
use super::model::*;
use super::store::{Kind, Network};
use hashbrown::HashMap;
use node::Node;
use serde_json::Value;
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
    /// ([`NetworkAcl::is_part`], [`NetworkInterface::is_part`]), and what the plan leaves out of a side is nothing.
    pub compared: bool,
}

/// What an envelope or the options say about a file.
#[derive(Debug, Clone, Default)]
struct Context {
    file: String,
    at: Option<Timestamp>,
    sequence: u64,
    origin: Option<Origin>,
    account: Option<String>,
    region: Option<String>,
    /// The command of an envelope, which names what an output leaves out.
    command: String,
}

impl Context {
    fn origin(&self) -> Origin {
        self.origin.unwrap_or(if self.at.is_some() { Origin::Snapshot } else { Origin::Undated })
    }

    /// An identifier that starts with `start`, from the envelope's command or the file's name.
    fn named(&self, start: &str) -> Option<String> {
        let name = self.file.rsplit(['/', '\\']).next().unwrap_or_default();
        [self.command.as_str(), name].into_iter().find_map(|text| {
            let from = text.find(start)?;
            let id: String = text
                .get(from..)?
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || "-:/_".contains(*c))
                .collect();
            (id.len() > start.len()).then_some(id)
        })
    }
}

/// Targets with their health state.
type Targets = Vec<(String, Option<String>)>;

type Readings<T> = HashMap<String, Vec<Observation<T>>>;

/// A piece of an object that another file holds the rest of.
#[derive(Debug, Clone)]
struct Piece<T> {
    id: String,
    at: Option<Timestamp>,
    origin: Origin,
    value: T,
}

/// Collects readings from any number of files and makes a [`Network`] of them.
#[derive(Debug, Default)]
pub struct NetworkBuilder {
    interfaces: Readings<NetworkInterface>,
    groups: Readings<SecurityGroup>,
    acls: Readings<NetworkAcl>,
    subnets: Readings<Subnet>,
    vpcs: Readings<Vpc>,
    prefix_lists: Readings<PrefixList>,
    route_tables: Readings<RouteTable>,
    peerings: Readings<Peering>,
    transit_attachments: Readings<TransitGatewayAttachment>,
    instances: Readings<Instance>,
    load_balancers: Readings<LoadBalancer>,
    target_groups: Readings<TargetGroup>,
    bpa_options: Readings<BpaOptions>,
    bpa_exclusions: Readings<BpaExclusion>,
    group_associations: Readings<GroupVpcAssociation>,
    rule_pieces: Vec<Piece<SecurityGroupRule>>,
    /// The first file with rules of each group in each capture, for messages.
    rule_files: HashMap<(String, Option<Timestamp>), String>,
    list_pieces: Vec<Piece<Vec<crate::net::Prefix>>>,
    stale_pieces: Vec<Piece<GroupReference>>,
    health_pieces: Vec<Piece<Targets>>,
    attribute_pieces: Vec<Piece<bool>>,
    problems: Vec<Problem>,
}

impl NetworkBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        NetworkBuilder::default()
    }

    /// Reads one file: `name` is for messages and for ids that outputs leave out.
    pub fn read(&mut self, name: &str, text: &[u8], options: &ReadOptions) -> Result<Document, ReadError> {
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
        let value: Value = serde_json::from_slice(text).map_err(|error| ReadError::Json {
            file: name.to_string(),
            line: error.line(),
            column: error.column(),
            detail: error.to_string().split(" at line ").next().unwrap_or_default().to_string(),
            hint: if error.is_eof() { "the file is cut off; fetch it again" } else { "is it JSON output?" },
        })?;
        let context = Context { file: name.to_string(), at: options.captured_at, ..Context::default() };
        self.document(&value, context, options)
    }

    fn document(
        &mut self,
        value: &Value,
        mut context: Context,
        options: &ReadOptions,
    ) -> Result<Document, ReadError> {
        let node = Node(value);
        if let Some(output) = node.get("output") {
            context.at = node.time("captured_at").or(context.at);
            context.account = node.text("account");
            context.region = node.text("region");
            context.command = match node.get("command").map(|command| command.0) {
                Some(Value::Array(words)) => {
                    words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
                }
                Some(Value::String(command)) => command.clone(),
                _ => String::new(),
            };
            if let Value::String(text) = output.0 {
                let inner: Value = serde_json::from_str(text).map_err(|error| ReadError::Json {
                    file: context.file.clone(),
                    line: error.line(),
                    column: error.column(),
                    detail: "the envelope's output".to_string(),
                    hint: "store the command's JSON output unchanged",
                })?;
                return self.document(&inner, context, options);
            }
            return self.document(output.0, context, options);
        }
        if node.get("configurationItems").is_some() || node.get("baseConfigurationItems").is_some() {
            self.config_items(node, &context);
            return Ok(Document::AwsConfig);
        }
        if let Some(found) = self.terraform(node, &context, options)? {
            return Ok(found);
        }
        self.aws_cli(node, &context)
    }

    /// What was wrong inside files so far.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn problem(&mut self, context: &Context, object: &str, message: impl Into<String>) {
        self.problems.push(Problem {
            file: context.file.clone(),
            object: object.to_string(),
            message: message.into(),
        });
    }

    /// Puts the readings together. What could not be joined is added to the problems returned.
    pub fn finish(mut self) -> (Network, Vec<Problem>) {
        let disagreements = self.join_rules();
        self.join_lists();
        self.join_stale();
        self.join_targets();
        let mut network = Network::default();
        fill(&mut network.interfaces, self.interfaces);
        fill(&mut network.groups, self.groups);
        fill(&mut network.acls, self.acls);
        fill(&mut network.subnets, self.subnets);
        fill(&mut network.vpcs, self.vpcs);
        fill(&mut network.prefix_lists, self.prefix_lists);
        fill(&mut network.route_tables, self.route_tables);
        fill(&mut network.peerings, self.peerings);
        fill(&mut network.transit_attachments, self.transit_attachments);
        fill(&mut network.instances, self.instances);
        fill(&mut network.load_balancers, self.load_balancers);
        fill(&mut network.target_groups, self.target_groups);
        fill(&mut network.bpa_options, self.bpa_options);
        fill(&mut network.bpa_exclusions, self.bpa_exclusions);
        fill(&mut network.group_associations, self.group_associations);
        network.disagreements = disagreements;
        network.finish();
        (network, self.problems)
    }
}

fn record<T>(readings: &mut Readings<T>, context: &Context, id: String, reduced: bool, value: Option<T>) {
    readings.entry(id).or_default().push(Observation {
        at: context.at,
        sequence: context.sequence,
        origin: context.origin(),
        reduced,
        value,
    });
}

fn fill<T: PartialEq>(kind: &mut Kind<T>, readings: Readings<T>) {
    let mut sorted: Vec<_> = readings.into_iter().collect();
    sorted.sort_by(|one, other| one.0.cmp(&other.0));
    for (id, readings) in sorted {
        kind.put(id, Timeline::new(readings));
    }
}
