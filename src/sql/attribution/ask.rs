//! Which of a row group's ACCEPTs the filters let through, and what of them goes to the index.

use std::ops::Range;
use std::sync::Arc;

use datafusion::common::Result;

use super::lanes::Lane;
use super::observe::Observer;
use super::sifter::{Buffers, Hit, Passed, Sifter, of};
use crate::attribute::{Action, HashFilter, Hashed, Record, Unshown};
use crate::sql::coded::rowgroups::KeyedRows;
use crate::sql::records::{NONE, Values};
use crate::store::decode::Bits;

/// Keys of a window, and those of the ports of the rows that have passed.
struct Asked<'b> {
    src: &'b [u32],
    dst: &'b [u32],
    packets: &'b [Vec<u32>; 2],
    protocols: &'b [u32],
    ports: [&'b [u32]; 2],
}

/// The tags of the hashes that a filter lets through. The filter is larger than a cache: no step waits for what another finds.
pub(super) fn probe(filter: &HashFilter, hashes: &[(u64, u32)], tags: &mut Vec<u32>) {
    tags.clear();
    tags.resize(hashes.len(), 0);
    let mut count = 0;
    for (hash, tag) in hashes {
        tags.get_mut(count).into_iter().for_each(|place| *place = *tag);
        count += usize::from(filter.may_contain(*hash));
    }
    tags.truncate(count);
}

impl Sifter {
    /// Asks for the flow and the service of the ACCEPTs that have passed.
    pub(super) fn ask(
        &mut self,
        rows: &mut KeyedRows,
        window: &Range<usize>,
        observer: &Observer<'_>,
        buffers: &mut Buffers,
    ) -> Result<()> {
        buffers.hits.clear();
        if buffers.passed.is_empty() {
            return Ok(());
        }
        let chosen = Bits::of(buffers.passed.iter().map(|(row, ..)| *row as usize), window.len());
        rows.keys_into(self.columns.src_port, window, Some(&chosen), &mut buffers.src_ports)?;
        rows.keys_into(self.columns.dst_port, window, Some(&chosen), &mut buffers.dst_ports)?;
        rows.keys_into(self.columns.end, window, Some(&chosen), &mut buffers.ends)?;
        let Buffers {
            hashes,
            tags,
            passed,
            hits,
            src,
            dst,
            packets,
            protocols,
            src_ports,
            dst_ports,
            starts,
            ends,
            ..
        } = &mut *buffers;
        let keys = Asked { src, dst, packets, protocols, ports: [src_ports, dst_ports] };
        let exact = &observer.wanted.exact;
        hashes.clear();
        // ACCEPTs that lasted too long to ask for their time, in order.
        let mut long: Vec<usize> = Vec::new();
        for (nth, passed) in passed.iter().enumerate() {
            let Some(lane) = self.lanes.get(passed.1).filter(|lane| !lane.several) else { continue };
            let [flow, services @ ..] = self.hashes(lane, *passed, nth, &keys);
            let tag = nth as u32 * 4;
            hashes.extend(flow.map(|hash| (hash, tag)));
            if services[0].is_none() {
                continue;
            }
            let key = |keys: &[u32], at: usize| keys.get(at).copied().unwrap_or(NONE);
            let start = self.starts.get(key(starts, passed.0 as usize) as usize).copied().unwrap_or_default();
            let end = of(&self.ends, key(ends, nth)).flatten().unwrap_or(start);
            for (tag, hash) in (tag + 1..).zip(services).filter_map(|(tag, hash)| Some((tag, hash?))) {
                match exact.ask_over(hash, start, end) {
                    Some(asked) => hashes.extend(asked.map(|hash| (hash, tag))),
                    None => long.push(nth),
                }
            }
        }
        probe(exact, hashes, tags);
        let mut tags = tags.iter().peekable();
        for (nth, passed) in passed.iter().enumerate() {
            let mut wanted = [false; 3];
            while let Some(tag) = tags.next_if(|tag| **tag as usize / 4 == nth) {
                wanted.get_mut(*tag as usize % 4).into_iter().for_each(|wanted| *wanted = true);
            }
            // Whose own side may be shown by several addresses is told one by one.
            let several =
                self.lanes.get(passed.1).is_some_and(|lane| lane.several) || long.binary_search(&nth).is_ok();
            match several {
                true => hits.push((*passed, None)),
                false if wanted.contains(&true) => hits.push((*passed, Some(wanted))),
                false => {}
            }
        }
        Ok(())
    }

    /// Gives the ACCEPTs that the filter lets through to the index, but for those that are left.
    pub(super) fn keep(
        &mut self,
        rows: &mut KeyedRows,
        window: &Range<usize>,
        observer: &mut Observer<'_>,
        buffers: &mut Buffers,
    ) -> Result<()> {
        buffers.left.clear();
        let places = &observer.places.places;
        let is_left = |((_, lane, _), wanted): &Hit| {
            let place = self.lanes.get(*lane).and_then(|lane| places.get(lane.place));
            // Whether the network ACL applies to it is for the configuration to say.
            let ruled = place.is_none_or(|place| place.rules.is_some());
            wanted.is_none_or(|[.., in_zone]| in_zone && ruled)
        };
        let left = &mut buffers.left;
        buffers.hits.retain(|hit| {
            let is_left = is_left(hit);
            left.extend(is_left.then_some(*hit));
            !is_left
        });
        if buffers.hits.is_empty() {
            return Ok(());
        }
        let chosen = Bits::of(buffers.hits.iter().map(|((row, ..), _)| *row as usize), window.len());
        rows.keys_into(self.columns.src_port, window, Some(&chosen), &mut buffers.src_ports)?;
        rows.keys_into(self.columns.dst_port, window, Some(&chosen), &mut buffers.dst_ports)?;
        rows.keys_into(self.columns.end, window, Some(&chosen), &mut buffers.ends)?;
        rows.keys_into(self.columns.flags, window, Some(&chosen), &mut buffers.hit_flags)?;
        let key = |keys: &[u32], at: usize| keys.get(at).copied().unwrap_or(NONE);
        let packet = |side: usize, row: usize| {
            let values = self.packets.get(side)?.as_ref()?;
            values.address(key(buffers.packets.get(side)?, row) as usize)
        };
        let records =
            buffers.hits.iter().enumerate().filter_map(|(nth, ((row, lane, direction), wanted))| {
                let row = *row as usize;
                let start = *self.starts.get(key(&buffers.starts, row) as usize)?;
                let src_port = of(&self.src_ports, key(&buffers.src_ports, nth)).flatten();
                let dst_port = of(&self.dst_ports, key(&buffers.dst_ports, nth)).flatten();
                let record = Record {
                    src: self.src.address(key(&buffers.src, row) as usize),
                    dst: self.dst.address(key(&buffers.dst, row) as usize),
                    packet_src: packet(0, row),
                    packet_dst: packet(1, row),
                    src_port: src_port.unwrap_or_default(),
                    dst_port: dst_port.unwrap_or_default(),
                    protocol: of(&self.protocols, key(&buffers.protocols, row)).flatten()?,
                    start,
                    end: of(&self.ends, key(&buffers.ends, nth)).flatten().unwrap_or(start),
                    action: Action::Accept,
                    tcp_flags: of(&self.flags, key(&buffers.hit_flags, nth)).flatten(),
                    direction: Some(*direction),
                    unshown: Unshown {
                        src_port: src_port.is_none(),
                        dst_port: dst_port.is_none(),
                        ..Unshown::default()
                    },
                    ..Record::BLANK
                };
                Some((record, self.lanes.get(*lane)?.place, *direction, (*wanted)?))
            });
        observer.keep_records(records);
        Ok(())
    }

    /// The hashes of an ACCEPT's flow and service; as [`Place::hashes`](super::places::Place::hashes).
    fn hashes(
        &self,
        lane: &Lane,
        (row, _, direction): Passed,
        nth: usize,
        keys: &Asked<'_>,
    ) -> [Option<u64>; 3] {
        let row = row as usize;
        let hash = |keys: &[u32], values: Option<&Arc<Values>>| {
            let hash = keys.get(row).zip(values).and_then(|(key, values)| values.hashes().get(*key as usize));
            hash.copied().unwrap_or(0)
        };
        let packet_ends = match &self.packets {
            [None, None] => [0; 2],
            [one, other] => [hash(&keys.packets[0], one.as_ref()), hash(&keys.packets[1], other.as_ref())],
        };
        let port =
            |keys: &[u32], ports: &[Option<u16>]| of(ports, keys.get(nth).copied().unwrap_or(NONE)).flatten();
        let ports = [port(keys.ports[0], &self.src_ports), port(keys.ports[1], &self.dst_ports)];
        let protocol = keys.protocols.get(row).and_then(|key| of(&self.protocols, *key).flatten());
        let Some(protocol) = protocol else { return [None; 3] };
        let hashed = Hashed {
            interface: lane.interface,
            zone: lane.zone,
            protocol,
            direction,
            ends: [hash(keys.src, Some(&self.src)), hash(keys.dst, Some(&self.dst))],
            packet_ends,
            ports,
        };
        // Interfaces whose own side may be any of several addresses are looked at one by one.
        hashed.wanted(|| None)
    }
}
