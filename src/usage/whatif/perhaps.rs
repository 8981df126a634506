//! Interfaces of which it is not known whether a change is theirs: judged both ways, and told as unknown where these differ.

use super::Outcome;
use super::change::Change;
use crate::network::{Network, Perhaps, View};
use crate::rules::{Engine, InterfaceRules};
use hashbrown::HashMap;

/// The proposed network if the changes are these interfaces'.
pub(super) struct Other<'n> {
    engine: Engine<'n>,
    by: HashMap<&'n str, &'n str>,
}

impl<'n> Other<'n> {
    pub(super) fn new(network: &'n Network, perhaps: &'n [Perhaps]) -> Self {
        let by = perhaps.iter().map(|one| (one.interface_id.as_str(), one.by.as_str())).collect();
        Other { engine: Engine::new(network), by }
    }

    /// Whether something may be changed at this interface.
    pub(super) fn concerns(&self, id: &str) -> bool {
        self.by.contains_key(id)
    }

    /// What becomes of a conversation if it cannot be told which of both holds.
    pub(super) fn worse(
        &mut self,
        id: &str,
        view: View,
        change: Change,
        judge: impl Fn(&InterfaceRules) -> Change,
    ) -> Change {
        let Some(after) = self.engine.interface(id, view) else { return change };
        let other = judge(&after);
        if other.outcome == change.outcome {
            return change;
        }
        let (is_own, worst) = match other.outcome < change.outcome {
            true => (true, other),
            false => (false, change),
        };
        match worst.outcome {
            Outcome::NewlyBlocked | Outcome::KeptByTracking | Outcome::CannotTell | Outcome::NewlyAllowed => {
                let by = self.by.get(id).copied().unwrap_or_default();
                let verb = if is_own { "is" } else { "is not" };
                Change {
                    outcome: Outcome::CannotTell,
                    after: format!("if it {verb} an interface of {by}: {}", worst.after),
                    established: None,
                    ..worst
                }
            }
            Outcome::OtherRule | Outcome::Unchanged => worst,
        }
    }
}
