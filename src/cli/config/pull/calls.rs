//! Which `aws` commands are run: everything that an import reads, and nothing that changes anything.

use std::fmt;

use serde::Deserialize;

/// One command: `aws <service> <operation>`, where needed with the object that it asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub service: &'static str,
    pub operation: &'static str,
    /// An option and its value.
    pub about: Option<(&'static str, String)>,
    /// Options that the operation demands.
    pub more: &'static [&'static str],
}

/// The search demands a filter: both states of routes are all. It tells whether there are more than it found, which the AWS CLI
/// leaves out where it puts pages together.
const ALL_ROUTES: [&str; 3] = ["--filters", "Name=state,Values=active,blackhole", "--no-paginate"];

/// What is asked once in each Region (semantics spec 6.1). The order is that of the objects' use: what filters comes first,
/// so that these are captured closest to each other.
const ONCE: [(&str, &str); 21] = [
    ("ec2", "describe-vpcs"),
    ("ec2", "describe-subnets"),
    ("ec2", "describe-network-interfaces"),
    ("ec2", "describe-security-groups"),
    ("ec2", "describe-security-group-rules"),
    ("ec2", "describe-network-acls"),
    ("ec2", "describe-route-tables"),
    ("ec2", "describe-managed-prefix-lists"),
    ("ec2", "describe-prefix-lists"),
    ("ec2", "describe-instances"),
    ("ec2", "describe-vpc-peering-connections"),
    ("ec2", "describe-transit-gateways"),
    ("ec2", "describe-transit-gateway-vpc-attachments"),
    ("ec2", "describe-transit-gateway-attachments"),
    ("ec2", "describe-transit-gateway-route-tables"),
    ("ec2", "describe-security-group-vpc-associations"),
    ("ec2", "describe-vpc-block-public-access-options"),
    ("ec2", "describe-vpc-block-public-access-exclusions"),
    ("elb", "describe-load-balancers"),
    ("elbv2", "describe-load-balancers"),
    ("elbv2", "describe-target-groups"),
];

/// The calls that begin a Region.
pub fn once() -> Vec<Call> {
    ONCE.iter().map(|&(service, operation)| Call { service, operation, about: None, more: &[] }).collect()
}

/// The parts of an answer that further calls ask about, or that say that there is more of it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Ids {
    vpcs: Vec<Vpc>,
    prefix_lists: Vec<List>,
    target_groups: Vec<Group>,
    load_balancers: Vec<Balancer>,
    transit_gateway_route_tables: Vec<Table>,
    next_token: Option<String>,
    next_marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Vpc {
    vpc_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    prefix_list_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Group {
    target_group_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Balancer {
    load_balancer_arn: Option<String>,
    r#type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Table {
    transit_gateway_route_table_id: Option<String>,
    state: Option<String>,
}

/// What follows from an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Further {
    /// Calls about single objects.
    pub calls: Vec<Call>,
    /// The token of the next page, where the `aws` command did not fetch it itself.
    pub next: Option<String>,
}

impl Call {
    /// The words behind `aws`.
    pub fn words(&self) -> Vec<&str> {
        let about = self.about.iter().flat_map(|(option, value)| [*option, value.as_str()]);
        [self.service, self.operation].into_iter().chain(about).chain(self.more.iter().copied()).collect()
    }

    /// Its answer's file, of characters that every file system has.
    pub fn file(&self) -> String {
        let service = if self.service == "ec2" { String::new() } else { format!("{}-", self.service) };
        let about = self.about.as_ref().map(|(_, value)| {
            // Of an ARN the name and the suffix say enough: account and Region are folders.
            let parts = ["targetgroup/", "loadbalancer/"];
            let mut named = parts.into_iter().filter_map(|part| value.split_once(part));
            let short = named.next().map_or(value.as_str(), |(_, name)| name);
            let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
            format!("-{}", short.chars().map(plain).collect::<String>())
        });
        format!("{service}{}{}.json", self.operation, about.unwrap_or_default())
    }

    /// The IAM action that allows it: `ec2:DescribeVpcs`.
    pub fn action(&self) -> String {
        let service = if self.service == "ec2" { "ec2" } else { "elasticloadbalancing" };
        let mut name = String::new();
        for word in self.operation.split('-') {
            let mut letters = word.chars();
            name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            name.push_str(letters.as_str());
        }
        format!("{service}:{name}")
    }

    /// What follows from its answer.
    pub fn further(&self, answer: &[u8]) -> Further {
        // An answer of another shape is the import's to refuse.
        let ids: Ids = serde_json::from_slice(answer).unwrap_or_default();
        let about = |service, operation, option, value: String| {
            // What begins otherwise is no such id, and must not be taken for an option.
            let known = ["vpc-", "pl-", "arn:", "tgw-rtb-"].iter().any(|start| value.starts_with(start));
            known.then_some(Call { service, operation, about: Some((option, value)), more: &[] })
        };
        let mut calls = Vec::new();
        match self.operation {
            "describe-vpcs" => {
                for id in ids.vpcs.into_iter().filter_map(|vpc| vpc.vpc_id) {
                    calls.extend(about("ec2", "describe-stale-security-groups", "--vpc-id", id));
                }
            }
            "describe-managed-prefix-lists" => {
                for id in ids.prefix_lists.into_iter().filter_map(|list| list.prefix_list_id) {
                    calls.extend(about("ec2", "get-managed-prefix-list-entries", "--prefix-list-id", id));
                }
            }
            "describe-transit-gateway-route-tables" => {
                let lasts = |table: &Table| !matches!(table.state.as_deref(), Some("deleted" | "deleting"));
                let tables = ids.transit_gateway_route_tables.into_iter().filter(lasts);
                for id in tables.filter_map(|table| table.transit_gateway_route_table_id) {
                    let option = "--transit-gateway-route-table-id";
                    let found = about("ec2", "search-transit-gateway-routes", option, id);
                    calls.extend(found.map(|call| Call { more: &ALL_ROUTES, ..call }));
                }
            }
            "describe-target-groups" => {
                for arn in ids.target_groups.into_iter().filter_map(|group| group.target_group_arn) {
                    for operation in ["describe-target-health", "describe-target-group-attributes"] {
                        calls.extend(about("elbv2", operation, "--target-group-arn", arn.clone()));
                    }
                }
            }
            // Those of Classic load balancers are in their description, and have no ARN.
            "describe-load-balancers" => {
                let listens = |balancer: &Balancer| balancer.r#type.as_deref() != Some("gateway");
                for balancer in ids.load_balancers.into_iter().filter(listens) {
                    let arn = balancer.load_balancer_arn.into_iter();
                    calls.extend(
                        arn.filter_map(|arn| {
                            about("elbv2", "describe-listeners", "--load-balancer-arn", arn)
                        }),
                    );
                }
            }
            _ => {}
        }
        let next = ids.next_token.or(ids.next_marker).filter(|token| !token.is_empty());
        Further { calls, next }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.service, self.operation)?;
        match &self.about {
            Some((_, value)) => write!(f, " {value}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(service: &'static str, operation: &'static str) -> Call {
        Call { service, operation, about: None, more: &[] }
    }

    #[test]
    fn calls_name_their_words_files_and_actions() {
        let vpcs = call("ec2", "describe-vpcs");
        assert_eq!(
            (vpcs.words(), vpcs.file()),
            (vec!["ec2", "describe-vpcs"], "describe-vpcs.json".to_owned())
        );
        assert_eq!(vpcs.action(), "ec2:DescribeVpcs");
        let classic = call("elb", "describe-load-balancers");
        assert_eq!(classic.file(), "elb-describe-load-balancers.json");
        assert_eq!(classic.action(), "elasticloadbalancing:DescribeLoadBalancers");
    }

    #[test]
    fn answers_lead_to_calls_about_their_objects() {
        let lists = br#"{"PrefixLists":[{"PrefixListId":"pl-0a"},{"PrefixListId":"--profile"},{}]}"#;
        let further = call("ec2", "describe-managed-prefix-lists").further(lists);
        let [entries] = further.calls.as_slice() else { panic!("{further:?}") };
        assert_eq!(entries.words(), ["ec2", "get-managed-prefix-list-entries", "--prefix-list-id", "pl-0a"]);
        assert_eq!(entries.file(), "get-managed-prefix-list-entries-pl-0a.json");
        // The other command lists the same, with its blocks in it.
        assert_eq!(call("ec2", "describe-prefix-lists").further(lists), Further::default());

        let arn = "arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/web/73e2d6bc24d8a067";
        let groups = format!(r#"{{"TargetGroups":[{{"TargetGroupArn":"{arn}"}}]}}"#);
        let files: Vec<String> =
            (call("elbv2", "describe-target-groups").further(groups.as_bytes()).calls.iter())
                .map(Call::file)
                .collect();
        assert_eq!(
            files,
            [
                "elbv2-describe-target-health-web-73e2d6bc24d8a067.json",
                "elbv2-describe-target-group-attributes-web-73e2d6bc24d8a067.json",
            ]
        );
    }

    #[test]
    fn load_balancers_are_asked_for_their_listeners() {
        let answer = br#"{"LoadBalancers":[{"LoadBalancerArn":"arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/web/50dc","Type":"application"},
            {"LoadBalancerArn":"arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/gwy/fw/51","Type":"gateway"}]}"#;
        let further = call("elbv2", "describe-load-balancers").further(answer);
        let [listeners] = further.calls.as_slice() else { panic!("{further:?}") };
        assert_eq!(listeners.file(), "elbv2-describe-listeners-app-web-50dc.json");
        assert_eq!(listeners.action(), "elasticloadbalancing:DescribeListeners");
        let classic = br#"{"LoadBalancerDescriptions":[{"LoadBalancerName":"old"}]}"#;
        assert_eq!(call("elb", "describe-load-balancers").further(classic), Further::default());
    }

    #[test]
    fn route_tables_of_transit_gateways_are_searched_for_all_of_their_routes() {
        let answer = br#"{"TransitGatewayRouteTables":[{"TransitGatewayRouteTableId":"tgw-rtb-0a","State":"available"},
            {"TransitGatewayRouteTableId":"tgw-rtb-0b","State":"deleted"}]}"#;
        let further = call("ec2", "describe-transit-gateway-route-tables").further(answer);
        let [routes] = further.calls.as_slice() else { panic!("{further:?}") };
        let words = "ec2 search-transit-gateway-routes --transit-gateway-route-table-id tgw-rtb-0a --filters \
                     Name=state,Values=active,blackhole --no-paginate";
        assert_eq!(routes.words().join(" "), words);
        assert_eq!(routes.file(), "search-transit-gateway-routes-tgw-rtb-0a.json");
        assert_eq!(routes.action(), "ec2:SearchTransitGatewayRoutes");
    }

    #[test]
    fn a_page_names_the_next() {
        let next = |text: &str| call("ec2", "describe-vpcs").further(text.as_bytes()).next;
        assert_eq!(next(r#"{"Vpcs":[],"NextToken":"abc"}"#).as_deref(), Some("abc"));
        assert_eq!(next(r#"{"Vpcs":[],"NextToken":""}"#), None);
        assert_eq!(next(r#"{"Vpcs":[],"NextToken":null}"#), None);
        assert_eq!(next("[]"), None);
    }

    #[test]
    fn names_from_answers_stay_within_their_folder() {
        let about = Some(("--vpc-id", "vpc-../../x".to_owned()));
        let call = Call { service: "ec2", operation: "describe-stale-security-groups", about, more: &[] };
        assert_eq!(call.file(), "describe-stale-security-groups-vpc-------x.json");
    }
}
