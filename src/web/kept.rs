//! What was unpacked last, for the next page that shows it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::db::ReviewRow;

/// Of a few reviews; the row, read a moment ago, says whether what was unpacked still holds.
pub struct Kept<T> {
    most: usize,
    kept: Mutex<VecDeque<(ReviewRow, Arc<T>)>>,
}

impl<T> Kept<T> {
    pub fn new(most: usize) -> Self {
        Self { most, kept: Mutex::default() }
    }

    pub fn get(&self, row: &ReviewRow) -> Option<Arc<T>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(of, _)| of == row)?;
        let entry = kept.remove(at)?;
        let value = entry.1.clone();
        kept.push_front(entry);
        Some(value)
    }

    pub fn put(&self, row: &ReviewRow, value: T) -> Arc<T> {
        let value = Arc::new(value);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(of, _)| of.id != row.id);
        kept.push_front((row.clone(), value.clone()));
        kept.truncate(self.most);
        value
    }
}
