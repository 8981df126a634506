//! Counts of judged REJECTs for the report on all of them: by what is the same for many, and by remote address.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Int32Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use datafusion::common::Result;
use hashbrown::HashMap;

use super::places::Place;
use crate::attribute::{Attribution, Confidence, Record, Verdict, mismatch, would_decide};
use crate::rules::Direction;
use crate::sql::records::{Columns, Text};

/// What REJECTs of one place are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Cause {
    verdict: Verdict,
    confidence: Confidence,
    acl_named: bool,
    nacl_rule_number: Option<u32>,
    would_decide: Option<&'static str>,
    mismatch: Option<String>,
    captured_at: Option<i64>,
    hours_away: Option<i64>,
}

/// So few causes are looked through one by one, which is what a place has in an hour; over long times it has many.
const FEW: usize = 8;

/// The causes of one place, and how often each was met.
#[derive(Default)]
struct Causes {
    counts: Vec<(Cause, i64)>,
    /// Where they stand, once there are more than [`FEW`].
    places: HashMap<Cause, usize>,
}

impl Causes {
    fn count(&mut self, cause: Cause) {
        let known = match self.places.is_empty() {
            true => self.counts.iter().position(|(known, _)| *known == cause),
            false => self.places.get(&cause).copied(),
        };
        if let Some((_, count)) = known.and_then(|at| self.counts.get_mut(at)) {
            *count += 1;
            return;
        }
        self.counts.push((cause, 1));
        if self.counts.len() > FEW {
            let known = self.places.len();
            let new = self.counts.iter().enumerate().skip(known);
            self.places.extend(new.map(|(at, (cause, _))| (cause.clone(), at)));
        }
    }
}

/// The counts of one reader.
#[derive(Default)]
pub(super) struct Tally {
    /// By the number of the place.
    causes: Vec<Causes>,
    /// Those of places that are gone.
    settled: Vec<(Place, Vec<(Cause, i64)>)>,
    remotes: HashMap<String, [i64; Verdict::ALL.len()]>,
    /// Records without a remote address.
    nowhere: [i64; Verdict::ALL.len()],
}

impl Tally {
    /// Counts a record.
    pub(super) fn add(
        &mut self,
        columns: &Columns,
        row: usize,
        place: usize,
        record: &Record<'_>,
        found: &Attribution,
    ) {
        let cause = Cause {
            verdict: found.verdict,
            confidence: found.confidence,
            acl_named: found.nacl_id().is_some(),
            nacl_rule_number: found.nacl_rule_number,
            would_decide: would_decide(found, record),
            mismatch: mismatch(found, record),
            captured_at: found.captured_at,
            hours_away: found.capture_distance.map(|seconds| seconds / 3600),
        };
        if self.causes.len() <= place {
            self.causes.resize_with(place.saturating_add(1), Causes::default);
        }
        if let Some(causes) = self.causes.get_mut(place) {
            causes.count(cause);
        }
        let (packet, leg) = match found.direction {
            Some(Direction::Egress) => (Text::PacketDst, Text::Dst),
            _ => (Text::PacketSrc, Text::Src),
        };
        let counts = match columns.text(packet, row).or_else(|| columns.text(leg, row)) {
            Some(remote) => self.remotes.entry_ref(remote).or_default(),
            None => &mut self.nowhere,
        };
        if let Some(count) = counts.get_mut(found.verdict as usize) {
            *count += 1;
        }
    }

    /// What was counted of these places, which are the reader's first ones.
    pub(super) fn settle(&mut self, places: Vec<Place>) {
        let causes = std::mem::take(&mut self.causes).into_iter().map(|causes| causes.counts);
        self.settled.extend(places.into_iter().zip(causes).filter(|(_, causes)| !causes.is_empty()));
    }

    /// Takes in the counts of another reader.
    pub(super) fn merge(&mut self, other: Tally) {
        self.settled.extend(other.settled);
        for (remote, theirs) in other.remotes {
            let ours = self.remotes.entry(remote).or_default();
            ours.iter_mut().zip(theirs).for_each(|(ours, theirs)| *ours += theirs);
        }
        self.nowhere.iter_mut().zip(other.nowhere).for_each(|(ours, theirs)| *ours += theirs);
    }

    /// A row for each place and cause.
    pub(super) fn groups(&self) -> Result<RecordBatch> {
        let mut texts: [StringBuilder; 7] = Default::default();
        let (mut numbers, mut hours, mut records) =
            (Int32Builder::new(), Int64Builder::new(), Int64Builder::new());
        let mut times = TimestampMicrosecondBuilder::new().with_timezone("UTC");
        for (place, (cause, count)) in
            self.settled.iter().flat_map(|(place, causes)| causes.iter().map(move |cause| (place, cause)))
        {
            let rules = place.rules.as_deref();
            let acl = rules.and_then(|rules| rules.acl.as_ref().or(rules.supposed_acl.as_ref()));
            let acl = acl.filter(|_| cause.acl_named);
            let groups = rules.map(|rules| rules.interface.group_ids.join(", ")).unwrap_or_default();
            let row = [
                Some(cause.verdict.as_str()),
                Some(cause.confidence.as_str()),
                acl.map(|acl| acl.acl.id.as_str()),
                Some(groups.as_str()),
                place.interface.as_deref(),
                cause.would_decide,
                cause.mismatch.as_deref(),
            ];
            texts.iter_mut().zip(row).for_each(|(texts, text)| texts.append_option(text));
            numbers.append_option(cause.nacl_rule_number.and_then(|number| i32::try_from(number).ok()));
            hours.append_option(cause.hours_away);
            times.append_option(cause.captured_at.and_then(|at| at.checked_mul(1_000_000)));
            records.append_value(*count);
        }
        let [verdict, confidence, nacl, groups, interface, would_decide, mismatch] =
            texts.map(|mut texts| Arc::new(texts.finish()) as ArrayRef);
        Ok(RecordBatch::try_from_iter_with_nullable([
            ("verdict", verdict, true),
            ("confidence", confidence, true),
            ("nacl_id", nacl, true),
            ("nacl_rule_number", Arc::new(numbers.finish()) as ArrayRef, true),
            ("groups", groups, true),
            ("interface_id", interface, true),
            ("would_decide", would_decide, true),
            ("mismatch", mismatch, true),
            ("captured_at", Arc::new(times.finish()) as ArrayRef, true),
            ("hours_away", Arc::new(hours.finish()) as ArrayRef, true),
            ("records", Arc::new(records.finish()) as ArrayRef, true),
        ])?)
    }

    /// A row for each remote address and verdict.
    pub(super) fn remotes(&self) -> Result<RecordBatch> {
        let (mut remotes, mut verdicts) = (StringBuilder::new(), StringBuilder::new());
        let mut records = Int64Builder::new();
        let known = self.remotes.iter().map(|(remote, counts)| (Some(remote.as_str()), counts));
        for (remote, counts) in known.chain([(None, &self.nowhere)]) {
            for (verdict, count) in Verdict::ALL.iter().zip(counts).filter(|(_, count)| **count > 0) {
                remotes.append_option(remote);
                verdicts.append_value(verdict.as_str());
                records.append_value(*count);
            }
        }
        Ok(RecordBatch::try_from_iter_with_nullable([
            ("remote", Arc::new(remotes.finish()) as ArrayRef, true),
            ("verdict", Arc::new(verdicts.finish()) as ArrayRef, true),
            ("records", Arc::new(records.finish()) as ArrayRef, true),
        ])?)
    }
}
