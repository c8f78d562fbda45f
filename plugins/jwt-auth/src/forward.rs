//! A claim as text that other programs read: in a request header or as an attribute of the exchange.
//!
//! Invariant: what comes out holds no control character, so that it cannot end a header or a log line.

use std::borrow::Cow;

use crate::deny::Denial;
use crate::json::{Kind, Value};

/// Who reads the text, and where they take lists apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// The upstream, at commas.
    Upstream,
    /// Plugins, also at blanks ([`portcullis_sdk::list`]): the group `Team admin` must not give them the role `admin`.
    Plugins,
}

/// The text of a claim; none where it is absent, null or an object. Elements of lists are joined by commas; percent signs and that at which
/// the reader takes lists apart are percent-encoded in them.
pub(crate) fn text(value: Value<'_>, reader: Reader) -> Result<Option<Cow<'_, str>>, Denial> {
    let text = match value.kind() {
        Kind::Absent | Kind::Null | Kind::Object => return Ok(None),
        Kind::Number | Kind::True | Kind::False => return Ok(Some(Cow::Borrowed(value.raw()))),
        Kind::Text | Kind::Escaped => value.text().unwrap_or_default(),
        Kind::List => Cow::Owned(joined(value, reader)),
    };
    if text.chars().any(char::is_control) {
        return Err(Denial::Invalid("a claim that is forwarded holds control characters"));
    }
    Ok(Some(text))
}

fn joined(list: Value<'_>, reader: Reader) -> String {
    let (mut out, mut separator) = (String::new(), "");
    list.find(|element| {
        let text = match element.kind() {
            Kind::Number | Kind::True | Kind::False => Cow::Borrowed(element.raw()),
            _ => element.text()?,
        };
        out.push_str(separator);
        separator = ",";
        for character in text.chars() {
            match character {
                ',' => out.push_str("%2C"),
                '%' => out.push_str("%25"),
                ' ' if reader == Reader::Plugins => out.push_str("%20"),
                other => out.push(other),
            }
        }
        None::<()>
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::{Claims, Places, Wanted};

    fn check(json: &str, expected: Result<Option<&str>, ()>) {
        check_for(Reader::Upstream, json, expected);
    }

    fn check_for(reader: Reader, json: &str, expected: Result<Option<&str>, ()>) {
        let mut wanted = Wanted::default();
        let Some(path) = wanted.path(&["x".to_owned()]) else { return };
        let (text_of_claims, mut places) = (format!("{{\"x\":{json}}}"), Places::default());
        let value = Claims::read(&text_of_claims, &wanted, &mut places).and_then(|claims| claims.at(&path));
        let found = value.map(|value| text(value, reader));
        let found = found.as_ref().map(|text| text.as_ref().map(|text| text.as_deref()).map_err(|_| ()));
        assert_eq!(found, Ok(expected), "{json}");
    }

    #[test]
    fn every_kind_has_its_text() {
        check(r#""joe""#, Ok(Some("joe")));
        check(r#""a\/\u00e4 b""#, Ok(Some("a/ä b")));
        check(r#""""#, Ok(Some("")));
        check("-1.50", Ok(Some("-1.50")));
        check("true", Ok(Some("true")));
        check("null", Ok(None));
        check(r#"{"a":1}"#, Ok(None));
        check("[]", Ok(Some("")));
        check(r#"["","a"]"#, Ok(Some(",a")));
        check(r#"["a", 1, false, "b,c%", null, {"x":1}]"#, Ok(Some("a,1,false,b%2Cc%25")));
    }

    #[test]
    fn for_plugins_no_element_of_a_list_becomes_two() {
        check_for(Reader::Plugins, r#"["Team admin", "a,b", "5 %"]"#, Ok(Some("Team%20admin,a%2Cb,5%20%25")));
        check_for(Reader::Upstream, r#"["Team admin", "a,b", "5 %"]"#, Ok(Some("Team admin,a%2Cb,5 %25")));
        // A text is told as it is: OAuth's `scope` is a list with blanks between.
        check_for(Reader::Plugins, r#""read write""#, Ok(Some("read write")));
    }

    #[test]
    fn control_characters_are_refused() {
        for bad in [
            r#""a\r\nx-admin: 1""#,
            r#""\u0000""#,
            r#""\u007f""#,
            "\"\u{7f}\"",
            r#"["a\n"]"#,
            r#""a\tb""#,
            r#""\u0085""#,
        ] {
            check(bad, Err(()));
        }
    }
}
