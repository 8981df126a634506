//! A trace as text for people and as JSON for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::logged::time_text;
use super::{LogRecord, RuleLine, Stage, Trace, Way};
use crate::net::protocol_name;
use crate::rules::{Decision, Ternary};

fn matched(line: &RuleLine) -> &'static str {
    match line.matched {
        Ternary::Yes => "matches",
        Ternary::Maybe => "may match",
        Ternary::No => "does not match",
    }
}

impl Trace {
    fn subject(&self) -> String {
        let flow = &self.flow;
        let name =
            protocol_name(flow.protocol).map_or_else(|| format!("protocol {}", flow.protocol), str::to_owned);
        let port = |port: Option<u16>| port.map(|port| format!(" port {port}")).unwrap_or_default();
        let icmp = flow.icmp.map(|(kind, code)| {
            let code = code.map(|code| format!(" code {code}")).unwrap_or_default();
            format!(" type {kind}{code}")
        });
        let icmp = icmp.unwrap_or_default();
        format!("{name}{icmp} {}{} to {}{}", flow.src, port(flow.src_port), flow.dst, port(flow.dst_port))
    }

    /// Whether it passes, in words.
    fn headline(&self) -> String {
        let ports: Vec<String> = self.partial().map(Stage::dropped).collect();
        match self.outcome() {
            Decision::Unknown if !ports.is_empty() => {
                let rest = match self.depends_on_port() {
                    true => "passes for the others",
                    false => "whether it passes for the others cannot be told from the configuration",
                };
                format!("blocked for some client ports, {}; {rest}", ports.join(", "))
            }
            outcome => {
                let said = match self.conditions().filter(|_| outcome == Decision::Unknown) {
                    Some(conditions) => format!("it depends: {}", conditions.join("; ")),
                    None => verdict(outcome).to_owned(),
                };
                match self.later {
                    Some(later) => {
                        format!("{said} by the capture before that time; by the one after it {later}")
                    }
                    None => said,
                }
            }
        }
    }

    /// One stage after the other, what is in the way, and what to do about it.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = writeln!(out, "{}: {}", self.subject(), self.headline());
        for (at, stage) in self.stages.iter().enumerate() {
            let direction =
                stage.direction.map(|direction| format!(" {}", direction.rule_word())).unwrap_or_default();
            let layer = stage.layer.to_string().replace('_', " ");
            let number = at.saturating_add(1);
            let _ = writeln!(
                out,
                "{number:>3}. {} {layer}{direction} at {}: {}: {}",
                stage.way,
                stage.place(),
                stage.outcome,
                stage.reason
            );
            if let (true, Some(rule)) = (stage.rules.is_empty(), &stage.rule) {
                let _ = writeln!(out, "       {rule}");
            }
            for line in &stage.clients {
                let at: Vec<String> =
                    line.dropped.iter().map(|(first, last)| format!("{first}-{last}")).collect();
                let at = if at.is_empty() { String::new() } else { format!(" (dropped: {})", at.join(", ")) };
                let _ = writeln!(
                    out,
                    "       answers to {}, ports {}-{}: {}{at}",
                    line.clients, line.first, line.last, line.outcome
                );
            }
            for line in &stage.rules {
                let because =
                    line.because.as_deref().map(|because| format!(" ({because})")).unwrap_or_default();
                let _ = writeln!(out, "       {}: {}{because}", line.text, matched(line));
            }
        }
        for (at, (stage, ways)) in once(self.blockers()).into_iter().enumerate() {
            let name = if at == 0 { "first blocker" } else { "would also block" };
            let rule = stage.rule.as_deref().map(|rule| format!(" ({rule})")).unwrap_or_default();
            let _ =
                writeln!(out, "{name}: {} at {}{ways}: {}{rule}", stage.layer, stage.place(), stage.reason);
            if let Some(nearest) = &stage.nearest {
                let _ = writeln!(out, "  nearest: {nearest}");
            }
        }
        if self.blockers().next().is_none() {
            for (at, stage) in self.partial().enumerate() {
                let name = if at == 0 { "first blocker" } else { "would also block" };
                let rule = stage.rule.as_deref().map(|rule| format!(" ({rule})")).unwrap_or_default();
                let (layer, place, ports) = (stage.layer, stage.place(), stage.dropped());
                let _ = writeln!(out, "{name}, for some client ports: {layer} at {place}: {ports}{rule}");
            }
        }
        for stage in self.stages.iter().filter(|stage| stage.condition.is_some()) {
            let rule = stage.rule.as_deref().map(|rule| format!(" ({rule})")).unwrap_or_default();
            let _ = writeln!(out, "may block: {} at {}: {}{rule}", stage.layer, stage.place(), stage.reason);
        }
        let fixed = self.stages.iter().any(|stage| stage.fix.as_ref().is_some_and(|fix| !fix.is_advice));
        let alone = if fixed { "what follows does not suffice alone: " } else { "" };
        for (stage, _) in once(self.unmended()) {
            let (layer, place) = (stage.layer, stage.place());
            let _ = match &stage.fix {
                Some(advice) => writeln!(out, "{alone}no command mends {layer} at {place}: {}", advice.text),
                None => writeln!(out, "{alone}there is no fix here for {layer} at {place}: {}", stage.reason),
            };
        }
        for stage in &self.stages {
            if let Some(fix) = stage.fix.as_ref().filter(|fix| !fix.is_advice) {
                let _ = writeln!(out, "smallest fix at {}: {}", stage.place(), fix.text);
                fix.command.lines().chain(fix.terraform.lines()).for_each(|line| {
                    let _ = writeln!(out, "  {line}");
                });
            }
        }
        if let (true, None) = (fixed, self.fixes_suffice()) {
            let open = self.stages.iter().find(|stage| stage.is_open());
            let what = match open {
                Some(stage) => format!("{} at {}: {}", stage.layer, stage.place(), stage.reason),
                None => "what lies behind the change was not looked at".to_owned(),
            };
            let _ = writeln!(out, "whether this suffices cannot be told: {what}");
        }
        if let Some((first, last)) = self.capture_times() {
            let to = if first == last { String::new() } else { format!(" to {last}") };
            let _ = writeln!(out, "by the configuration captured at {first}{to}");
        }
        if let Some(logged) = &self.logged {
            let _ = writeln!(
                out,
                "the logs {}: {} record{} of this flow, {} of them REJECT",
                logged.period(),
                logged.found,
                if logged.found == 1 { "" } else { "s" },
                logged.rejects
            );
            for record in &logged.records {
                let _ = writeln!(out, "  {}", record.text());
                if let Some((_, _, explanation)) = &record.verdict {
                    let _ = writeln!(out, "    {explanation}");
                }
            }
        }
        for text in self.contradiction().into_iter().chain(self.answer_to()) {
            let _ = writeln!(out, "{text}");
        }
        for text in &self.not_checked {
            let _ = writeln!(out, "not checked: {text}");
        }
        out
    }

    fn capture_times(&self) -> Option<(String, String)> {
        let (first, last) = self.captured?;
        time_text(first).zip(time_text(last))
    }

    /// The same facts as JSON.
    pub fn json(&self) -> Value {
        let flow = &self.flow;
        json!({
            "src": flow.src.to_string(),
            "dst": flow.dst.to_string(),
            "protocol": flow.protocol,
            "src_port": flow.src_port,
            "dst_port": flow.dst_port,
            "icmp_type": flow.icmp.map(|(kind, _)| kind),
            "icmp_code": flow.icmp.and_then(|(_, code)| code),
            "outcome": self.outcome().to_string(),
            "by_the_later_capture": self.later,
            "blocked_client_ports": self.partial().filter(|_| self.outcome() != Decision::Deny).flat_map(|stage| &stage.clients).flat_map(|line| &line.dropped)
                .collect::<std::collections::BTreeSet<_>>(),
            "fixes_suffice": self.fixes_suffice(),
            "first_blocker": self.stages.iter().position(|stage| stage.outcome == Decision::Deny),
            "stages": self.stages.iter().map(stage).collect::<Vec<_>>(),
            "logs": self.logged.as_ref().map(|logged| json!({
                "period": logged.period(),
                "found": logged.found,
                "rejects": logged.rejects,
                "records": logged.records.iter().map(LogRecord::json).collect::<Vec<_>>(),
            })),
            "captured": self.capture_times().map(|(first, last)| [first, last]),
            "contradiction": self.contradiction(),
            "answer_to": self.answer_to(),
            "not_checked": self.not_checked,
        })
    }
}

impl Stage {
    /// Where, by id and name.
    fn place(&self) -> String {
        match &self.name {
            Some(name) => format!("{} ({name})", self.at),
            None => self.at.clone(),
        }
    }
}

/// Each blocker once, with the ways on which it is in the way, where that is not the one there alone.
fn once<'s>(stages: impl Iterator<Item = &'s Stage>) -> Vec<(&'s Stage, &'static str)> {
    let mut found: Vec<(&Stage, &'static str)> = Vec::new();
    for stage in stages {
        let same = found.iter_mut().find(|(one, _)| {
            one.layer == stage.layer
                && one.at == stage.at
                && one.reason == stage.reason
                && one.rule == stage.rule
                && one.direction == stage.direction
        });
        match same {
            Some((one, ways)) if one.way != stage.way => *ways = ", there and back",
            Some(_) => {}
            None => found.push((stage, if stage.way == Way::Back { ", on the way back" } else { "" })),
        }
    }
    found
}

fn stage(stage: &Stage) -> Value {
    json!({
        "way": stage.way.to_string(),
        "layer": stage.layer.to_string(),
        "at": stage.at,
        "name": stage.name,
        "interface": Some(&stage.at).filter(|at| at.starts_with("eni-")).or(stage.interface.as_ref()),
        "subnet": Some(&stage.at).filter(|at| at.starts_with("subnet-")).or(stage.subnet.as_ref()),
        "direction": stage.direction.map(|direction| direction.to_string()),
        "outcome": stage.outcome.to_string(),
        "rule": stage.rule,
        "reason": stage.reason,
        "condition": stage.condition,
        "rules": stage.rules.iter().map(|line| json!({
            "rule": line.text,
            "matched": match line.matched { Ternary::Yes => "yes", Ternary::Maybe => "maybe", Ternary::No => "no" },
            "because": line.because,
        })).collect::<Vec<_>>(),
        "clients": stage.clients.iter().map(|line| json!({
            "clients": line.clients,
            "first_port": line.first,
            "last_port": line.last,
            "outcome": line.outcome.to_string(),
            "dropped": line.dropped,
        })).collect::<Vec<_>>(),
        "nearest": stage.nearest,
        "fix": stage.fix.as_ref().map(|fix| json!({
            "text": fix.text,
            "command": fix.command,
            "terraform": fix.terraform,
            "is_advice": fix.is_advice,
        })),
    })
}

fn verdict(outcome: Decision) -> &'static str {
    match outcome {
        Decision::Deny => "blocked",
        Decision::Unknown => "cannot be told from the configuration",
        Decision::Allow | Decision::NotApplicable => "passes",
    }
}
