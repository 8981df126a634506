//! `flowq config show`.

use std::collections::BTreeSet;

use clap::Args;

use super::{count_column, held, parse_time, print, span_text, text_column, time_text};
use crate::cli::printer::counted;
use crate::cli::sheet::Layout;
use crate::cli::{Global, Printer};
use crate::network::{Found, Kind, Network, Origin, Timestamp, View};
use crate::store::config::{Loaded, StoredDocument};

mod find;
mod object;

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// An object by its id (eni-…, i-…, sg-…, sgr-…, nat-…), ARN, name, address or block; none: what is held
    #[arg(value_name = "OBJECT")]
    id: Option<String>,
    /// The object as it was then (UTC) [default: the newest version]
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "id")]
    at: Option<Timestamp>,
    /// List the documents that were imported
    #[arg(long, conflicts_with = "id")]
    documents: bool,
}

pub fn run(args: &ShowArgs, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    let loaded = held(global)?;
    match &args.id {
        Some(id) => one(&loaded.network, id, args.at, printer)?,
        None if args.documents => documents(&loaded.documents, printer)?,
        None => all(&loaded, printer)?,
    }
    Ok(0)
}

/// One kind of object.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    kind: &'static str,
    objects: usize,
    versions: usize,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

fn count<T>(kind: &'static str, of: &Kind<T>, into: &mut Vec<Held>) {
    let versions = || of.timelines().flat_map(|(_, timeline)| timeline.versions());
    if of.is_empty() {
        return;
    }
    let first = versions().map(|version| version.from).filter(|from| *from != Timestamp::MIN).min();
    let last = versions().filter_map(|version| version.captured_at).max();
    into.push(Held { kind, objects: of.len(), versions: versions().count(), first, last: last.max(first) });
}

fn counts(network: &Network) -> Vec<Held> {
    let mut held = Vec::new();
    count("network interfaces", &network.interfaces, &mut held);
    count("security groups", &network.groups, &mut held);
    count("network ACLs", &network.acls, &mut held);
    count("subnets", &network.subnets, &mut held);
    count("VPCs", &network.vpcs, &mut held);
    count("prefix lists", &network.prefix_lists, &mut held);
    count("route tables", &network.route_tables, &mut held);
    count("peering connections", &network.peerings, &mut held);
    count("transit gateway attachments", &network.transit_attachments, &mut held);
    count("transit gateway route tables", &network.transit_tables, &mut held);
    count("instances", &network.instances, &mut held);
    count("load balancers", &network.load_balancers, &mut held);
    count("target groups", &network.target_groups, &mut held);
    count("block public access options", &network.bpa_options, &mut held);
    count("block public access exclusions", &network.bpa_exclusions, &mut held);
    count("security group associations", &network.group_associations, &mut held);
    held
}

fn values<'a, T>(
    of: &'a Kind<T>,
    value: impl Fn(&'a T) -> Option<&'a str> + 'a,
) -> impl Iterator<Item = String> {
    let versions = of.timelines().flat_map(|(_, timeline)| timeline.versions());
    let held = versions.filter_map(|version| version.value.as_deref());
    held.filter_map(value).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

fn accounts(loaded: &Loaded) -> BTreeSet<String> {
    let network = &loaded.network;
    let mut accounts: BTreeSet<String> = values(&network.interfaces, |o| o.owner_id.as_deref()).collect();
    accounts.extend(values(&network.groups, |o| o.owner_id.as_deref()));
    accounts.extend(values(&network.acls, |o| o.owner_id.as_deref()));
    accounts.extend(values(&network.subnets, |o| o.owner_id.as_deref()));
    accounts.extend(values(&network.vpcs, |o| o.owner_id.as_deref()));
    accounts.extend(loaded.documents.iter().filter_map(|document| document.account.clone()));
    accounts
}

/// Regions stand in envelopes, in the names of availability zones and in ARNs.
fn regions(loaded: &Loaded) -> BTreeSet<String> {
    let network = &loaded.network;
    let mut regions: BTreeSet<String> = values(&network.subnets, |o| o.availability_zone.as_deref())
        .filter_map(|zone| region_of(&zone))
        .collect();
    regions.extend(values(&network.load_balancers, |o| o.id.split(':').nth(3)));
    regions.extend(loaded.documents.iter().filter_map(|document| document.region.clone()));
    regions
}

/// `us-east-1` of `us-east-1a` and of the local zone `us-east-1-bos-1a`.
fn region_of(zone: &str) -> Option<String> {
    let digit = zone.find(|c: char| c.is_ascii_digit())?;
    let digits = zone.get(digit..)?.bytes().take_while(u8::is_ascii_digit).count();
    zone.get(..digit.checked_add(digits)?).map(str::to_owned)
}

fn all(loaded: &Loaded, printer: &Printer) -> anyhow::Result<()> {
    let held = counts(&loaded.network);
    let rules: usize = (loaded.network.groups.timelines())
        .filter_map(|(_, timeline)| timeline.versions().last()?.value.as_deref())
        .map(|group| group.rules.len())
        .sum();
    let columns = vec![
        ("kind", text_column(held.iter().map(|held| held.kind))),
        ("objects", count_column(held.iter().map(|held| held.objects))),
        ("versions", count_column(held.iter().map(|held| held.versions))),
        ("captured", text_column(held.iter().map(|held| span_text(held.first, held.last)))),
    ];
    print(columns, printer)?;
    let join = |set: BTreeSet<String>| match set.is_empty() {
        true => "not told".to_owned(),
        false => set.into_iter().collect::<Vec<_>>().join(", "),
    };
    printer.note(&format!(
        "{}; {} in the groups' newest versions; accounts: {}; regions: {}",
        counted(loaded.documents.len() as u64, "document"),
        counted(rules as u64, "rule"),
        join(accounts(loaded)),
        join(regions(loaded))
    ));
    let captures: BTreeSet<Timestamp> =
        loaded.documents.iter().flat_map(|document| [document.first, document.last]).flatten().collect();
    let shown: Vec<String> = captures.iter().take(8).map(|at| time_text(*at)).collect();
    let more = captures.len().saturating_sub(shown.len());
    let more =
        if more > 0 { format!(" and {more} more (flowq config show --documents)") } else { String::new() };
    if !shown.is_empty() {
        printer.note(&format!("captures: {}{more}", shown.join(", ")));
    }
    if !loaded.problems.is_empty() {
        printer
            .warn(&format!("{} things in them could not be read (import tells them)", loaded.problems.len()));
    }
    Ok(())
}

fn documents(documents: &[StoredDocument], printer: &Printer) -> anyhow::Result<()> {
    let objects = |document: &StoredDocument| {
        let counts: Vec<String> =
            document.objects.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        counts.join(", ")
    };
    let columns = vec![
        ("file", text_column(documents.iter().map(|document| &document.path))),
        ("what", text_column(documents.iter().map(|document| &document.kind))),
        ("objects", text_column(documents.iter().map(objects))),
        ("captured", text_column(documents.iter().map(|document| span_text(document.first, document.last)))),
        ("imported", text_column(documents.iter().map(|document| time_text(document.imported_at)))),
        ("hash", text_column(documents.iter().map(|document| &document.hash))),
    ];
    print(columns, &printer.laid_out(DOCUMENTS))
}

const DOCUMENTS: Layout = Layout {
    columns: &[("imported", "imported")],
    title: "file",
    text: |row| row.get("file").to_owned(),
    below: |row| {
        let what = format!("{}: {}", row.get("what"), row.get("objects"));
        vec![what, format!("captured {}", row.get("captured")), format!("hash {}", row.get("hash"))]
    },
};

fn one(network: &Network, id: &str, at: Option<Timestamp>, printer: &Printer) -> anyhow::Result<()> {
    let view = View { at: at.unwrap_or(Timestamp::MAX), after: false };
    let ids = find::ids(network, id, view);
    let mut lines: Vec<(String, String)> =
        ids.iter().flat_map(|id| object::lines(network, id, view)).collect();
    if lines.is_empty() {
        let when = at.map_or_else(String::new, |at| format!(" at {}", time_text(at)));
        let what = find::place(network, id, view).unwrap_or_else(|| "not in the configuration".to_owned());
        anyhow::bail!(
            "{id}: {what}{when} (flowq config show tells what is; flowq sql has a table of each kind)"
        );
    }
    lines.retain(|(_, value)| !value.is_empty());
    let columns = vec![
        ("field", text_column(lines.iter().map(|(field, _)| field))),
        ("value", text_column(lines.iter().map(|(_, value)| value))),
    ];
    print(columns, &printer.laid_out(FIELDS))
}

const FIELDS: Layout = Layout {
    columns: &[("field", "field")],
    title: "value",
    text: |row| row.get("value").to_owned(),
    below: |_| Vec::new(),
};

/// How a version is known.
fn known<T>(found: &Found<'_, T>) -> String {
    let version = found.version;
    let how = match version.origin {
        Origin::Undated => return "without a time".to_owned(),
        Origin::Terraform => "Terraform",
        Origin::Snapshot => "capture",
        Origin::ConfigSnapshot => "AWS Config snapshot",
        Origin::History => "AWS Config",
    };
    let from = if version.from == Timestamp::MIN { "ever".to_owned() } else { time_text(version.from) };
    let to = if version.to == Timestamp::MAX { "now".to_owned() } else { time_text(version.to) };
    let span = if version.from == version.to {
        format!("{how} at {from}")
    } else {
        format!("{how}, from {from} to {to}")
    };
    match found.missing_at {
        Some(at) => format!("{span}; not in the capture of {}, so it may be gone", time_text(at)),
        None => span,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_cut_from_zones() {
        assert_eq!(region_of("us-east-1a").as_deref(), Some("us-east-1"));
        assert_eq!(region_of("us-west-2-lax-1a").as_deref(), Some("us-west-2"));
        assert_eq!(region_of("eusc-de-east-1b").as_deref(), Some("eusc-de-east-1"));
        assert_eq!(region_of("nowhere"), None);
    }
}
