//! What everything on the link's thread shares.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use tokio::sync::Notify;

use super::dial::Dialer;
use super::ledger::Ledger;
use super::node::Node;
use super::settings::Settings;
use super::trouble::Trouble;

/// What everything on the link's thread shares.
pub(super) struct Context {
    pub(super) settings: Arc<Settings>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) dialer: Dialer,
    /// Told when the nodes may have changed.
    pub(super) doubt: Notify,
    nodes: RefCell<Vec<Weak<Node>>>,
    /// Why the nodes are not known.
    unknown: RefCell<Option<String>>,
}

impl Context {
    pub(super) fn new(settings: Arc<Settings>, ledger: Arc<Ledger>) -> Self {
        let dialer = Dialer::new(Arc::clone(&settings));
        Self { settings, ledger, dialer, doubt: Notify::new(), nodes: RefCell::default(), unknown: RefCell::default() }
    }

    /// Notes a node.
    pub(super) fn join(&self, node: &Rc<Node>) {
        self.nodes.borrow_mut().push(Rc::downgrade(node));
    }

    /// Notes that a node does not belong to us any more.
    pub(super) fn leave(&self, node: &Rc<Node>) {
        self.nodes.borrow_mut().retain(|known| !std::ptr::eq(known.as_ptr(), Rc::as_ptr(node)));
    }

    /// Notes why it is not known which nodes there are, or that it is known.
    pub(super) fn unknown(&self, why: Option<String>) {
        *self.unknown.borrow_mut() = why;
        self.report();
    }

    /// Tells the ledger how the nodes are.
    pub(super) fn report(&self) {
        let nodes = self.nodes.borrow();
        let nodes = || nodes.iter().filter_map(Weak::upgrade);
        let hopeless: Option<Vec<Trouble>> = nodes().map(|node| node.hopeless()).collect();
        self.ledger.note_hopeless(hopeless.and_then(|troubles| troubles.into_iter().next()));
        let connections = nodes().map(|node| node.connections()).sum();
        let mut ailments = nodes().filter_map(|node| node.ailment()).chain(self.unknown.borrow().clone());
        let reason = ailments.next().map(|first| match ailments.count() {
            0 => first,
            more => format!("{first} (and {more} more)"),
        });
        self.ledger.note(connections, reason);
    }
}
