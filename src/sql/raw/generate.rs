//! A stream out of straight-line code: the code gives items and is suspended until the next one is asked for.
//!
//! It may borrow from itself across the places where it gives, which a hand-written stream cannot do without `unsafe`;
//! and it runs on the thread that polls, so that a batch is used while the processor still has it in its cache.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::Stream;
use futures::future::BoxFuture;

/// Where the code puts its items.
pub struct Giver<T> {
    slot: Arc<Mutex<Option<T>>>,
}

impl<T> Giver<T> {
    /// Hands an item over; resumes when the next one is asked for.
    pub fn give(&mut self, item: T) -> Given<'_, T> {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(item);
        Given { slot: &self.slot }
    }

    /// Lets others have the thread, and the stream be dropped, where no item comes for long.
    pub fn pause(&mut self) -> Paused {
        Paused { over: false }
    }
}

/// Ends when it is polled again, which it asks for.
pub struct Paused {
    over: bool,
}

impl Future for Paused {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.over {
            return Poll::Ready(());
        }
        self.over = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Waits until the item has been taken.
pub struct Given<'a, T> {
    slot: &'a Mutex<Option<T>>,
}

impl<T> Future for Given<'_, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        // No waker: the stream polls the code again when it is itself polled, after it has taken the item.
        match self.slot.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }
}

struct Generated<T> {
    slot: Arc<Mutex<Option<T>>>,
    code: Option<BoxFuture<'static, ()>>,
}

/// The items that the code gives, until it returns. It may wait for nothing but what [`Giver`] offers.
pub fn generate<T, C, F>(code: C) -> impl Stream<Item = T> + Send
where
    T: Send + 'static,
    C: FnOnce(Giver<T>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let slot = Arc::new(Mutex::new(None));
    let code = code(Giver { slot: Arc::clone(&slot) });
    Generated { slot, code: Some(Box::pin(code)) }
}

impl<T> Stream for Generated<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if let Some(code) = self.code.as_mut()
            && code.as_mut().poll(cx).is_ready()
        {
            self.code = None;
        }
        let item = self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        match item {
            Some(item) => Poll::Ready(Some(item)),
            None if self.code.is_some() => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    #[test]
    fn items_come_one_by_one_and_only_when_asked_for() {
        let made = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&made);
        let mut stream = Box::pin(generate(move |mut giver| async move {
            let text = String::from("abc");
            let borrowed = text.as_str();
            for letter in borrowed.chars() {
                *counter.lock().unwrap() += 1;
                giver.give(letter).await;
            }
        }));
        futures::executor::block_on(async {
            assert_eq!(*made.lock().unwrap(), 0);
            assert_eq!(stream.next().await, Some('a'));
            assert_eq!(*made.lock().unwrap(), 1);
            assert_eq!(stream.next().await, Some('b'));
            assert_eq!(stream.next().await, Some('c'));
            assert_eq!(stream.next().await, None);
            assert_eq!(stream.next().await, None);
        });
    }

    #[test]
    fn a_pause_ends_by_itself_and_lets_the_stream_be_dropped() {
        let mut stream = Box::pin(generate(|mut giver: Giver<u8>| async move {
            giver.pause().await;
            giver.give(1).await;
            giver.pause().await;
            giver.pause().await;
        }));
        assert!(futures::FutureExt::now_or_never(stream.next()).is_none());
        assert_eq!(futures::executor::block_on(stream.next()), Some(1));
        assert_eq!(futures::executor::block_on(stream.next()), None);
        assert_eq!(futures::executor::block_on(stream.next()), None);
    }

    #[test]
    fn code_without_items_gives_none() {
        let mut stream = Box::pin(generate(|_: Giver<u8>| async {}));
        assert_eq!(futures::executor::block_on(stream.next()), None);
    }
}
