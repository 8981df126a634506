//! `flowq explain`.

mod logs;

use std::net::IpAddr;
use std::sync::Arc;

use clap::Args;

use super::config::{held, parse_time, print, text_column};
use super::engine::{EngineArgs, network};
use super::logs::WindowArgs;
use super::{Global, Printer, exit};
use crate::net::{ICMP, ICMPV6, TCP, has_ports, protocol_name, protocol_number};
use crate::network::{Network, Timestamp, View};
use crate::sql::attribution::NetworkSource;
use crate::sql::output::OutputFormat;
use crate::trace::{Flow, Trace, trace};

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Who starts the flow
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    src: IpAddr,
    /// With whom: a private or a public address
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    dst: IpAddr,
    /// The client's port [default: those that clients usually have]
    #[arg(long, value_name = "PORT")]
    sport: Option<u16>,
    /// The service's port
    #[arg(long, value_name = "PORT")]
    dport: Option<u16>,
    /// Protocol, by name or number [default: tcp, or icmp with --icmp-type]
    #[arg(long, value_name = "PROTOCOL", value_parser = parse_protocol)]
    proto: Option<u8>,
    /// ICMP type, or type/code
    #[arg(long, value_name = "TYPE", value_parser = parse_icmp)]
    icmp_type: Option<(u8, Option<u8>)>,
    /// The interface that is meant, by its id or name, where several hold one of the addresses
    #[arg(long, value_name = "ID")]
    eni: Option<String>,
    /// By the configuration as it was then, and with the log records around then (UTC) [default: the newest]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<Timestamp>,
    /// How many seconds before and after --at records of the flow are looked for, unless --since or --until say when
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(i64).range(0..))]
    #[arg(conflicts_with_all = ["since", "until"])]
    within: i64,
    /// So many of these records are shown, the nearest to --at, or the newest, rejected and accepted ones; 0: the logs are not read
    #[arg(long, value_name = "N", default_value_t = 20)]
    records: usize,
    #[command(flatten)]
    window: WindowArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

fn parse_protocol(text: &str) -> Result<u8, String> {
    let number = text.parse().ok().or_else(|| protocol_number(text));
    number.ok_or_else(|| "expected a protocol such as tcp, udp, icmp or 50".to_owned())
}

fn parse_icmp(text: &str) -> Result<(u8, Option<u8>), String> {
    let parsed = match text.split_once('/') {
        None => text.parse().ok().map(|kind| (kind, None)),
        Some((kind, code)) => kind.parse().ok().zip(code.parse().ok()).map(|(kind, code)| (kind, Some(code))),
    };
    parsed.ok_or_else(|| "expected a type such as 8, or type/code such as 3/4".to_owned())
}

/// Echo requests and their replies are of one code (RFC 792, RFC 4443).
fn code_of_echo(protocol: u8, kind: u8) -> Option<u8> {
    matches!((protocol, kind), (ICMP, 8 | 0) | (ICMPV6, 128 | 129)).then_some(0)
}

fn parse_address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| {
        "expected an address such as 10.0.0.10 (flowq config show NAME tells those of an interface)"
            .to_owned()
    })
}

/// The interface of an id, or of the name that people call it by.
fn interface_of(network: &Network, text: &str, view: View) -> Result<String, String> {
    if network.interfaces.timeline(text).is_some() {
        return Ok(text.to_owned());
    }
    let all = network.interfaces.all(view).map(|found| found.value);
    let mut named: Vec<&str> = all
        .filter(|interface| network.interface_name(interface) == Some(text))
        .map(|interface| interface.id.as_str())
        .collect();
    named.sort_unstable();
    match named.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => Err(format!("no interface of the configuration is called {text}")),
        several => {
            Err(format!("{text} is the name of several: {} (--eni takes one of these)", several.join(", ")))
        }
    }
}

pub fn run(args: &ExplainArgs, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    let protocol = match (args.proto, args.icmp_type) {
        // People say icmp for both.
        (Some(ICMP), _) | (None, Some(_)) => {
            if args.dst.is_ipv6() {
                ICMPV6
            } else {
                ICMP
            }
        }
        (Some(protocol), _) => protocol,
        (None, None) => TCP,
    };
    if (args.sport.is_some() || args.dport.is_some()) && !has_ports(protocol) {
        let name = protocol_name(protocol).map_or_else(|| protocol.to_string(), str::to_owned);
        printer
            .error(&format!("--sport and --dport are for tcp and udp, not for {name}, which has no ports"));
        return Ok(exit::USAGE);
    }
    if args.icmp_type.is_some() && !matches!(protocol, ICMP | ICMPV6) {
        printer.error("--icmp-type is for icmp only (leave --proto away)");
        return Ok(exit::USAGE);
    }
    let network = match network(&args.engine.options, global, printer)? {
        NetworkSource::Given(network) => network,
        _ => Arc::new(held(global)?.network),
    };
    let view = View { at: args.at.unwrap_or(Timestamp::MAX), after: false };
    let interface = match args.eni.as_deref().map(|text| interface_of(&network, text, view)).transpose() {
        Ok(interface) => interface,
        Err(error) => {
            printer.error(&error);
            return Ok(exit::USAGE);
        }
    };
    let flow = Flow {
        src: args.src,
        dst: args.dst,
        protocol,
        src_port: args.sport,
        dst_port: args.dport,
        icmp: args.icmp_type.map(|(kind, code)| (kind, code.or_else(|| code_of_echo(protocol, kind)))),
        interface,
    };
    let mut trace = match trace(&network, flow, view) {
        Ok(trace) => trace,
        // What was asked cannot be answered, whatever is read.
        Err(error) => {
            printer.error(&error.to_string());
            return Ok(exit::USAGE);
        }
    };
    if let Err(code) = logs::read(&mut trace, args, Arc::clone(&network), global, printer)? {
        return Ok(code);
    }
    match printer.format() {
        OutputFormat::Table => printer.naming(Some(network)).lines(&trace.text())?,
        OutputFormat::Json => printer.data(&format!("{}\n", serde_json::to_string_pretty(&trace.json())?))?,
        OutputFormat::Ndjson => printer.data(&format!("{}\n", trace.json()))?,
        _ => stages(&trace, printer)?,
    }
    Ok(0)
}

fn stages(trace: &Trace, printer: &Printer) -> anyhow::Result<()> {
    let stages = &trace.stages;
    let direction = |stage: &crate::trace::Stage| stage.direction.map(|d| d.to_string()).unwrap_or_default();
    let columns = vec![
        ("way", text_column(stages.iter().map(|stage| stage.way.to_string()))),
        ("layer", text_column(stages.iter().map(|stage| stage.layer.to_string()))),
        ("direction", text_column(stages.iter().map(direction))),
        ("at", text_column(stages.iter().map(|stage| &stage.at))),
        ("outcome", text_column(stages.iter().map(|stage| stage.outcome.to_string()))),
        ("rule", text_column(stages.iter().map(|stage| stage.rule.as_deref().unwrap_or_default()))),
        ("reason", text_column(stages.iter().map(|stage| &stage.reason))),
    ];
    print(columns, printer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_and_types_are_typed_by_name_and_number() {
        assert_eq!((parse_protocol("udp"), parse_protocol("50")), (Ok(17), Ok(50)));
        assert!(parse_protocol("nonsense").is_err());
        assert_eq!((parse_icmp("8"), parse_icmp("3/4")), (Ok((8, None)), Ok((3, Some(4)))));
        assert!(parse_icmp("echo").is_err() && parse_icmp("300").is_err());
    }
}
