//! What a worker remembers from line to line, so that it need not be written out again.

use std::fmt::Display;
use std::rc::Rc;

use super::escape::{self, Style};
use super::stamp::Stamp;

/// Endpoints whose texts are remembered. An upstream seldom has more that are asked in turn.
const ENDPOINTS_MAX: usize = 8;

/// What a worker remembers.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) stamp: Stamp,
    pub(super) endpoints: Endpoints,
}

/// Endpoints as text. Each is held, so that nothing else can come to lie where it is known by.
#[derive(Default)]
pub(super) struct Endpoints {
    known: Vec<(Rc<dyn Display>, Vec<u8>)>,
    /// Which of them is forgotten next.
    next: usize,
}

impl Endpoints {
    /// The text of an endpoint, escaped for this style. To be asked for one style only.
    pub(super) fn text(&mut self, endpoint: &Rc<dyn Display>, style: Style) -> &[u8] {
        let place = match self.known.iter().position(|(known, _)| Rc::ptr_eq(known, endpoint)) {
            Some(place) => place,
            None => self.learn(endpoint, style),
        };
        self.known.get(place).map(|(_, text)| text.as_slice()).unwrap_or_default()
    }

    #[cold]
    fn learn(&mut self, endpoint: &Rc<dyn Display>, style: Style) -> usize {
        let mut text = Vec::new();
        escape::display(&**endpoint, style, &mut text);
        let entry = (Rc::clone(endpoint), text);
        let place = self.next % ENDPOINTS_MAX;
        self.next = place + 1;
        match self.known.get_mut(place) {
            Some(known) => *known = entry,
            None => self.known.push(entry),
        }
        place
    }
}

impl std::fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Endpoints({})", self.known.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_endpoint_has_its_text_however_many_there_are() {
        let all: Vec<Rc<dyn Display>> =
            (0..20).map(|number| Rc::new(format!("e{number}")) as Rc<dyn Display>).collect();
        let mut endpoints = Endpoints::default();
        for number in [0, 1, 0, 7, 8, 0, 19, 3, 3, 12, 0].into_iter().chain(0..20) {
            let expected = format!("e{number}");
            assert!(all.get(number).is_some_and(|one| endpoints.text(one, Style::Json) == expected.as_bytes()));
        }
        assert_eq!(endpoints.known.len(), ENDPOINTS_MAX);
    }
}
