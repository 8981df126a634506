//! What other outputs say of load balancers and their target groups: listeners, targets and attributes, each answer about one of
//! them and with a time of its own.

use super::balancers::GroupAttributes;
use super::coverage::Sources;
use super::join::joined_alone;
use super::pairs::{Placed, nearest, place};
use super::{NetworkBuilder, Piece, Reading, node};
use crate::network::history::{Origin, Timestamp};
use crate::network::model::{Listener, Target};
use hashbrown::HashMap;
use std::collections::BTreeMap;

/// The pieces of one object by their captures, in the order of time.
type Captures<P> = BTreeMap<Option<Timestamp>, (Origin, P)>;

impl NetworkBuilder {
    /// A page of listeners without the others shows not all of them.
    pub(super) fn join_listeners(&mut self, sources: &Sources) {
        let mut found: BTreeMap<String, Captures<Vec<Listener>>> = BTreeMap::new();
        for piece in std::mem::take(&mut self.listener_pieces) {
            if sources.is_cut(piece.source) {
                continue;
            }
            let at = sources.capture(piece.source, piece.at);
            let captures = found.entry(piece.id).or_default();
            let (_, listeners) = captures.entry(at).or_insert((piece.origin, Vec::new()));
            node::push_new(listeners, Some(piece.value));
        }
        join(&mut self.load_balancers, found, |balancer, listeners| {
            let known = balancer.listeners.get_or_insert_default();
            listeners.iter().for_each(|listener| node::push_new(known, Some(listener.clone())));
        });
    }

    /// Targets come and go, and so what one capture says of them holds for its time.
    pub(super) fn join_targets(&mut self, sources: &Sources) {
        let health = by_capture(std::mem::take(&mut self.health_pieces), sources);
        join(&mut self.target_groups, health, |group, targets: &Vec<Target>| {
            group.targets.clone_from(targets);
            group.targets_known = true;
        });
        let attributes = by_capture(std::mem::take(&mut self.attribute_pieces), sources);
        join(&mut self.target_groups, attributes, |group, found: &GroupAttributes| {
            group.preserve_client_ip = found.preserve_client_ip.or(group.preserve_client_ip);
            group.cross_zone = found.cross_zone.or(group.cross_zone);
        });
    }
}

/// Of several answers in one capture the last counts.
fn by_capture<P>(pieces: Vec<Piece<P>>, sources: &Sources) -> BTreeMap<String, Captures<P>> {
    let mut found: BTreeMap<String, Captures<P>> = BTreeMap::new();
    for piece in pieces {
        let at = sources.capture(piece.source, piece.at);
        found.entry(piece.id).or_default().insert(at, (piece.origin, piece.value));
    }
    found
}

/// Puts the pieces into the readings of their pulls. A reading of which no pull asked for them takes the nearest, since unknown
/// pieces would hide those of other captures; and a capture of pieces alone is a reading, with what the nearest one says beside
/// them. Of objects that nothing else tells of nothing is kept.
fn join<T: Clone, P>(
    objects: &mut HashMap<String, Vec<Reading<T>>>,
    found: BTreeMap<String, Captures<P>>,
    set: impl Fn(&mut T, &P),
) {
    for (id, captures) in found {
        let Some(readings) = objects.get_mut(&id) else { continue };
        let (times, captures): (Vec<_>, Vec<_>) = captures.into_iter().unzip();
        let of_nearest = |reading: &Reading<T>| nearest(times.iter().copied(), reading.at);
        let Placed { joined, alone } = place(readings, &times, |_, _| false, of_nearest);
        let known: Vec<(Option<Timestamp>, T)> =
            readings.iter().filter_map(|reading| Some((reading.at, reading.value.clone()?))).collect();
        for (reading, capture) in joined {
            let object = readings.get_mut(reading).and_then(|reading| reading.value.as_mut());
            if let Some((object, (_, pieces))) = object.zip(captures.get(capture)) {
                set(object, pieces);
            }
        }
        for (at, (origin, pieces)) in
            alone.into_iter().filter_map(|one| times.get(one).zip(captures.get(one)))
        {
            let facts = nearest(known.iter().map(|(moment, _)| *moment), *at).and_then(|one| known.get(one));
            let Some((_, facts)) = facts else { continue };
            let mut object = facts.clone();
            set(&mut object, pieces);
            readings.push(joined_alone(*at, *origin, object));
        }
    }
}
