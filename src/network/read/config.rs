//! AWS Config: history and snapshot files, and the API's form of the same items (spec 6.8).
//!
//! An item holds until the next of its resource. After the last one the resource may have changed without a trace: the recorder may
//! have been stopped, or the files that tell of it not fetched. What shows that it did not is a later item of any resource of
//! the account and Region, since one recorder writes them all. So the last item holds until the newest of its account and
//! Region ([`Recorders`]), less the time that an item may come late; beyond that a moment is beyond the capture (spec 8.1).

use super::coverage::{Extent, Source};
use super::node::{Node, parse_time};
use super::{Context, NetworkBuilder, Readings, record};
use crate::network::history::{HISTORY_LAG, Origin, Timestamp};
use hashbrown::HashMap;
use serde_json::Value;

/// State ids are milliseconds since 1970, for which these suffice; a second's milliseconds stand above them.
const STATE_BITS: u32 = 54;

/// The newest item of each account and Region.
#[derive(Debug, Default)]
pub(super) struct Recorders {
    newest: HashMap<(Option<String>, Option<String>), Timestamp>,
}

impl Recorders {
    fn saw(&mut self, account: &Option<String>, region: &Option<String>, at: Timestamp) {
        let newest = self.newest.entry((account.clone(), region.clone())).or_insert(at);
        *newest = at.max(*newest);
    }

    /// Until when what the history of a source tells last held at least.
    pub(super) fn until(&self, source: &Source) -> Option<Timestamp> {
        let newest = self.newest.get(&(source.account.clone(), source.region.clone()))?;
        Some(newest.saturating_sub(HISTORY_LAG))
    }
}

impl NetworkBuilder {
    pub(super) fn config_items(&mut self, node: Node<'_>, context: &Context) {
        let items = || node.list("configurationItems").chain(node.list("baseConfigurationItems"));
        let name = context.file.rsplit(['/', '\\']).next().unwrap_or_default();
        let delivery = delivery(name);
        let mut context = context.clone();
        if delivery.is_some() || node.get("configSnapshotId").is_some() {
            // A snapshot is made after all that it holds, and says itself nowhere when; only its name does.
            let last = items().filter_map(|item| item.time("configurationItemCaptureTime")).max();
            context.held_until = delivery.max(context.at).max(last);
        }
        if node.text("NextToken").is_some() {
            // A page of the API: the versions or resources of the others are missing.
            self.source(Source {
                file: context.file.clone(),
                subject: "config configurationItems".to_owned(),
                more: true,
                changes: true,
                ..Source::default()
            });
        }
        items().for_each(|item| self.config_item(item, &context));
    }

    pub(super) fn config_item(&mut self, item: Node<'_>, file: &Context) {
        let Some(kind) = item.text("resourceType") else {
            self.problem(file, "-", "a configuration item without resourceType was left out");
            return;
        };
        let id = item.text("resourceId").unwrap_or_default();
        let Some(at) = item.time("configurationItemCaptureTime") else {
            self.problem(file, &id, "a configuration item without a readable capture time was left out");
            return;
        };
        let is_snapshot = file.held_until.is_some();
        let state = item.integer("configurationStateId").and_then(|id| u64::try_from(id).ok()).unwrap_or(0);
        let mut context = Context {
            file: file.file.clone(),
            at: Some(at),
            // By the whole time, then by the state's id (spec 6.8).
            sequence: item.millis("configurationItemCaptureTime") << STATE_BITS
                | state & ((1 << STATE_BITS) - 1),
            origin: Some(if is_snapshot { Origin::ConfigSnapshot } else { Origin::History }),
            account: item
                .text("awsAccountId")
                .or_else(|| item.text("accountId"))
                .or_else(|| file.account.clone()),
            region: item.text("awsRegion").or_else(|| file.region.clone()),
            held_until: file.held_until,
            daily: item.text("recordingFrequency").as_deref() == Some("DAILY"),
            ..Context::default()
        };
        self.recorders.saw(&context.account, &context.region, at);
        context.source = Some(self.source(Source {
            account: context.account.clone(),
            region: context.region.clone(),
            subject: kind.clone(),
            at: file.held_until,
            extent: if is_snapshot { Extent::Whole } else { Extent::Unknown },
            // A history file holds what changed (spec 6.8), an answer of the API what was asked for.
            changes: !is_snapshot,
            ..Source::default()
        }));
        let status = item.text("configurationItemStatus").unwrap_or_default();
        if status.starts_with("ResourceDeleted") {
            self.config_deleted(&kind, id, &context);
            return;
        }
        if status == "ResourceNotRecorded" {
            self.unrecorded.push((kind, id, at));
            return;
        }
        self.name(item, &id, &context);
        let parsed: Value;
        let configuration = match item.get("configuration").map(|node| node.0) {
            Some(Value::String(text)) => match serde_json::from_str(text) {
                Ok(value) => {
                    parsed = value;
                    Node(&parsed)
                }
                Err(error) => {
                    self.problem(&context, &id, format!("configuration text is not JSON: {error}"));
                    return;
                }
            },
            Some(value @ Value::Object(_)) => Node(value),
            _ => {
                self.problem(&context, &id, format!("{kind} without a configuration was left out"));
                return;
            }
        };
        match kind.as_str() {
            "AWS::EC2::SecurityGroup" => self.security_group(configuration, &context),
            "AWS::EC2::NetworkAcl" => self.network_acl(configuration, &context),
            "AWS::EC2::NetworkInterface" => self.interface(configuration, &context),
            "AWS::EC2::Subnet" => self.subnet(configuration, &context),
            "AWS::EC2::VPC" => self.vpc(configuration, &context),
            "AWS::EC2::PrefixList" => self.prefix_list(configuration, &context),
            "AWS::EC2::RouteTable" => self.route_table(configuration, &context),
            "AWS::EC2::Instance" => self.instance(configuration, &context),
            "AWS::EC2::VPCPeeringConnection" => self.peering(configuration, &context),
            "AWS::EC2::SubnetNetworkAclAssociation" => self.acl_association(configuration, id, &context),
            "AWS::EC2::SecurityGroupVpcAssociation" => self.group_association(configuration, &context),
            "AWS::EC2::VPCBlockPublicAccessOptions" => self.bpa(configuration, &context),
            "AWS::EC2::VPCBlockPublicAccessExclusion" => self.bpa_exclusion(configuration, &context),
            "AWS::ElasticLoadBalancingV2::LoadBalancer" => self.load_balancer(configuration, &context),
            "AWS::ElasticLoadBalancing::LoadBalancer" => self.classic_load_balancer(configuration, &context),
            // A snapshot holds every recorded resource of the account: what does not filter traffic is passed over.
            _ => {}
        }
    }

    fn config_deleted(&mut self, kind: &str, id: String, context: &Context) {
        let id = match kind {
            // As these are kept.
            "AWS::EC2::SecurityGroupVpcAssociation" => id.replace('|', "/"),
            "AWS::EC2::VPCBlockPublicAccessOptions" => {
                let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
                format!("{}/{}", part(&context.account), part(&context.region))
            }
            _ => id,
        };
        self.with_kind(kind, End { id, context });
    }

    /// What is known of a resource ends where AWS Config stops recording it.
    pub(super) fn stop_recording(&mut self) {
        for (kind, id, at) in std::mem::take(&mut self.unrecorded) {
            self.with_kind(&kind, Stop { id, at });
        }
    }

    fn with_kind(&mut self, kind: &str, act: impl Act) {
        match kind {
            "AWS::EC2::SecurityGroup" => act.on(&mut self.groups),
            "AWS::EC2::NetworkAcl" => act.on(&mut self.acls),
            "AWS::EC2::NetworkInterface" => act.on(&mut self.interfaces),
            "AWS::EC2::Subnet" => act.on(&mut self.subnets),
            "AWS::EC2::VPC" => act.on(&mut self.vpcs),
            "AWS::EC2::PrefixList" => act.on(&mut self.prefix_lists),
            "AWS::EC2::RouteTable" => act.on(&mut self.route_tables),
            "AWS::EC2::Instance" => act.on(&mut self.instances),
            "AWS::EC2::VPCPeeringConnection" => act.on(&mut self.peerings),
            "AWS::EC2::SubnetNetworkAclAssociation" => act.on(&mut self.acl_associations),
            "AWS::EC2::SecurityGroupVpcAssociation" => act.on(&mut self.group_associations),
            "AWS::EC2::VPCBlockPublicAccessOptions" => act.on(&mut self.bpa_options),
            "AWS::EC2::VPCBlockPublicAccessExclusion" => act.on(&mut self.bpa_exclusions),
            "AWS::ElasticLoadBalancingV2::LoadBalancer" | "AWS::ElasticLoadBalancing::LoadBalancer" => {
                act.on(&mut self.load_balancers)
            }
            _ => {}
        }
    }
}

/// Something done to the readings of one resource, whatever its type.
trait Act {
    fn on<T: Clone>(self, readings: &mut Readings<T>);
}

struct End<'a> {
    id: String,
    context: &'a Context,
}

impl Act for End<'_> {
    fn on<T: Clone>(self, readings: &mut Readings<T>) {
        record(readings, self.context, self.id, false, None);
    }
}

struct Stop {
    id: String,
    at: Timestamp,
}

impl Act for Stop {
    fn on<T: Clone>(self, readings: &mut Readings<T>) {
        let Some(readings) = readings.get_mut(&self.id) else { return };
        let before =
            readings.iter_mut().filter(|one| one.origin == Origin::History && one.at <= Some(self.at));
        let Some(last) = before.max_by_key(|one| (one.at, one.sequence)) else { return };
        if last.value.is_none() {
            return;
        }
        // Known from its capture to that moment, as by two captures.
        last.origin = Origin::Snapshot;
        let mut end = last.clone();
        end.at = Some(self.at);
        readings.push(end);
    }
}

/// The time in the name of a snapshot's object: `…_ConfigSnapshot_20260102T000000Z_….json.gz` (spec 6.8).
fn delivery(name: &str) -> Option<Timestamp> {
    let (_, rest) = name.split_once("_ConfigSnapshot_")?;
    parse_time(rest.split('_').next()?)
}
