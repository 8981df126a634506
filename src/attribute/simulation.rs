//! A packet-level simulator: random rules of both families that may change meanwhile, stateful tracking in time order, and
//! the flow logs that it writes. Nothing that attribution says with PROVEN or STRONG may contradict who dropped the packets.

mod packets;
mod world;

use self::packets::{Logged, Simulator, Truth};
use self::world::{BEGIN, Changes, LAST, Shape, World, primary_of};
use super::direction::{OwnAddresses, by_configuration};
use super::record::{Action, Record};
use super::*;
use crate::net::{TCP, UDP};
use crate::network::View;
use crate::rules::{Direction, Engine, InterfaceRules};
use std::collections::BTreeMap;
use std::sync::Arc;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len() as u64) as usize]
    }
}

/// Which fields a log has.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Format {
    /// The default format: no flags, no direction, no subnet.
    V2,
    /// Without flags, and the direction known.
    Directed,
    /// With flags, direction and subnet.
    V5,
}

fn record(logged: &Logged, format: Format, jitter: i64) -> Record<'_> {
    let Logged { sent, .. } = logged;
    let flags = format == Format::V5 && sent.protocol == TCP;
    Record {
        interface_id: Some(&logged.interface),
        src: Some(sent.src.0.address(sent.six)),
        dst: Some(sent.dst.0.address(sent.six)),
        src_port: sent.src.1,
        dst_port: sent.dst.1,
        protocol: sent.protocol,
        packets: Some(logged.truths.len() as i64),
        bytes: Some(60),
        start: logged.start - jitter,
        end: logged.end + jitter,
        action: if logged.rejected { Action::Reject } else { Action::Accept },
        tcp_flags: flags.then_some(logged.flags),
        direction: (format != Format::V2).then_some(logged.direction),
        ..Record::BLANK
    }
}

/// What a verdict claims of every packet of the record, if it claims it with confidence.
fn contradiction(found: &Attribution, truths: &[Truth]) -> Option<&'static str> {
    if found.confidence < Confidence::Strong {
        return None;
    }
    let some = |claim: fn(&Truth) -> bool| truths.iter().any(claim);
    let or = |cause| found.candidates.contains(cause);
    match found.verdict {
        Verdict::Nacl if some(|t| !t.acl_denies) => Some("the network ACL let it pass"),
        Verdict::Nacl if !or(Cause::SecurityGroup) && found.confidence == Confidence::Proven => {
            some(|t| t.groups_deny).then_some("the groups denied it as well")
        }
        Verdict::SecurityGroup if some(|t| !t.groups_deny) => Some("the groups let it pass"),
        Verdict::SecurityGroup if !or(Cause::Nacl) && some(|t| t.acl_denies) => {
            Some("the network ACL denied it as well")
        }
        Verdict::NaclAndSecurityGroup if some(|t| !t.acl_denies || !t.groups_deny) => {
            Some("one of them let it pass")
        }
        Verdict::StaleConnection if some(|t| t.acl_denies) => Some("the network ACL denied it"),
        Verdict::StaleConnection if some(|t| !t.state_ended) => Some("no state had ended"),
        // Where the versions around a change disagree, that is all that is claimed.
        Verdict::ConfigMismatch if found.reasons.contains(ReasonCode::ConfigChangedInWindow) => None,
        Verdict::ConfigMismatch => Some("the configuration was in force"),
        _ => None,
    }
}

/// How much of the logs there is.
#[derive(Clone, Copy, PartialEq)]
enum Logs {
    Whole,
    /// They begin in the middle, and an interface's ACCEPTs are missing for a while, which SKIPDATA tells.
    Cut,
    /// Only REJECTs were logged.
    Rejects,
}

/// What was asked, and what came of it.
#[derive(Clone, Copy)]
struct Run {
    worlds: u64,
    shape: Shape,
    with_network: bool,
    format: Format,
    logs: Logs,
}

const STILL: Shape = Shape { six: true, typed: false, intricate: false, changes: Changes::Never };

/// REJECT records: of TCP and UDP, and of ICMP; each all and decided.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Outcome {
    whole: (usize, usize),
    icmp: (usize, usize),
    /// Verdicts of PROVEN or STRONG.
    sure: usize,
    /// Those of them that contradict the truth.
    wrong: usize,
}

impl Outcome {
    fn all(&self) -> usize {
        self.whole.0 + self.icmp.0
    }

    fn undetermined_percent(&self) -> f64 {
        let open = self.all() - self.whole.1 - self.icmp.1;
        open as f64 * 100.0 / self.all().max(1) as f64
    }
}

/// Verdicts over random worlds, after checking that none contradicts the truth.
fn run(asked: Run) -> Outcome {
    let Run { shape, format, .. } = asked;
    let mut outcome = Outcome::default();
    let mut wrong: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for seed in 1..=asked.worlds {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let world = World::new(&mut random, shape);
        let mut simulator = Simulator::new(&world);
        let span = (LAST - BEGIN) as u64;
        let mut begins: Vec<i64> = (0..60).map(|_| BEGIN + random.below(span) as i64).collect();
        begins.sort_unstable();
        for begin in begins {
            simulator.flow(&mut random, begin, shape.six, shape.typed);
        }
        let mut logged: Vec<Logged> = simulator.logged.into_values().collect();
        let skipped = (BEGIN + random.below(15_000) as i64, "eni-10.0.2.5");
        let in_skipped = |at: i64| (skipped.0..skipped.0 + 5000).contains(&at);
        match asked.logs {
            Logs::Whole => {}
            Logs::Rejects => logged.retain(|logged| logged.rejected),
            Logs::Cut => logged.retain(|logged| {
                let lost = logged.interface == skipped.1 && !logged.rejected && in_skipped(logged.start);
                logged.start > 105_000 && !lost
            }),
        }
        if logged.is_empty() {
            continue;
        }
        let mut engine = Engine::new(&world.known);
        let mut records: Vec<Record<'_>> =
            logged.iter().map(|logged| record(logged, format, random.below(20) as i64)).collect();
        if shape.intricate {
            // What comes in shows the primary address; what leaves, either (not documented).
            for (record, logged) in records.iter_mut().zip(&logged) {
                match logged.direction {
                    Direction::Ingress => record.dst = record.dst.map(primary_of),
                    Direction::Egress if seed % 2 == 0 => record.src = record.src.map(primary_of),
                    Direction::Egress => {}
                }
            }
        }
        let mut own = OwnAddresses::default();
        for record in &records {
            own.observe(record.interface_id.unwrap(), record.src.unwrap(), record.dst.unwrap());
        }
        for record in records.iter_mut().filter(|record| record.direction.is_none()) {
            let (id, src, dst) = (record.interface_id.unwrap(), record.src.unwrap(), record.dst.unwrap());
            record.direction = match asked.with_network {
                true => engine
                    .interface(id, View { at: record.start, after: false })
                    .and_then(|rules| by_configuration(&rules.interface, src, dst)),
                false => own.direction(id, src, dst),
            };
        }
        let rules: Vec<Option<Arc<InterfaceRules>>> = (records.iter())
            .map(|record| engine.interface(record.interface_id?, View { at: record.start, after: false }))
            .map(|rules| rules.filter(|_| asked.with_network))
            .collect();
        for (record, rules) in records.iter_mut().zip(&rules) {
            let own = if record.direction == Some(Direction::Egress) { record.src } else { record.dst };
            record.alias = rules.as_ref().zip(own).and_then(|(rules, own)| rules.interface.alias(&own));
        }
        let mut index = EvidenceIndex::new();
        let subnet = |record: &Record<'_>| match format == Format::V2 && !asked.with_network {
            true => None,
            false => Some(if record.interface_id.unwrap().contains("10.0.1.") { "1" } else { "2" }),
        };
        // With the configuration interfaces are together by their list, and without by their subnet.
        let list = |rules: &Option<Arc<InterfaceRules>>| Some(rules.as_ref()?.acl.as_ref()?.acl.id.clone());
        let names: Vec<Option<String>> = (records.iter().zip(&rules))
            .map(|(record, rules)| list(rules).or_else(|| subnet(record).map(str::to_owned)))
            .collect();
        let rejected = records.iter().zip(&names).filter(|(record, _)| record.action == Action::Reject);
        rejected.for_each(|(record, name)| index.want(record, name.as_deref()));
        let first = Record { start: -500_000, ..records[0] };
        match asked.logs {
            Logs::Cut => index.missing(skipped.1, skipped.0 - 60, skipped.0 + 5060),
            _ => index.observe(&Record { action: Action::Reject, ..first }, None, None, true),
        }
        for (record, rules) in records.iter().zip(&rules) {
            let (shown, steady) = match rules {
                Some(rules) => (zone(record, rules), is_steady(record, &mut engine)),
                None => (subnet(record).map(Zone::of), true),
            };
            index.observe(record, shown, subnet(record), steady);
        }
        for ((record, logged), name) in
            records.iter().zip(&logged).zip(&names).filter(|((record, _), _)| record.action == Action::Reject)
        {
            let neighbours = name.as_deref().map(|name| Zone { name, within: subnet(record) });
            let evidence = index.evidence(record, neighbours, subnet(record), 432_000);
            let found = decide(record, asked.with_network.then_some(&mut engine), &evidence);
            let counted = match record.protocol {
                TCP | UDP => &mut outcome.whole,
                _ => &mut outcome.icmp,
            };
            counted.0 += 1;
            counted.1 += usize::from(found.verdict != Verdict::Undetermined);
            outcome.sure += usize::from(found.confidence >= Confidence::Strong);
            if let Some(why) = contradiction(&found, &logged.truths) {
                let kind = format!(
                    "{} {} {:?} protocol {} flags {:?}: {why}",
                    found.verdict, found.confidence, found.reasons, record.protocol, record.tcp_flags
                );
                let changes: Vec<i64> = world.states.iter().map(|(at, _)| *at).collect();
                let detail = format!(
                    "seed {seed}, changes {changes:?}, captures {:?}, sent {}: {record:?} {evidence:?} {:?}",
                    world.captured, logged.sent.at, logged.truths
                );
                wrong.entry(kind).or_insert((0, detail)).0 += 1;
            }
        }
        for record in records.iter().filter(|record| record.action == Action::Accept) {
            let contradicts = accept_contradicts(record, &mut engine);
            if shape.changes == Changes::Concealed {
                continue;
            }
            assert_ne!(contradicts, Some(true), "seed {seed}: {record:?}");
            if shape.changes == Changes::Never && record.direction.is_some() {
                assert_eq!(contradicts, Some(false), "seed {seed}: {record:?}");
            }
        }
    }
    outcome.wrong = wrong.values().map(|(count, _)| count).sum();
    if shape.changes != Changes::Concealed {
        assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", outcome.wrong, outcome.all());
    }
    outcome
}

/// How many random worlds each test makes; set `SIMULATED_WORLDS` for long runs.
fn worlds() -> u64 {
    std::env::var("SIMULATED_WORLDS").ok().and_then(|count| count.parse().ok()).unwrap_or(150)
}

fn whole(shape: Shape, with_network: bool, format: Format) -> Outcome {
    run(Run { worlds: worlds(), shape, with_network, format, logs: Logs::Whole })
}

const FORMATS: [Format; 3] = [Format::V2, Format::Directed, Format::V5];

#[test]
fn with_configuration_everything_is_decided_and_nothing_contradicts_the_truth() {
    for six in [false, true] {
        for format in FORMATS {
            let found = whole(Shape { six, ..STILL }, true, format);
            assert!(found.all() > 100, "there is something to decide");
            assert_eq!(found.whole.0, found.whole.1, "{format:?}: TCP and UDP are decidable: {found:?}");
            assert_eq!(found.icmp.0, found.icmp.1, "{format:?}: so is ICMP without types: {found:?}");
        }
    }
}

#[test]
fn rules_on_icmp_types_do_not_mislead() {
    for format in FORMATS {
        let found = whole(Shape { typed: true, ..STILL }, true, format);
        assert_eq!(found.whole.0, found.whole.1, "{format:?}: TCP and UDP are decidable: {found:?}");
        assert!(found.icmp.1 < found.icmp.0, "{format:?}: no log shows the type: {found:?}");
        whole(Shape { typed: true, ..STILL }, false, format);
    }
}

#[test]
fn changing_rules_do_not_mislead() {
    for changes in [Changes::History, Changes::Captures] {
        for format in FORMATS {
            let found = whole(Shape { changes, ..STILL }, true, format);
            assert!(found.all() > 100);
            whole(Shape { changes, ..STILL }, false, format);
        }
    }
}

#[test]
fn one_list_for_two_subnets_and_secondary_addresses_do_not_mislead() {
    for changes in [Changes::Never, Changes::History, Changes::Captures] {
        for format in FORMATS {
            let found = whole(Shape { intricate: true, changes, ..STILL }, true, format);
            assert!(found.all() > 100);
            if changes == Changes::Never {
                assert_eq!(found.whole.0, found.whole.1, "{format:?}: TCP and UDP are decidable: {found:?}");
            }
        }
    }
}

#[test]
fn a_configuration_that_was_not_in_force_contradicts_the_truth() {
    // What the other tests look for is there to be found: flowq believes the configuration that it is given.
    let found = whole(Shape { changes: Changes::Concealed, ..STILL }, true, Format::V5);
    assert!(found.wrong > 10, "{found:?}");
}

#[test]
fn without_configuration_nothing_contradicts_the_truth() {
    for format in FORMATS {
        whole(STILL, false, format);
    }
}

#[test]
fn cut_logs_do_not_mislead() {
    for with_network in [true, false] {
        for format in FORMATS {
            for changes in [Changes::Never, Changes::History] {
                let shape = Shape { changes, ..STILL };
                run(Run { worlds: worlds() / 2, shape, with_network, format, logs: Logs::Cut });
            }
        }
    }
}

#[test]
fn rejects_alone_do_not_mislead() {
    for with_network in [true, false] {
        for format in FORMATS {
            run(Run { worlds: worlds() / 2, shape: STILL, with_network, format, logs: Logs::Rejects });
        }
    }
}

/// The README's figures: `cargo test --release --lib simulation::shares -- --nocapture`.
#[test]
fn shares_of_what_stays_open() {
    let shapes = [
        ("rules without ICMP types", STILL),
        ("with ICMP types", Shape { typed: true, ..STILL }),
        ("changing, AWS Config", Shape { changes: Changes::History, ..STILL }),
        ("changing, captures", Shape { changes: Changes::Captures, ..STILL }),
    ];
    for (name, shape) in shapes {
        for (fields, format) in [("version 2", Format::V2), ("version 5", Format::V5)] {
            let share = |with_network| whole(shape, with_network, format);
            let (with, without) = (share(true), share(false));
            println!(
                "{name}, {fields}: UNDETERMINED {:.1} % with configuration, {:.1} % without, of {} rejected records; \
                 PROVEN or STRONG {:.1} % and {:.1} %",
                with.undetermined_percent(),
                without.undetermined_percent(),
                with.all(),
                with.sure as f64 * 100.0 / with.all().max(1) as f64,
                without.sure as f64 * 100.0 / without.all().max(1) as f64
            );
            assert!(with.undetermined_percent() <= without.undetermined_percent());
        }
    }
}
