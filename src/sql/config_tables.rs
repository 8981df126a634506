//! The configuration tables: what the store's configuration was read into, one row per version of an object.
//!
//! `valid_from` and `valid_to` (both inclusive, to the second) bound the time for which a version is *known* to have been
//! in force; null is unbounded. A describe call knows one moment only, so there both are `captured_at`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Int32Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::{DataFusionError, Result};

use super::catalog::TableSource;
use crate::network::{Kind, Network, Remote, RuleAction, Timestamp, Traffic, Version};
use crate::store::StoreError;
use crate::store::config::{self, StoredDocument};

/// The names of the configuration tables.
pub const CONFIG_TABLES: [&str; 8] = [
    "network_interfaces",
    "security_groups",
    "security_group_rules",
    "network_acls",
    "network_acl_entries",
    "subnets",
    "vpcs",
    "prefix_lists",
];

/// A configuration as a source of tables; where there is none they are empty.
#[derive(Debug)]
pub struct ConfigTables {
    root: PathBuf,
    /// What stands in for that of the store.
    given: Option<Arc<Network>>,
    /// The network of these documents: reading a large one takes seconds.
    loaded: Mutex<Option<(Vec<StoredDocument>, Arc<Network>)>>,
}

impl ConfigTables {
    /// The tables of the store in this folder, whether or not it is there yet.
    pub fn new(root: &Path) -> ConfigTables {
        ConfigTables { root: root.to_path_buf(), given: None, loaded: Mutex::new(None) }
    }

    /// The tables of this configuration, whatever a store holds.
    pub fn given(network: Arc<Network>) -> ConfigTables {
        ConfigTables { given: Some(network), ..ConfigTables::new(Path::new("")) }
    }

    fn network(&self) -> std::result::Result<Arc<Network>, StoreError> {
        if let Some(network) = &self.given {
            return Ok(Arc::clone(network));
        }
        let documents = config::documents(&self.root)?;
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, network)) = &*loaded
            && *known == documents
        {
            return Ok(Arc::clone(network));
        }
        let network = Arc::new(config::load(&self.root)?.unwrap_or_default());
        *loaded = Some((documents, Arc::clone(&network)));
        Ok(network)
    }
}

#[async_trait]
impl TableSource for ConfigTables {
    fn names(&self) -> Vec<String> {
        CONFIG_TABLES.map(str::to_owned).to_vec()
    }

    async fn open(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if !CONFIG_TABLES.contains(&name) {
            return Ok(None);
        }
        let network = self.network().map_err(|error| DataFusionError::External(Box::new(error)))?;
        let Some(batch) = batch(&network, name)? else { return Ok(None) };
        Ok(Some(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?)))
    }
}

/// A configuration table's rows; `None` for other names.
pub fn batch(network: &Network, table: &str) -> Result<Option<RecordBatch>> {
    Ok(Some(match table {
        "network_interfaces" => network_interfaces(network)?,
        "security_groups" => security_groups(network)?,
        "security_group_rules" => security_group_rules(network)?,
        "network_acls" => network_acls(network)?,
        "network_acl_entries" => network_acl_entries(network)?,
        "subnets" => subnets(network)?,
        "vpcs" => vpcs(network)?,
        "prefix_lists" => prefix_lists(network)?,
        _ => return Ok(None),
    }))
}

/// A row: an object, or a part of one, and the version that it belongs to.
type Row<'a, O, P> = (&'a Version<O>, &'a O, P);

fn rows<'a, O, P>(kind: &'a Kind<O>, parts: impl Fn(&'a O) -> Vec<P>) -> Vec<Row<'a, O, P>> {
    let versions = kind.timelines().flat_map(|(_, timeline)| timeline.versions());
    let held = versions.filter_map(|version| Some((version, version.value.as_deref()?)));
    held.flat_map(|(version, object)| parts(object).into_iter().map(move |part| (version, object, part)))
        .collect()
}

fn whole<'a, O>(kind: &'a Kind<O>) -> Vec<Row<'a, O, ()>> {
    rows(kind, |_| vec![()])
}

fn text<R>(rows: &[R], value: impl Fn(&R) -> Option<String>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<StringArray>())
}

fn number<R>(rows: &[R], value: impl Fn(&R) -> Option<i32>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<Int32Array>())
}

fn flag<R>(rows: &[R], value: impl Fn(&R) -> Option<bool>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<BooleanArray>())
}

/// A list of texts; null where nothing is known.
fn texts<R>(rows: &[R], value: impl Fn(&R) -> Option<Vec<String>>) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in rows {
        let list = value(row);
        let known = list.is_some();
        list.into_iter().flatten().for_each(|text| lists.values().append_value(text));
        lists.append(known);
    }
    Arc::new(lists.finish())
}

fn shown<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(T::to_string).collect()
}

fn time<R>(rows: &[R], value: impl Fn(&R) -> Option<Timestamp>) -> ArrayRef {
    let micros = rows.iter().map(|row| value(row).and_then(|at| at.checked_mul(1_000_000)));
    Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

fn finish<O, P>(rows: &[Row<'_, O, P>], mut columns: Vec<(&'static str, ArrayRef)>) -> Result<RecordBatch> {
    columns.push(("captured_at", time(rows, |(version, ..)| version.captured_at)));
    columns.push((
        "valid_from",
        time(rows, |(version, ..)| Some(version.from).filter(|from| *from != Timestamp::MIN)),
    ));
    columns
        .push(("valid_to", time(rows, |(version, ..)| Some(version.to).filter(|to| *to != Timestamp::MAX))));
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

fn network_interfaces(network: &Network) -> Result<RecordBatch> {
    let rows = whole(&network.interfaces);
    let columns = vec![
        ("interface_id", text(&rows, |(_, o, _)| Some(o.id.clone()))),
        ("name", text(&rows, |(_, o, _)| network.interface_name(o).map(str::to_owned))),
        ("account_id", text(&rows, |(_, o, _)| o.owner_id.clone())),
        ("vpc_id", text(&rows, |(_, o, _)| o.vpc_id.clone())),
        ("subnet_id", text(&rows, |(_, o, _)| o.subnet_id.clone())),
        ("instance_id", text(&rows, |(_, o, _)| o.instance_id.clone())),
        ("interface_type", text(&rows, |(_, o, _)| o.interface_type.clone())),
        ("description", text(&rows, |(_, o, _)| o.description.clone())),
        ("requester_id", text(&rows, |(_, o, _)| o.requester_id.clone())),
        ("requester_managed", flag(&rows, |(_, o, _)| Some(o.requester_managed))),
        ("source_dest_check", flag(&rows, |(_, o, _)| o.source_dest_check)),
        ("primary_address", text(&rows, |(_, o, _)| o.primary.map(|addr| addr.to_string()))),
        ("addresses", texts(&rows, |(_, o, _)| Some(shown(&o.addresses)))),
        ("prefixes", texts(&rows, |(_, o, _)| Some(shown(&o.prefixes)))),
        ("public_addresses", texts(&rows, |(_, o, _)| Some(shown(&o.public_addresses)))),
        ("security_group_ids", texts(&rows, |(_, o, _)| o.groups_known.then(|| o.group_ids.clone()))),
    ];
    finish(&rows, columns)
}

fn security_groups(network: &Network) -> Result<RecordBatch> {
    let rows = whole(&network.groups);
    let count = |rules: usize| i32::try_from(rules).ok();
    let columns = vec![
        ("security_group_id", text(&rows, |(_, o, _)| Some(o.id.clone()))),
        ("name", text(&rows, |(_, o, _)| o.name.clone())),
        ("account_id", text(&rows, |(_, o, _)| o.owner_id.clone())),
        ("vpc_id", text(&rows, |(_, o, _)| o.vpc_id.clone())),
        (
            "ingress_rules",
            number(&rows, |(_, o, _)| count(o.rules.iter().filter(|rule| !rule.egress).count())),
        ),
        ("egress_rules", number(&rows, |(_, o, _)| count(o.rules.iter().filter(|rule| rule.egress).count()))),
    ];
    finish(&rows, columns)
}

fn direction(egress: bool) -> Option<String> {
    Some(if egress { "egress" } else { "ingress" }.to_owned())
}

fn security_group_rules(network: &Network) -> Result<RecordBatch> {
    let rows = rows(&network.groups, |group| group.rules.iter().collect());
    let mut columns = vec![
        ("security_group_id", text(&rows, |(_, o, _)| Some(o.id.clone()))),
        ("rule_id", text(&rows, |(_, _, rule)| rule.rule_id.clone())),
        ("direction", text(&rows, |(_, _, rule)| direction(rule.egress))),
    ];
    columns.extend(traffic(&rows, |(_, _, rule)| &rule.traffic));
    columns.extend([
        ("remote", text(&rows, |(_, _, rule)| Some(rule.remote.to_string()))),
        (
            "cidr",
            text(&rows, |(_, _, rule)| match &rule.remote {
                Remote::Cidr(cidr) => Some(cidr.to_string()),
                _ => None,
            }),
        ),
        (
            "prefix_list_id",
            text(&rows, |(_, _, rule)| match &rule.remote {
                Remote::PrefixList(id) => Some(id.clone()),
                _ => None,
            }),
        ),
        (
            "referenced_group_id",
            text(&rows, |(_, _, rule)| match &rule.remote {
                Remote::Group(reference) => Some(reference.group_id.clone()),
                _ => None,
            }),
        ),
        ("description", text(&rows, |(_, _, rule)| rule.description.clone())),
    ]);
    finish(&rows, columns)
}

/// A rule's traffic: as one text, and the protocol (null is every protocol), ports and ICMP type for comparisons. A rule
/// for all ports has 0 to 65535; ports and types of protocols that have none are null.
fn traffic<R>(rows: &[R], of: impl Fn(&R) -> &Traffic) -> Vec<(&'static str, ArrayRef)> {
    let ports = |row: &R| match of(row) {
        Traffic::Ports { ports, .. } => Some((i32::from(ports.first()), i32::from(ports.last()))),
        _ => None,
    };
    let icmp = |row: &R| match of(row) {
        Traffic::Icmp { kind, code, .. } => (kind.map(i32::from), code.map(i32::from)),
        _ => (None, None),
    };
    vec![
        ("traffic", text(rows, |row| Some(of(row).to_string()))),
        ("protocol", number(rows, |row| of(row).protocol().map(i32::from))),
        ("from_port", number(rows, |row| ports(row).map(|ports| ports.0))),
        ("to_port", number(rows, |row| ports(row).map(|ports| ports.1))),
        ("icmp_type", number(rows, |row| icmp(row).0)),
        ("icmp_code", number(rows, |row| icmp(row).1)),
    ]
}

fn network_acls(network: &Network) -> Result<RecordBatch> {
    let rows = whole(&network.acls);
    let columns = vec![
        ("nacl_id", text(&rows, |(_, o, _)| Some(o.id.clone()))),
        ("name", text(&rows, |(_, o, _)| network.name_of(&o.id).map(str::to_owned))),
        ("account_id", text(&rows, |(_, o, _)| o.owner_id.clone())),
        ("vpc_id", text(&rows, |(_, o, _)| o.vpc_id.clone())),
        ("is_default", flag(&rows, |(_, o, _)| Some(o.is_default))),
        ("subnet_ids", texts(&rows, |(_, o, _)| Some(o.subnet_ids.clone()))),
    ];
    finish(&rows, columns)
}

fn network_acl_entries(network: &Network) -> Result<RecordBatch> {
    let rows = rows(&network.acls, crate::rules::closed_entries);
    let mut columns = vec![
        ("nacl_id", text(&rows, |(_, o, _)| Some(o.id.clone()))),
        ("direction", text(&rows, |(_, _, entry)| direction(entry.egress))),
        ("rule_number", number(&rows, |(_, _, entry)| i32::try_from(entry.number).ok())),
        ("action", text(&rows, |(_, _, entry)| entry.action.map(|action: RuleAction| action.to_string()))),
    ];
    columns.extend(traffic(&rows, |(_, _, entry)| &entry.traffic));
    columns.push(("cidr", text(&rows, |(_, _, entry)| entry.cidr.map(|cidr| cidr.to_string()))));
    finish(&rows, columns)
}

fn subnets(network: &Network) -> Result<RecordBatch> {
    let rows = whole(&network.subnets);
    let columns = vec![
        ("subnet_id", text(&rows, |(_, o, _)| Some(o.id.clone()))),
        ("name", text(&rows, |(_, o, _)| network.name_of(&o.id).map(str::to_owned))),
        ("account_id", text(&rows, |(_, o, _)| o.owner_id.clone())),
        ("vpc_id", text(&rows, |(_, o, _)| o.vpc_id.clone())),
        ("availability_zone", text(&rows, |(_, o, _)| o.availability_zone.clone())),
        ("cidrs", texts(&rows, |(_, o, _)| Some(shown(&o.cidrs)))),
        ("bpa_mode", text(&rows, |(_, o, _)| o.bpa_mode.clone())),
    ];
    finish(&rows, columns)
}

fn vpcs(network: &Network) -> Result<RecordBatch> {
    let rows = whole(&network.vpcs);
    let columns = vec![
        ("vpc_id", text(&rows, |(_, o, _)| Some(o.id.clone()))),
        ("name", text(&rows, |(_, o, _)| network.name_of(&o.id).map(str::to_owned))),
        ("account_id", text(&rows, |(_, o, _)| o.owner_id.clone())),
        ("cidrs", texts(&rows, |(_, o, _)| Some(shown(&o.cidrs)))),
        ("bpa_mode", text(&rows, |(_, o, _)| o.bpa_mode.clone())),
        ("encryption_mode", text(&rows, |(_, o, _)| o.encryption_mode.clone())),
    ];
    finish(&rows, columns)
}

fn prefix_lists(network: &Network) -> Result<RecordBatch> {
    let rows = whole(&network.prefix_lists);
    let columns = vec![
        ("prefix_list_id", text(&rows, |(_, o, _)| Some(o.id.clone()))),
        ("name", text(&rows, |(_, o, _)| o.name.clone())),
        ("account_id", text(&rows, |(_, o, _)| o.owner_id.clone())),
        ("cidrs", texts(&rows, |(_, o, _)| o.entries.as_ref().map(|entries| shown(entries)))),
    ];
    finish(&rows, columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{NetworkBuilder, ReadOptions};
    use datafusion::arrow::util::pretty::pretty_format_batches;

    const NOON: i64 = 1_714_651_200; // 2024-05-02T12:00:00Z

    fn network(text: &str) -> Network {
        let mut builder = NetworkBuilder::new();
        let options = ReadOptions { captured_at: Some(NOON), ..ReadOptions::default() };
        builder.read("x.json", text.as_bytes(), &options).unwrap();
        builder.finish().0
    }

    fn lines(network: &Network, table: &str) -> Vec<String> {
        let batch = batch(network, table).unwrap().unwrap();
        let text = pretty_format_batches(&[batch]).unwrap().to_string();
        text.lines()
            .filter(|line| line.starts_with('|'))
            .skip(1)
            .map(|line| {
                line.split('|').map(str::trim).collect::<Vec<_>>().join("|").trim_matches('|').to_owned()
            })
            .collect()
    }

    #[test]
    fn every_table_has_its_times_also_without_rows() {
        for table in CONFIG_TABLES {
            let batch = batch(&Network::default(), table).unwrap().unwrap();
            assert_eq!(batch.num_rows(), 0);
            for column in ["captured_at", "valid_from", "valid_to"] {
                assert!(batch.schema().column_with_name(column).is_some(), "{table}.{column}");
            }
        }
        assert!(batch(&Network::default(), "flow_logs").unwrap().is_none());
    }

    #[test]
    fn a_group_is_a_row_for_each_rule() {
        let network = network(
            r#"{"SecurityGroups":[{"GroupId":"sg-1","GroupName":"web","VpcId":"vpc-1","OwnerId":"111122223333",
             "IpPermissions":[{"IpProtocol":"tcp","FromPort":443,"ToPort":444,"IpRanges":[{"CidrIp":"203.0.113.0/24"}],
              "PrefixListIds":[{"PrefixListId":"pl-1"}],"UserIdGroupPairs":[{"GroupId":"sg-2"}]},
              {"IpProtocol":"icmp","FromPort":8,"ToPort":-1,"IpRanges":[{"CidrIp":"10.0.0.0/16","Description":"ping"}]}],
             "IpPermissionsEgress":[{"IpProtocol":"-1","IpRanges":[{"CidrIp":"0.0.0.0/0"}]}]}]}"#,
        );
        let times = "2024-05-02T12:00:00Z|2024-05-02T12:00:00Z|2024-05-02T12:00:00Z";
        let mut rules = lines(&network, "security_group_rules");
        rules.sort();
        assert_eq!(
            rules,
            vec![
                format!("sg-1||egress|all traffic||||||0.0.0.0/0|0.0.0.0/0||||{times}"),
                format!("sg-1||ingress|icmp type 8|1|||8||10.0.0.0/16|10.0.0.0/16|||ping|{times}"),
                format!("sg-1||ingress|tcp 443-444|6|443|444|||203.0.113.0/24|203.0.113.0/24||||{times}"),
                format!("sg-1||ingress|tcp 443-444|6|443|444|||pl-1||pl-1|||{times}"),
                format!("sg-1||ingress|tcp 443-444|6|443|444|||sg-2|||sg-2||{times}"),
            ]
        );
        assert_eq!(
            lines(&network, "security_groups"),
            vec![format!("sg-1|web|111122223333|vpc-1|4|1|{times}")]
        );
    }

    #[test]
    fn the_denies_that_close_a_list_are_rows_where_an_input_leaves_them_out() {
        let network = network(r#"{"NetworkAcls":[{"NetworkAclId":"acl-1","Associations":[],"Entries":[]}]}"#);
        let mut rows = lines(&network, "network_acl_entries");
        rows.sort();
        let starts: Vec<String> =
            rows.iter().map(|row| row.split('|').take(4).collect::<Vec<_>>().join(" ")).collect();
        let wanted = [
            "acl-1 egress 32767 deny",
            "acl-1 egress 32768 deny",
            "acl-1 ingress 32767 deny",
            "acl-1 ingress 32768 deny",
        ];
        assert_eq!(starts, wanted);
    }

    #[test]
    fn what_is_not_known_is_null() {
        let network = network(
            r#"{"NetworkInterfaces":[{"NetworkInterfaceId":"eni-1","PrivateIpAddress":"10.0.1.25"},
             {"NetworkInterfaceId":"eni-2","PrivateIpAddress":"10.0.1.26","Groups":[]}]}"#,
        );
        let batch = batch(&network, "network_interfaces").unwrap().unwrap();
        let groups = batch.column_by_name("security_group_ids").unwrap();
        assert!(groups.is_null(0) && !groups.is_null(1), "unknown groups are not no groups");
    }
}
