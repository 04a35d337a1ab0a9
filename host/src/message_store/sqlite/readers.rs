//! Reading beside the writer: [`Readers`], a few connections that can only read, used off the async workers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::failure::{Done, Failure};
use super::open::{self, Medium};
use crate::message_store::StoreError;
use crate::problem::{Code, Problem};

/// Connections opened when they are first needed and kept.
pub(super) struct Readers {
    database: PathBuf,
    medium: Medium,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// At most `connections` reads at once; more wait.
    pub(super) fn new(database: &Path, medium: &Medium, connections: usize) -> Arc<Self> {
        let (database, medium) = (database.to_owned(), medium.clone());
        Arc::new(Self { database, medium, idle: Mutex::default(), permits: Arc::new(Semaphore::new(connections)) })
    }

    /// Has `work` done on a connection of its own for as long as it takes.
    pub(super) async fn read<T, F>(self: &Arc<Self>, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Done<T> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let readers = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let connection = readers.take()?;
            let done = work(&connection);
            readers.give_back(connection);
            done
        });
        match read.await {
            Ok(done) => done.map_err(|failure| failure.told()),
            Err(stopped) => Err(StoreError::Failed(
                Problem::new(Code::Internal, format!("a read of the message store stopped: {stopped}")).fix("report this"),
            )),
        }
    }

    /// Has `work` done on one unchanging view of the data.
    pub(super) async fn read_snapshot<T, F>(self: &Arc<Self>, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Done<T> + Send + 'static,
    {
        self.read(move |connection| {
            let snapshot = connection.unchecked_transaction()?;
            let value = work(&snapshot)?;
            snapshot.finish()?;
            Ok(value)
        })
        .await
    }

    fn take(&self) -> Result<Connection, Failure> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(connection) => Ok(connection),
            None => Ok(open::open_reader(&self.database, &self.medium)?),
        }
    }

    fn give_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}
