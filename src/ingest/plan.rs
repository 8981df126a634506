//! Which objects have to be read: what the ledger knows already is passed over, copies are recognised.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError, RwLock};

use crate::source::{Extent, Identity, Located, absolute_name, is_fuller};
use crate::store::{Ledger, LedgerEntry, Status, may_be_copies};

/// An object to be read.
#[derive(Clone, Debug)]
pub struct Item {
    /// Where it is.
    pub located: Located,
    /// Its absolute path, which is what `source_file` holds: the same whatever the working directory.
    pub path: String,
    /// AWS's own name of the object, wherever it has been copied to; `None` where the name is not AWS's.
    pub object_id: Option<String>,
    /// The object that has carried its rows so far, where it is read because that one holds something else now.
    pub carried_by: Option<String>,
    /// How it has been counted so far.
    pub listed: Listed,
}

/// How an object that is read stands in the counts of the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listed {
    /// Among the files that were found.
    #[default]
    Found,
    /// Among these, and as unchanged.
    Unchanged,
    /// Not at all: the inputs do not lead to it, and only its rows make it necessary to read it.
    Nowhere,
}

impl Item {
    fn new(located: Located, path: String) -> Item {
        let object_id = located.object_id();
        Item { object_id, located, path, carried_by: None, listed: Listed::Found }
    }

    /// The object of a ledger's entry whose rows are in the store no more; `None` where it is gone or has changed.
    pub fn of_lost(entry: &LedgerEntry, listed: Listed) -> Option<Item> {
        let located = Located::again(&entry.path, entry.compressed_bytes, entry.modified_ns)?;
        let carried_by = entry.duplicate_of.clone();
        Some(Item { carried_by, listed, ..Item::new(located, entry.path.clone()) })
    }
}

/// What to do with an object once its content is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Store it.
    New,
    /// Store it in the place of what these paths gave.
    Replace(Vec<String>),
    /// The same, though its content is stored: its lines are read by another field list now.
    ReadAgain(Vec<String>),
    /// Its content is stored already.
    Unchanged,
    /// Its content is stored already, from this other path.
    Duplicate(String),
    /// Another copy of the same object, with more in it, is stored or being stored.
    Shorter(String),
}

/// The plan of a run.
#[derive(Debug, Default)]
pub struct Plan {
    /// What to read, small files last so that no worker is left with a large one alone.
    pub items: Vec<Item>,
    /// How many files are known and have not changed since.
    pub unchanged: u64,
    /// Their bytes.
    pub unchanged_bytes: u64,
    /// Copies of objects that are also there with more in them.
    pub shorter: Vec<(Item, String)>,
    /// Those of the unchanged whose rows another object carries.
    pub carried: HashSet<String>,
}

/// Compressed files below this size are read last.
const SMALL: u64 = 4 << 20;

impl Plan {
    /// Looks every object up in the ledger by path, size and time of modification. `log_format` is the field list given
    /// for lines without a header: what was read by another one is read again.
    ///
    /// Copies whose rows went with the object that carried them are read too, also where no input leads to them.
    pub fn new(objects: Vec<Located>, ledger: Option<&Ledger>, log_format: Option<&str>) -> Plan {
        let mut plan = Plan::default();
        let lost = |known: &LedgerEntry| {
            known.status == Status::Duplicate && !ledger.is_some_and(|ledger| ledger.carries(known))
        };
        let mut elsewhere: HashMap<&str, &LedgerEntry> = ledger
            .into_iter()
            .flat_map(|ledger| ledger.iter())
            .filter(|known| lost(known))
            .map(|known| (known.path.as_str(), known))
            .collect();
        let mut best: HashMap<String, usize> = HashMap::new();
        for located in objects {
            let path = absolute(&located);
            let known = ledger.and_then(|ledger| ledger.by_path(&path));
            let known = known.filter(|known| is_unchanged(known, &located));
            let is_lost = elsewhere.remove(path.as_str()).is_some();
            let read_otherwise = known.is_some_and(|known| {
                let carrier = known.duplicate_of.as_deref().and_then(|of| ledger.and_then(|l| l.by_path(of)));
                is_read_otherwise(carrier.unwrap_or(known), log_format)
            });
            if let Some(known) = known.filter(|_| !is_lost && !read_otherwise) {
                plan.unchanged += 1;
                plan.unchanged_bytes += located.size;
                if known.status == Status::Duplicate {
                    plan.carried.insert(path);
                }
                continue;
            }
            let mut item = Item::new(located, path);
            item.carried_by = known.filter(|_| is_lost).and_then(|known| known.duplicate_of.clone());
            if let Some(id) = &item.object_id {
                let own = plan.items.len();
                let at = best.entry(id.clone()).or_insert(own);
                if plan.items.get(*at).is_some_and(|other| is_fuller(&item.located, &other.located)) {
                    *at = own;
                }
            }
            plan.items.push(item);
        }
        plan.leave_out_shorter(&best);
        let mut elsewhere: Vec<&LedgerEntry> = elsewhere.into_values().collect();
        elsewhere.sort_by_key(|known| &known.path);
        plan.items.extend(elsewhere.into_iter().filter_map(|known| Item::of_lost(known, Listed::Nowhere)));
        let (large, small): (Vec<Item>, Vec<Item>) =
            plan.items.drain(..).partition(|item| item.located.size >= SMALL);
        plan.items = large;
        plan.items.extend(small);
        plan
    }
}

impl Plan {
    /// Of the copies of one object only the fullest are read, `best` being one of them, by the object's name. Copies of one
    /// size are taken for equal: if they are, they turn out to be duplicates when they are read.
    fn leave_out_shorter(&mut self, best: &HashMap<String, usize>) {
        let fullest: Vec<Option<(String, u64)>> = (self.items.iter())
            .map(|item| {
                let best = self.items.get(*best.get(item.object_id.as_deref()?)?)?;
                Some((best.path.clone(), best.located.size))
            })
            .collect();
        let mut kept = Vec::with_capacity(self.items.len());
        for (item, fullest) in self.items.drain(..).zip(fullest) {
            match fullest {
                Some((path, size)) if size != item.located.size => self.shorter.push((item, path)),
                _ => kept.push(item),
            }
        }
        self.items = kept;
    }
}

/// The items by their numbers, in order, copies of one object (by AWS's name of it) together.
pub fn turns(items: &[Item]) -> Vec<Vec<usize>> {
    let mut of_object: HashMap<&str, usize> = HashMap::new();
    let mut turns: Vec<Vec<usize>> = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let own = turns.len();
        let turn = item.object_id.as_deref().map_or(own, |id| *of_object.entry(id).or_insert(own));
        match turns.get_mut(turn) {
            Some(turn) => turn.push(at),
            None => turns.push(vec![at]),
        }
    }
    turns
}

fn is_unchanged(known: &LedgerEntry, located: &Located) -> bool {
    !located.is_stdin()
        && known.size == located.size
        && known.modified_ns == located.modified
        && known.modified_ns != 0
}

fn absolute(located: &Located) -> String {
    if located.is_stdin() {
        // Each stream is an object of its own.
        return format!("stdin:{}", uuid::Uuid::new_v4());
    }
    absolute_name(located.file()).unwrap_or_else(|| located.path.clone())
}

/// Whether lines without a header were read by another field list than the one given now.
fn is_read_otherwise(known: &LedgerEntry, log_format: Option<&str>) -> bool {
    let (Some(given), Status::Stored) = (log_format, known.status) else { return false };
    match &known.log_format {
        Some(read) => read != given,
        // An entry that does not say it: reading again is worth it only where the first time came to little.
        None => known.quarantined > known.rows,
    }
}

/// How much the object of a ledger's entry holds: as it lies there still, else as it was counted when it was stored.
fn extent_of(known: &LedgerEntry) -> Option<Extent> {
    let located = Located::again(&known.path, known.size, known.modified_ns);
    let counted = || {
        let bytes = if known.raw_bytes > 0 { known.raw_bytes } else { known.size };
        Some(Extent { bytes, is_whole: true })
    };
    located.and_then(|located| Extent::of(&located)).or_else(counted)
}

/// What this run has met so far, shared by the workers.
#[derive(Debug, Default)]
pub struct Met {
    /// By content: the paths that hold it, with AWS's names of them.
    contents: Mutex<HashMap<(u128, u64), Vec<Holder>>>,
    /// Paths whose rows go with the batch at hand.
    gone: RwLock<HashSet<String>>,
    /// By AWS's name: the path from which an object is stored in this run. Another one waits: what it holds beyond that the
    /// next run finds.
    objects: Mutex<HashMap<String, String>>,
}

type Holder = (String, Option<String>);

impl Met {
    /// Says what to do with an object, now that its content is known; notes it for the copies that may follow.
    /// `log_format` is the field list by which its lines are read, where one was given and they have no header.
    pub fn decide(
        &self,
        item: &Item,
        identity: Identity,
        log_format: Option<&str>,
        ledger: Option<&Ledger>,
    ) -> Verdict {
        let verdict = self.by_what_is_stored(item, identity, log_format, ledger);
        let stores = matches!(verdict, Verdict::New | Verdict::Replace(_) | Verdict::ReadAgain(_));
        let Some(id) = item.object_id.as_ref().filter(|_| stores) else { return verdict };
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        match objects.get(id) {
            Some(other) if *other != item.path => Verdict::Shorter(other.clone()),
            _ => {
                objects.insert(id.clone(), item.path.clone());
                verdict
            }
        }
    }

    fn by_what_is_stored(
        &self,
        item: &Item,
        identity: Identity,
        log_format: Option<&str>,
        ledger: Option<&Ledger>,
    ) -> Verdict {
        let gone = self.gone.read().unwrap_or_else(PoisonError::into_inner);
        let is_there = |known: &&LedgerEntry| known.status == Status::Stored && !gone.contains(&known.path);
        let may_be_copy = |object_id: Option<&str>| may_be_copies(object_id, item.object_id.as_deref());
        let own = ledger.and_then(|ledger| ledger.by_path(&item.path)).filter(is_there);
        let mut read_otherwise = None;
        if identity.size > 0 {
            let is_same =
                |known: &&LedgerEntry| known.hash == Some(identity.hash) && known.size == identity.size;
            let of_others = || {
                let mut same = ledger.into_iter().flat_map(|l| l.by_hash(identity.hash, identity.size));
                same.find(|known| is_there(known) && may_be_copy(known.object_id.as_deref()))
            };
            if let Some(stored) = own.filter(is_same).or_else(of_others) {
                let given = log_format.filter(|given| stored.log_format.as_deref() != Some(given));
                match given {
                    None if stored.path == item.path => return Verdict::Unchanged,
                    None => return Verdict::Duplicate(stored.path.clone()),
                    Some(_) => read_otherwise = Some(stored.path.clone()),
                }
            }
            let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
            let holders = contents.entry((identity.hash, identity.size)).or_default();
            let other = holders.iter().find(|(path, id)| *path != item.path && may_be_copy(id.as_deref()));
            if let Some((other, _)) = other {
                return Verdict::Duplicate(other.clone());
            }
            holders.push((item.path.clone(), item.object_id.clone()));
        }
        let own = own.map(|known| known.path.clone());
        if let Some(read_otherwise) = read_otherwise {
            let other = own.filter(|own| *own != read_otherwise);
            return Verdict::ReadAgain(std::iter::once(read_otherwise).chain(other).collect());
        }
        if let Some(own) = own {
            return Verdict::Replace(vec![own]);
        }
        let by_object =
            item.object_id.as_deref().and_then(|id| ledger.and_then(|ledger| ledger.by_object(id)));
        match by_object.filter(is_there) {
            Some(known) if Extent::of(&item.located) > extent_of(known) => {
                Verdict::Replace(vec![known.path.clone()])
            }
            Some(known) => Verdict::Shorter(known.path.clone()),
            None => Verdict::New,
        }
    }

    /// Notes that the rows of a path go with the batch at hand; whether that is new.
    pub fn lose(&self, path: &str) -> bool {
        self.gone.write().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned())
    }

    /// A new batch begins: what went with the one before is in the ledger.
    pub fn begin_batch(&self) {
        self.gone.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
