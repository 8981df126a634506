//! What the tests of traces share: flows of TCP, and the look of what was traced.

use super::{Flow, Stage, Trace, trace};
use crate::net::TCP;
use crate::network::{Network, View};
use crate::rules::fixture::Fixture;

pub(super) fn flow(src: &str, dst: &str, port: u16) -> Flow {
    Flow {
        src: src.parse().unwrap(),
        dst: dst.parse().unwrap(),
        protocol: TCP,
        src_port: None,
        dst_port: Some(port),
        icmp: None,
        interface: None,
    }
}

pub(super) fn traced(network: &Network, flow: Flow) -> Trace {
    trace(network, flow, View { at: 0, after: false }).unwrap()
}

/// The trace of a flow through the network of a fixture.
pub(super) fn run(text: &str, src: &str, dst: &str, port: u16) -> Trace {
    traced(&Fixture::new(text).network(), flow(src, dst, port))
}

pub(super) fn stages(trace: &Trace) -> Vec<String> {
    let word = |stage: &Stage| stage.direction.map(|d| format!(" {}", d.rule_word())).unwrap_or_default();
    trace.stages.iter().map(|s| format!("{} {}{} {} {}", s.way, s.layer, word(s), s.at, s.outcome)).collect()
}

pub(super) fn blockers(trace: &Trace) -> Vec<String> {
    trace.blockers().map(|s| format!("{} {} {}", s.way, s.layer, s.at)).collect()
}
