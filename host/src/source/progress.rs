//! [`Progress`]: whether a source that says there is more gets anywhere.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

/// Pages in a row that may bring nothing new before a source counts as stuck, however its cursor moves: it is asked again at its
/// next time.
pub const PAGES_WITHOUT_NEWS_MAX: usize = 10_000;

/// The cursors since something new came, as hashes: one that comes back would come back for ever.
#[derive(Debug, Default)]
pub struct Progress(HashSet<[u8; 32]>);

impl Progress {
    /// A page led from `from` to `to` and there is more. Gives why it leads nowhere, if so.
    pub fn page(&mut self, from: Option<&str>, to: &str, brought_news: bool) -> Result<(), String> {
        if brought_news {
            self.end();
            return Ok(());
        }
        if let Some(from) = from {
            self.0.insert(Sha256::digest(from).into());
        }
        if !self.0.insert(Sha256::digest(to).into()) {
            return Err("it says that there is more, brings nothing new and comes back to a cursor it has given before".to_owned());
        }
        if self.0.len() > PAGES_WITHOUT_NEWS_MAX {
            return Err(format!("{PAGES_WITHOUT_NEWS_MAX} pages in a row brought nothing new, and it says that there is more"));
        }
        Ok(())
    }

    /// Nothing is left to fetch for now, or it starts again.
    pub fn end(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_that_comes_back_with_nothing_new_leads_nowhere() {
        let mut progress = Progress::default();
        assert!(progress.page(Some("a"), "a", false).is_err());
        progress.end();
        assert!(progress.page(None, "a", false).is_ok());
        assert!(progress.page(Some("a"), "b", false).is_ok());
        assert!(progress.page(Some("b"), "a", false).is_err());
    }

    #[test]
    fn a_cursor_that_moves_for_ever_and_brings_nothing_leads_nowhere() {
        let mut progress = Progress::default();
        let failed =
            (0..2 * PAGES_WITHOUT_NEWS_MAX).find(|page| progress.page(Some(&page.to_string()), &(page + 1).to_string(), false).is_err());
        assert_eq!(failed, Some(PAGES_WITHOUT_NEWS_MAX - 1));
    }

    #[test]
    fn a_cursor_that_stays_where_it_is_is_fine_while_something_new_comes() {
        let mut progress = Progress::default();
        assert!((0..3).all(|_| progress.page(Some("a"), "a", true).is_ok()));
    }
}
