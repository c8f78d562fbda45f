//! An exchange that can be lent for the time of one call.
//!
//! A plugin's store must own what its host functions work on; the pipeline must get it back. Lending moves a pointer and nothing
//! else. Invariant: whoever lends takes back before anyone else looks, within one function.

use std::ops::{Deref, DerefMut};

use super::Exchange;

/// An exchange, held by the pipeline.
#[derive(Debug)]
pub struct Held(Option<Box<Exchange>>);

impl Held {
    /// Holds an exchange.
    pub fn new(exchange: Exchange) -> Self {
        Self(Some(Box::new(exchange)))
    }

    /// Gives the exchange away; it must come back through [`Self::take_back`].
    pub fn lend(&mut self) -> Option<Box<Exchange>> {
        self.0.take()
    }

    /// Takes the exchange back.
    pub fn take_back(&mut self, exchange: Option<Box<Exchange>>) {
        self.0 = exchange;
    }
}

impl From<Box<Exchange>> for Held {
    fn from(exchange: Box<Exchange>) -> Self {
        Self(Some(exchange))
    }
}

impl Deref for Held {
    type Target = Exchange;

    fn deref(&self) -> &Exchange {
        match &self.0 {
            Some(exchange) => exchange,
            // By the invariant above.
            None => unreachable!("an exchange was not given back"),
        }
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut Exchange {
        match &mut self.0 {
            Some(exchange) => exchange,
            // By the invariant above.
            None => unreachable!("an exchange was not given back"),
        }
    }
}
