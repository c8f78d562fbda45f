//! Lists in one text, as attributes of an exchange and headers hold them: elements with commas between.
//!
//! Whoever reads such a list may also take it apart at blanks, as OAuth's `scope` is (RFC 6749 section 3.3). So that no element becomes two, commas,
//! blanks and percent signs in elements are percent-encoded. Nothing here calls the gateway. Invariant: what [`parts`] gives of a list that
//! [`joined`] made are the elements that went in, but for empty ones.

use std::borrow::Cow;

/// The elements with commas between.
#[must_use]
pub fn joined<T: AsRef<str>>(elements: impl IntoIterator<Item = T>) -> String {
    let mut list = String::new();
    for (index, element) in elements.into_iter().enumerate() {
        if index > 0 {
            list.push(',');
        }
        for character in element.as_ref().chars() {
            match character {
                ',' => list.push_str("%2C"),
                ' ' => list.push_str("%20"),
                '%' => list.push_str("%25"),
                other => list.push(other),
            }
        }
    }
    list
}

/// The elements of a list with commas or blanks between; empty ones are left out.
pub fn parts(list: &str) -> impl Iterator<Item = Cow<'_, str>> {
    list.split([',', ' ']).filter(|part| !part.is_empty()).map(|part| match part.contains('%') {
        true => Cow::Owned(decoded(part)),
        false => Cow::Borrowed(part),
    })
}

/// In one pass: what decoding brings about is not decoded again.
fn decoded(part: &str) -> String {
    let mut decoded = String::with_capacity(part.len());
    let mut rest = part;
    while let Some((before, behind)) = rest.split_once('%') {
        decoded.push_str(before);
        let known = [("2C", ','), ("20", ' '), ("25", '%')];
        let found = known.iter().find_map(|(digits, character)| Some((behind.strip_prefix(digits)?, *character)));
        let (after, character) = found.unwrap_or((behind, '%'));
        decoded.push(character);
        rest = after;
    }
    decoded + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_in_comes_out() {
        let elements = ["Team admin", "a,b", "100%", "%20", "%2C", "x%2520", "ä", ""];
        let list = joined(elements);
        assert_eq!(list, "Team%20admin,a%2Cb,100%25,%2520,%252C,x%252520,ä,");
        let out: Vec<_> = parts(&list).collect();
        assert_eq!(out, elements[..7]);
        assert_eq!(parts("read write,all ,").collect::<Vec<_>>(), ["read", "write", "all"]);
    }
}
