//! What the host of one evaluation keeps, on one thread.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
};

use crate::core::store::{Entry, Key};

/// Entries, and those that are being made.
#[derive(Debug, Default)]
pub struct Kept {
    store: RefCell<HashMap<Key, Entry>>,
    making: RefCell<HashSet<Key>>,
}

/// An entry that is being made, by a call that may be given up.
struct Making<'a>(&'a RefCell<HashSet<Key>>, Key);

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.0.borrow_mut().remove(&self.1);
    }
}

impl Kept {
    /// The entry under a key, made by the first that wants it.
    pub async fn shared<E>(&self, key: &Key, make: impl Future<Output = Result<Entry, E>>) -> Result<Entry, E> {
        loop {
            if let Some(entry) = self.store.borrow().get(key) {
                return Ok(entry.clone());
            }
            if self.making.borrow_mut().insert(*key) {
                break;
            }
            // Another call makes it.
            once_more().await;
        }
        let _making = Making(&self.making, *key);
        let entry = make.await?;
        self.store.borrow_mut().insert(*key, entry.clone());
        Ok(entry)
    }

    /// Takes an entry away, unless another came in its place.
    pub fn forget(&self, key: &Key, stale: &Entry) {
        let mut store = self.store.borrow_mut();
        if store.get(key) == Some(stale) {
            store.remove(key);
        }
    }
}

/// Lets everything else that is ready go first.
pub async fn once_more() {
    let mut waited = false;
    std::future::poll_fn(|context| match std::mem::replace(&mut waited, true) {
        true => std::task::Poll::Ready(()),
        false => {
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        }
    })
    .await;
}
