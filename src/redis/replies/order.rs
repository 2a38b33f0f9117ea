//! Names that come out of a table of all tenants: where each stands there depends on how many others there are, so they are put into an order of their own.

use super::Level;
use crate::redis::shape::{Broken, Shape};
use bytes::BytesMut;

/// What is kept for it.
const KEPT_MAX_BYTES: usize = 256 << 20;

/// The elements of an aggregate, until its last one is there.
#[derive(Debug)]
pub(super) struct Order {
    /// Within the aggregate.
    depth: usize,
    passing: BytesMut,
    elements: Vec<BytesMut>,
    bytes: usize,
}

/// Whether this is of such names: the aggregate that begins within these levels of the reply.
pub(super) fn is_due(shape: &Shape, levels: Option<&[Level]>) -> bool {
    match (shape, levels) {
        (Shape::Each | Shape::Libraries, Some([])) => true,
        (Shape::Scan { .. }, Some([level])) => level.index == 1,
        _ => false,
    }
}

impl Order {
    /// Of an aggregate whose elements are so deep.
    pub fn of(depth: usize) -> Self {
        Self { depth, passing: BytesMut::new(), elements: Vec::new(), bytes: 0 }
    }

    /// Where the element that passes is put.
    pub fn passing(&mut self) -> &mut BytesMut {
        &mut self.passing
    }

    /// An element ended, and the reply is so deep now. True where the aggregate is over: then all is said. Errors: it is too much to be kept.
    pub fn closed(&mut self, depth: usize, out: &mut BytesMut) -> Result<bool, Broken> {
        if depth > self.depth {
            return Ok(false);
        }
        self.bytes += self.passing.len() + size_of::<BytesMut>();
        if self.bytes > KEPT_MAX_BYTES {
            return Err(Broken("too many names"));
        }
        self.elements.push(self.passing.split());
        if depth == self.depth {
            return Ok(false);
        }
        self.elements.sort_unstable();
        self.elements.iter().for_each(|element| out.extend_from_slice(element));
        Ok(true)
    }
}
