//! Which flow log records are of, by the names of the objects that they lie in.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::source::keys::flow_log_of;
use crate::sql::records::Values;

/// The number of records whose object names no flow log.
pub(super) const UNNAMED: u32 = 0;

/// The number of the flow log of a record, by the key of its object, out of those of all keys.
#[inline]
pub(super) fn log_of(by_key: &[u32], object: u32) -> u32 {
    by_key.get(object as usize).copied().unwrap_or(UNNAMED)
}

/// The flow logs that one reader has met.
#[derive(Default)]
pub(super) struct FlowLogs {
    /// By their numbers, from 1.
    ids: Vec<String>,
    numbers: HashMap<String, u32>,
    /// The objects of the batch or row group at hand, and by their keys the numbers of their flow logs.
    objects: Option<Arc<Values>>,
    by_key: Vec<u32>,
}

impl FlowLogs {
    /// What follows are records of these objects.
    pub(super) fn begin(&mut self, objects: Option<&Arc<Values>>) {
        let same = match (&self.objects, objects) {
            (Some(known), Some(objects)) => Arc::ptr_eq(known, objects),
            (None, None) => true,
            _ => false,
        };
        if same {
            return;
        }
        self.objects = objects.cloned();
        let mut by_key = std::mem::take(&mut self.by_key);
        by_key.clear();
        by_key
            .extend(objects.into_iter().flat_map(|objects| objects.each()).map(|object| self.number(object)));
        self.by_key = by_key;
    }

    fn number(&mut self, object: &str) -> u32 {
        let Some(id) = flow_log_of(object) else { return UNNAMED };
        if let Some(number) = self.numbers.get(id) {
            return *number;
        }
        self.ids.push(id.to_owned());
        let number = u32::try_from(self.ids.len()).unwrap_or(UNNAMED);
        self.numbers.insert(id.to_owned(), number);
        number
    }

    /// The number of the flow log of a record, by the key of its object.
    #[inline]
    pub(super) fn of(&self, object: u32) -> u32 {
        log_of(&self.by_key, object)
    }

    /// The numbers of the flow logs, by the keys of their objects.
    pub(super) fn by_key(&self) -> &[u32] {
        &self.by_key
    }

    /// The number of the flow log of all the records at hand, where they have one.
    pub(super) fn only(&self) -> Option<u32> {
        let first = self.by_key.first().copied().unwrap_or(UNNAMED);
        self.by_key.iter().all(|number| *number == first).then_some(first)
    }

    /// The id of a flow log; `None` where the objects name none.
    pub(super) fn id(&self, number: u32) -> Option<&str> {
        self.ids.get((number as usize).checked_sub(1)?).map(String::as_str)
    }
}
