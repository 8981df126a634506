//! What a Terraform state says of objects that another state holds: entries and subnets of a network ACL, groups of an interface,
//! routes, blocks of a VPC. The network's state has the objects, an application's adds to them by id.

use super::coverage::same_capture;
use super::entries::unplaced;
use super::node::push_new;
use super::{Context, NetworkBuilder, Problem, Reading};
use crate::net::Prefix;
use crate::network::history::Origin;
use crate::network::model::{Destination, NaclEntry, NetworkAcl, NetworkInterface, Route, RouteTable, Vpc};

/// What a state adds to an object that it does not hold.
#[derive(Debug, Clone)]
pub(super) enum Addition {
    /// Entries and subnets of a network ACL.
    Acl(Vec<NaclEntry>, Vec<String>),
    /// A group of an interface.
    Group(String),
    /// Routes of a table, the subnets and the gateways that it serves.
    Table(RouteTable),
    /// A block of a VPC.
    Block(Prefix),
}

/// An addition, the object's id, and the state.
#[derive(Debug)]
pub(super) struct StatePiece {
    id: String,
    context: Context,
    addition: Addition,
}

/// How an object is known beside an addition to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    /// By no input.
    Nowhere,
    /// By captures, which show all that is there.
    Captured,
    /// By a state.
    State,
}

impl Held {
    fn of<T>(readings: &[Reading<T>]) -> Held {
        let holds = || readings.iter().filter(|reading| reading.value.is_some());
        match holds().next() {
            None => Held::Nowhere,
            Some(_) if holds().any(|reading| reading.origin == Origin::Terraform) => Held::State,
            Some(_) => Held::Captured,
        }
    }
}

impl NetworkBuilder {
    /// Keeps an addition until all inputs are there.
    pub(super) fn state_piece(&mut self, id: String, context: &Context, addition: Addition) {
        self.state_pieces.push(StatePiece { id, context: context.clone(), addition });
    }

    /// Puts additions where they belong. States of one capture are one; what a state of another time adds may be there.
    /// Gives the additions to what no input holds.
    pub(super) fn join_states(&mut self) -> Vec<Problem> {
        let mut unjoined = Vec::new();
        let mut settled: Vec<(String, Context)> = Vec::new();
        for StatePiece { id, context, addition } in std::mem::take(&mut self.state_pieces) {
            let (held, left_out) = match addition {
                Addition::Acl(entries, subnets) => {
                    let readings = self.acls.get_mut(&id).map_or(&mut [][..], Vec::as_mut_slice);
                    for (acl, same) in of_states(readings, &context) {
                        add_to_acl(acl, same, &entries, &subnets);
                    }
                    settled.push((id.clone(), context.clone()));
                    (
                        Held::of(readings),
                        "no input holds this network ACL, to which a state adds entries or subnets",
                    )
                }
                Addition::Group(group) => {
                    let readings = self.interfaces.get_mut(&id).map_or(&mut [][..], Vec::as_mut_slice);
                    for (interface, same) in of_states(readings, &context) {
                        add_to_interface(interface, same, &group);
                    }
                    (Held::of(readings), "no input holds this interface, to which a state attaches a group")
                }
                Addition::Table(more) => {
                    let readings = self.route_tables.get_mut(&id).map_or(&mut [][..], Vec::as_mut_slice);
                    for (table, same) in of_states(readings, &context) {
                        add_to_table(table, same, &more);
                    }
                    (
                        Held::of(readings),
                        "no input holds this route table, to which a state adds routes or subnets",
                    )
                }
                Addition::Block(block) => {
                    let readings = self.vpcs.get_mut(&id).map_or(&mut [][..], Vec::as_mut_slice);
                    for (vpc, same) in of_states(readings, &context) {
                        add_block(vpc, same, block);
                    }
                    let tables = self.route_tables.values_mut();
                    for (table, same) in tables.flat_map(|readings| of_states(readings, &context)) {
                        if same && table.vpc_id.as_deref() == Some(id.as_str()) {
                            push_new(&mut table.routes, Some(local_route(block)));
                        }
                    }
                    (Held::of(readings), "no input holds this VPC, to which a state adds a block")
                }
            };
            if held == Held::Nowhere {
                let message = format!("{left_out}; import the state that has it, or a capture");
                unjoined.push(Problem { file: context.file, object: id, message });
            }
        }
        settled.sort_by(|one, other| one.0.cmp(&other.0));
        settled.dedup_by(|one, other| one.0 == other.0);
        for (id, context) in settled {
            let mut readings = self.acls.remove(&id).unwrap_or_default();
            for reading in readings.iter_mut().filter(|reading| reading.origin == Origin::Terraform) {
                if let Some(acl) = &mut reading.value {
                    self.settle_numbers(&mut acl.entries, &id, &context);
                }
            }
            if !readings.is_empty() {
                self.acls.insert(id, readings);
            }
        }
        unjoined.extend(self.join_elastic());
        self.place_interfaces();
        self.revive_routes();
        unjoined
    }

    /// A state tells the subnet of an interface, and that subnet's resource the VPC.
    fn place_interfaces(&mut self) {
        let readings = self.interfaces.values_mut().flatten();
        for interface in
            readings.filter(|one| one.origin == Origin::Terraform).filter_map(|one| one.value.as_mut())
        {
            if interface.vpc_id.is_none() {
                let subnet = interface.subnet_id.as_ref().and_then(|id| self.subnets.get(id));
                let known = subnet.into_iter().flatten().filter_map(|one| one.value.as_ref());
                interface.vpc_id = known.filter_map(|subnet| subnet.vpc_id.clone()).next_back();
            }
        }
    }

    /// A route keeps the status that Terraform read when it made the route, which is `blackhole` while a peering connection waits to
    /// be accepted. What tells better is the connection's own status; and a gateway that a state of the same capture has
    /// is there.
    fn revive_routes(&mut self) {
        let live = std::mem::take(&mut self.live_gateways);
        let readings = self.route_tables.values_mut().flatten();
        for reading in readings.filter(|one| one.origin == Origin::Terraform) {
            let at = reading.at;
            let is_live = |id: &str| live.iter().any(|(of, live)| live == id && same_capture(*of, at));
            let routes = reading.value.iter_mut().flat_map(|table| &mut table.routes);
            for route in routes.filter(|route| route.is_blackhole()) {
                if route.target.starts_with("pcx-") || is_live(&route.target) {
                    route.state = None;
                }
            }
        }
    }
}

/// What states say of an object, and whether they are of this state's capture.
pub(super) fn of_states<'r, T>(
    readings: &'r mut [Reading<T>],
    context: &Context,
) -> impl Iterator<Item = (&'r mut T, bool)> {
    let at = context.at;
    readings.iter_mut().filter(|reading| reading.origin == Origin::Terraform).filter_map(move |reading| {
        let same = same_capture(reading.at, at);
        Some((reading.seen.value.as_mut()?, same))
    })
}

fn add_to_acl(acl: &mut NetworkAcl, same: bool, entries: &[NaclEntry], subnets: &[String]) {
    if same {
        acl.entries.extend(entries.iter().cloned());
        subnets.iter().for_each(|subnet| push_new(&mut acl.subnet_ids, Some(subnet.clone())));
        return;
    }
    if !entries.is_empty() {
        for entry in unplaced("entries in a state of another time") {
            push_new(&mut acl.entries, Some(entry));
        }
    }
    acl.more_subnets |= !subnets.is_empty();
}

fn add_to_interface(interface: &mut NetworkInterface, same: bool, group: &str) {
    match same {
        true => push_new(&mut interface.group_ids, Some(group.to_owned())),
        false => interface.groups_known = false,
    }
}

fn add_to_table(table: &mut RouteTable, same: bool, more: &RouteTable) {
    if same {
        more.routes.iter().for_each(|route| push_new(&mut table.routes, Some(route.clone())));
        more.subnet_ids.iter().for_each(|subnet| push_new(&mut table.subnet_ids, Some(subnet.clone())));
        more.gateway_ids.iter().for_each(|gateway| push_new(&mut table.gateway_ids, Some(gateway.clone())));
    }
    table.more_routes |= more.more_routes || (!same && !more.routes.is_empty());
}

fn add_block(vpc: &mut Vpc, same: bool, block: Prefix) {
    if same {
        push_new(&mut vpc.cidrs, Some(block));
    }
}

/// The route that every table of a VPC has for each of its blocks.
pub(super) fn local_route(block: Prefix) -> Route {
    Route {
        destination: Destination::Cidr(block),
        target: "local".to_owned(),
        state: None,
        propagated: false,
    }
}
