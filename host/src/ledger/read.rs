//! [`Reader`]: finds records by what they are of, and reads them, also while a host goes on writing.
//!
//! Finding reads the indexes of every segment, one after the other; a record is read with its block, and the blocks that were read last
//! are kept unpacked, since what is wanted next is mostly in one of them.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::keep;
use super::record::{Entry, Record};
use super::segment::{self, Place, Unreadable};
use crate::clock::Timestamp;
use crate::problem::{Code, Problem};

/// Unpacked blocks that are kept.
const BLOCKS_KEPT: usize = 64;

/// The segments as they are now. What is removed meanwhile can still be read.
#[derive(Debug)]
pub struct Reader {
    segments: Vec<Segment>,
    blocks: Mutex<VecDeque<(BlockId, Arc<Vec<u8>>)>>,
    foreign: Vec<Passed>,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    file: File,
}

/// Which segment, and where in it.
type BlockId = (usize, u64);

/// A record that was found.
#[derive(Clone, Debug)]
pub struct Located {
    pub entry: Entry,
    segment: usize,
    place: Place,
    block_at: u64,
}

/// Something that could not be read, and was passed over.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Passed {
    pub file: String,
    pub why: String,
}

impl Reader {
    /// The ledger in `folder`; one that is not there is empty.
    ///
    /// # Errors
    /// LG-3011 where the folder or one of its files cannot be opened.
    pub fn open(folder: &Path) -> Result<Self, Problem> {
        let unreadable = |path: &Path, error: &std::io::Error| {
            Problem::new(Code::LedgerUnreadable, format!("the ledger {} cannot be read: {error}", path.display()))
                .fix("run this as the user who runs the host")
        };
        let (mut segments, mut foreign) = (Vec::new(), Vec::new());
        for kept in keep::segments(folder).map_err(|error| unreadable(folder, &error))? {
            let file = match File::open(&kept.path) {
                Ok(file) => file,
                // The host has just removed it.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(unreadable(&kept.path, &error)),
            };
            match segment::check_head(&file) {
                Ok(()) => segments.push(Segment { path: kept.path, file }),
                Err(why) => foreign.push(Passed { file: named(&kept.path), why: why.to_string() }),
            }
        }
        Ok(Self { segments, blocks: Mutex::default(), foreign })
    }

    /// Every record that `wanted` takes, in the order in which they were written, `most` at most (the latest), and what could not be read.
    pub fn find(&self, since: Timestamp, most: usize, mut wanted: impl FnMut(&Entry) -> bool) -> (Vec<Located>, Vec<Passed>) {
        let mut passed = self.foreign.clone();
        let mut found = VecDeque::new();
        for (number, segment) in self.segments.iter().enumerate() {
            let mut take = |located: Located| {
                if located.entry.ended_at >= since && wanted(&located.entry) {
                    found.push_back(located);
                    if found.len() > most {
                        found.pop_front();
                    }
                }
            };
            if let Err(why) = segment.scan(number, &mut take) {
                passed.push(Passed { file: named(&segment.path), why: why.to_string() });
            }
        }
        (found.into(), passed)
    }

    /// A record that was found.
    pub fn read(&self, located: &Located) -> Result<Record, Unreadable> {
        segment::record(&self.block(located)?, &located.entry)
    }

    fn block(&self, located: &Located) -> Result<Arc<Vec<u8>>, Unreadable> {
        let id = (located.segment, located.block_at);
        let kept =
            |blocks: &VecDeque<(BlockId, Arc<Vec<u8>>)>| blocks.iter().find(|(other, _)| *other == id).map(|(_, block)| block.clone());
        if let Some(block) = kept(&self.blocks.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(block);
        }
        let segment = self.segments.get(located.segment).ok_or(Unreadable::Damaged)?;
        let block = Arc::new(located.place.records(&segment.file)?);
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.push_back((id, block.clone()));
        if blocks.len() > BLOCKS_KEPT {
            blocks.pop_front();
        }
        Ok(block)
    }
}

impl Segment {
    /// Shows every record of it, up to where it cannot be read.
    fn scan(&self, number: usize, take: &mut impl FnMut(Located)) -> Result<(), Unreadable> {
        let bytes = self.file.metadata()?.len();
        let (mut at, mut damaged) = (segment::HEAD_BYTES, None);
        while let Some(place) = Place::of(&self.file, at, bytes)? {
            match place.entries(&self.file) {
                Ok(entries) => {
                    entries.into_iter().for_each(|entry| take(Located { entry, segment: number, place, block_at: at }));
                }
                Err(why) => damaged = Some(why),
            }
            at = place.next();
        }
        damaged.map_or(Ok(()), Err)
    }
}

fn named(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
