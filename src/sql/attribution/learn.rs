//! What is read first: each interface's own address, and the REJECTs.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{BooleanArray, RecordBatch};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::filter_record_batch;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlanProperties;
use futures::StreamExt;
use hashbrown::HashMap;

use super::evidence::{Passes, Source, over_partitions, together};
use super::kept::Kept;
use super::reasons::Reasons;
use crate::attribute::{InterfaceAddresses, OwnAddresses};
use crate::net::Family;
use crate::network::Network;
use crate::sql::coded::rowgroups::{KeyedRows, RowGroup, RowGroups};
use crate::sql::records::{Coder, Columns, NONE, Text, Values};
use crate::store::decode::Bits;

/// Rows that are looked at together. The REJECTs among them make a batch.
const WINDOW: usize = 32 * 1024;

/// Stands for no key, and not for the lack of one either.
const NOT_A_KEY: u32 = u32::MAX - 1;

/// In the place of keys of an interface whose addresses the configuration has.
const NOTHING_TO_LEARN: u32 = u32::MAX - 2;

/// Learns each interface's own address; those of the configuration have theirs there.
#[derive(Default)]
struct Learner {
    network: Option<Arc<Network>>,
    by_name: HashMap<String, usize>,
    /// `None` for interfaces of the configuration.
    found: Vec<Option<Learned>>,
    /// Which of them the keys of the current texts mean.
    by_key: Vec<usize>,
    texts: Option<Arc<Values>>,
    ends: [Option<Arc<Values>>; 2],
    /// How often the texts of the two ends have changed.
    era: u64,
    /// By the keys of the interfaces, those of source and destination that mean its own address.
    own_keys: Vec<[u32; 2]>,
}

/// What one interface's records have in common.
#[derive(Clone, Copy, Default)]
struct Learned {
    addresses: InterfaceAddresses,
    /// Keys of source and destination that mean its own address in this era: of a record with one of them nothing is learned.
    own: [u32; 2],
    era: u64,
}

impl Learner {
    /// What follows are records with these texts.
    fn begin(&mut self, interfaces: &Arc<Values>, ends: [Option<&Arc<Values>>; 2]) {
        if !self.texts.as_ref().is_some_and(|known| Arc::ptr_eq(known, interfaces)) {
            self.texts = Some(Arc::clone(interfaces));
            self.by_key = vec![usize::MAX; interfaces.len()];
        }
        let same = |(one, other): (&Option<Arc<Values>>, &Option<&Arc<Values>>)| {
            one.as_ref().map(Arc::as_ptr) == other.map(Arc::as_ptr)
        };
        if !self.ends.iter().zip(&ends).all(same) {
            self.ends = ends.map(|end| end.cloned());
            self.era += 1;
        }
        self.own_keys.clear();
        self.own_keys.resize(interfaces.len(), [NOT_A_KEY; 2]);
    }

    fn take(&mut self, columns: &Columns) {
        let Some(interfaces) = columns.values(Text::Interface) else { return };
        self.begin(interfaces, [Text::Src, Text::Dst].map(|column| columns.values(column)));
        let told_by = [Text::Interface, Text::Src, Text::Dst, Text::Direction];
        for row in 0..columns.rows() {
            self.record(told_by.map(|column| columns.key(column, row)));
        }
    }

    /// A record with these keys of the interface, both addresses and the direction.
    #[inline]
    fn record(&mut self, [interface, src, dst, direction]: [u32; 4]) {
        if interface == NONE || direction != NONE {
            return;
        }
        let Some(known) = self.by_key.get(interface as usize).copied() else { return };
        let at = if known == usize::MAX { self.find(interface) } else { known };
        let Some(Some(found)) = self.found.get_mut(at) else { return };
        let keys = [src, dst];
        if found.era == self.era && keys.iter().zip(&found.own).any(|(key, own)| key == own && *key != NONE) {
            return;
        }
        let [Some(sources), Some(destinations)] = &self.ends else { return };
        let ends = sources.address(src as usize).zip(destinations.address(dst as usize));
        let Some((src, dst)) = ends else { return };
        found.addresses.observe(src, dst);
        if found.era != self.era {
            (found.era, found.own) = (self.era, [NONE; 2]);
        }
        let own = found.addresses.own(Family::of(&src));
        for ((addr, key), place) in [src, dst].into_iter().zip(keys).zip(&mut found.own) {
            if Some(addr) == own {
                *place = key;
            }
        }
    }

    /// The keys that mean an interface's own address, as far as they are known.
    fn own_keys(&self, interface: u32) -> [u32; 2] {
        match self.by_key.get(interface as usize).and_then(|at| self.found.get(*at)) {
            Some(Some(found)) if found.era == self.era => {
                found.own.map(|key| if key == NONE { NOT_A_KEY } else { key })
            }
            Some(None) => [NOTHING_TO_LEARN; 2],
            _ => [NOT_A_KEY; 2],
        }
    }

    fn find(&mut self, key: u32) -> usize {
        let id = self.texts.as_ref().and_then(|texts| texts.text(key)).unwrap_or_default();
        let at = match self.by_name.get(id) {
            Some(at) => *at,
            None => {
                let configured =
                    self.network.as_ref().is_some_and(|network| network.interfaces.timeline(id).is_some());
                self.found.push((!configured).then(Learned::default));
                self.by_name.insert(id.to_owned(), self.found.len() - 1);
                self.found.len() - 1
            }
        };
        if let Some(place) = self.by_key.get_mut(key as usize) {
            *place = at;
        }
        at
    }

    /// All records of a row group that is made of keys. Each window is handed on.
    fn take_keyed(
        &mut self,
        rows: &mut KeyedRows,
        coder: &mut Coder,
        mut also: impl FnMut(&mut KeyedRows, Range<usize>) -> Result<()>,
    ) -> Result<()> {
        let told_by = [
            (Text::Interface, "interface_id"),
            (Text::Src, "srcaddr"),
            (Text::Dst, "dstaddr"),
            (Text::Direction, "flow_direction"),
        ];
        let places = told_by.map(|(_, name)| rows.column(name));
        let mut values: [Option<Arc<Values>>; 4] = Default::default();
        for ((values, (column, _)), place) in values.iter_mut().zip(told_by).zip(places) {
            let texts = place.map(|place| rows.texts(place)).transpose()?.flatten();
            *values = texts.map(|texts| coder.values(column, &texts));
        }
        let learns = matches!(values, [Some(_), Some(_), Some(_), _]);
        if let [Some(interfaces), src, dst, _] = &values {
            self.begin(interfaces, [src.as_ref(), dst.as_ref()]);
        }
        let none = values.each_ref().map(|values| values.as_ref().and_then(|values| values.none()));
        let mut keys: [Vec<u32>; 4] = Default::default();
        for window in rows.windows(places[0].unwrap_or_default(), WINDOW)? {
            if learns {
                for (keys, place) in keys.iter_mut().zip(places) {
                    rows.keys_into(place, &window, None, keys)?;
                    keys.resize(window.len(), NONE);
                }
                self.take_keys(&mut keys, none);
            }
            also(rows, window)?;
        }
        Ok(())
    }

    /// Records of these keys of the interface, both addresses and the direction; those of no text are told.
    fn take_keys(&mut self, keys: &mut [Vec<u32>; 4], none: [Option<u32>; 4]) {
        if none.iter().any(Option::is_some) {
            for (keys, none) in keys.iter_mut().zip(none) {
                keys.iter_mut().filter(|key| Some(**key) == none).for_each(|key| *key = NONE);
            }
        }
        let [interfaces, sources, destinations, directions] = &*keys;
        let ends = sources.iter().zip(destinations).zip(directions);
        for (interface, ((src, dst), direction)) in interfaces.iter().zip(ends) {
            // Of nearly every record one side is known to be its interface's own.
            let Some([own_src, own_dst]) = self.own_keys.get(*interface as usize) else { continue };
            if src == own_src || dst == own_dst || *own_src == NOTHING_TO_LEARN || *direction != NONE {
                continue;
            }
            self.record([*interface, *src, *dst, *direction]);
            let own = self.own_keys(*interface);
            self.own_keys.get_mut(*interface as usize).into_iter().for_each(|place| *place = own);
        }
    }

    fn tell(self, own: &mut OwnAddresses) {
        for (id, at) in self.by_name {
            if let Some(Some(found)) = self.found.get(at) {
                own.learn(&id, found.addresses);
            }
        }
    }
}

/// Learns of all records of a store's row groups.
async fn learn_groups(groups: Arc<RowGroups>, mut learner: Learner) -> Result<Learner> {
    let mut coder = Coder::default();
    let mut spare = Vec::new();
    while let Some(group) = groups.next(&mut spare)? {
        match group {
            RowGroup::Plain(batches) => {
                for batch in batches {
                    learner.take(&coder.columns(&batch?)?);
                }
            }
            RowGroup::Keyed(mut rows) => {
                learner.take_keyed(&mut rows, &mut coder, |_, _| Ok(()))?;
                spare.extend(rows.into_columns().rev());
            }
        }
        tokio::task::yield_now().await;
    }
    Ok(learner)
}

/// Learns of all records of a store's row groups, and keeps the REJECTs.
async fn take_groups(
    groups: Arc<RowGroups>,
    mut learner: Learner,
    mut kept: Kept,
) -> Result<(Learner, Kept, Reasons)> {
    // One makes the columns of all records and the other those of REJECTs, which share the texts of no batch before.
    let (mut coder, mut rejected) = (Coder::default(), Coder::default());
    let mut reasons = Reasons::default();
    let mut spare = Vec::new();
    while let Some(group) = groups.next(&mut spare)? {
        match group {
            RowGroup::Plain(batches) => {
                for batch in batches {
                    let batch = batch?;
                    let columns = coder.columns(&batch)?;
                    learner.take(&columns);
                    reasons.note(&columns);
                    kept.push(only_rejects(batch, &columns)?)?;
                }
            }
            RowGroup::Keyed(mut rows) => {
                let action = rows.column("action");
                let texts = action.map(|action| rows.texts(action)).transpose()?.flatten();
                let texts = texts.map(|texts| rejected.values(Text::Action, &texts));
                let of_key =
                    texts.iter().flat_map(|texts| texts.each()).map(|text| u8::from(text == "REJECT"));
                let of_key: Vec<u8> = of_key.collect();
                let mut keys = Vec::new();
                let names_reasons = rows.column("reject_reason").is_some();
                learner.take_keyed(&mut rows, &mut coder, |rows, window| {
                    let Some(action) = action else { return Ok(()) };
                    rows.keys_into(Some(action), &window, None, &mut keys)?;
                    let is_reject = |key: &u32| of_key.get(*key as usize) == Some(&1);
                    let places = keys.iter().enumerate().filter(|(_, key)| is_reject(key));
                    let chosen = Bits::of(places.map(|(place, _)| place), window.len());
                    if chosen.ones() > 0 {
                        let batch = rows.batch(&window, Some(&chosen))?;
                        if names_reasons {
                            reasons.note(&rejected.columns(&batch)?);
                        }
                        kept.push(batch)?;
                    }
                    Ok(())
                })?;
                spare.extend(rows.into_columns().rev());
            }
        }
        tokio::task::yield_now().await;
    }
    Ok((learner, kept, reasons))
}

/// The REJECTs, each interface's own address, and which logs name reasons.
pub(super) async fn rejects(
    passes: &Passes,
    network: &Option<Arc<Network>>,
    task: &Arc<TaskContext>,
) -> Result<(OwnAddresses, Vec<Kept>, Reasons)> {
    let mut own = OwnAddresses::default();
    let learner = || Learner { network: network.clone(), ..Learner::default() };
    let learned = match &passes.addresses {
        _ if passes.both.is_some() => Vec::new(),
        None => Vec::new(),
        Some(Source::Groups(groups, readers)) => {
            let groups = groups.again();
            together((0..*readers).map(|_| Ok(learn_groups(Arc::clone(&groups), learner())))).await?
        }
        Some(Source::Plan(addresses)) => {
            over_partitions(addresses, task, |mut stream, _| {
                let mut learner = learner();
                async move {
                    let mut coder = Coder::default();
                    while let Some(batch) = stream.next().await {
                        learner.take(&coder.columns(&batch?)?);
                    }
                    Ok(learner)
                }
            })
            .await?
        }
    };
    learned.into_iter().for_each(|learner| learner.tell(&mut own));
    let all = passes.addresses.is_none();
    let schema = passes.rejects.schema();
    let readers = passes.rejects.output_partitioning().partition_count();
    let kept = |partition| Kept::new(&schema, task, partition);
    let found = match &passes.both {
        Some(groups) => {
            let groups = groups.again();
            let readers = 0..readers;
            together(readers.map(|at| Ok(take_groups(Arc::clone(&groups), learner(), kept(at))))).await?
        }
        None => {
            over_partitions(&passes.rejects, task, |mut stream, partition| {
                let (mut learner, mut kept) = (learner(), kept(partition));
                async move {
                    let mut coder = Coder::default();
                    let mut reasons = Reasons::default();
                    while let Some(batch) = stream.next().await {
                        let batch = batch?;
                        let columns = coder.columns(&batch)?;
                        reasons.note(&columns);
                        if all {
                            learner.take(&columns);
                        }
                        kept.push(only_rejects(batch, &columns)?)?;
                    }
                    Ok((learner, kept, reasons))
                }
            })
            .await?
        }
    };
    let (mut parts, mut reasons) = (Vec::new(), Reasons::default());
    for (learner, kept, named) in found {
        learner.tell(&mut own);
        parts.push(kept);
        reasons.merge(named);
    }
    // Over raw files it is known now: all of them have been read.
    reasons.in_no_log = !passes.may_name_reasons;
    if let (true, Some(files)) = (passes.may_name_reasons, &passes.files) {
        reasons.formats = files.formats().await?;
    }
    Ok((own, parts, reasons))
}

/// The rows that the table shows.
fn only_rejects(batch: RecordBatch, columns: &Columns) -> Result<RecordBatch> {
    let rejected = BooleanBuffer::from(columns.equal_to(Text::Action, "REJECT"));
    if rejected.count_set_bits() == batch.num_rows() {
        return Ok(batch);
    }
    Ok(filter_record_batch(&batch, &BooleanArray::new(rejected, None))?)
}
