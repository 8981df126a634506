//! Inputs that tell parts of one object: Terraform states that are one network, answers of several commands, items of a history.

use super::*;
use crate::network::history::View;

const VIEW: View = View { at: 0, after: false };

/// A state of these resources, as `TYPE VALUES` in lines.
fn state(resources: &[&str]) -> String {
    let resources = resources.iter().map(|resource| {
        let (kind, values) = resource.split_once(' ').unwrap();
        format!(r#"{{"address":"{kind}.x","mode":"managed","type":"{kind}","name":"x","values":{values}}}"#)
    });
    let resources: Vec<String> = resources.collect();
    format!(
        r#"{{"format_version":"1.0","values":{{"root_module":{{"resources":[{}]}}}}}}"#,
        resources.join(",")
    )
}

fn read(files: &[(&str, Option<i64>)]) -> (Network, Vec<Problem>) {
    let mut builder = NetworkBuilder::new();
    for (at, (text, captured_at)) in files.iter().enumerate() {
        let options = ReadOptions { captured_at: *captured_at, ..ReadOptions::default() };
        builder.read(&format!("{at}.json"), text.as_bytes(), &options).unwrap();
    }
    builder.finish()
}

/// The network's state.
const OBJECTS: [&str; 5] = [
    r#"aws_vpc {"id":"vpc-1","cidr_block":"10.0.0.0/16"}"#,
    r#"aws_subnet {"id":"subnet-1","vpc_id":"vpc-1","cidr_block":"10.0.1.0/24"}"#,
    r#"aws_network_acl {"id":"acl-1","vpc_id":"vpc-1","subnet_ids":[],"ingress":[],"egress":[]}"#,
    r#"aws_route_table {"id":"rtb-1","vpc_id":"vpc-1","route":[]}"#,
    r#"aws_network_interface {"id":"eni-1","subnet_id":"subnet-1","private_ip":"10.0.1.10","security_groups":["sg-1"]}"#,
];

/// An application's state, which adds to it.
const ADDITIONS: [&str; 6] = [
    r#"aws_network_acl_rule {"id":"r","network_acl_id":"acl-1","rule_number":100,"egress":false,"protocol":"tcp","rule_action":"allow","cidr_block":"10.0.0.0/8","from_port":443,"to_port":443}"#,
    r#"aws_network_acl_association {"id":"a","network_acl_id":"acl-1","subnet_id":"subnet-1"}"#,
    r#"aws_network_interface_sg_attachment {"id":"s","network_interface_id":"eni-1","security_group_id":"sg-2"}"#,
    r#"aws_route {"id":"o","route_table_id":"rtb-1","destination_cidr_block":"0.0.0.0/0","gateway_id":"igw-1"}"#,
    r#"aws_route_table_association {"id":"t","route_table_id":"rtb-1","subnet_id":"subnet-1"}"#,
    r#"aws_vpc_ipv4_cidr_block_association {"id":"b","vpc_id":"vpc-1","cidr_block":"100.64.0.0/16"}"#,
];

/// What the network holds of what is added.
fn added(network: &Network) -> [Vec<String>; 6] {
    let acl = network.acls.get("acl-1", VIEW).unwrap().value;
    let table = network.route_tables.get("rtb-1", VIEW).unwrap().value;
    let route = |route: &Route| format!("{:?} {}", route.destination, route.target);
    let mut all = [
        acl.entries.iter().map(|entry| format!("{} {}", entry.number, entry.traffic)).collect::<Vec<_>>(),
        acl.subnet_ids.clone(),
        network.interfaces.get("eni-1", VIEW).unwrap().value.group_ids.clone(),
        table.routes.iter().map(route).collect(),
        table.subnet_ids.clone(),
        network.vpcs.get("vpc-1", VIEW).unwrap().value.cidrs.iter().map(ToString::to_string).collect(),
    ];
    all.iter_mut().for_each(|list| list.sort_unstable());
    all
}

#[test]
fn what_another_state_adds_counts_as_if_it_were_in_the_same() {
    let (objects, additions) = (state(&OBJECTS), state(&ADDITIONS));
    let together = state(&[&OBJECTS[..], &ADDITIONS[..]].concat());
    let (one, _) = read(&[(&together, Some(0))]);
    let expected = added(&one);
    assert_eq!(expected[0], ["100 tcp 443"]);
    assert_eq!(expected[2], ["sg-1", "sg-2"]);
    assert_eq!(expected[3].len(), 3, "two local routes and the one to the gateway");
    assert_eq!(expected[5], ["10.0.0.0/16", "100.64.0.0/16"]);
    for files in [[&objects, &additions], [&additions, &objects]] {
        let (network, problems) = read(&files.map(|text| (text.as_str(), Some(0))));
        assert_eq!(added(&network), expected);
        assert_eq!(problems, []);
        assert_eq!(network.part_captures, []);
    }
}

#[test]
fn an_elastic_address_is_mapped_whichever_states_hold_the_pieces() {
    let instance = r#"aws_instance {"id":"i-1","primary_network_interface_id":"eni-2","subnet_id":"subnet-1","private_ip":"10.0.1.20",
        "vpc_security_group_ids":["sg-1"]}"#;
    let address =
        |id: &str, ip: &str| format!(r#"aws_eip {{"id":"{id}","allocation_id":"{id}","public_ip":"{ip}"}}"#);
    let (one, two) = (address("eipalloc-1", "203.0.113.1"), address("eipalloc-2", "203.0.113.2"));
    let by_interface = r#"aws_eip_association {"id":"a","allocation_id":"eipalloc-1","network_interface_id":"eni-1","private_ip_address":"10.0.1.10"}"#;
    let by_instance = r#"aws_eip_association {"id":"b","allocation_id":"eipalloc-2","instance_id":"i-1","private_ip_address":"10.0.1.20"}"#;
    let pieces: [Vec<&str>; 3] =
        [[&OBJECTS[..], &[instance]].concat(), vec![&one, &two], vec![by_interface, by_instance]];
    let public = |files: &[(&str, Option<i64>)]| {
        let (network, problems) = read(files);
        assert_eq!(problems, []);
        ["eni-1", "eni-2"].map(|id| {
            let found = network.interfaces.get(id, VIEW).unwrap().value;
            assert_eq!(found.vpc_id.as_deref(), Some("vpc-1"));
            let mappings = found.public_mappings.iter().map(|(public, own)| format!("{public} {own}"));
            mappings.collect::<Vec<_>>()
        })
    };
    let expected = [vec!["203.0.113.1 10.0.1.10"], vec!["203.0.113.2 10.0.1.20"]];
    assert_eq!(public(&[(&state(&pieces.concat()), Some(0))]), expected);
    let apart = pieces.each_ref().map(|piece| state(piece));
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        assert_eq!(public(&order.map(|nth: usize| (apart[nth].as_str(), Some(0)))), expected);
    }
    // By then it may be mapped to something else.
    let later = [(apart[0].as_str(), Some(0)), (&apart[1], Some(0)), (&apart[2], Some(86_400))];
    assert_eq!(public(&later), [const { Vec::<&str>::new() }; 2]);
    let (network, _) = read(&[(&apart[2], Some(0))]);
    let named: Vec<&str> = network.part_captures.iter().map(|one| one.object.as_str()).collect();
    assert_eq!(named, ["eni-1", "i-1"]);
}

#[test]
fn a_route_is_no_blackhole_where_what_it_leads_to_is_there() {
    let route = |block: &str, key: &str, target: &str| {
        format!(
            r#"aws_route {{"id":"{target}","route_table_id":"rtb-1","destination_cidr_block":"{block}","{key}":"{target}","state":"blackhole"}}"#
        )
    };
    let routes = [
        route("10.1.0.0/16", "vpc_peering_connection_id", "pcx-1"),
        route("0.0.0.0/0", "nat_gateway_id", "nat-1"),
        route("10.2.0.0/16", "nat_gateway_id", "nat-2"),
        route("10.3.0.0/16", "network_interface_id", "eni-1"),
    ];
    let gateway = r#"aws_nat_gateway {"id":"nat-1","subnet_id":"subnet-1","private_ip":"10.0.1.30","network_interface_id":"eni-nat"}"#;
    let mut all = OBJECTS.to_vec();
    all.extend(routes.iter().map(String::as_str));
    let blackholes = |files: &[(&str, Option<i64>)]| {
        let (network, _) = read(files);
        let table = network.route_tables.get("rtb-1", VIEW).unwrap().value;
        let dead = table.routes.iter().filter(|route| route.is_blackhole());
        let mut dead: Vec<String> = dead.map(|route| route.target.clone()).collect();
        dead.sort_unstable();
        dead
    };
    // The connection's own status decides of it. An interface may be there and attached to nothing.
    let (objects, gateways) = (state(&all), state(&[gateway]));
    assert_eq!(blackholes(&[(&objects, Some(0)), (&gateways, Some(0))]), ["eni-1", "nat-2"]);
    assert_eq!(blackholes(&[(&objects, Some(0)), (&gateways, Some(86_400))]), ["eni-1", "nat-1", "nat-2"]);
}

#[test]
fn what_no_input_holds_is_named() {
    let (network, _) = read(&[(&state(&ADDITIONS), Some(0))]);
    let mut named: Vec<&str> = network.part_captures.iter().map(|one| one.object.as_str()).collect();
    named.sort_unstable();
    assert_eq!(named, ["acl-1", "eni-1", "rtb-1", "vpc-1"]);
    assert!(network.part_captures.iter().all(|one| one.message.contains("import the state that has it")));
}

#[test]
fn what_a_state_of_another_time_adds_may_be_there() {
    let (network, _) = read(&[(&state(&OBJECTS), Some(0)), (&state(&ADDITIONS), Some(86_400))]);
    let acl = network.acls.get("acl-1", VIEW).unwrap().value;
    assert!(acl.entries.iter().all(|entry| matches!(entry.traffic, Traffic::Unreadable(_))));
    assert_eq!(acl.entries.len(), 2, "in both directions");
    assert!(acl.more_subnets);
    assert!(!network.interfaces.get("eni-1", VIEW).unwrap().value.groups_known);
    assert!(network.route_tables.get("rtb-1", VIEW).unwrap().value.more_routes);
}

#[test]
fn a_capture_holds_what_states_add_already() {
    let capture = r#"{"NetworkInterfaces":[{"NetworkInterfaceId":"eni-1","SubnetId":"subnet-1","VpcId":"vpc-1",
        "PrivateIpAddress":"10.0.1.10","Groups":[{"GroupId":"sg-9"}]}]}"#;
    let attached = state(&ADDITIONS[2..3]);
    let (network, problems) = read(&[(capture, Some(0)), (&attached, Some(0))]);
    assert_eq!(network.interfaces.get("eni-1", VIEW).unwrap().value.group_ids, ["sg-9"]);
    assert_eq!(problems, []);
    assert_eq!(network.part_captures, []);
}

#[test]
fn a_subnet_has_left_the_default_list_that_still_names_it() {
    for other in ["acl-0", "acl-2"] {
        let own = format!(
            r#"aws_network_acl {{"id":"{other}","vpc_id":"vpc-1","subnet_ids":["subnet-1"],"ingress":[],"egress":[]}}"#
        );
        let default = r#"aws_default_network_acl {"id":"acl-1","vpc_id":"vpc-1","subnet_ids":["subnet-1","subnet-2"],"ingress":[],"egress":[]}"#;
        let (network, _) = read(&[(&state(&[OBJECTS[0], OBJECTS[1], &own, default]), Some(0))]);
        let of = |subnet| network.acl_of(subnet, Some("vpc-1"), VIEW).map(|acl| acl.value.id.clone());
        assert_eq!(of("subnet-1").as_deref(), Some(other));
        assert_eq!(of("subnet-2").as_deref(), Some("acl-1"));
    }
}

#[test]
fn a_subnet_that_two_lists_or_tables_of_one_capture_name_has_neither() {
    let lists = r#"{"NetworkAcls":[
        {"NetworkAclId":"acl-1","VpcId":"vpc-1","IsDefault":true,"Entries":[],"Associations":[{"NetworkAclId":"acl-1","SubnetId":"subnet-1"}]},
        {"NetworkAclId":"acl-2","VpcId":"vpc-1","IsDefault":false,"Entries":[],"Associations":[{"NetworkAclId":"acl-2","SubnetId":"subnet-1"}]}]}"#;
    let tables = r#"{"RouteTables":[
        {"RouteTableId":"rtb-1","VpcId":"vpc-1","Routes":[],"Associations":[{"Main":false,"RouteTableId":"rtb-1","SubnetId":"subnet-1"}]},
        {"RouteTableId":"rtb-2","VpcId":"vpc-1","Routes":[],"Associations":[{"Main":false,"RouteTableId":"rtb-2","SubnetId":"subnet-1"}]}]}"#;
    let (network, _) = read(&[(lists, Some(0)), (tables, Some(0))]);
    assert!(network.acl_of("subnet-1", Some("vpc-1"), VIEW).is_none());
    assert_eq!(network.acls_named("subnet-1", VIEW).len(), 2);
    assert!(network.route_table_of("subnet-1", Some("vpc-1"), VIEW).is_none());
    // The later of two captures has moved it.
    let later = lists.replace(r#"[{"NetworkAclId":"acl-1","SubnetId":"subnet-1"}]"#, "[]");
    let (network, _) = read(&[(lists, Some(0)), (&later, Some(600))]);
    let after = View { at: 700, after: false };
    assert_eq!(network.acl_of("subnet-1", Some("vpc-1"), after).unwrap().value.id, "acl-2");
}

#[test]
fn one_attachment_in_two_answers_is_no_contradiction() {
    let vpc = r#"{"TransitGatewayVpcAttachments":[{"TransitGatewayAttachmentId":"tgw-attach-1","TransitGatewayId":"tgw-1","VpcId":"vpc-1",
        "SubnetIds":["subnet-1"],"Options":{"SecurityGroupReferencingSupport":"enable"}}]}"#;
    let any = r#"{"TransitGatewayAttachments":[{"TransitGatewayAttachmentId":"tgw-attach-1","TransitGatewayId":"tgw-1",
        "ResourceType":"vpc","ResourceId":"vpc-1"}]}"#;
    for files in [[vpc, any], [any, vpc]] {
        let (network, _) = read(&files.map(|text| (text, Some(0))));
        assert_eq!(network.contradictions, []);
        let attachment = network.transit_attachments.get("tgw-attach-1", VIEW).unwrap().value;
        assert_eq!(attachment.subnet_ids, ["subnet-1"]);
        assert_eq!(attachment.security_group_referencing.as_deref(), Some("enable"));
    }
}

#[test]
fn routes_of_a_transit_gateway_are_those_of_the_table_that_was_asked_for() {
    let routes = r#"{"Routes":[
        {"DestinationCidrBlock":"10.8.0.0/16","TransitGatewayAttachments":[{"ResourceId":"vpc-2","ResourceType":"vpc",
         "TransitGatewayAttachmentId":"tgw-attach-2"}],"Type":"propagated","State":"active"},
        {"DestinationCidrBlock":"10.9.0.0/16","Type":"static","State":"blackhole"}],"AdditionalRoutesAvailable":false}"#;
    let read = |name: &str, text: &str| {
        let mut builder = NetworkBuilder::new();
        let options = ReadOptions { captured_at: Some(0), ..ReadOptions::default() };
        builder.read(name, text.as_bytes(), &options).map(|_| builder.finish().0)
    };
    assert!(matches!(read("routes.json", routes), Err(ReadError::TableUnnamed { .. })));
    let asked = |filter: &str| {
        let command = format!(
            "aws ec2 search-transit-gateway-routes --transit-gateway-route-table-id tgw-rtb-1 --filters {filter} --region x"
        );
        let text = format!(r#"{{"command":"{command}","output":{routes}}}"#);
        let network = read("a.json", &text).unwrap();
        network.transit_tables.get("tgw-rtb-1", VIEW).unwrap().value.as_ref().clone()
    };
    let table = asked("Name=state,Values=active,blackhole");
    assert!(table.whole && asked("Name=type,Values=static,propagated").whole);
    assert_eq!(table.routes[0].attachment_ids, ["tgw-attach-2"]);
    assert_eq!(
        (table.routes[1].attachment_ids.len(), table.routes[1].state.as_deref()),
        (0, Some("blackhole"))
    );
    assert!(
        !asked("Name=state,Values=active").whole
            && !asked("Name=type,Values=static Name=state,Values=active").whole
    );
    let filter = "Name=state,Values=active,blackhole";
    assert!(
        !asked(&format!("{filter} --max-items 5")).whole && asked(&format!("{filter} --no-paginate")).whole
    );
    let named = read("tgw-rtb-1.json", routes).unwrap();
    assert!(
        !named.transit_tables.get("tgw-rtb-1", VIEW).unwrap().value.whole,
        "nothing tells what was asked for"
    );
    let attachment = r#"{"TransitGatewayAttachments":[{"TransitGatewayAttachmentId":"tgw-attach-1","TransitGatewayId":"tgw-1",
        "ResourceType":"vpc","ResourceId":"vpc-1","Association":{"TransitGatewayRouteTableId":"tgw-rtb-1","State":"associated"}}]}"#;
    let network = read("b.json", attachment).unwrap();
    let found = network.transit_attachments.get("tgw-attach-1", VIEW).unwrap().value;
    assert_eq!(found.route_table_id.as_deref(), Some("tgw-rtb-1"));
}

#[test]
fn both_accounts_views_of_a_peering_of_gateways_are_no_contradiction() {
    let view = |own: &str, other: &str| {
        format!(
            r#"{{"TransitGatewayAttachments":[{{"TransitGatewayAttachmentId":"tgw-attach-1","TransitGatewayId":"{own}",
            "TransitGatewayOwnerId":"111122223333","ResourceType":"peering","ResourceId":"{other}","State":"available"}}]}}"#
        )
    };
    let (network, problems) = read(&[(&view("tgw-1", "tgw-2"), Some(0)), (&view("tgw-2", "tgw-1"), Some(0))]);
    assert_eq!(network.contradictions, []);
    assert_eq!(problems, []);
}

#[test]
fn groups_that_one_of_two_contents_carries_are_not_known() {
    let interface = |group: &str| {
        format!(
            r#"{{"NetworkInterfaces":[{{"NetworkInterfaceId":"eni-1","SubnetId":"subnet-1","VpcId":"vpc-1",
            "PrivateIpAddress":"10.0.1.10","Groups":[{{"GroupId":"sg-both"}},{{"GroupId":"{group}"}}]}}]}}"#
        )
    };
    let (network, _) = read(&[(&interface("sg-1"), Some(0)), (&interface("sg-2"), Some(0))]);
    let found = network.interfaces.get("eni-1", VIEW).unwrap().value;
    assert_eq!((found.group_ids.as_slice(), found.groups_known), (&["sg-both".to_owned()][..], false));
}

#[test]
fn answers_that_no_verdict_needs_are_told_from_other_files() {
    let read = |text: &str| NetworkBuilder::new().read("a.json", text.as_bytes(), &ReadOptions::default());
    let not_needed = |text| matches!(read(text), Err(ReadError::NotNeeded { .. }));
    assert!(not_needed(r#"{"Addresses":[],"NextToken":"x"}"#));
    assert!(not_needed(
        r#"{"ImageId":"ami-1","InstanceType":"t3.nano","NetworkInterfaces":[{"NetworkInterfaceId":"eni-1"}]}"#
    ));
    assert!(matches!(read(r#"{"Addresses":"10.0.0.1"}"#), Err(ReadError::Unknown { .. })));
    assert!(matches!(read(r#"{"addresses":[]}"#), Err(ReadError::Unknown { .. })));
}

#[test]
fn a_peering_that_was_accepted_is_active_whatever_its_own_resource_says() {
    let requested = r#"aws_vpc_peering_connection {"id":"pcx-1","vpc_id":"vpc-1","peer_vpc_id":"vpc-2","accept_status":"pending-acceptance"}"#;
    let accepted = r#"aws_vpc_peering_connection_accepter {"id":"pcx-1","vpc_id":"vpc-2","peer_vpc_id":"vpc-1","accept_status":"active"}"#;
    for resources in [vec![requested, accepted], vec![accepted, requested], vec![accepted]] {
        let (network, _) = read(&[(&state(&resources), Some(0))]);
        let peering = network.peerings.get("pcx-1", VIEW).unwrap().value;
        assert!(peering.joins("vpc-1", "vpc-2"));
        assert_eq!(peering.requester.vpc_id.as_deref(), Some("vpc-1"));
    }
}

/// Items of an AWS Config history: minute, type, id, status, configuration.
fn history(items: &[(u32, &str, &str, &str, &str)]) -> String {
    let items = items.iter().map(|(minute, kind, id, status, configuration)| {
        format!(
            r#"{{"configurationItemCaptureTime":"2019-09-05T{:02}:{:02}:00.000Z","configurationItemStatus":"{status}","awsAccountId":"111122223333",
            "awsRegion":"us-east-1","resourceType":"{kind}","resourceId":"{id}","configuration":{configuration}}}"#,
            minute / 60,
            minute % 60
        )
    });
    format!(r#"{{"configurationItems":[{}]}}"#, items.collect::<Vec<_>>().join(","))
}

/// 2019-09-05T00:00:00Z and so many minutes.
fn at(minute: i64) -> View {
    View { at: 1_567_641_600 + minute * 60, after: false }
}

#[test]
fn each_version_of_a_list_in_a_history_has_its_own_entries() {
    let list = |block: &str| {
        format!(
            r#"{{"PrefixListId":"pl-1","PrefixListName":"l","AddressFamily":"IPv4","Entries":[{{"Cidr":"{block}"}}]}}"#
        )
    };
    let (first, second) = (list("192.0.2.0/24"), list("198.51.100.0/24"));
    let kind = "AWS::EC2::PrefixList";
    let text = history(&[
        (480, kind, "pl-1", "OK", &first),
        (570, kind, "pl-1", "OK", &second),
        (600, kind, "pl-1", "ResourceDeleted", "null"),
    ]);
    let (network, _) = read(&[(&text, None)]);
    let entries = |view| {
        let list = network.prefix_lists.get("pl-1", view)?;
        Some(list.value.entries.clone()?.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(entries(at(540)), Some(vec!["192.0.2.0/24".to_owned()]));
    assert_eq!(entries(at(585)), Some(vec!["198.51.100.0/24".to_owned()]));
    assert_eq!(entries(at(660)), None, "deleted");
}

#[test]
fn what_aws_config_saw_deleted_is_gone_whatever_its_kind() {
    let exclusion = r#"{"ExclusionId":"vpcbpa-exclude-1","ResourceArn":"arn:aws:ec2:us-east-1:111122223333:vpc/vpc-1",
        "InternetGatewayExclusionMode":"allow-bidirectional","State":"create-complete"}"#;
    let balancer =
        r#"{"LoadBalancerArn":"arn:lb","LoadBalancerName":"lb","Type":"application","VpcId":"vpc-1"}"#;
    let association = r#"{"GroupId":"sg-1","VpcId":"vpc-1","State":"associated"}"#;
    let options = r#"{"InternetGatewayBlockMode":"block-ingress"}"#;
    let all = [
        ("AWS::EC2::VPCBlockPublicAccessExclusion", "vpcbpa-exclude-1", exclusion),
        ("AWS::ElasticLoadBalancingV2::LoadBalancer", "arn:lb", balancer),
        ("AWS::EC2::SecurityGroupVpcAssociation", "sg-1|vpc-1", association),
        ("AWS::EC2::VPCBlockPublicAccessOptions", "111122223333", options),
    ];
    let made = all.map(|(kind, id, configuration)| (480, kind, id, "OK", configuration));
    let gone = all.map(|(kind, id, _)| (540, kind, id, "ResourceDeleted", "null"));
    let (network, _) = read(&[(&history(&[made, gone].concat()), None)]);
    let count = |view| {
        [
            network.bpa_exclusions.all(view).count(),
            network.load_balancers.all(view).count(),
            network.group_associations.all(view).count(),
            network.bpa_options.all(view).count(),
        ]
    };
    assert_eq!(count(at(500)), [1; 4]);
    assert_eq!(count(at(600)), [0; 4]);
}

#[test]
fn listeners_are_their_load_balancers() {
    let balancers = r#"{"LoadBalancers":[{"LoadBalancerArn":"arn:lb","LoadBalancerName":"lb","Type":"network","VpcId":"vpc-1"},
        {"LoadBalancerArn":"arn:other","LoadBalancerName":"other","Type":"network","VpcId":"vpc-1"}]}"#;
    let listeners = r#"{"Listeners":[{"ListenerArn":"arn:l","LoadBalancerArn":"arn:lb","Port":443,"Protocol":"TCP"},
        {"ListenerArn":"arn:m","LoadBalancerArn":"arn:lb","Port":80,"Protocol":"TCP"}]}"#;
    let ports = |files: &[(&str, Option<i64>)], id| {
        read(files).0.load_balancers.get(id, VIEW).unwrap().value.listener_ports()
    };
    let both = [(balancers, Some(0)), (listeners, Some(0))];
    assert_eq!(ports(&both, "arn:lb"), Some(vec![443, 80]));
    assert_eq!(ports(&both, "arn:other"), None, "not asked for");
    let page = listeners.replace(r#"]}"#, r#"],"NextMarker":"more"}"#);
    assert_eq!(ports(&[(balancers, Some(0)), (&page, Some(0))], "arn:lb"), None, "one page of several");
}

#[test]
fn an_interface_is_shown_by_its_own_resource_and_by_its_instance() {
    let own = r#"aws_network_interface {"id":"eni-1","subnet_id":"subnet-1","private_ip":"10.0.1.10","ipv4_prefixes":["10.0.1.16/28"],"security_groups":["sg-1"]}"#;
    let instance = r#"aws_instance {"id":"i-1","primary_network_interface_id":"eni-1","subnet_id":"subnet-1","private_ip":"10.0.1.10",
        "public_ip":"203.0.113.9","vpc_security_group_ids":["sg-1"]}"#;
    let one = |resources: &[&str]| (state(resources), Some(0));
    for files in
        [vec![one(&[own, instance])], vec![one(&[instance, own])], vec![one(&[own]), one(&[instance])]]
    {
        let files: Vec<(&str, Option<i64>)> = files.iter().map(|(text, at)| (text.as_str(), *at)).collect();
        let (network, _) = read(&files);
        let found = network.interfaces.get("eni-1", VIEW).unwrap().value;
        assert_eq!(found.public_addresses, ["203.0.113.9".parse::<std::net::IpAddr>().unwrap()]);
        assert!(found.owns(&"10.0.1.20".parse().unwrap()), "a delegated prefix");
        assert_eq!(found.group_ids, ["sg-1"]);
    }
}

#[test]
fn routes_of_a_transit_gateway_are_known_without_the_member_that_the_cli_drops_when_it_joins_pages() {
    let read = |rest: &str, command: &str| {
        let routes = r#"{"DestinationCidrBlock":"10.8.0.0/16","TransitGatewayAttachments":[{"TransitGatewayAttachmentId":"tgw-attach-2"}],
            "Type":"static","State":"active"}"#;
        let text = format!(r#"{{"command":"{command}","output":{{"Routes":[{routes}]{rest}}}}}"#);
        let mut builder = NetworkBuilder::new();
        let options = ReadOptions { captured_at: Some(0), ..ReadOptions::default() };
        builder.read("tgw-rtb-1.json", text.as_bytes(), &options).unwrap();
        let (network, problems) = builder.finish();
        let table = network.transit_tables.get("tgw-rtb-1", VIEW).unwrap().value.as_ref().clone();
        (table, problems)
    };
    let all = "aws ec2 search-transit-gateway-routes --transit-gateway-route-table-id tgw-rtb-1 --filters \
               Name=state,Values=active,blackhole";
    let (table, problems) = read("", all);
    assert!(table.whole && table.routes.len() == 1 && problems.is_empty());
    assert!(!read("", "").0.whole, "nothing tells what was asked for");
    // More than one answer holds: as pages, and without a way to the next.
    let (page, problems) = read(r#","AdditionalRoutesAvailable":true,"NextToken":"x""#, all);
    assert!(!page.whole && problems.is_empty());
    let (cut, problems) = read(r#","AdditionalRoutesAvailable":true"#, all);
    assert!(!cut.whole && problems[0].message.contains("more routes than one answer holds"), "{problems:?}");
}
