//! Readers of every configuration form: each file is recognised by its content, what is wrong in it is named and counted,
//! and nothing that is wrong stops the rest.

mod agree;
mod aws;
mod balancers;
mod config;
mod count;
mod coverage;
mod document;
mod elements;
mod entries;
mod envelopes;
mod filling;
mod groups;
mod join;
mod join_balancers;
mod json;
mod names;
mod node;
mod pairs;
mod paths;
mod reading;
mod terraform;
mod terraform_awscc;
mod terraform_balancers;
mod terraform_elastic;
mod terraform_exclusive;
mod terraform_inline;
mod terraform_network;
mod terraform_parts;
mod terraform_plan;
mod terraform_references;
mod terraform_regroup;
mod terraform_rules;
mod terraform_values;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_balancers;
#[cfg(test)]
mod tests_captures;
#[cfg(test)]
mod tests_envelopes;
#[cfg(test)]
mod tests_parts;
#[cfg(test)]
mod tests_routes;
#[cfg(test)]
mod tests_states;
#[cfg(test)]
mod tests_terraform;
#[cfg(test)]
mod tests_unknown;
mod traffic;
mod unneeded;

pub use count::Moments;
pub use document::{Document, PlanSide, Problem, ReadError, ReadOptions, plain_text};

use super::history::Timestamp;
use super::model::*;
use super::store::Network;
use crate::net::Prefix;
use config::Recorders;
use coverage::{Captures, Source, Sources};
use document::unknown;
use filling::Filling;
use hashbrown::HashMap;
use names::Names;
use reading::{Context, Piece, Reading, Readings, record};
use serde_json::Value;
use terraform_elastic::Elastic;
use terraform_inline::Inline;
use terraform_parts::StatePiece;

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
    transit_tables: Readings<TransitRouteTable>,
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
    listener_pieces: Vec<Piece<Listener>>,
    health_pieces: Vec<Piece<Vec<Target>>>,
    attribute_pieces: Vec<Piece<balancers::GroupAttributes>>,
    /// What Terraform states say of objects that they do not hold.
    state_pieces: Vec<StatePiece>,
    /// What Terraform resources hold inline.
    inline: Inline,
    /// Elastic addresses, and what maps them, of Terraform states.
    elastic: Vec<(Context, Elastic)>,
    /// Gateways that Terraform states have, and when.
    live_gateways: Vec<(Option<Timestamp>, String)>,
    sources: Vec<Source>,
    /// Until when AWS Config is known to have recorded.
    recorders: Recorders,
    /// Resources that AWS Config stopped recording: type, id, when.
    unrecorded: Vec<(String, String, Timestamp)>,
    problems: Vec<Problem>,
    /// Changes of a Terraform plan that no filter shows.
    not_followed: Vec<String>,
    /// What a Terraform plan gives other groups, of which no interface is told.
    regrouped: Vec<Regrouped>,
    /// Groups that a Terraform plan leaves no other rules than these.
    exclusive: Vec<ExclusiveRules>,
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
            let document = self.document(value, context.clone(), options, 0)?;
            found.get_or_insert(document);
        }
        found.ok_or_else(|| unknown(&Value::Null, &context))
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
        self.join_targets(&sources);
        self.join_listeners(&sources);
        self.join_attachments();
        self.join_gateways();
        let unjoined = self.join_states();
        self.stop_recording();
        let mut network = Network::default();
        (network.part_captures, network.interfaces_in_part) = sources.tell(&self.sources);
        network.part_captures.extend(unjoined);
        let recorded_until = self.sources.iter().map(|source| self.recorders.until(source)).collect();
        let captures = Captures::new(&self.sources);
        let mut filling = Filling { captures, sources, recorded_until, contradictions: Vec::new() };
        network.interfaces = filling.kind(self.interfaces);
        network.groups = filling.kind(self.groups);
        network.acls = filling.kind(self.acls);
        network.subnets = filling.kind(self.subnets);
        network.vpcs = filling.kind(self.vpcs);
        network.prefix_lists = filling.kind(self.prefix_lists);
        network.route_tables = filling.kind(self.route_tables);
        network.peerings = filling.kind(self.peerings);
        network.transit_attachments = filling.kind(self.transit_attachments);
        network.transit_tables = filling.kind(self.transit_tables);
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
        network.inline = self.inline.addresses();
        network.disagreements = disagreements;
        network.contradictions = contradictions;
        network.not_followed = self.not_followed;
        network.exclusive = self.exclusive;
        network.regrouped = self.regrouped;
        network.finish();
        (network, self.problems)
    }
}
