//! How long a stream's items were waited for, as spans: reading, decoding, and a client that takes its time.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::Stream;
use futures::stream::BoxStream;
use tracing::{Span, info_span};

use crate::traces::{SPANS_OF_A_STREAM, TARGET};

/// A stream whose first items have spans.
pub struct Reads<T> {
    items: BoxStream<'static, T>,
    /// Items that may still have one.
    left: usize,
    /// Of the item that is waited for.
    span: Option<Span>,
}

impl<T> Reads<T> {
    /// The same stream.
    pub const fn new(items: BoxStream<'static, T>) -> Self {
        Self { items, left: SPANS_OF_A_STREAM, span: None }
    }
}

impl<T> Stream for Reads<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        if self.left > 0 && self.span.is_none() {
            self.left -= 1;
            self.span = Some(info_span!(target: TARGET, "read"));
        }
        let item = ready!(self.items.as_mut().poll_next(context));
        self.span = None;
        Poll::Ready(item)
    }
}
