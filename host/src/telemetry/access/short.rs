//! Short texts, copied in one piece of a fixed size: a few instructions instead of a call that asks for the length first. A line is made of
//! dozens of them.

/// Longest text that is short, in bytes.
const SHORT: usize = 32;

/// Appends the first so many of these bytes.
#[inline]
pub(super) fn put<const N: usize>(bytes: &[u8; N], count: usize, out: &mut Vec<u8>) {
    let end = out.len() + count;
    out.extend_from_slice(bytes);
    out.truncate(end);
}

/// A text that is appended often.
#[derive(Debug)]
pub(super) struct Text {
    /// Its beginning.
    short: [u8; SHORT],
    whole: Box<[u8]>,
}

impl Text {
    #[inline]
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self.whole.len() {
            count @ ..=SHORT => put(&self.short, count, out),
            _ => out.extend_from_slice(&self.whole),
        }
    }
}

impl From<Vec<u8>> for Text {
    fn from(text: Vec<u8>) -> Self {
        let mut short = [0; SHORT];
        short.iter_mut().zip(&text).for_each(|(to, from)| *to = *from);
        Self { short, whole: text.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_length_are_appended_whole_and_alone() {
        for length in 0..=2 * SHORT {
            let text: Vec<u8> = (b'!'..).take(length).collect();
            let mut out = b"before".to_vec();
            Text::from(text.clone()).put(&mut out);
            assert_eq!(out, [b"before".as_slice(), &text].concat());
        }
    }
}
