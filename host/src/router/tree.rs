//! The paths of one host pattern as a tree, one level per segment.
//!
//! Candidates come in the order of precedence, so that the first that suits is the one. Nothing is allocated by looking.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use super::pattern::{PathPattern, Segment, Tail};
use super::percent;

/// A tree of paths; `T` is kept where a pattern ends.
#[derive(Debug)]
pub(super) struct Tree<T> {
    root: Node<T>,
    /// Segments of the longest prefix, so that a path of a thousand slashes costs no more than one of ten.
    prefix_length_max: usize,
}

#[derive(Debug)]
struct Node<T> {
    /// Sorted as [`order`] says.
    literals: Vec<(Box<[u8]>, Node<T>)>,
    parameter: Option<Box<Node<T>>>,
    end: Option<T>,
    anything: Option<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { literals: Vec::new(), parameter: None, end: None, anything: None }
    }
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self { root: Node::default(), prefix_length_max: 0 }
    }
}

impl<T: Default> Tree<T> {
    /// What is kept for this pattern. Parameters of different names are the same pattern.
    pub(super) fn entry(&mut self, pattern: &PathPattern) -> &mut T {
        let mut node = &mut self.root;
        for segment in &pattern.segments {
            node = match segment {
                Segment::Parameter(_) => node.parameter.get_or_insert_default(),
                Segment::Literal(text) => node.literal_or_new(text.as_bytes()),
            };
        }
        match pattern.tail {
            Tail::End => node.end.get_or_insert_default(),
            Tail::Anything | Tail::Rest(_) => {
                self.prefix_length_max = self.prefix_length_max.max(pattern.segments.len());
                node.anything.get_or_insert_default()
            }
        }
    }
}

/// By length, then by bytes: most comparisons are of two numbers.
fn order(one: &[u8], two: &[u8]) -> Ordering {
    one.len().cmp(&two.len()).then_with(|| one.cmp(two))
}

impl<T> Node<T> {
    fn literal_or_new(&mut self, text: &[u8]) -> &mut Self {
        let at = self.literals.partition_point(|(known, _)| order(known, text).is_lt());
        if self.literals.get(at).is_none_or(|(known, _)| **known != *text) {
            self.literals.insert(at, (text.into(), Self::default()));
        }
        // The text stands at `at`, found or just inserted.
        #[allow(clippy::indexing_slicing, reason = "see the line above")]
        &mut self.literals[at].1
    }

    fn literal(&self, segment: &str) -> Option<&Self> {
        if self.literals.is_empty() {
            return None;
        }
        let text = percent::decode(segment);
        let at = self.literals.binary_search_by(|(known, _)| order(known, &text)).ok()?;
        self.literals.get(at).map(|(_, node)| node)
    }

    /// The nodes that one more segment leads to: by its text, then by any.
    fn next(&self, segment: &str) -> [Option<&Self>; 2] {
        let parameter = if segment.is_empty() { None } else { self.parameter.as_deref() };
        [self.literal(segment), parameter]
    }
}

impl<T> Tree<T> {
    /// Shows what is kept for the patterns that name the whole path, until `visit` breaks; a text before a parameter, the leftmost
    /// difference deciding.
    pub(super) fn visit_whole<'t, B>(
        &'t self,
        path: &str,
        visit: &mut impl FnMut(&'t T) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        whole(&self.root, path, visit)
    }

    /// The same for those that name how a path begins, from long to short.
    pub(super) fn visit_prefixes<'t, B>(
        &'t self,
        path: &str,
        visit: &mut impl FnMut(&'t T) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let segments = path.bytes().filter(|byte| *byte == b'/').count();
        for length in (0..=segments.min(self.prefix_length_max)).rev() {
            prefix(&self.root, path, length, visit)?;
        }
        ControlFlow::Continue(())
    }
}

fn whole<'t, T, B>(node: &'t Node<T>, rest: &str, visit: &mut impl FnMut(&'t T) -> ControlFlow<B>) -> ControlFlow<B> {
    let Some((segment, rest)) = split(rest) else {
        return match &node.end {
            Some(kept) if rest.is_empty() => visit(kept),
            _ => ControlFlow::Continue(()),
        };
    };
    for next in node.next(segment).into_iter().flatten() {
        whole(next, rest, visit)?;
    }
    ControlFlow::Continue(())
}

/// Patterns that end in `/*` after exactly `length` segments.
fn prefix<'t, T, B>(
    node: &'t Node<T>,
    rest: &str,
    length: usize,
    visit: &mut impl FnMut(&'t T) -> ControlFlow<B>,
) -> ControlFlow<B> {
    if length == 0 {
        return match &node.anything {
            Some(kept) if rest.is_empty() || rest.starts_with('/') => visit(kept),
            _ => ControlFlow::Continue(()),
        };
    }
    let Some((segment, rest)) = split(rest) else { return ControlFlow::Continue(()) };
    for next in node.next(segment).into_iter().flatten() {
        prefix(next, rest, length - 1, visit)?;
    }
    ControlFlow::Continue(())
}

/// The segment after the slash that `rest` begins with, and what follows.
pub(super) fn split(rest: &str) -> Option<(&str, &str)> {
    let rest = rest.strip_prefix('/')?;
    let end = rest.find('/').unwrap_or(rest.len());
    rest.split_at_checked(end)
}
