//! What is read of routes, attachments and states of what holds addresses.

use super::*;
use crate::network::history::View;
use crate::network::model::Preference;

const VIEW: View = View { at: 0, after: false };

fn read(files: &[&str]) -> Network {
    let mut builder = NetworkBuilder::new();
    for text in files {
        let options = ReadOptions { captured_at: Some(0), ..ReadOptions::default() };
        builder.read("x.json", text.as_bytes(), &options).unwrap();
    }
    builder.finish().0
}

#[test]
fn who_made_a_route_is_read() {
    let table = r#"{"RouteTables":[{"RouteTableId":"rtb-1","VpcId":"vpc-1","Routes":[
        {"DestinationCidrBlock":"10.8.0.0/16","GatewayId":"vgw-1","Origin":"EnableVgwRoutePropagation","State":"active"},
        {"DestinationPrefixListId":"pl-1","TransitGatewayId":"tgw-1","Origin":"CreateRoute","State":"active"},
        {"DestinationCidrBlock":"10.8.0.0/16","TransitGatewayId":"tgw-1","Origin":"CreateRoute","State":"active"}]}]}"#;
    let network = read(&[table]);
    let table = network.route_tables.get("rtb-1", VIEW).unwrap().value;
    let found: Vec<Preference> = table.routes.iter().map(|route| route.preference()).collect();
    assert_eq!(found, [Preference::Propagated, Preference::PrefixList, Preference::Static]);
    assert!(found.is_sorted());
}

#[test]
fn that_an_attachment_has_no_table_is_known_from_the_gateways_own_account_only() {
    let vpc = r#"{"TransitGatewayVpcAttachments":[{"TransitGatewayAttachmentId":"tgw-attach-1","TransitGatewayId":"tgw-1","VpcId":"vpc-1",
        "State":"pendingAcceptance","SubnetIds":["subnet-1"]}]}"#;
    let any = |owner: &str, association: &str| {
        format!(
            r#"{{"TransitGatewayAttachments":[{{"TransitGatewayAttachmentId":"tgw-attach-1","TransitGatewayId":"tgw-1",
            "TransitGatewayOwnerId":"111122223333","ResourceOwnerId":"{owner}","ResourceType":"vpc","ResourceId":"vpc-1"{association}}}]}}"#
        )
    };
    let of = |owner: &str, association: &str| {
        let any = any(owner, association);
        for files in [[vpc, any.as_str()], [any.as_str(), vpc]] {
            let network = read(&files);
            assert_eq!(network.contradictions, []);
            let found = network.transit_attachments.get("tgw-attach-1", VIEW).unwrap().value;
            assert_eq!(found.state.as_deref(), Some("pendingAcceptance"));
        }
        let network = read(&[vpc, &any]);
        let found = network.transit_attachments.get("tgw-attach-1", VIEW).unwrap().value;
        (found.association_known, found.route_table_id.clone())
    };
    assert_eq!(of("111122223333", ""), (true, None));
    assert_eq!(of("222233334444", ""), (false, None));
    let associated = r#","Association":{"TransitGatewayRouteTableId":"tgw-rtb-1","State":"associated"}"#;
    assert_eq!(of("111122223333", associated).1.as_deref(), Some("tgw-rtb-1"));
}

#[test]
fn states_of_instances_and_interfaces_are_read() {
    let interface = r#"{"NetworkInterfaceId":"eni-1","SubnetId":"subnet-1","VpcId":"vpc-1","Status":"in-use","Groups":[],
        "PrivateIpAddress":"10.0.1.10","PrivateIpAddresses":[{"PrivateIpAddress":"10.0.1.10","Primary":true}]}"#;
    let instances = format!(
        r#"{{"Reservations":[{{"Instances":[{{"InstanceId":"i-1","State":{{"Code":80,"Name":"stopped"}},"NetworkInterfaces":[{interface}]}}]}}]}}"#
    );
    let detached = interface.replace("in-use", "available").replace("eni-1", "eni-2");
    let network = read(&[&instances, &format!(r#"{{"NetworkInterfaces":[{interface},{detached}]}}"#)]);
    assert_eq!(network.instances.get("i-1", VIEW).unwrap().value.state.as_deref(), Some("stopped"));
    let status = |id: &str| network.interfaces.get(id, VIEW).unwrap().value.status.clone();
    assert_eq!((status("eni-1").as_deref(), status("eni-2").as_deref()), (Some("in-use"), Some("available")));
}
