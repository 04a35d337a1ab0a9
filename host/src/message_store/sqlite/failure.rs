//! What a failed statement means: for its command alone, for the whole group, or for the process.
//!
//! SQLite may roll back the whole transaction on a full disk, an I/O error or no memory
//! (<https://www.sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction>), and after a failed fsync
//! nobody knows what is on disk.

use rusqlite::{ErrorCode, ffi};

use crate::message_store::StoreError;
use crate::problem::{Code, Problem};

/// Why a command did not do its work.
#[derive(Debug)]
pub(super) enum Failure {
    Sql(rusqlite::Error),
    /// The command's own no.
    Refused(StoreError),
}

/// What a command gives.
pub(super) type Done<T> = Result<T, Failure>;

/// How far a failure reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    Command,
    Group,
    Process,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl Failure {
    /// How far it reaches when a statement inside the group fails.
    pub(super) fn reach(&self) -> Reach {
        let Self::Sql(error) = self else { return Reach::Command };
        match (error.sqlite_error_code(), error.sqlite_extended_error_code()) {
            (_, Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)) => Reach::Process,
            (
                Some(
                    ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::OutOfMemory
                    | ErrorCode::DatabaseCorrupt
                    | ErrorCode::NotADatabase
                    | ErrorCode::OperationInterrupted,
                ),
                _,
            ) => Reach::Group,
            _ => Reach::Command,
        }
    }

    /// How far it reaches when COMMIT or a checkpoint fails: any I/O error there may be a lost write.
    pub(super) fn reach_at_commit(&self) -> Reach {
        match self {
            Self::Sql(error) if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) => Reach::Process,
            _ => Reach::Group,
        }
    }

    /// What the caller is told.
    pub(super) fn told(&self) -> StoreError {
        match self {
            Self::Refused(error) => error.clone(),
            Self::Sql(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => StoreError::Full,
            Self::Sql(error) => StoreError::Failed(problem(error)),
        }
    }
}

/// A database error as something a person can act on.
pub(super) fn problem(error: &rusqlite::Error) -> Problem {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Problem::new(Code::StoreDamaged, format!("the message store is damaged: {error}"))
                .fix("stop the host, keep a copy of the data folder, and restore the last backup")
        }
        Some(ErrorCode::DiskFull) => Problem::new(Code::DiskFull, "the disk of the data folder is full").fix("free space on it"),
        _ => Problem::new(Code::StoreFailed, format!("the message store failed: {error}"))
            .fix("look at the system's log for errors of the data folder's disk; what was accepted is safe"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(extended: i32) -> Failure {
        Failure::Sql(rusqlite::Error::SqliteFailure(ffi::Error::new(extended), None))
    }

    #[test]
    fn a_failed_fsync_ends_the_process_wherever_it_is_seen() {
        assert_eq!(sql(ffi::SQLITE_IOERR_FSYNC).reach(), Reach::Process);
        assert_eq!(sql(ffi::SQLITE_IOERR_FSYNC).reach_at_commit(), Reach::Process);
        assert_eq!(sql(ffi::SQLITE_IOERR_WRITE).reach_at_commit(), Reach::Process);
    }

    #[test]
    fn what_may_have_rolled_back_the_group_fails_all_of_it() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR, ffi::SQLITE_IOERR_READ, ffi::SQLITE_NOMEM, ffi::SQLITE_CORRUPT] {
            assert_eq!(sql(code).reach(), Reach::Group, "{code}");
        }
        assert_eq!(sql(ffi::SQLITE_FULL).reach_at_commit(), Reach::Group);
        assert!(matches!(sql(ffi::SQLITE_FULL).told(), StoreError::Full));
    }

    #[test]
    fn a_broken_constraint_fails_its_command_only() {
        assert_eq!(sql(ffi::SQLITE_CONSTRAINT_UNIQUE).reach(), Reach::Command);
        assert_eq!(Failure::Refused(StoreError::NotLeased).reach(), Reach::Command);
    }
}
