//! What attribution costs: REJECTs of a whole store beside a plain scan of the columns that it needs, decisions of compiled
//! rules in a large network, and the import of a large configuration.

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use flowq::attribute::{Action, Evidence, Record, decide};
use flowq::network::{Network, NetworkBuilder, ReadOptions, View};
use flowq::rules::{Direction, Engine};

use crate::corpus::{Corpus, Options, median, scratch};
use crate::process::{self, Measured};

/// Every column that evidence is made of in the default format, each touched by what costs least: the greatest text takes longer to
/// find than to read.
const SCAN: &str = "select count(interface_id), count(srcaddr), count(dstaddr), sum(srcport), sum(dstport), sum(protocol), \
    max(start), max(\"end\"), count(action), count(log_status), count(account_id) from flow_logs";

const ATTRIBUTED: &str =
    "select verdict, confidence, reason_code, count(*) from reject_attribution group by 1, 2, 3";

/// Interfaces, groups, rules of each group, groups of each interface, and entries of the prefix list.
struct Size {
    interfaces: usize,
    groups: usize,
    rules: usize,
    carried: usize,
    entries: usize,
}

/// Ten thousand interfaces with a thousand rules each.
const DECIDED: Size = Size { interfaces: 10_000, groups: 1_000, rules: 200, carried: 5, entries: 1_000 };

/// A hundred thousand rules, fifty thousand interfaces.
const IMPORTED: Size = Size { interfaces: 50_000, groups: 1_000, rules: 100, carried: 2, entries: 1_000 };

/// Runs `cargo bench -- attribution`.
pub fn run(args: &[String]) -> Result<(), String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let defaults = Options { data: None, rows: 2_000_000, runs: 3, threads, tasks: Vec::new(), times: 1 };
    let options = defaults.parse(args)?;
    let wanted = |task: &str| options.tasks.is_empty() || options.tasks.iter().any(|known| known == task);
    if wanted("store") {
        over_a_store(&options)?;
    }
    if wanted("decide") {
        decisions(&options)?;
    }
    if wanted("import") {
        import(&options)?;
    }
    Ok(())
}

fn flowq(store: &Path, threads: usize, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowq"));
    command.arg("--store").arg(store).arg("--threads").arg(threads.to_string()).arg("-q").args(args);
    command
}

fn over_a_store(options: &Options) -> Result<(), String> {
    let corpus = Corpus::get(options, options.rows)?;
    let store = scratch().join("attribution-store");
    let _ = std::fs::remove_dir_all(&store);
    let log = scratch().join("attribution.log");
    let folder = corpus.folder.to_string_lossy().into_owned();
    process::run(&mut flowq(&store, options.threads, &["ingest", &folder]), &log)?;
    let works: [(&str, &[&str]); 3] = [
        ("scan of the columns needed", &["sql", "--format", "csv", SCAN]),
        ("attribution, SQL", &["sql", "--format", "csv", ATTRIBUTED]),
        ("flowq attribute", &["attribute", "--format", "csv"]),
    ];
    let mut found: [Vec<Measured>; 3] = Default::default();
    for _ in 0..options.runs {
        for (found, (_, args)) in found.iter_mut().zip(&works) {
            found.push(process::run(&mut flowq(&store, options.threads, args), &log)?);
        }
    }
    println!("| work | wall s | CPU s | of the scan's CPU | peak MB |\n|---|---:|---:|---:|---:|");
    let of = |runs: &[Measured], part: fn(&Measured) -> f64| median(runs.iter().map(part).collect());
    let scan = of(&found[0], |run| run.cpu);
    for (runs, (name, _)) in found.iter().zip(&works) {
        let (wall, cpu) = (of(runs, |run| run.wall), of(runs, |run| run.cpu));
        let peak = of(runs, |run| run.peak) / 1e6;
        println!("| {name} | {wall:.2} | {cpu:.2} | {:.2} | {peak:.0} |", cpu / scan);
    }
    println!();
    std::fs::remove_dir_all(&store).map_err(|error| error.to_string())
}

/// The configuration as the AWS CLI prints it: (file name, JSON).
fn configuration(size: &Size) -> Vec<(&'static str, String)> {
    let id = |kind: &str, n: usize| format!("{kind}-{n:017x}");
    let mut groups = String::from("{\"SecurityGroups\":[");
    for group in 0..size.groups {
        let comma = if group == 0 { "" } else { "," };
        let _ = write!(
            groups,
            "{comma}{{\"GroupId\":\"{}\",\"GroupName\":\"g{group}\",\"VpcId\":\"vpc-1\",\"IpPermissionsEgress\":[],\"IpPermissions\":[",
            id("sg", group)
        );
        for rule in 0..size.rules {
            let comma = if rule == 0 { "" } else { "," };
            let port = 1 + (group * 131 + rule * 37) % 65_000;
            let net = (group * 7 + rule * 13) % 60_000;
            // One rule of a group in fifty is for the prefix list.
            let remote = if rule % 50 == 49 {
                "\"IpRanges\":[],\"PrefixListIds\":[{\"PrefixListId\":\"pl-00000000000000001\"}]".to_owned()
            } else {
                let (a, b) = (20 + net / 256 % 180, net % 256);
                format!("\"IpRanges\":[{{\"CidrIp\":\"{a}.{b}.0.0/16\"}}],\"PrefixListIds\":[]")
            };
            let _ = write!(
                groups,
                "{comma}{{\"IpProtocol\":\"tcp\",\"FromPort\":{port},\"ToPort\":{port},{remote},\"Ipv6Ranges\":[],\"UserIdGroupPairs\":[]}}"
            );
        }
        groups.push_str("]}");
    }
    groups.push_str("]}");
    let mut interfaces = String::from("{\"NetworkInterfaces\":[");
    for interface in 0..size.interfaces {
        let comma = if interface == 0 { "" } else { "," };
        let carried: Vec<String> = (0..size.carried)
            .map(|nth| format!("{{\"GroupId\":\"{}\"}}", id("sg", (interface + nth * 101) % size.groups)))
            .collect();
        let _ = write!(
            interfaces,
            "{comma}{{\"NetworkInterfaceId\":\"{}\",\"SubnetId\":\"{}\",\"VpcId\":\"vpc-1\",\"InterfaceType\":\"interface\",\
             \"PrivateIpAddress\":\"{addr}\",\"PrivateIpAddresses\":[{{\"Primary\":true,\"PrivateIpAddress\":\"{addr}\"}}],\"Groups\":[{}]}}",
            id("eni", interface),
            id("subnet", interface / 250),
            carried.join(","),
            addr = own_address(interface),
        );
    }
    interfaces.push_str("]}");
    let subnets: Vec<String> = (0..size.interfaces.div_ceil(250))
        .map(|n| {
            let net = own_address(n * 250).to_string();
            let block = net.rsplit_once('.').map_or("10.0.0", |(block, _)| block);
            format!(
                "{{\"SubnetId\":\"{}\",\"VpcId\":\"vpc-1\",\"CidrBlock\":\"{block}.0/24\"}}",
                id("subnet", n)
            )
        })
        .collect();
    let entry = |number: usize, egress: bool, action: &str, cidr: &str| {
        format!(
            "{{\"RuleNumber\":{number},\"Egress\":{egress},\"Protocol\":\"-1\",\"RuleAction\":\"{action}\",\"CidrBlock\":\"{cidr}\"}}"
        )
    };
    let entries: Vec<String> = [false, true]
        .iter()
        .flat_map(|egress| {
            let denies = (1..20).map(|n| entry(n, *egress, "deny", &format!("198.18.{n}.0/24")));
            denies.chain([
                entry(100, *egress, "allow", "0.0.0.0/0"),
                entry(32_767, *egress, "deny", "0.0.0.0/0"),
            ])
        })
        .collect();
    let list: Vec<String> = (0..size.entries)
        .map(|n| format!("{{\"Cidr\":\"100.{}.{}.0/24\"}}", 64 + n / 256, n % 256))
        .collect();
    vec![
        ("describe-security-groups.json", groups),
        ("describe-network-interfaces.json", interfaces),
        ("describe-subnets.json", format!("{{\"Subnets\":[{}]}}", subnets.join(","))),
        ("describe-vpcs.json", "{\"Vpcs\":[{\"VpcId\":\"vpc-1\",\"CidrBlock\":\"10.0.0.0/8\"}]}".to_owned()),
        (
            "describe-network-acls.json",
            format!(
                "{{\"NetworkAcls\":[{{\"NetworkAclId\":\"acl-1\",\"VpcId\":\"vpc-1\",\"IsDefault\":true,\"Entries\":[{}],\"Associations\":[]}}]}}",
                entries.join(",")
            ),
        ),
        (
            "get-managed-prefix-list-entries-pl-00000000000000001.json",
            format!("{{\"Entries\":[{}]}}", list.join(",")),
        ),
    ]
}

fn own_address(interface: usize) -> Ipv4Addr {
    let (block, host) = (interface / 250, interface % 250);
    Ipv4Addr::new(10, (block / 256 % 256) as u8, (block % 256) as u8, (host + 4) as u8)
}

fn decisions(options: &Options) -> Result<(), String> {
    let mut builder = NetworkBuilder::new();
    let captured_at = Some(0);
    for (name, json) in configuration(&DECIDED) {
        let read = ReadOptions { captured_at, ..ReadOptions::default() };
        builder.read(name, json.as_bytes(), &read).map_err(|error| error.to_string())?;
    }
    let (network, problems) = builder.finish();
    if !problems.is_empty() {
        return Err(format!("{} problems in the configuration: {:?}", problems.len(), problems.first()));
    }
    let ids: Vec<String> = (0..DECIDED.interfaces).map(|n| format!("eni-{n:017x}")).collect();
    let mut engine = Engine::new(&network);
    let begun = Instant::now();
    judge(&network, &mut engine, &ids, 0);
    let compiled = begun.elapsed().as_secs_f64();
    // What many sets of rules share is compiled when it is first asked for.
    (1..10).for_each(|round| judge(&network, &mut engine, &ids, round));
    let speeds = |work: &mut dyn FnMut(usize)| {
        let runs = (0..options.runs).map(|_| {
            let begun = Instant::now();
            (0..10).for_each(&mut *work);
            10.0 * ids.len() as f64 / begun.elapsed().as_secs_f64() / 1e6
        });
        median(runs.collect())
    };
    let rules = speeds(&mut |round| verdicts(&mut engine, &ids, round));
    let whole = speeds(&mut |round| judge(&network, &mut engine, &ids, round));
    println!(
        "| {} interfaces, {} rules each | |\n|---|---:|",
        DECIDED.interfaces,
        DECIDED.rules * DECIDED.carried
    );
    println!("| compiling and a first decision, all interfaces | {compiled:.2} s |");
    println!("| both layers' verdicts | {rules:.2} M records/s |");
    println!("| the whole decision | {whole:.2} M records/s |\n");
    Ok(())
}

/// Somebody's packet to an interface; the same ones in every round of the same number.
fn record(ids: &[String], interface: usize, round: usize) -> Record<'_> {
    let n = interface.wrapping_mul(2_654_435_761).wrapping_add(round * 40_503);
    let src = Ipv4Addr::new(20 + (n / 7 % 180) as u8, (n / 1_009 % 256) as u8, (n / 3 % 256) as u8, 9);
    Record {
        interface_id: ids.get(interface).map(String::as_str),
        src: Some(IpAddr::V4(src)),
        dst: Some(IpAddr::V4(own_address(interface))),
        src_port: 40_000,
        dst_port: 1 + (n / 11 % 65_000) as u16,
        protocol: 6,
        packets: Some(1),
        bytes: Some(40),
        start: 100,
        end: 160,
        action: Action::Reject,
        tcp_flags: Some(2),
        direction: Some(Direction::Ingress),
        ..Record::BLANK
    }
}

/// Records come in stretches of an interface, as AWS writes them.
const STRETCH: usize = 40;

fn verdicts(engine: &mut Engine<'_>, ids: &[String], round: usize) {
    let view = View { at: 100, after: false };
    for stretch in 0..ids.len() / STRETCH {
        let interface = (stretch * 97 + round * 31) % ids.len();
        let Some(rules) = ids.get(interface).and_then(|id| engine.interface(id, view)) else { continue };
        for nth in 0..STRETCH {
            let record = record(ids, interface, round * STRETCH + nth);
            let Some(remote) = record.src else { continue };
            let packet = record.packet(Direction::Ingress, remote);
            black_box(rules.acl_verdict(&packet, record.dst).decision);
            black_box(rules.group_verdict(&packet).decision);
        }
    }
}

fn judge(network: &Network, engine: &mut Engine<'_>, ids: &[String], round: usize) {
    black_box(network);
    let evidence = Evidence::default();
    if round == 0 {
        for interface in 0..ids.len() {
            black_box(decide(&record(ids, interface, 0), Some(&mut *engine), &evidence));
        }
        return;
    }
    for stretch in 0..ids.len() / STRETCH {
        let interface = (stretch * 97 + round * 31) % ids.len();
        for nth in 0..STRETCH {
            let record = record(ids, interface, round * STRETCH + nth);
            black_box(decide(&record, Some(&mut *engine), &evidence).verdict);
        }
    }
}

fn import(options: &Options) -> Result<(), String> {
    let folder = scratch().join("attribution-config");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let mut bytes = 0;
    for (name, json) in configuration(&IMPORTED) {
        bytes += json.len();
        std::fs::write(folder.join(name), json).map_err(|error| error.to_string())?;
    }
    let (store, log) = (scratch().join("attribution-import"), scratch().join("attribution.log"));
    let path = folder.to_string_lossy().into_owned();
    let mut runs = Vec::new();
    for _ in 0..options.runs {
        let _ = std::fs::remove_dir_all(&store);
        let args = ["config", "import", &path, "--captured-at", "2026-01-15T09:00:00Z"];
        runs.push(process::run(&mut flowq(&store, options.threads, &args), &log)?);
    }
    let of = |part: fn(&Measured) -> f64| median(runs.iter().map(part).collect());
    println!(
        "import of {} rules and {} interfaces, {:.0} MB of JSON: {:.2} s, {:.2} s of CPU, peak {:.0} MB",
        IMPORTED.groups * IMPORTED.rules,
        IMPORTED.interfaces,
        bytes as f64 / 1e6,
        of(|run| run.wall),
        of(|run| run.cpu),
        of(|run| run.peak) / 1e6,
    );
    let _ = std::fs::remove_dir_all(&store);
    std::fs::remove_dir_all(&folder).map_err(|error| error.to_string())
}
