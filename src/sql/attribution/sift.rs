//! All records of a store, looked at as keys into the dictionaries of their row group.
//!
//! Few ACCEPTs bear on a REJECT, and what else is noted of records is nearly always the same for all of an interface. So a record
//! costs a few look-ups by its keys here; records that are out of the ordinary are made into batches and left to the
//! [`Observer`], which looks at them one by one. Row groups that are not made of keys, or in which the configuration changes,
//! are left to it whole.

use std::ops::Range;
use std::sync::Arc;

use datafusion::common::Result;

use super::ask::probe;
use super::evidence::Reader;
use super::flow_logs::log_of;
use super::lanes::{Check, NO_LANE};
use super::observe::{Accept, Found, Observer};
use super::sifter::{Buffers, Kind, Sifter, Status, of};
use crate::attribute::{pair_hash, zone_pair_hash};
use crate::net::has_ports;
use crate::rules::{Direction, Engine};
use crate::sql::coded::rowgroups::{KeyedRows, RowGroup, RowGroups};
use crate::sql::records::NONE;
use crate::store::decode::Bits;

/// Rows that are looked at together: their keys, and what is made of them, stay in a cache.
const WINDOW: usize = 4 * 1024;

/// Looks at all records of the row groups that come to this reader: what bears on REJECTs goes to the index.
pub(super) async fn groups(groups: Arc<RowGroups>, (network, own, wanted, filling): Reader) -> Result<Found> {
    let mut observer = Observer::new(network.as_deref().map(Engine::new), own, wanted, filling);
    let mut spare = Vec::new();
    let mut buffers = Buffers::default();
    while let Some(group) = groups.next(&mut spare)? {
        match group {
            RowGroup::Plain(batches) => {
                for batch in batches {
                    observer.all(&batch?)?;
                    tokio::task::yield_now().await;
                }
            }
            RowGroup::Keyed(mut rows) => {
                match Sifter::new(&mut rows, &mut observer)? {
                    Some(mut sifter) => {
                        for window in rows.windows(sifter.columns.interface, WINDOW)? {
                            sifter.window(&mut rows, &window, &mut observer, &mut buffers)?;
                            tokio::task::yield_now().await;
                        }
                        sifter.end(&mut observer);
                    }
                    None => {
                        for window in rows.windows(0, WINDOW)? {
                            observer.all(&rows.batch(&window, None)?)?;
                            tokio::task::yield_now().await;
                        }
                    }
                }
                spare.extend(rows.into_columns().rev());
            }
        }
        observer.settle();
        if observer.is_refused() {
            break;
        }
    }
    Ok(observer.finish())
}

impl Sifter {
    /// Looks at some rows.
    fn window(
        &mut self,
        rows: &mut KeyedRows,
        window: &Range<usize>,
        observer: &mut Observer<'_>,
        buffers: &mut Buffers,
    ) -> Result<()> {
        self.read(rows, window, buffers)?;
        self.meet(observer, buffers);
        let count = window.len();
        self.look(observer, buffers);
        let Buffers { hashes, tags, candidates, passed, .. } = buffers;
        probe(&observer.wanted.pairs, hashes, tags);
        tags.dedup();
        passed.clear();
        passed.extend(tags.iter().filter_map(|nth| candidates.get(*nth as usize)).copied());
        self.ask(rows, window, observer, buffers)?;
        self.keep(rows, window, observer, buffers)?;
        if !buffers.left.is_empty() {
            let chosen = Bits::of(buffers.left.iter().map(|((row, ..), _)| *row as usize), count);
            let columns = observer.columns(&rows.batch(window, Some(&chosen))?)?;
            let accepts = buffers.left.iter().enumerate();
            let accepts = accepts.filter_map(|(row, ((_, lane, direction), wanted))| {
                let at = self.lanes.get(*lane)?.place;
                Some(Accept { row, at, direction: *direction, wanted: *wanted })
            });
            observer.keep(&columns, accepts);
        }
        if !buffers.doubtful.is_empty() {
            let chosen = Bits::of(buffers.doubtful.iter().map(|(row, ..)| *row as usize), count);
            let columns = observer.columns(&rows.batch(window, Some(&chosen))?)?;
            let accepts = buffers.doubtful.iter().enumerate();
            let accepts = accepts.filter_map(|(row, (_, lane, direction))| {
                let at = self.lanes.get(*lane)?.place;
                Some(Accept { row, at, direction: *direction, wanted: None })
            });
            observer.check(&columns, accepts);
        }
        if !buffers.special.is_empty() {
            let chosen = Bits::of(buffers.special.iter().copied(), count);
            observer.all(&rows.batch(window, Some(&chosen))?)?;
        }
        Ok(())
    }

    /// Reads the keys of a window, and tells the kinds of its rows.
    fn read(&self, rows: &mut KeyedRows, window: &Range<usize>, buffers: &mut Buffers) -> Result<()> {
        let columns = &self.columns;
        let mut keys = |at: Option<usize>, keys: &mut Vec<u32>| rows.keys_into(at, window, None, keys);
        keys(Some(columns.interface), &mut buffers.interfaces)?;
        keys(Some(columns.src), &mut buffers.src)?;
        keys(Some(columns.dst), &mut buffers.dst)?;
        keys(Some(columns.protocol), &mut buffers.protocols)?;
        keys(Some(columns.start), &mut buffers.starts)?;
        keys(columns.action, &mut buffers.actions)?;
        keys(columns.status, &mut buffers.statuses)?;
        keys(columns.direction, &mut buffers.directions)?;
        keys(columns.opens, &mut buffers.flags)?;
        for (at, into) in columns.packets.iter().zip(&mut buffers.packets) {
            keys(*at, into)?;
        }
        for (at, into) in columns.told.iter().zip(&mut buffers.told) {
            keys(*at, into)?;
        }
        keys(columns.source, &mut buffers.sources)?;
        keys(columns.holey_ports.map(|[src, _]| src), &mut buffers.src_ports)?;
        keys(columns.holey_ports.map(|[_, dst]| dst), &mut buffers.dst_ports)?;
        let no_ports = columns.src_port.is_none() || columns.dst_port.is_none();
        buffers.kinds.clear();
        for (row, (protocol, start)) in buffers.protocols.iter().zip(&buffers.starts).enumerate() {
            let key = |keys: &Vec<u32>| keys.get(row).copied().unwrap_or(NONE);
            let kind = of(&self.kinds.accepts, key(&buffers.actions)).unwrap_or(Kind::Special);
            let status = of(&self.kinds.statuses, key(&buffers.statuses)).unwrap_or(Status::Ok);
            let number = of(&self.protocols, *protocol).flatten();
            let known = number.is_some();
            // An ACCEPT without a port does not show its flow.
            let lacks = |ports: &[Option<u16>], keys: &Vec<u32>| {
                keys.get(row).is_some_and(|key| of(ports, *key).flatten().is_none())
            };
            let hides = kind == Kind::Accept
                && number.is_some_and(has_ports)
                && (no_ports
                    || lacks(&self.src_ports, &buffers.src_ports)
                    || lacks(&self.dst_ports, &buffers.dst_ports));
            buffers.kinds.push(match (status, kind) {
                _ if *start == NONE || hides => Kind::Special,
                (Status::Ok, kind) if known => kind,
                (Status::NoData, Kind::Special) => Kind::Empty,
                _ => Kind::Special,
            });
        }
        Ok(())
    }

    /// The number of the flow log of a row with this key of its object; of one without, where all are of one.
    #[inline]
    fn log(&self, source: Option<&u32>) -> u32 {
        source.map_or(self.log, |key| log_of(&self.logs, *key))
    }

    /// Finds the places of interfaces that the row group has not had before.
    fn meet(&mut self, observer: &mut Observer<'_>, buffers: &Buffers) {
        let mut last = (NONE, self.log);
        for (row, key) in buffers.interfaces.iter().enumerate() {
            let log = self.log(buffers.sources.get(row));
            if (*key, log) == last || self.lanes.of_log(*key, log) != NO_LANE {
                last = (*key, log);
                continue;
            }
            let is_special = buffers.kinds.get(row).is_none_or(|kind| *kind == Kind::Special);
            let start = buffers.starts.get(row).and_then(|key| self.starts.get(*key as usize));
            let Some(start) = start.filter(|_| !is_special) else { continue };
            last = (*key, log);
            let keys = buffers.told.each_ref().map(|keys| keys.get(row).copied().unwrap_or(NONE));
            let mut texts = [self.interfaces.text(*key), None, None, None];
            for ((text, values), key) in texts.iter_mut().skip(1).zip(&self.told).zip(keys) {
                let told = values.as_ref().and_then(|values| values.text(key));
                *text = told.filter(|text| *text != "-");
            }
            // The row group lies within one view.
            let at = observer.places.of_texts(texts, *start, *start);
            match observer.places.places.get(at) {
                Some(place) => {
                    let hash = self.interfaces.hashes().get(*key as usize).copied().unwrap_or(0);
                    self.lanes.add((*key, hash), log, (at, place), keys, &observer.wanted.zones);
                }
                None => self.lanes.leave(*key, log),
            }
        }
    }

    /// Looks at the rows: notes what they show of their interfaces, and finds the ACCEPTs whose remote address is wanted.
    fn look(&mut self, observer: &mut Observer<'_>, buffers: &mut Buffers) {
        let Sifter { lanes, src, dst, packets, starts, directions, opens, logs, .. } = self;
        let (src, dst) = (&*src, &*dst);
        let places = &mut observer.places.places;
        let (src_hashes, dst_hashes) = (src.hashes(), dst.hashes());
        buffers.candidates.clear();
        buffers.hashes.clear();
        buffers.special.clear();
        buffers.doubtful.clear();
        // Nearly always the other texts that tell the place are the same in all rows.
        let constant = |keys: &Vec<u32>| keys.iter().all(|key| Some(key) == keys.first());
        let told: [u32; 3] = buffers.told.each_ref().map(|keys| keys.first().copied().unwrap_or(NONE));
        let varied = !buffers.told.iter().all(constant);
        let packet_hash = |side: usize, row: usize| {
            let key = buffers.packets.get(side).and_then(|keys| keys.get(row));
            let values = packets.get(side).and_then(Option::as_ref);
            key.zip(values).and_then(|(key, values)| values.hashes().get(*key as usize).copied()).unwrap_or(0)
        };
        let has_packets = packets.iter().any(Option::is_some);
        let ends = buffers.interfaces.iter().zip(&buffers.src).zip(&buffers.dst);
        let rows = ends.zip(&buffers.starts).zip(&buffers.kinds).enumerate();
        for (row, ((((interface, src_key), dst_key), start), kind)) in rows {
            let number = match buffers.sources.get(row) {
                None => lanes.of(*interface),
                Some(key) => lanes.of_log(*interface, log_of(logs, *key)),
            };
            let (lane, lists) = lanes.with_lists(number);
            let lane = lane.filter(|_| *kind != Kind::Special);
            let (Some(lane), Some(start)) = (lane, starts.get(*start as usize)) else {
                buffers.special.push(row);
                continue;
            };
            let same = |(keys, told): (&Vec<u32>, &u32)| keys.get(row).copied().unwrap_or(NONE) == *told;
            let of_place = match varied {
                false => lane.told == told,
                true => buffers.told.iter().zip(&lane.told).all(same),
            };
            if !of_place {
                buffers.special.push(row);
                continue;
            }
            if *kind == Kind::Empty {
                lane.first = lane.first.min(*start);
                continue;
            }
            let is_accept = *kind == Kind::Accept;
            let Some(place) = places.get_mut(lane.place) else { continue };
            let mut direction = None;
            let src_hash = src_hashes.get(*src_key as usize).copied().unwrap_or(0);
            let dst_hash = dst_hashes.get(*dst_key as usize).copied().unwrap_or(0);
            if is_accept || lane.notes {
                let logged = buffers.directions.get(row).and_then(|key| of(directions, *key).flatten());
                direction = logged.or_else(|| {
                    lane.direction(place, [(*src_key, src_hash, src), (*dst_key, dst_hash, dst)])
                });
            }
            // What bears on an ACCEPT that goes no known way, or does not show its flow, is found one by one.
            if is_accept && (direction.is_none() || src_hash == 0 || dst_hash == 0) {
                buffers.special.push(row);
                continue;
            }
            lane.first = lane.first.min(*start);
            lane.accepts += u64::from(is_accept);
            let Some(direction) = direction else { continue };
            let (remote, side, (remote_key, remotes), (local, own)) = match direction {
                Direction::Ingress => (src_hash, 0, (*src_key, src), (*dst_key, dst)),
                Direction::Egress => (dst_hash, 1, (*dst_key, dst), (*src_key, src)),
            };
            if lane.notes && lane.noted.get(side) != Some(&local) {
                own.address(local as usize).into_iter().for_each(|local| place.saw(local));
                lane.noted.get_mut(side).into_iter().for_each(|noted| *noted = local);
            }
            if !is_accept {
                continue;
            }
            let packet = if has_packets { packet_hash(side, row) } else { 0 };
            let agrees = match lane.check {
                Check::Never => None,
                Check::Always => Some(false),
                Check::List(list) => {
                    let opens = buffers.flags.get(row).is_some_and(|key| of(opens, *key).unwrap_or(true));
                    let one = packet == 0 || packet == remote;
                    Some(!opens && one && lists.is_quiet(list, direction, remote_key, remotes))
                }
            };
            match agrees {
                None => {}
                Some(true) => lane.agreed += 1,
                Some(false) => buffers.doubtful.push((row as u32, number, direction)),
            }
            let nth = buffers.candidates.len() as u32;
            buffers.candidates.push((row as u32, number, direction));
            for remote in [remote, if packet == remote { 0 } else { packet }] {
                if remote != 0 {
                    buffers.hashes.push((pair_hash(lane.interface, remote), nth));
                    let in_zone = lane.zone.map(|zone| (zone_pair_hash(zone, remote), nth));
                    buffers.hashes.extend(in_zone);
                }
            }
        }
    }

    /// Leaves what was noted of the interfaces.
    fn end(self, observer: &mut Observer<'_>) {
        for lane in self.lanes.into_iter() {
            if lane.first == i64::MAX {
                continue;
            }
            let Some(place) = observer.places.places.get_mut(lane.place) else { continue };
            place.cover(lane.log, |cover| cover.see(lane.first, lane.accepts > 0));
            observer.found.accepts += lane.accepts;
            place.consistency.checked += lane.agreed;
        }
    }
}
