//! The nearest name: what somebody who mistyped probably meant.

/// A name longer than this is nobody's slip of the finger, and is not compared.
const LONGEST: usize = 64;

/// The one of `known` that is nearest to `name`, if it is near enough to be meant.
///
/// Near enough is one slip in three letters. Of equally near ones the first wins.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }
    let wanted = name.to_lowercase();
    let allowed = wanted.chars().count().div_ceil(3);
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(slips, _)| *slips <= allowed)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_in_three_letters_is_forgiven() {
        assert_eq!(nearest("expct", ["expect", "repeat"]), Some("expect"));
        assert_eq!(nearest("Expect", ["expect", "repeat"]), Some("expect"));
        assert_eq!(nearest("dsek", ["desk", "hall"]), Some("desk"));
        assert_eq!(nearest("zebra", ["desk", "hall"]), None);
    }

    #[test]
    fn a_very_long_name_is_not_compared() {
        let long = "x".repeat(10_000);
        assert_eq!(nearest(&long, ["desk"]), None);
    }
}
