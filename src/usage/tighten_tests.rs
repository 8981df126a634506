use super::super::sample::traffic;
use super::propose::MOST_RULES;
use super::*;
use crate::rules::fixture::Fixture;

const BASE: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    subnet subnet-2 vpc-1 10.0.2.0/24
    eni eni-a subnet-1 10.0.1.10 groups=sg-1
    eni eni-b subnet-2 10.0.2.20 groups=sg-2
    sg-2";

fn found(rules: &str, lines: &'static str) -> Tightenings {
    tighten(&traffic(Fixture::new(&format!("{BASE}\n{rules}")).network(), None, lines)).unwrap()
}

fn tightened(rules: &str, lines: &'static str) -> Vec<Tightening> {
    found(rules, lines).narrower
}

/// `rule: N (M) => proposed, proposed` with conversations and those of them that are uncertain, or `rule: N left alone`.
fn kept(rules: &str, lines: &'static str) -> Vec<String> {
    let found = found(rules, lines);
    let short = |rule: &Rule| rule.text.trim_start_matches("group sg-1 ").to_owned();
    let narrower = found.narrower.iter().map(|one| {
        assert_eq!(one.cut_seen, 0);
        let proposed: Vec<String> = one.proposed.iter().map(|rule| rule.text(one.rule.is_egress())).collect();
        let (all, uncertain) = (one.conversations, one.uncertain);
        format!("{}: {all} ({uncertain}) => {}", short(&one.rule), proposed.join(", "))
    });
    let left =
        found.left_alone.iter().map(|one| format!("{}: {} left alone", short(&one.rule), one.conversations));
    narrower.chain(left).collect()
}

#[test]
fn both_ends_are_kept_where_either_may_have_begun() {
    let rules = "sg-1 in icmp 0.0.0.0/0\nsg-1 out all 0.0.0.0/0";
    // Requests and answers in one window: a ping out needs the outbound rule, a ping in the inbound one.
    let ping = "eni-a out 198.51.100.7 tcp 40000>443 ACCEPT
        eni-a in 198.51.100.7 tcp 443>40000 ACCEPT
        eni-a out 198.51.100.9 icmp - ACCEPT
        eni-a in 198.51.100.9 icmp - ACCEPT";
    assert_eq!(
        kept(rules, ping),
        [
            "outbound rule allow all traffic to 0.0.0.0/0: 2 (1) => tcp 443 to 198.51.100.7/32, icmp to 198.51.100.9/32",
            "inbound rule allow icmp from 0.0.0.0/0: 1 left alone",
        ]
    );
    // So with tunnels (GRE is 47), and with equal ports; the starts of records are a minute off (spec 4.1).
    for line in [
        "eni-a out 198.51.100.9 47 - ACCEPT 0-60\neni-a in 198.51.100.9 47 - ACCEPT 0-60",
        "eni-a out 198.51.100.9 udp 123>123 ACCEPT 0-60\neni-a in 198.51.100.9 udp 123>123 ACCEPT 30-90",
        // An answer without its question, or a question from an odd port.
        "eni-a out 198.51.100.9 udp 161>40000 ACCEPT 0-60",
    ] {
        assert_eq!(
            kept("sg-1 in all 0.0.0.0/0\nsg-1 out all 0.0.0.0/0", line),
            [
                "inbound rule allow all traffic from 0.0.0.0/0: 1 left alone",
                "outbound rule allow all traffic to 0.0.0.0/0: 1 left alone",
            ],
            "{line}"
        );
    }
}

#[test]
fn what_the_groups_would_drop_is_no_second_reading() {
    // Nothing lets a ping out, so all of them came in.
    let lines = "eni-a out 198.51.100.9 icmp - ACCEPT\neni-a in 198.51.100.9 icmp - ACCEPT";
    assert_eq!(
        kept("sg-1 in icmp 0.0.0.0/0", lines),
        ["inbound rule allow icmp from 0.0.0.0/0: 1 (0) => icmp from 198.51.100.9/32"]
    );
}

#[test]
fn plain_ports_and_flags_settle_who_began() {
    let rules = "sg-1 in all 0.0.0.0/0\nsg-1 out all 0.0.0.0/0";
    for (lines, rule) in [
        (
            "eni-a in 198.51.100.9 tcp 40000>443 ACCEPT\neni-a out 198.51.100.9 tcp 443>40000 ACCEPT",
            "inbound rule allow all traffic from 0.0.0.0/0: 1 (0) => tcp 443 from 198.51.100.9/32",
        ),
        (
            "eni-a out 198.51.100.9 tcp 45000>50000 ACCEPT flags=2",
            "outbound rule allow all traffic to 0.0.0.0/0: 1 (0) => tcp 50000 to 198.51.100.9/32",
        ),
    ] {
        assert_eq!(kept(rules, lines), [rule]);
    }
}

#[test]
fn a_rule_that_only_may_match_is_left_alone() {
    // No log shows the type of ICMP: either rule may have let it pass.
    assert_eq!(
        kept("sg-1 in icmp 8 0.0.0.0/0\nsg-1 in icmp 13 0.0.0.0/0", "eni-a in 198.51.100.9 icmp - ACCEPT"),
        [
            "inbound rule allow icmp type 8 from 0.0.0.0/0: 1 left alone",
            "inbound rule allow icmp type 13 from 0.0.0.0/0: 1 left alone",
        ]
    );
}

/// `rule => proposed, proposed (cut, narrower)`.
fn told(rules: &str, lines: &'static str) -> Vec<String> {
    tightened(rules, lines)
        .iter()
        .map(|one| {
            let proposed: Vec<String> =
                one.proposed.iter().map(|rule| rule.text(one.rule.is_egress())).collect();
            let wide = one.rule.text.trim_start_matches("group sg-1 ");
            format!("{wide} => {} ({}, {})", proposed.join(", "), one.cut_seen, one.narrower)
        })
        .collect()
}

#[test]
fn ports_and_addresses_that_were_used() {
    // 9000 ports of 2^24 addresses, where one port of two addresses would do.
    assert_eq!(
        told(
            "sg-1 in tcp 1000-9999 10.0.0.0/8",
            "eni-a in 10.0.2.20 tcp 51000>5432 ACCEPT
             eni-a in 10.0.2.21 tcp 51000>5432 ACCEPT"
        ),
        [format!(
            "inbound rule allow tcp 1000-9999 from 10.0.0.0/8 => tcp 5432 from 10.0.2.20/32, tcp 5432 from 10.0.2.21/32 (0, {})",
            9000.0 * 16_777_216.0 / 2.0
        )]
    );
}

#[test]
fn each_service_keeps_its_own_clients() {
    assert_eq!(
        told(
            "sg-1 in all 10.0.0.0/16",
            "eni-a in 10.0.2.20 tcp 51000>443 ACCEPT
             eni-a in 10.0.2.20 tcp 51000>444 ACCEPT
             eni-a in 10.0.2.30 udp 51000>53 ACCEPT
             eni-a in 10.0.2.30 icmp - ACCEPT"
        ),
        [format!(
            "inbound rule allow all traffic from 10.0.0.0/16 => tcp 443-444 from 10.0.2.20/32, icmp from 10.0.2.30/32, \
             udp 53 from 10.0.2.30/32 (0, {})",
            131_326.0 * 65_536.0 / 4.0
        )]
    );
}

#[test]
fn what_is_as_narrow_as_its_use_is_left() {
    for (rule, line) in [
        ("sg-1 in tcp 443 198.51.100.7/32", "eni-a in 198.51.100.7 tcp 51000>443 ACCEPT"),
        ("sg-1 in tcp 22 sg-2", "eni-a in 10.0.2.20 tcp 51000>22 ACCEPT"),
        ("sg-1 in icmp 8 198.51.100.7/32", "eni-a in 198.51.100.7 icmp - ACCEPT"),
    ] {
        assert_eq!(told(rule, line), Vec::<String>::new(), "{rule}");
    }
}

#[test]
fn references_keep_their_group() {
    assert_eq!(
        told("sg-1 in tcp 1-1000 sg-2", "eni-a in 10.0.2.20 tcp 51000>22 ACCEPT"),
        ["inbound rule allow tcp 1-1000 from sg-2 => tcp 22 from sg-2 (0, 1000)"]
    );
}

#[test]
fn a_rule_for_the_world_stays_one() {
    // Nine visitors from everywhere: no eight prefixes that mean anything hold them.
    let lines = "eni-a in 192.0.2.1 tcp 51000>443 ACCEPT
        eni-a in 198.51.100.1 tcp 51000>443 ACCEPT
        eni-a in 203.0.113.1 tcp 51000>443 ACCEPT
        eni-a in 11.0.0.1 tcp 51000>443 ACCEPT
        eni-a in 21.0.0.1 tcp 51000>443 ACCEPT
        eni-a in 31.0.0.1 tcp 51000>443 ACCEPT
        eni-a in 41.0.0.1 tcp 51000>443 ACCEPT
        eni-a in 51.0.0.1 tcp 51000>443 ACCEPT
        eni-a in 61.0.0.1 tcp 51000>443 ACCEPT";
    assert_eq!(told("sg-1 in tcp 443 0.0.0.0/0", lines), Vec::<String>::new());
    assert_eq!(
        told("sg-1 in tcp 0-65535 0.0.0.0/0", lines),
        ["inbound rule allow tcp from 0.0.0.0/0 => tcp 443 from 0.0.0.0/0 (0, 65536)"]
    );
}

#[test]
fn only_who_began_counts() {
    let lines = "eni-a in 10.0.2.20 tcp 51000>443 ACCEPT\neni-a out 10.0.2.20 tcp 443>51000 ACCEPT";
    let rules = "sg-1 in tcp 443 10.0.2.20/32\nsg-1 out tcp 1024-65535 10.0.0.0/8";
    assert_eq!(told(rules, lines), Vec::<String>::new(), "the outbound rule was not used");
}

#[test]
fn the_rules_seen_stay_under_the_quota() {
    let mut rules = tightened(
        "sg-1 in all 10.0.0.0/16",
        "eni-a in 10.0.2.1 tcp 51000>100 ACCEPT
         eni-a in 10.0.2.2 tcp 51000>200 ACCEPT
         eni-a in 10.0.2.3 tcp 51000>300 ACCEPT
         eni-a in 10.0.2.4 tcp 51000>400 ACCEPT
         eni-a in 10.0.2.5 tcp 51000>500 ACCEPT
         eni-a in 10.0.2.6 tcp 51000>600 ACCEPT
         eni-a in 10.0.2.7 tcp 51000>700 ACCEPT
         eni-a in 10.0.2.8 tcp 51000>800 ACCEPT
         eni-a in 10.0.2.9 tcp 51000>900 ACCEPT
         eni-a in 10.0.2.10 tcp 51000>1000 ACCEPT
         eni-a in 10.0.2.11 tcp 51000>22 ACCEPT",
    );
    let one = rules.remove(0);
    assert!(one.proposed.len() <= MOST_RULES, "{:?}", one.proposed);
    assert_eq!((one.cut_seen, one.conversations), (0, 11));
}

#[test]
fn commands_add_before_they_take_away() {
    let rules = tightened("sg-1 out all 0.0.0.0/0", "eni-a out 198.51.100.7 tcp 51000>443 ACCEPT");
    assert_eq!(
        rules[0].commands(),
        [
            "aws ec2 authorize-security-group-egress --group-id sg-1 --ip-permissions \
             'IpProtocol=tcp,FromPort=443,ToPort=443,IpRanges=[{CidrIp=198.51.100.7/32}]'",
            "aws ec2 revoke-security-group-egress --group-id sg-1 --ip-permissions 'IpProtocol=-1,IpRanges=[{CidrIp=0.0.0.0/0}]'",
        ]
    );
    assert_eq!(
        rules[0].terraform(),
        "resource \"aws_vpc_security_group_egress_rule\" \"tight_sg_1_egress_all_traffic_0_0_0_0_0_1\" {\n  security_group_id = \"sg-1\"\n  \
         ip_protocol       = \"tcp\"\n  from_port         = 443\n  to_port           = 443\n  cidr_ipv4         = \
         \"198.51.100.7/32\"\n}"
    );
}

#[test]
fn where_the_groups_rules_are_inline_the_narrow_ones_are_blocks() {
    let mut rules = tightened("sg-1 out all 0.0.0.0/0", "eni-a out 198.51.100.7 tcp 51000>443 ACCEPT");
    rules[0].inline_in = Some("module.net.aws_security_group.app".to_owned());
    assert_eq!(
        rules[0].terraform(),
        "# in module.net.aws_security_group.app, in place of the egress block of all traffic to 0.0.0.0/0: it has these inline, and an \
         apply takes away what has a resource of its own\negress {\n  from_port   = 443\n  to_port     = 443\n  protocol    = \
         \"tcp\"\n  cidr_blocks = [\"198.51.100.7/32\"]\n}"
    );
}

#[test]
fn connections_that_are_not_tracked_break_at_the_change() {
    // 2.2: a rule for everybody, and the other direction open to everybody on all ports.
    let breaks = |rules: &str| {
        let found = tightened(
            rules,
            "eni-a in 198.51.100.7 tcp 51000>443 ACCEPT\neni-a out 203.0.113.9 tcp 51000>443 ACCEPT",
        );
        found.iter().map(|one| one.cuts_untracked).collect::<Vec<_>>()
    };
    assert_eq!(breaks("sg-1 in tcp 443 0.0.0.0/0\nsg-1 out all 0.0.0.0/0"), [true, true]);
    assert_eq!(breaks("sg-1 in tcp 443 0.0.0.0/0"), [false]);
    assert_eq!(breaks("sg-1 in tcp 443 198.51.100.0/24\nsg-1 out all 0.0.0.0/0"), [false, false]);
    // The other rule may be of any group of an interface, and not of a group beside which it does not stand.
    let third =
        "eni eni-c subnet-1 10.0.1.11 groups=sg-1,sg-3\nsg-1 in tcp 443 0.0.0.0/0\nsg-3 out all 0.0.0.0/0";
    assert_eq!(breaks(third), [true]);
    assert_eq!(breaks("sg-1 in tcp 443 0.0.0.0/0\nsg-2 out all 0.0.0.0/0"), [false]);
}

/// The commands of each tightening, in order.
fn commands(rules: &str, lines: &'static str) -> Vec<Vec<String>> {
    let short = |command: String| command.trim_start_matches("aws ec2 ").replace("--group-id sg-1 ", "");
    tightened(rules, lines).iter().map(|one| one.commands().into_iter().map(short).collect()).collect()
}

const DATABASE_AND_SSH: &str =
    "eni-a in 10.0.2.20 tcp 51000>5432 ACCEPT\neni-a in 10.0.2.30 tcp 51000>22 ACCEPT";

#[test]
fn what_the_group_has_already_is_not_added_again() {
    // EC2 answers InvalidPermission.Duplicate to the whole call, and adds nothing of it.
    assert_eq!(
        commands("sg-1 in all 10.0.0.0/16\nsg-1 in tcp 5432 10.0.2.20/32", DATABASE_AND_SSH),
        [[
            "authorize-security-group-ingress --ip-permissions 'IpProtocol=tcp,FromPort=22,ToPort=22,IpRanges=[{CidrIp=10.0.2.30/32}]'",
            "revoke-security-group-ingress --ip-permissions 'IpProtocol=-1,IpRanges=[{CidrIp=10.0.0.0/16}]'",
        ]]
    );
    // Nothing is left to add.
    let all = "sg-1 in all 10.0.0.0/16\nsg-1 in tcp 5432 10.0.2.20/32\nsg-1 in tcp 22 10.0.2.30/32";
    let found = tightened(all, DATABASE_AND_SSH);
    assert_eq!(found[0].terraform(), "");
    assert_eq!(found[0].proposed.len(), 2, "what is left open is told all the same");
    assert_eq!(
        commands(all, DATABASE_AND_SSH),
        [["revoke-security-group-ingress --ip-permissions 'IpProtocol=-1,IpRanges=[{CidrIp=10.0.0.0/16}]'"]]
    );
}

#[test]
fn what_two_rules_of_a_group_need_is_added_once() {
    let found = commands("sg-1 in all 10.0.0.0/16\nsg-1 in tcp 1-9999 10.0.0.0/8", DATABASE_AND_SSH);
    let added = found.iter().flatten().filter(|one| one.starts_with("authorize")).cloned();
    let added = added.collect::<Vec<_>>().join(" ");
    for port in ["FromPort=22,", "FromPort=5432,"] {
        assert_eq!(added.matches(port).count(), 1, "{found:?}");
    }
    let revoked: Vec<_> = found.iter().flatten().filter(|one| one.starts_with("revoke")).collect();
    assert_eq!(revoked.len(), 2);
}

#[test]
fn what_is_left_to_another_rule_stays_open_when_that_one_is_tightened() {
    // Eleven services are too many for ten rules, so 80 and 82 are put together: that rule is there, and is itself too wide.
    let rules = "sg-1 in all 10.0.0.0/16\nsg-1 in tcp 80-82 10.0.2.20/32";
    let lines = "eni-a in 10.0.2.20 tcp 51000>80 ACCEPT
        eni-a in 10.0.2.20 tcp 51000>82 ACCEPT
        eni-a in 10.0.2.20 tcp 51000>184 ACCEPT
        eni-a in 10.0.2.20 tcp 51000>286 ACCEPT
        eni-a in 10.0.2.20 tcp 51000>388 ACCEPT
        eni-a in 10.0.2.20 tcp 51000>490 ACCEPT
        eni-a in 10.0.2.20 tcp 51000>592 ACCEPT
        eni-a in 10.0.2.20 tcp 51000>694 ACCEPT
        eni-a in 10.0.2.20 tcp 51000>796 ACCEPT
        eni-a in 10.0.2.20 tcp 51000>898 ACCEPT
        eni-a in 10.0.2.20 tcp 51000>1000 ACCEPT";
    let found = tightened(rules, lines);
    let held: Vec<&str> =
        found.iter().flat_map(|one| &one.proposed).filter_map(|one| one.held_by.as_deref()).collect();
    assert_eq!(held, ["group sg-1 inbound rule allow tcp 80-82 from 10.0.2.20/32"]);
    let added = found.iter().flat_map(|one| &one.proposed).filter(|one| one.held_by.is_none());
    let mut added: Vec<String> = added.map(|one| one.traffic.to_string()).collect();
    added.sort();
    let ports = [1000, 184, 286, 388, 490, 592, 694, 796, 80, 82, 898];
    assert_eq!(added, ports.map(|port| format!("tcp {port}")));
}

#[test]
fn uses_of_a_wider_rule_are_those_of_the_narrower_one_that_takes_its_place() {
    let fixture = Fixture::new(&format!("{BASE}\nsg-1 in tcp 80-90 10.0.2.0/24"));
    let view = crate::network::View { at: i64::MAX, after: false };
    let narrow = &fixture.network().groups.get("sg-1", view).unwrap().value.rules[0].clone();
    let few = |addresses: &[&str]| Sources::Few(addresses.iter().map(|addr| addr.parse().unwrap()).collect());
    let uses = Uses::from([
        ((6, Some((85, 85))), few(&["10.0.2.1", "10.9.9.9"])),
        ((6, Some((22, 22))), few(&["10.0.2.1"])),
        ((17, Some((85, 85))), few(&["10.0.2.1"])),
        ((6, Some((88, 95))), few(&["10.0.2.7"])),
    ]);
    assert_eq!(
        shared_uses(&uses, narrow),
        Uses::from([((6, Some((85, 85))), few(&["10.0.2.1"])), ((6, Some((88, 90))), few(&["10.0.2.7"]))])
    );
}

#[test]
fn nothing_is_proposed_for_a_rule_that_could_not_be_read() {
    // A command would open all traffic in place of what nobody knows.
    let lines = "eni-a in 198.51.100.7 tcp 50000>443 ACCEPT";
    let of = |change: fn(&mut crate::network::SecurityGroupRule)| {
        let mut fixture = Fixture::new(&format!("{BASE}\nsg-1 in tcp 0-65535 198.51.0.0/16"));
        change(&mut fixture.groups.get_mut("sg-1").unwrap().rules[0]);
        tighten(&traffic(fixture.network(), None, lines)).unwrap().narrower.len()
    };
    assert_eq!(of(|_| {}), 1);
    assert_eq!(of(|rule| rule.traffic = RuleTraffic::Unreadable("banana".to_owned())), 0);
    assert_eq!(of(|rule| rule.remote = Remote::Unreadable("198.51.100.x/16".to_owned())), 0);
}
