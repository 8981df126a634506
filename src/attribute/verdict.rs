//! What attribution says of a record (spec 8.1). Names are the stable values of `reject_attribution`.

use crate::network::Timestamp;
use crate::rules::{CompiledAcl, Direction, InterfaceRules};
use std::fmt;
use std::sync::Arc;

macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The stable name.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

named! {
    /// The cause of a REJECT.
    Verdict {
        /// The network ACL denied it.
        Nacl = "NACL",
        /// No rule of the groups allowed it.
        SecurityGroup = "SECURITY_GROUP",
        /// Both denied it.
        NaclAndSecurityGroup = "NACL_AND_SECURITY_GROUP",
        /// VPC Block Public Access.
        VpcBpa = "VPC_BPA",
        /// VPC encryption controls.
        EncryptionControls = "ENCRYPTION_CONTROLS",
        /// The packets came when the connection's tracking state had ended.
        StaleConnection = "STALE_CONNECTION",
        /// The configuration given was not the one in force.
        ConfigMismatch = "CONFIG_MISMATCH",
        /// A reason that AWS names in the log and this program does not know.
        OtherReason = "OTHER_REASON",
        /// The evidence does not suffice.
        Undetermined = "UNDETERMINED",
        /// Not a REJECT.
        NotApplicable = "NOT_APPLICABLE",
    }
}

named! {
    /// The component that dropped the packets first.
    Blocker {
        /// Network ACL.
        Nacl = "NACL",
        /// Security groups.
        SecurityGroup = "SECURITY_GROUP",
        /// Block Public Access.
        Bpa = "BPA",
        /// Encryption controls.
        Ec = "EC",
        /// Connection tracking.
        Conntrack = "CONNTRACK",
        /// Cannot be told.
        Unknown = "UNKNOWN",
    }
}

named! {
    /// A cause that the evidence is consistent with.
    Cause {
        /// Network ACL.
        Nacl = "NACL",
        /// Security groups.
        SecurityGroup = "SECURITY_GROUP",
        /// State that had ended.
        StaleConnection = "STALE_CONNECTION",
        /// Configuration not in force.
        ConfigMismatch = "CONFIG_MISMATCH",
        /// Block Public Access.
        VpcBpa = "VPC_BPA",
        /// Source/destination check.
        SourceDestCheck = "SOURCE_DEST_CHECK",
        /// A documented exception by which a network ACL applies inside a subnet.
        ScopeException = "NACL_SCOPE_EXCEPTION",
    }
}

named! {
    /// How sure a verdict is. In ascending order.
    Confidence {
        /// Only with `UNDETERMINED`.
        None = "NONE",
        /// Several explanations fit; this is the simplest.
        Weak = "WEAK",
        /// One documented explanation fits; the others need an undocumented or rare condition.
        Strong = "STRONG",
        /// No other documented explanation fits, under a configuration known to be in force.
        Proven = "PROVEN",
    }
}

named! {
    /// Why this verdict.
    ReasonCode {
        /// A deny entry.
        NaclExplicitDeny = "NACL_EXPLICIT_DENY",
        /// The deny that closes a list.
        NaclDefaultDeny = "NACL_DEFAULT_DENY",
        /// The groups have rules, none matches.
        SgNoMatchingRule = "SG_NO_MATCHING_RULE",
        /// The groups have no rule in this direction.
        SgHasNoRules = "SG_HAS_NO_RULES",
        /// No rule and no trace of a state.
        SgNoState = "SG_NO_STATE",
        /// After FIN or RST.
        AfterClose = "AFTER_CLOSE",
        /// After the idle timeout.
        IdleTimeout = "IDLE_TIMEOUT",
        /// TCP that belongs to no state.
        OutOfState = "OUT_OF_STATE",
        /// The other layer surely passes it.
        ByElimination = "BY_ELIMINATION",
        /// The interface carries no group.
        SgNotApplicable = "SG_NOT_APPLICABLE",
        /// Both ends are in one subnet.
        IntraSubnet = "INTRA_SUBNET",
        /// The record answers an accepted flow.
        ResponseOfAcceptedFlow = "RESPONSE_OF_ACCEPTED_FLOW",
        /// The network ACL let the same key through elsewhere.
        SiblingAccept = "SIBLING_ACCEPT",
        /// The configuration changed around the record.
        ConfigChangedInWindow = "CONFIG_CHANGED_IN_WINDOW",
        /// The configuration would have passed it, or contradicts an ACCEPT.
        ConfigNotInForce = "CONFIG_NOT_IN_FORCE",
        /// The log names the reason.
        LogReasonField = "LOG_REASON_FIELD",
        /// Which way the packets went is not known.
        DirectionUnknown = "DIRECTION_UNKNOWN",
        /// Configuration that would decide is missing or unreadable.
        ConfigMissing = "CONFIG_MISSING",
    }
}

/// A set of causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CauseSet(u16);

impl CauseSet {
    /// No cause.
    pub const EMPTY: CauseSet = CauseSet(0);

    /// These causes.
    pub fn of(causes: &[Cause]) -> Self {
        causes.iter().fold(CauseSet::EMPTY, |set, cause| set.with(*cause))
    }

    /// This one too.
    pub fn with(self, cause: Cause) -> Self {
        CauseSet(self.0 | 1 << cause as u16)
    }

    /// Without this one.
    pub fn without(self, cause: Cause) -> Self {
        CauseSet(self.0 & !(1 << cause as u16))
    }

    /// Whether it holds this one.
    pub fn contains(self, cause: Cause) -> bool {
        self.0 & 1 << cause as u16 != 0
    }

    /// The causes, in the order of [`Cause::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Cause> {
        Cause::ALL.iter().copied().filter(move |cause| self.contains(*cause))
    }

    /// Whether it is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Up to `N` small values in order, kept without an allocation: there is one for every rejected record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Few<T, const N: usize> {
    items: [Option<T>; N],
}

impl<T: Copy + PartialEq, const N: usize> Few<T, N> {
    pub(super) const EMPTY: Self = Few { items: [None; N] };

    pub(super) fn of(values: &[T]) -> Self {
        let mut few = Few::EMPTY;
        values.iter().for_each(|value| few.push(*value));
        few
    }

    /// Values beyond `N` are dropped; no row of the tables has as many.
    pub(super) fn push(&mut self, value: T) {
        if let Some(slot) = self.items.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(value);
        }
    }

    pub(super) fn push_front(&mut self, value: T) {
        self.items.rotate_right(1);
        if let Some(first) = self.items.first_mut() {
            *first = Some(value);
        }
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.items.iter().flatten().copied()
    }

    /// The first value.
    pub fn first(&self) -> Option<T> {
        self.iter().next()
    }

    /// Whether it holds this value.
    pub fn contains(&self, value: T) -> bool {
        self.iter().any(|item| item == value)
    }
}

/// What attribution says of one record; texts are made by `explain`.
#[derive(Debug, Clone)]
pub struct Attribution {
    /// The verdict.
    pub verdict: Verdict,
    /// Who dropped the packets first; `None` with `NOT_APPLICABLE`.
    pub first_blocker: Option<Blocker>,
    /// Every component that drops them on its own, first blocker first.
    pub blocking_set: Few<Blocker, 2>,
    /// What else is consistent with the evidence.
    pub candidates: CauseSet,
    /// How sure.
    pub confidence: Confidence,
    /// Why; the first is the `reason_code` column.
    pub reasons: Few<ReasonCode, 4>,
    /// Direction, known or inferred.
    pub direction: Option<Direction>,
    /// The entry that denies, or that may; `None` also where it is one of several, of which each was in
    /// force in another version around the record.
    pub nacl_rule_number: Option<u32>,
    /// Where versions around the record deny by different entries, these: the newest first.
    pub(super) nacl_rules: Few<u32, 2>,
    /// The direction of the list that holds the entry: the other one, for packets to a transit gateway in the subnet.
    pub nacl_direction: Option<Direction>,
    /// Capture time of the configuration used, if it has one.
    pub captured_at: Option<Timestamp>,
    /// Seconds between the record and the time for which the configuration is known.
    pub capture_distance: Option<i64>,
    /// The network ACL's part is that of the list which serves the subnet only if no other does
    /// ([`InterfaceRules::supposed_acl`]).
    pub(super) acl_supposed: bool,
    /// Whether the network ACL was asked at all.
    pub(super) acl_applies: bool,
    /// The rules used.
    pub(super) rules: Option<Arc<InterfaceRules>>,
}

impl Attribution {
    pub(super) fn new(verdict: Verdict, confidence: Confidence) -> Self {
        Attribution {
            verdict,
            first_blocker: Some(Blocker::Unknown),
            blocking_set: Few::EMPTY,
            candidates: CauseSet::EMPTY,
            confidence,
            reasons: Few::EMPTY,
            direction: None,
            nacl_rule_number: None,
            nacl_rules: Few::EMPTY,
            nacl_direction: None,
            captured_at: None,
            capture_distance: None,
            acl_supposed: false,
            acl_applies: false,
            rules: None,
        }
    }

    pub(super) fn blocked_by(mut self, blocker: Blocker) -> Self {
        self.first_blocker = Some(blocker);
        if blocker != Blocker::Unknown {
            self.blocking_set = Few::of(&[blocker]);
        }
        self
    }

    pub(super) fn because(mut self, reason: ReasonCode) -> Self {
        self.reasons.push(reason);
        self
    }

    pub(super) fn or_else(mut self, causes: &[Cause]) -> Self {
        self.candidates = causes.iter().fold(self.candidates, |set, cause| set.with(*cause));
        self
    }

    pub(super) fn undetermined(causes: &[Cause]) -> Self {
        Attribution::new(Verdict::Undetermined, Confidence::None).or_else(causes)
    }

    /// The first reason: the `reason_code` column.
    pub fn reason(&self) -> Option<ReasonCode> {
        self.reasons.first()
    }

    /// The network ACL whose list was evaluated.
    pub fn nacl_id(&self) -> Option<&str> {
        Some(&self.acl().filter(|_| self.acl_applies)?.acl.id)
    }

    /// The list of the subnet, or the one that is supposed to be it.
    pub(super) fn acl(&self) -> Option<&CompiledAcl> {
        let rules = self.rules.as_ref()?;
        if self.acl_supposed { rules.supposed_acl.as_deref() } else { rules.acl.as_deref() }
    }

    /// All groups of the interface.
    pub fn security_group_ids(&self) -> &[String] {
        self.rules.as_ref().map_or(&[], |rules| &rules.interface.group_ids)
    }
}
