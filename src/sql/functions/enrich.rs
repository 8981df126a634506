//! What is known about addresses from files the user gives: AWS's `ip-ranges.json`, and MaxMind databases.
//!
//! Nothing is downloaded. Where a file was not given, its functions are an error that names the option, not NULL.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Result;
use maxminddb::{PathElement, Reader};
use serde::Deserialize;

use crate::net::{Family, Prefix, PrefixError, parse_ip_str};

use super::function::{Input, Literal, Param, Spec, input, integers, text, texts, user_error};

/// Data about addresses, loaded when the session is set up.
#[derive(Default)]
pub struct Enrichment {
    aws: Option<AwsRanges>,
    geoip: Vec<Reader<Vec<u8>>>,
}

/// A file of address data could not be used.
#[derive(Debug, thiserror::Error)]
pub enum EnrichError {
    /// The file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what AWS publishes.
    #[error(
        "{path} is not AWS's ip-ranges.json: {reason}; get it from https://ip-ranges.amazonaws.com/ip-ranges.json"
    )]
    NotIpRanges {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The file is not a MaxMind database.
    #[error("{path} is not a MaxMind database: {reason}; give a .mmdb file such as GeoLite2-Country.mmdb")]
    NotMmdb {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
}

impl Enrichment {
    /// Loads the files: AWS's address ranges, and any number of MaxMind databases (country and network
    /// names usually come in two files).
    pub fn load(
        aws_ip_ranges: Option<&Path>,
        geoip: &[PathBuf],
    ) -> std::result::Result<Enrichment, EnrichError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| EnrichError::Read { path: path.to_owned(), source })
        };
        let aws = match aws_ip_ranges {
            Some(path) => Some(
                AwsRanges::parse(&read(path)?)
                    .map_err(|reason| EnrichError::NotIpRanges { path: path.to_owned(), reason })?,
            ),
            None => None,
        };
        let mut readers = Vec::with_capacity(geoip.len());
        for path in geoip {
            readers.push(
                Reader::from_source(read(path)?).map_err(|error| EnrichError::NotMmdb {
                    path: path.clone(),
                    reason: error.to_string(),
                })?,
            );
        }
        Ok(Enrichment { aws, geoip: readers })
    }

    /// A value out of the first database that has it.
    fn geo<'a, T: Deserialize<'a>>(&'a self, address: IpAddr, paths: &[&[PathElement<'_>]]) -> Option<T> {
        self.geoip.iter().find_map(|reader| {
            let found = reader.lookup(address).ok()?;
            paths.iter().find_map(|path| found.decode_path::<T>(path).ok().flatten())
        })
    }
}

/// The services and regions of AWS's public address ranges.
struct AwsRanges {
    names: Vec<Arc<str>>,
    v4: Vec<Segment>,
    v6: Vec<Segment>,
}

/// Addresses from `start` to `end`, both included; within a family segments are disjoint and ascending.
#[derive(Clone, Copy)]
struct Segment {
    start: u128,
    end: u128,
    service: usize,
    region: usize,
}

#[derive(Deserialize)]
struct IpRangesFile {
    prefixes: Vec<IpRange>,
    #[serde(default)]
    ipv6_prefixes: Vec<IpRange>,
}

#[derive(Deserialize)]
struct IpRange {
    #[serde(alias = "ipv6_prefix")]
    ip_prefix: String,
    region: String,
    service: String,
}

/// One prefix of the file, as a range with what makes it win over others.
struct Claim {
    start: u128,
    end: u128,
    service: usize,
    region: usize,
    /// `AMAZON` covers everything AWS has, so any other service says more.
    general: bool,
}

impl AwsRanges {
    fn parse(json: &[u8]) -> std::result::Result<AwsRanges, String> {
        let file: IpRangesFile = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let mut names: Vec<Arc<str>> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        let mut intern = |name: &str| match known.get(name) {
            Some(&at) => at,
            None => {
                let at = names.len();
                names.push(name.into());
                known.insert(name.to_owned(), at);
                at
            }
        };
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for range in file.prefixes.iter().chain(&file.ipv6_prefixes) {
            let prefix: Prefix = range.ip_prefix.parse().map_err(|error: PrefixError| error.to_string())?;
            let (start, end) = prefix.range_bits();
            let claim = Claim {
                start,
                end,
                service: intern(&range.service),
                region: intern(&range.region),
                general: range.service == "AMAZON",
            };
            match prefix.family() {
                Family::V4 => v4.push(claim),
                Family::V6 => v6.push(claim),
            }
        }
        Ok(AwsRanges { names, v4: segments(v4), v6: segments(v6) })
    }

    fn find(&self, address: IpAddr) -> Option<&Segment> {
        let (segments, value) = match address {
            IpAddr::V4(v4) => (&self.v4, u128::from(u32::from(v4))),
            IpAddr::V6(v6) => (&self.v6, u128::from(v6)),
        };
        let after = segments.partition_point(|segment| segment.start <= value);
        segments.get(after.checked_sub(1)?).filter(|segment| value <= segment.end)
    }

    fn name(&self, at: usize) -> Option<&str> {
        self.names.get(at).map(AsRef::as_ref)
    }
}

/// Cuts nested prefixes into disjoint segments, each owned by the narrowest prefix over it that is not `AMAZON`, of equally
/// narrow ones by the first in the file, and by an `AMAZON` only where there is no other. Prefixes nest or are disjoint, so
/// a stack of open ones suffices.
fn segments(mut claims: Vec<Claim>) -> Vec<Segment> {
    // Widest first at the same start; the winner among equals last, so that it ends on top of the stack.
    claims.reverse();
    claims.sort_by_key(|claim| (claim.start, std::cmp::Reverse(claim.end), !claim.general));

    let mut out: Vec<Segment> = Vec::with_capacity(claims.len());
    let mut open: Vec<Claim> = Vec::new();
    let mut next = Some(0u128);
    let emit = |open: &[Claim], from: Option<u128>, to: u128, out: &mut Vec<Segment>| {
        let owner = open.iter().rev().find(|claim| !claim.general).or(open.last());
        if let (Some(start), Some(claim)) = (from, owner)
            && start <= to
        {
            out.push(Segment { start, end: to, service: claim.service, region: claim.region });
        }
    };
    for claim in claims {
        while let Some(end) = open.last().map(|top| top.end).filter(|end| *end < claim.start) {
            emit(&open, next, end, &mut out);
            next = end.checked_add(1);
            open.pop();
        }
        if let Some(before) = claim.start.checked_sub(1) {
            emit(&open, next, before, &mut out);
        }
        next = Some(claim.start);
        open.push(claim);
    }
    while let Some(end) = open.last().map(|top| top.end) {
        emit(&open, next, end, &mut out);
        next = end.checked_add(1);
        open.pop();
    }
    out
}

fn needs_aws(enrichment: &Enrichment, _: &[Option<Literal>]) -> Result<()> {
    match enrichment.aws {
        Some(_) => Ok(()),
        None => Err(user_error(
            "aws_service and aws_region need AWS's address ranges: give --aws-ip-ranges FILE \
             (https://ip-ranges.amazonaws.com/ip-ranges.json)",
        )),
    }
}

/// What a MaxMind database may hold, by the words of its type's name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Geo {
    Countries,
    Networks,
}

impl Geo {
    fn words(self) -> &'static [&'static str] {
        match self {
            Geo::Countries => &["country", "city", "location", "enterprise"],
            Geo::Networks => &["asn", "isp", "enterprise"],
        }
    }

    /// Whether a database of that type may hold it: one of a type that says nothing of what is in it may.
    fn may_be_in(self, database_type: &str) -> bool {
        let name = database_type.to_ascii_lowercase();
        let says = |geo: Geo| geo.words().iter().any(|word| name.contains(word));
        says(self) || !(says(Geo::Countries) || says(Geo::Networks))
    }
}

fn needs(enrichment: &Enrichment, wanted: Geo) -> Result<()> {
    let types = || enrichment.geoip.iter().map(|reader| reader.metadata().database_type.as_str());
    if enrichment.geoip.is_empty() {
        return Err(user_error(
            "country, asn and as_org need a MaxMind database: give --geoip FILE.mmdb, once for each file",
        ));
    }
    if types().any(|name| wanted.may_be_in(name)) {
        return Ok(());
    }
    let (lacks, file) = match wanted {
        Geo::Countries => ("countries", "GeoLite2-Country.mmdb"),
        Geo::Networks => ("networks and their holders", "GeoLite2-ASN.mmdb"),
    };
    let given = types().collect::<Vec<_>>().join(", ");
    Err(user_error(format!(
        "no database of --geoip holds {lacks} ({given}); give one that does as well, such as --geoip {file}"
    )))
}

fn needs_countries(enrichment: &Enrichment, _: &[Option<Literal>]) -> Result<()> {
    needs(enrichment, Geo::Countries)
}

fn needs_networks(enrichment: &Enrichment, _: &[Option<Literal>]) -> Result<()> {
    needs(enrichment, Geo::Networks)
}

fn address(input: &Input, row: usize) -> Option<IpAddr> {
    parse_ip_str(input.text(row)?)
}

const ADDRESS: &[Param] = &[text("addr", "an IPv4 or IPv6 address")];

const COUNTRY: &[&[PathElement<'static>]] = &[
    &[PathElement::Key("country"), PathElement::Key("iso_code")],
    &[PathElement::Key("registered_country"), PathElement::Key("iso_code")],
    // The flat layout of IPinfo's databases.
    &[PathElement::Key("country_code")],
];
const ASN: &[&[PathElement<'static>]] = &[&[PathElement::Key("autonomous_system_number")]];
const AS_ORG: &[&[PathElement<'static>]] =
    &[&[PathElement::Key("autonomous_system_organization")], &[PathElement::Key("as_name")]];

/// The functions of this module.
pub(super) static SPECS: &[Spec] = &[
    Spec {
        name: "aws_service",
        params: ADDRESS,
        returns: DataType::Utf8View,
        description: "the AWS service that owns a public address, by AWS's ip-ranges.json (option --aws-ip-ranges); \
                      the narrowest prefix wins, and AMAZON only where nothing else is named; NULL outside AWS",
        example: "aws_service('203.0.113.10')",
        result: "NULL",
        check: needs_aws,
        eval: |enrichment, inputs, rows| {
            let addr = input(inputs, 0)?;
            Ok(texts(rows, |row| {
                let aws = enrichment.aws.as_ref()?;
                aws.find(address(addr, row)?).and_then(|segment| aws.name(segment.service))
            }))
        },
    },
    Spec {
        name: "aws_region",
        params: ADDRESS,
        returns: DataType::Utf8View,
        description: "the AWS region of a public address, by AWS's ip-ranges.json (option --aws-ip-ranges); \
                      GLOBAL for services without one; NULL outside AWS",
        example: "aws_region('203.0.113.10')",
        result: "NULL",
        check: needs_aws,
        eval: |enrichment, inputs, rows| {
            let addr = input(inputs, 0)?;
            Ok(texts(rows, |row| {
                let aws = enrichment.aws.as_ref()?;
                aws.find(address(addr, row)?).and_then(|segment| aws.name(segment.region))
            }))
        },
    },
    Spec {
        name: "country",
        params: ADDRESS,
        returns: DataType::Utf8View,
        description: "the ISO 3166 code of an address's country, by the MaxMind database given with --geoip; \
                      NULL where it has none",
        example: "country('10.0.0.1')",
        result: "NULL",
        check: needs_countries,
        eval: |enrichment, inputs, rows| {
            let addr = input(inputs, 0)?;
            Ok(texts(rows, |row| enrichment.geo::<&str>(address(addr, row)?, COUNTRY)))
        },
    },
    Spec {
        name: "asn",
        params: ADDRESS,
        returns: DataType::Int64,
        description: "the number of the autonomous system that announces an address, by the MaxMind database given \
                      with --geoip; NULL where it has none",
        example: "asn('10.0.0.1')",
        result: "NULL",
        check: needs_networks,
        eval: |enrichment, inputs, rows| {
            let addr = input(inputs, 0)?;
            Ok(integers(rows, |row| enrichment.geo::<u32>(address(addr, row)?, ASN).map(i64::from)))
        },
    },
    Spec {
        name: "as_org",
        params: ADDRESS,
        returns: DataType::Utf8View,
        description: "the holder of the autonomous system that announces an address, by the MaxMind database given \
                      with --geoip; NULL where it has none",
        example: "as_org('10.0.0.1')",
        result: "NULL",
        check: needs_networks,
        eval: |enrichment, inputs, rows| {
            let addr = input(inputs, 0)?;
            Ok(texts(rows, |row| enrichment.geo::<&str>(address(addr, row)?, AS_ORG)))
        },
    },
];
