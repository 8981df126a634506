//! Readers of every configuration form: each file is recognised by its content, what is wrong in it is named and counted,
//! and nothing that is wrong stops the rest.

mod agree;
mod aws;
mod balancers;
mod config;
mod count;
mod coverage;
mod elements;
mod entries;
mod groups;
mod join;
mod json;
mod names;
mod node;
mod terraform;
mod terraform_balancers;
mod terraform_network;
mod terraform_parts;
mod terraform_plan;
mod terraform_rules;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_captures;
#[cfg(test)]
mod tests_parts;
#[cfg(test)]
mod tests_states;
#[cfg(test)]
mod tests_terraform;
#[cfg(test)]
mod tests_unknown;
mod traffic;
mod unneeded;

pub use count::Moments;

use super::history::{Observation, Origin, Timeline, Timestamp};
use super::model::*;
use super::store::{Contradiction, Kind, Network};
use crate::net::Prefix;
use agree::Agree;
use coverage::{Captures, Source, Sources};
use hashbrown::HashMap;
use names::Names;
use node::Node;
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use terraform_parts::StatePiece;

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
    /// Where the readings come from, by number in the builder.
    source: Option<usize>,
    /// Until when at least what was captured was in force: the delivery of an AWS Config snapshot.
    held_until: Option<Timestamp>,
    /// AWS Config recorded it once a day.
    daily: bool,
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

/// An observation and its source, by number in the builder.
#[derive(Debug, Clone)]
struct Reading<T> {
    source: Option<usize>,
    seen: Observation<T>,
}

impl<T> std::ops::Deref for Reading<T> {
    type Target = Observation<T>;

    fn deref(&self) -> &Observation<T> {
        &self.seen
    }
}

impl<T> std::ops::DerefMut for Reading<T> {
    fn deref_mut(&mut self) -> &mut Observation<T> {
        &mut self.seen
    }
}

type Readings<T> = HashMap<String, Vec<Reading<T>>>;

/// A piece of an object that another file holds the rest of.
#[derive(Debug, Clone)]
struct Piece<T> {
    id: String,
    at: Option<Timestamp>,
    origin: Origin,
    source: Option<usize>,
    value: T,
}

impl<T> Piece<T> {
    fn new(id: String, context: &Context, value: T) -> Self {
        Piece { id, at: context.at, origin: context.origin(), source: context.source, value }
    }
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
    acl_associations: Readings<AclAssociation>,
    rule_pieces: Vec<Piece<SecurityGroupRule>>,
    /// The first file with rules of each group in each capture, for messages.
    rule_files: HashMap<(String, Option<Timestamp>), String>,
    /// `None` where not all entries can be read.
    list_pieces: Vec<Piece<Option<Vec<Prefix>>>>,
    stale_pieces: Vec<Piece<GroupReference>>,
    /// Whether transit gateways support references to groups.
    gateway_pieces: Vec<Piece<String>>,
    listener_pieces: Vec<Piece<u16>>,
    health_pieces: Vec<Piece<Vec<Target>>>,
    attribute_pieces: Vec<Piece<bool>>,
    /// What Terraform states say of objects that they do not hold.
    state_pieces: Vec<StatePiece>,
    sources: Vec<Source>,
    /// Resources that AWS Config stopped recording: type, id, when.
    unrecorded: Vec<(String, String, Timestamp)>,
    problems: Vec<Problem>,
    /// Changes of a Terraform plan that no filter shows.
    not_followed: Vec<String>,
    names: Names,
    /// Elements of the file being read that have no id.
    unnamed: usize,
}

impl NetworkBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        NetworkBuilder::default()
    }

    /// Reads one file: `name` is for messages and for ids that outputs leave out.
    pub fn read(&mut self, name: &str, text: &[u8], options: &ReadOptions) -> Result<Document, ReadError> {
        self.unnamed = 0;
        let text = plain_text(text);
        let is_blank = text.iter().all(u8::is_ascii_whitespace);
        let (values, twice) = json::parse(&text).map_err(|error| ReadError::Json {
            file: name.to_string(),
            line: error.line(),
            column: error.column(),
            detail: error.to_string().split(" at line ").next().unwrap_or_default().to_string(),
            hint: match (is_blank, error.is_eof()) {
                (true, _) => "the file is empty; fetch it again",
                (false, true) => "the file is cut off; fetch it again",
                (false, false) => "is it JSON output?",
            },
        })?;
        let context = Context { file: name.to_string(), at: options.captured_at, ..Context::default() };
        for member in twice {
            let message =
                "occurs twice in one object: lists were joined, of anything else the last was taken";
            self.problem(&context, &member, message);
        }
        // What they are together is told of the first.
        let mut found = None;
        for value in &values {
            let document = self.document(value, context.clone(), options)?;
            found.get_or_insert(document);
        }
        found.ok_or_else(|| unknown(&Value::Null, &context))
    }

    fn document(
        &mut self,
        value: &Value,
        mut context: Context,
        options: &ReadOptions,
    ) -> Result<Document, ReadError> {
        let node = Node(value);
        if let Some(output) = node.get("output") {
            let told = node.time("captured_at");
            if told.is_none() && node.get("captured_at").is_some() {
                self.problem(&context, "-", "captured_at of the envelope is no time; it was passed over");
            }
            context.at = told.or(context.at);
            context.sequence = node.millis("captured_at");
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
        // What a notification carries, or `jq` picked out of a history.
        let item = node.get("configurationItem").unwrap_or(node);
        if item.get("configurationItemCaptureTime").is_some() && item.get("resourceType").is_some() {
            self.config_item(item, &context);
            return Ok(Document::AwsConfig);
        }
        if let Some(found) = self.terraform(node, &context, options)? {
            return Ok(found);
        }
        self.aws_cli(node, &context)
    }

    /// The number of a source.
    fn source(&mut self, source: Source) -> usize {
        // A file's sources are few and come one after the other.
        const RECENT: usize = 64;
        let start = self.sources.len().saturating_sub(RECENT);
        let recent = self.sources.get(start..).unwrap_or_default();
        if let Some(at) = recent.iter().position(|known| *known == source) {
            return start.saturating_add(at);
        }
        self.sources.push(source);
        self.sources.len().saturating_sub(1)
    }

    /// What was wrong inside files so far.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The Region of what was read, where it tells one.
    pub fn region(&self) -> Option<String> {
        self.sources.iter().find_map(|source| source.region.clone())
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
        let sources = Sources::new(&self.sources);
        let disagreements = self.join_rules(&sources);
        self.join_lists(&sources);
        self.join_stale();
        self.join_targets();
        self.join_listeners(&sources);
        self.join_gateways();
        let unjoined = self.join_states();
        self.stop_recording();
        let mut network = Network::default();
        (network.part_captures, network.interfaces_in_part) = sources.tell(&self.sources);
        network.part_captures.extend(unjoined);
        let mut filling =
            Filling { captures: Captures::new(&self.sources), sources, contradictions: Vec::new() };
        network.interfaces = filling.kind(self.interfaces);
        network.groups = filling.kind(self.groups);
        network.acls = filling.kind(self.acls);
        network.subnets = filling.kind(self.subnets);
        network.vpcs = filling.kind(self.vpcs);
        network.prefix_lists = filling.kind(self.prefix_lists);
        network.route_tables = filling.kind(self.route_tables);
        network.peerings = filling.kind(self.peerings);
        network.transit_attachments = filling.kind(self.transit_attachments);
        network.instances = filling.kind(self.instances);
        network.load_balancers = filling.kind(self.load_balancers);
        network.target_groups = filling.kind(self.target_groups);
        network.bpa_options = filling.kind(self.bpa_options);
        network.bpa_exclusions = filling.kind(self.bpa_exclusions);
        network.group_associations = filling.kind(self.group_associations);
        network.acl_associations = filling.kind(self.acl_associations);
        let contradictions = filling.contradictions;
        for contradiction in &contradictions {
            self.problems.push(Problem {
                file: "configuration".to_string(),
                object: contradiction.object.clone(),
                message: format!(
                    "has two contents {}; what they differ in is uncertain",
                    contradiction.when()
                ),
            });
        }
        network.names = self.names.into_iter().map(|(id, (_, name))| (id, name)).collect();
        network.disagreements = disagreements;
        network.contradictions = contradictions;
        network.not_followed = self.not_followed;
        network.finish();
        (network, self.problems)
    }
}

/// Why a document is of no known form.
fn unknown(value: &Value, context: &Context) -> ReadError {
    let keys = match value {
        Value::Object(object) if !object.is_empty() => {
            object.keys().take(6).cloned().collect::<Vec<_>>().join(", ")
        }
        Value::Array(_) => {
            "none: a bare list; keep the command's own output, without --query or jq".to_owned()
        }
        _ => "none".to_owned(),
    };
    ReadError::Unknown { file: context.file.clone(), keys }
}

fn record<T: Clone>(
    readings: &mut Readings<T>,
    context: &Context,
    id: String,
    reduced: bool,
    value: Option<T>,
) {
    let (sequence, origin) = (context.sequence, context.origin());
    let observed = |at, value| Reading {
        source: context.source,
        // Whether it is a part of what there is can be told when all files have been read.
        seen: Observation { at, sequence, origin, reduced, part: reduced, daily: context.daily, value },
    };
    let readings = readings.entry(id).or_default();
    if let Some(until) = context.held_until.filter(|until| context.at.is_some_and(|at| at < *until)) {
        readings.push(observed(Some(until), value.clone()));
    }
    readings.push(observed(context.at, value));
}

/// Makes timelines of readings.
struct Filling<'a> {
    captures: Captures<'a>,
    sources: Sources,
    contradictions: Vec<Contradiction>,
}

impl Filling<'_> {
    fn kind<T: Agree>(&mut self, mut readings: Readings<T>) -> Kind<T> {
        for (id, readings) in &mut readings {
            readings.iter_mut().for_each(|one| one.part |= self.sources.is_part(one.source));
            let found = agree::settle(readings);
            self.contradictions.extend(found.into_iter().map(|at| Contradiction { object: id.clone(), at }));
        }
        let mut doubts = self.captures.apply(&mut readings);
        let mut sorted: Vec<_> = readings.into_iter().collect();
        sorted.sort_by(|one, other| one.0.cmp(&other.0));
        let mut kind = Kind::default();
        for (id, readings) in sorted {
            let absent = doubts.remove(&id).unwrap_or_default();
            let readings = readings.into_iter().map(|reading| reading.seen).collect();
            kind.put(id, Timeline::with_absences(readings, absent));
        }
        kind
    }
}
