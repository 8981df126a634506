//! Room in front of an entry of a network ACL that no smaller number is left for: it, and the entries that follow it without a
//! gap, get the next numbers.

use crate::net::{ICMP, ICMPV6, Prefix};
use crate::network::{NaclEntry, NetworkAcl, RuleAction, Traffic};
use crate::rules::Direction;
use std::collections::BTreeSet;
use std::fmt::Display;

/// So many entries are given other numbers; more are a matter for whoever keeps the list.
const MOST_MOVED: usize = 4;

/// The greatest number that an entry can have.
const LAST: u32 = 32766;

/// How room is made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// The commands, in order. The number in front of which there was no room is free for a replacement then: what stood there
    /// stands behind it.
    pub(super) commands: Vec<String>,
    /// In words.
    pub(super) moved: String,
    /// The number that is taken now.
    pub(super) taken: u32,
}

/// The options of an entry for the AWS CLI: ports of TCP and UDP, or type and code of ICMP, where it has any.
pub(super) fn entry_options(
    protocol: impl Display,
    ports: Option<(u16, u16)>,
    icmp: Option<(i32, i32)>,
    block: &Prefix,
    action: &str,
) -> String {
    let narrowed = match (ports, icmp) {
        (Some((from, to)), _) => format!(" --port-range From={from},To={to}"),
        (None, Some((kind, code))) => format!(" --icmp-type-code Type={kind},Code={code}"),
        (None, None) => String::new(),
    };
    let option = if block.network().is_ipv4() { "--cidr-block" } else { "--ipv6-cidr-block" };
    format!("--protocol {protocol}{narrowed} {option} {block} --rule-action {action}")
}

/// Those of an entry as it stands; `None` where it cannot be read.
fn options(entry: &NaclEntry) -> Option<String> {
    let (protocol, ports, icmp) = match &entry.traffic {
        Traffic::All => (-1, None, None),
        Traffic::Ports { protocol, ports } => {
            (i32::from(*protocol), Some((ports.first(), ports.last())), None)
        }
        Traffic::Icmp { protocol: protocol @ (ICMP | ICMPV6), kind, code } => {
            let or_all = |value: Option<u8>| value.map_or(-1, i32::from);
            (i32::from(*protocol), None, Some((or_all(*kind), or_all(*code))))
        }
        Traffic::Protocol(protocol) => (i32::from(*protocol), None, None),
        Traffic::Icmp { .. } | Traffic::Unreadable(_) => return None,
    };
    let action = match entry.action? {
        RuleAction::Allow => "allow",
        RuleAction::Deny => "deny",
    };
    Some(entry_options(protocol, ports, icmp, entry.cidr.as_ref()?, action))
}

/// Room in front of the entry `before` of a list. The last entry of the stretch is copied behind it, then each takes the place of
/// the next: at every step each entry of the list is there, in the order in which they were.
pub(super) fn make_room(
    acl: &NetworkAcl,
    direction: Direction,
    before: u32,
    taken: &BTreeSet<u32>,
) -> Option<Room> {
    let end = (before..=LAST).find(|number| !taken.contains(number))?;
    let stretch: Vec<u32> = (before..end).collect();
    if stretch.is_empty() || stretch.len() > MOST_MOVED {
        return None;
    }
    let flag = if direction.is_egress() { "--egress" } else { "--ingress" };
    let mut commands = Vec::with_capacity(stretch.len());
    for number in stretch.iter().rev() {
        let mut at =
            acl.entries.iter().filter(|one| one.number == *number && one.egress == direction.is_egress());
        let entry = at.next()?;
        // Two entries of one number are two readings, of which one is wrong.
        if at.next().is_some() {
            return None;
        }
        let to = number.checked_add(1)?;
        let verb = if to == end { "create" } else { "replace" };
        commands.push(format!(
            "aws ec2 {verb}-network-acl-entry --network-acl-id {} {flag} --rule-number {to} {}",
            acl.id,
            options(entry)?
        ));
    }
    let word = direction.rule_word();
    let moved = match stretch.as_slice() {
        [only] => format!("give {word} entry {only} the number {end}"),
        _ => {
            format!("give {word} entries {before} to {} the next numbers, up to {end}", end.saturating_sub(1))
        }
    };
    Some(Room { commands, moved, taken: end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;
    use crate::rules::taken_numbers;

    fn room(entries: &str, before: u32) -> Option<Room> {
        let fixture = Fixture::new(&format!("nacl acl-1 vpc-1 subnet-1\n{entries}"));
        let acl = fixture.acls["acl-1"].clone();
        make_room(&acl, Direction::Ingress, before, &taken_numbers(&acl, false))
    }

    #[test]
    fn every_step_of_making_room_keeps_the_entries_and_their_order() {
        let entries = "acl-1 in 1 deny tcp 22 10.0.0.0/8\nacl-1 in 2 allow all 2001:db8::/64\nacl-1 in 4 allow all 0.0.0.0/0";
        let found = room(entries, 1).unwrap();
        let acl = "--network-acl-id acl-1 --ingress --rule-number";
        assert_eq!(
            found.commands,
            [
                format!(
                    "aws ec2 create-network-acl-entry {acl} 3 --protocol -1 --ipv6-cidr-block 2001:db8::/64 --rule-action allow"
                ),
                format!(
                    "aws ec2 replace-network-acl-entry {acl} 2 --protocol 6 --port-range From=22,To=22 --cidr-block 10.0.0.0/8 \
                     --rule-action deny"
                ),
            ]
        );
        assert_eq!(
            (found.moved.as_str(), found.taken),
            ("give inbound entries 1 to 2 the next numbers, up to 3", 3)
        );
        let one = room("acl-1 in 1 deny all 0.0.0.0/0", 1).unwrap();
        assert_eq!((one.moved.as_str(), one.commands.len()), ("give inbound entry 1 the number 2", 1));
    }

    #[test]
    fn no_room_is_made_where_an_entry_cannot_be_written_again_or_many_would_move() {
        let many: String =
            (1..=5).map(|number| format!("acl-1 in {number} deny tcp 22 10.0.0.0/8\n")).collect();
        assert_eq!(room(&many, 1), None);
        assert!(room(&many, 2).is_some());
        let mut fixture = Fixture::new("nacl acl-1 vpc-1 subnet-1\nacl-1 in 1 deny all 0.0.0.0/0");
        let acl = fixture.acls.get_mut("acl-1").unwrap();
        acl.entries.iter_mut().for_each(|entry| entry.traffic = Traffic::Unreadable("x".to_owned()));
        assert_eq!(make_room(acl, Direction::Ingress, 1, &taken_numbers(acl, false)), None);
    }
}
