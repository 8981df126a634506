//! Rules, entries and routes as Terraform writes them: as resources of their own, or, where the resource of their object has the
//! others inline, as a block of that one. The two must not be mixed (spec 6.9): each apply would undo the other's.

use crate::net::{ICMP, ICMPV6, Prefix, TCP, UDP};
use crate::network::{Destination, Remote};
use std::fmt::Display;

/// A text as Terraform writes it. Identifiers and blocks hold nothing that would have to be escaped.
pub(crate) fn quoted(value: impl Display) -> String {
    format!("\"{value}\"")
}

/// A name as Terraform takes it, made of whatever is in it.
fn name_of(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// A block, its arguments aligned as `terraform fmt` does.
fn block(header: &str, arguments: &[(&str, String)]) -> String {
    let width = arguments.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let lines: Vec<String> =
        arguments.iter().map(|(key, value)| format!("  {key:width$} = {value}\n")).collect();
    format!("{header} {{\n{}}}", lines.concat())
}

/// A resource; the name is made of whatever is in `name`.
pub(crate) fn resource(kind: &str, name: &str, arguments: &[(&str, String)]) -> String {
    block(&format!("resource \"{kind}\" \"{}\"", name_of(name)), arguments)
}

/// Blocks with the words that say where they belong.
pub(crate) fn within(address: &str, instead_of: Option<&str>, blocks: &[String]) -> String {
    let place = match instead_of {
        Some(other) => format!("in place of {other}"),
        None => "beside the others".to_owned(),
    };
    format!(
        "# in {address}, {place}: it has these inline, and an apply takes away what has a resource of its own\n{}",
        blocks.join("\n")
    )
}

/// A rule of a security group.
pub(crate) struct GroupRule<'a> {
    pub(crate) group: &'a str,
    pub(crate) egress: bool,
    /// `tcp`, a number, or `-1` for all.
    pub(crate) protocol: String,
    /// Ports, or ICMP type and code; none where the protocol has neither.
    pub(crate) ports: Option<(i32, i32)>,
    pub(crate) remote: &'a Remote,
}

impl GroupRule<'_> {
    fn side(&self) -> &'static str {
        if self.egress { "egress" } else { "ingress" }
    }

    /// A resource of its own.
    pub(crate) fn resource(&self, name: &str) -> String {
        let mut arguments =
            vec![("security_group_id", quoted(self.group)), ("ip_protocol", quoted(&self.protocol))];
        if let Some((from, to)) = self.ports {
            arguments.extend([("from_port", from.to_string()), ("to_port", to.to_string())]);
        }
        arguments.push(match self.remote {
            Remote::Cidr(block) if block.network().is_ipv4() => ("cidr_ipv4", quoted(block)),
            Remote::Cidr(block) => ("cidr_ipv6", quoted(block)),
            Remote::PrefixList(id) => ("prefix_list_id", quoted(id)),
            Remote::Group(_) => ("referenced_security_group_id", quoted(self.remote)),
            Remote::Unreadable(text) => ("# remote", text.clone()),
        });
        resource(&format!("aws_vpc_security_group_{}_rule", self.side()), name, &arguments)
    }

    /// A block of the group's resource, which demands ports whatever the protocol.
    pub(crate) fn block(&self) -> String {
        let (from, to) = self.ports.filter(|_| self.has_ports()).unwrap_or((0, 0));
        let whom = match self.remote {
            Remote::Cidr(block) if block.network().is_ipv4() => {
                ("cidr_blocks", format!("[{}]", quoted(block)))
            }
            Remote::Cidr(block) => ("ipv6_cidr_blocks", format!("[{}]", quoted(block))),
            Remote::PrefixList(id) => ("prefix_list_ids", format!("[{}]", quoted(id))),
            Remote::Group(reference) if reference.group_id == self.group => ("self", "true".to_owned()),
            Remote::Group(_) => ("security_groups", format!("[{}]", quoted(self.remote))),
            Remote::Unreadable(text) => ("# remote", text.clone()),
        };
        let arguments = [
            ("from_port", from.to_string()),
            ("to_port", to.to_string()),
            ("protocol", quoted(&self.protocol)),
            whom,
        ];
        block(self.side(), &arguments)
    }

    fn has_ports(&self) -> bool {
        matches!(self.protocol.as_str(), "tcp" | "udp" | "icmp" | "icmpv6")
    }
}

/// An entry of a network ACL that allows.
pub(crate) struct AllowEntry<'a> {
    pub(crate) acl: &'a str,
    pub(crate) egress: bool,
    pub(crate) number: u32,
    pub(crate) protocol: u8,
    /// Of TCP and UDP.
    pub(crate) ports: Option<(u16, u16)>,
    /// Type and code, of ICMP.
    pub(crate) icmp: (i32, i32),
    pub(crate) block: Prefix,
}

impl AllowEntry<'_> {
    fn block_key(&self) -> &'static str {
        if self.block.network().is_ipv4() { "cidr_block" } else { "ipv6_cidr_block" }
    }

    fn icmp_arguments(&self) -> Vec<(&'static str, String)> {
        let (kind, code) = self.icmp;
        match self.protocol {
            ICMP | ICMPV6 => vec![("icmp_type", kind.to_string()), ("icmp_code", code.to_string())],
            _ => Vec::new(),
        }
    }

    /// A resource of its own.
    fn resource(&self) -> String {
        let word = if self.egress { "outbound" } else { "inbound" };
        let mut arguments = vec![
            ("network_acl_id", quoted(self.acl)),
            ("egress", self.egress.to_string()),
            ("rule_number", self.number.to_string()),
            ("rule_action", quoted("allow")),
            ("protocol", quoted(self.protocol)),
            (self.block_key(), quoted(self.block)),
        ];
        if let (TCP | UDP, Some((from, to))) = (self.protocol, self.ports) {
            arguments.extend([("from_port", from.to_string()), ("to_port", to.to_string())]);
        }
        arguments.extend(self.icmp_arguments());
        let name = format!("{} {word} {}", self.acl, self.number);
        resource("aws_network_acl_rule", &name, &arguments)
    }

    /// A block of the list's resource, which demands ports whatever the protocol.
    fn inline(&self) -> String {
        let (from, to) = self.ports.unwrap_or((0, 0));
        let mut arguments = vec![
            ("rule_no", self.number.to_string()),
            ("action", quoted("allow")),
            ("protocol", quoted(self.protocol)),
            ("from_port", from.to_string()),
            ("to_port", to.to_string()),
            (self.block_key(), quoted(self.block)),
        ];
        arguments.extend(self.icmp_arguments());
        block(if self.egress { "egress" } else { "ingress" }, &arguments)
    }

    /// As the list's entries are written; `inline` is the resource that has them, if one has.
    pub(crate) fn text(&self, inline: Option<&str>) -> String {
        match inline {
            Some(address) => within(address, None, &[self.inline()]),
            None => self.resource(),
        }
    }
}

/// A route, as the table's routes are written; `target` is the attribute of what it leads over, and that. `replaced`: it takes the
/// place of one for the same destination.
pub(crate) fn route_text(
    table: &str,
    destination: &Destination,
    target: (&'static str, &str),
    inline: Option<&str>,
    replaced: bool,
) -> String {
    let (own, within_table) = match destination {
        Destination::Cidr(cidr) if cidr.network().is_ipv4() => ("destination_cidr_block", "cidr_block"),
        Destination::Cidr(_) => ("destination_ipv6_cidr_block", "ipv6_cidr_block"),
        Destination::PrefixList(_) => ("destination_prefix_list_id", "destination_prefix_list_id"),
    };
    let (key, id) = target;
    match inline {
        Some(address) => {
            let old = format!("the route to {destination}");
            let old = replaced.then_some(old.as_str());
            within(address, old, &[block("route", &[(within_table, quoted(destination)), (key, quoted(id))])])
        }
        None => resource(
            "aws_route",
            &format!("{table} {destination}"),
            &[("route_table_id", quoted(table)), (own, quoted(destination)), (key, quoted(id))],
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::GroupReference;

    /// The forms of the provider's documents of `aws_security_group`: ports are demanded, and are 0 for all protocols.
    #[test]
    fn blocks_of_a_group_have_the_arguments_that_the_resource_demands() {
        let reference = |id: &str, account: Option<&str>| {
            Remote::Group(GroupReference {
                group_id: id.to_owned(),
                account: account.map(str::to_owned),
                ..GroupReference::default()
            })
        };
        let block = |protocol: &str, ports, remote: &Remote| {
            GroupRule { group: "sg-1", egress: true, protocol: protocol.to_owned(), ports, remote }.block()
        };
        assert_eq!(
            block("tcp", Some((443, 443)), &Remote::Cidr("10.0.0.10/32".parse().unwrap())),
            "egress {\n  from_port   = 443\n  to_port     = 443\n  protocol    = \"tcp\"\n  cidr_blocks = [\"10.0.0.10/32\"]\n}"
        );
        assert_eq!(
            block("-1", None, &reference("sg-1", None)),
            "egress {\n  from_port = 0\n  to_port   = 0\n  protocol  = \"-1\"\n  self      = true\n}"
        );
        let other = block("50", Some((-1, -1)), &reference("sg-2", Some("111122223333")));
        assert!(
            other.contains("from_port       = 0") && other.contains("= [\"111122223333/sg-2\"]"),
            "{other}"
        );
        let icmp = block("icmpv6", Some((-1, -1)), &Remote::Cidr("2001:db8::/64".parse().unwrap()));
        assert!(icmp.contains("from_port        = -1") && icmp.contains("ipv6_cidr_blocks"), "{icmp}");
    }
}
