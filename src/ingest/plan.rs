//! Which objects have to be read: what the ledger knows already is passed over, copies are recognised.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::source::{Identity, Located};
use crate::store::{Ledger, LedgerEntry, Status};

/// An object to be read.
#[derive(Clone, Debug)]
pub struct Item {
    /// Where it is.
    pub located: Located,
    /// Its absolute path, which is what `source_file` holds: the same whatever the working directory.
    pub path: String,
    /// AWS's own name of the object, wherever it has been copied to; `None` where the name is not AWS's.
    pub object_id: Option<String>,
}

/// What to do with an object once its content is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Store it.
    New,
    /// Store it in the place of what these paths gave.
    Replace(Vec<String>),
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
    /// Smaller copies of objects that are also there in full.
    pub shorter: Vec<(Item, String)>,
}

/// Compressed files below this size are read last.
const SMALL: u64 = 4 << 20;

impl Plan {
    /// Looks every object up in the ledger by path, size and time of modification.
    pub fn new(objects: Vec<Located>, ledger: Option<&Ledger>) -> Plan {
        let mut plan = Plan::default();
        let mut best: HashMap<String, usize> = HashMap::new();
        for located in objects {
            let path = absolute(&located);
            let known = ledger.and_then(|ledger| ledger.by_path(&path));
            if known.is_some_and(|known| is_unchanged(known, &located)) {
                plan.unchanged += 1;
                plan.unchanged_bytes += located.size;
                continue;
            }
            let item = Item { object_id: object_id(&located), located, path };
            // Of copies of one object that differ in size, the largest is the whole one.
            if let Some(id) = &item.object_id {
                match best.get(id).copied().and_then(|at| plan.items.get_mut(at)) {
                    Some(other) if other.located.size > item.located.size => {
                        plan.shorter.push((item.clone(), other.path.clone()));
                        continue;
                    }
                    Some(other) if other.located.size < item.located.size => {
                        let by = item.path.clone();
                        plan.shorter.push((std::mem::replace(other, item), by));
                        continue;
                    }
                    Some(_) => {}
                    None => {
                        best.insert(id.clone(), plan.items.len());
                    }
                }
            }
            plan.items.push(item);
        }
        let (large, small): (Vec<Item>, Vec<Item>) =
            plan.items.drain(..).partition(|item| item.located.size >= SMALL);
        plan.items = large;
        plan.items.extend(small);
        plan
    }
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
    let file = located.file();
    // `a/../b` names what `b` does; where a link is followed by `..`, only the file system knows what it names.
    let goes_up = file.components().any(|part| part == std::path::Component::ParentDir);
    let path = if goes_up { std::fs::canonicalize(file) } else { std::path::absolute(file) };
    path.map_or_else(|_| located.path.clone(), |path| path.to_string_lossy().into_owned())
}

/// AWS puts account, region, time and a random part into a log object's name, so the name alone says which it is.
fn object_id(located: &Located) -> Option<String> {
    let key = &located.key;
    if key.account.is_none() || key.region.is_none() || key.stamp.is_none() {
        return None;
    }
    Path::new(&located.path).file_name().map(|name| name.to_string_lossy().into_owned())
}

/// What this run has met so far, shared by the workers.
#[derive(Debug, Default)]
pub struct Met {
    contents: Mutex<HashMap<(u128, u64), String>>,
}

impl Met {
    /// Says what to do with an object, now that its content is known; notes it for the copies that may follow.
    pub fn decide(&self, item: &Item, identity: Identity, ledger: Option<&Ledger>) -> Verdict {
        let by_path = ledger
            .and_then(|ledger| ledger.by_path(&item.path))
            .filter(|known| known.status == Status::Stored);
        if identity.size > 0 {
            let stored = ledger
                .and_then(|ledger| ledger.by_hash(identity.hash, identity.size))
                .filter(|known| known.status == Status::Stored);
            if let Some(stored) = stored {
                return match stored.path == item.path {
                    true => Verdict::Unchanged,
                    false => Verdict::Duplicate(stored.path.clone()),
                };
            }
            let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(other) = contents.get(&(identity.hash, identity.size)) {
                return Verdict::Duplicate(other.clone());
            }
            contents.insert((identity.hash, identity.size), item.path.clone());
        }
        if let Some(known) = by_path {
            return Verdict::Replace(vec![known.path.clone()]);
        }
        let by_object =
            item.object_id.as_deref().and_then(|id| ledger.and_then(|ledger| ledger.by_object(id)));
        match by_object.filter(|known| known.status == Status::Stored) {
            Some(known) if known.size >= identity.size => Verdict::Shorter(known.path.clone()),
            Some(known) => Verdict::Replace(vec![known.path.clone()]),
            None => Verdict::New,
        }
    }
}
