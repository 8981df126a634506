//! Texts that do not repeat but begin like their neighbours, as trace ids do: how much each one shares with the one
//! before, and what follows.
//!
//! What is left is half as much to compress, and holds no repetitions to search for. Layout: Apache Parquet, "Encodings",
//! delta strings.

use super::bits;

/// So many texts are looked at to decide.
const SAMPLE: usize = 1024;

/// Neighbours must share this many bytes on average.
const SHARED: usize = 6;

/// Whether these texts, of which the first ones are looked at, are worth this form.
pub(super) fn pays<'t>(mut texts: impl Iterator<Item = &'t [u8]>) -> bool {
    let Some(mut before) = texts.next() else { return false };
    let (mut shared, mut count) = (0, 0);
    for text in texts.take(SAMPLE) {
        shared += shared_length(before, text);
        count += 1;
        before = text;
    }
    count > 0 && shared >= SHARED * count
}

/// Appends texts; `prefixes` and `lengths` are overwritten.
pub(super) fn append<'t>(
    texts: impl Iterator<Item = &'t [u8]> + Clone,
    prefixes: &mut Vec<i64>,
    lengths: &mut Vec<i64>,
    out: &mut Vec<u8>,
) {
    prefixes.clear();
    lengths.clear();
    let mut before: &[u8] = &[];
    for text in texts.clone() {
        let shared = shared_length(before, text);
        prefixes.push(shared as i64);
        lengths.push((text.len() - shared) as i64);
        before = text;
    }
    bits::delta(prefixes, out);
    bits::delta(lengths, out);
    out.reserve(lengths.iter().sum::<i64>() as usize);
    for (text, shared) in texts.zip(prefixes) {
        out.extend_from_slice(text.get(*shared as usize..).unwrap_or_default());
    }
}

/// How many bytes two texts have in common from their beginning on.
#[inline(always)]
fn shared_length(one: &[u8], other: &[u8]) -> usize {
    let (ones, _) = one.as_chunks::<8>();
    let (others, _) = other.as_chunks::<8>();
    let mut shared = 0;
    for (one, other) in ones.iter().zip(others) {
        let differing = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
        if differing != 0 {
            return shared + (differing.trailing_zeros() / 8) as usize;
        }
        shared += 8;
    }
    shared
        + std::iter::zip(one.iter().skip(shared), other.iter().skip(shared))
            .take_while(|(one, other)| one == other)
            .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shared_lengths_are_those_of_byte_by_byte(head in "[ab]{0,20}", one in "[ab]{0,12}", other in "[ab]{0,12}") {
            let (one, other) = (format!("{head}{one}").into_bytes(), format!("{head}{other}").into_bytes());
            let naive = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
            prop_assert_eq!(shared_length(&one, &other), naive);
        }
    }

    #[test]
    fn trace_ids_pay_and_texts_without_a_common_beginning_do_not() {
        let ids: Vec<String> = (0..50u64).map(|n| format!("Root=1-6968b8e0-{:024x}", n << 40)).collect();
        assert!(pays(ids.iter().map(|id| id.as_bytes())));
        let others: Vec<String> =
            (0..50u64).map(|n| format!("{:016x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
        assert!(!pays(others.iter().map(|id| id.as_bytes())));
        assert!(!pays(std::iter::empty()));
    }
}
