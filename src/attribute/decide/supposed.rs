//! The decision where it is not known which network ACL is the subnet's, and the VPC's default list is.

use super::Layers;
use crate::attribute::record::Record;
use crate::attribute::state::State;
use crate::attribute::verdict::{Attribution, Cause, Confidence, Verdict};
use crate::rules::{Decision, Direction, InterfaceRules};

impl<'r> Layers<'r> {
    /// The rows for the list that is in force if the subnet is associated with none. What hangs on that is weak: only
    /// captures that hold all lists show it (spec 3.2).
    pub(super) fn with_supposed_list(
        &self,
        record: &Record<'_>,
        direction: Direction,
        rules: &InterfaceRules,
    ) -> Option<(Attribution, Layers<'r>)> {
        let supposed = self.supposed.as_ref().filter(|_| self.state != State::Deny)?; // 18, 19 need no list
        let (acl, entry, list) = (supposed.decision, supposed.entry, supposed.direction);
        if acl == Decision::Unknown {
            return None;
        }
        let layers = Layers { acl, entry, list, supposed: None, ..self.clone() };
        let mut found = layers.rows(record, direction, rules);
        if matches!(found.verdict, Verdict::ConfigMismatch | Verdict::Undetermined) {
            // A list that is not known explains it (row 17). What is not known to be in force is contradicted by nothing (8.10).
            found = self.rows(record, direction, rules);
        } else if acl.passes() {
            found = found.or_else(&[Cause::Nacl]);
        }
        if found.verdict != Verdict::Undetermined {
            found.confidence = Confidence::Weak;
        }
        found.acl_supposed = true;
        Some((found, layers))
    }
}
