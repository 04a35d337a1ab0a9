//! A segment: a file of blocks, each checked by itself, appended and never changed.
//!
//! The file begins with [`MAGIC`] and its [`FORMAT`]. A block is a head of fixed length, an index (every record's [`Entry`]) and the
//! records, compressed together: most of a record is a body that is in it three times, as it came, as it was made into and as it was sent,
//! and most of that is in the next one, too. Finding something reads heads and indexes; records are unpacked where they are wanted.
//!
//! Index and records are in postcard's format, whose types are in `record`. A block that is not whole ends what is read of its file: it
//! is the last one, of a host that ended while it wrote. One whose records are damaged is passed over.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::record::{Entry, Record};

/// How a segment begins.
const MAGIC: [u8; 8] = *b"LGLEDGER";
/// The layout of records that this program writes; it reads no other.
const FORMAT: u32 = 1;
/// Bytes before the first block.
pub const HEAD_BYTES: u64 = 12;
/// How a block begins.
const BLOCK: [u8; 4] = *b"BLCK";
const BLOCK_HEAD_BYTES: usize = 28;
/// Quick before small: at more, a core compresses less than a host delivers.
const LEVEL: i32 = 1;
/// What a head may say, so that a damaged one does not fill the memory: one block is as large as its largest record, and a little more.
const INDEX_BYTES_MAX: u32 = 16 << 20;
const RECORDS_BYTES_MAX: u32 = 256 << 20;

/// Why something of a segment cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It is no segment, or another version's.
    #[error("it is not a segment that this version reads")]
    Foreign,
    #[error("it ends in the middle of a block")]
    Torn,
    #[error("it is damaged")]
    Damaged,
}

/// The bytes a new segment begins with.
pub fn head() -> Vec<u8> {
    [MAGIC.as_slice(), &FORMAT.to_le_bytes()].concat()
}

/// Whether `file` is a segment.
pub fn check_head(file: &File) -> Result<(), Unreadable> {
    let mut found = [0; HEAD_BYTES as usize];
    match file.read_exact_at(&mut found, 0) {
        Ok(()) if found.as_slice() == head() => Ok(()),
        Ok(()) => Err(Unreadable::Foreign),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(Unreadable::Torn),
        Err(error) => Err(error.into()),
    }
}

/// Records on their way into a block.
#[derive(Debug, Default)]
pub struct Block {
    entries: Vec<Entry>,
    records: Vec<u8>,
}

impl Block {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many records are in it.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of its records as they are.
    pub fn bytes(&self) -> usize {
        self.records.len()
    }

    /// Adds a record. False where it cannot be written, which is then as if it had never been.
    pub fn add(&mut self, record: &Record) -> bool {
        let Ok(written) = postcard::to_allocvec(record) else { return false };
        let (at, bytes) = (u32::try_from(self.records.len()), u32::try_from(written.len()));
        let (Ok(at), Ok(bytes)) = (at, bytes) else { return false };
        if at.saturating_add(bytes) > RECORDS_BYTES_MAX {
            return false;
        }
        self.records.extend_from_slice(&written);
        self.entries.push(record.entry(at, bytes));
        true
    }

    /// The bytes to be appended. None where they cannot be made.
    pub fn packed(&self) -> Option<Vec<u8>> {
        let index = postcard::to_allocvec(&self.entries).ok()?;
        let packed = zstd::bulk::compress(&self.records, LEVEL).ok()?;
        let mut block = Vec::with_capacity(BLOCK_HEAD_BYTES + index.len() + packed.len());
        block.extend_from_slice(&BLOCK);
        for length in [index.len(), packed.len(), self.records.len()] {
            block.extend_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
        }
        for check in [crc32fast::hash(&index), crc32fast::hash(&packed)] {
            block.extend_from_slice(&check.to_le_bytes());
        }
        block.extend_from_slice(&crc32fast::hash(&block).to_le_bytes());
        block.extend_from_slice(&index);
        block.extend_from_slice(&packed);
        Some(block)
    }
}

/// Where a block of a segment is, and what it says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    at: u64,
    index_bytes: u32,
    packed_bytes: u32,
    records_bytes: u32,
    index_check: u32,
    packed_check: u32,
}

impl Place {
    /// The block of `file` that begins at `at`; none where the file ends there.
    pub fn of(file: &File, at: u64, file_bytes: u64) -> Result<Option<Self>, Unreadable> {
        if at == file_bytes {
            return Ok(None);
        }
        let mut head = [0; BLOCK_HEAD_BYTES];
        if file_bytes.saturating_sub(at) < head.len() as u64 {
            return Err(Unreadable::Torn);
        }
        file.read_exact_at(&mut head, at)?;
        let mut numbers = head.chunks_exact(4).map(|part| part.try_into().map(u32::from_le_bytes).unwrap_or_default());
        let mut next = || numbers.next().unwrap_or_default();
        let (mark, index_bytes, packed_bytes, records_bytes) = (next(), next(), next(), next());
        let (index_check, packed_check, check) = (next(), next(), next());
        let is_sound = mark == u32::from_le_bytes(BLOCK) && crc32fast::hash(&head[..BLOCK_HEAD_BYTES - 4]) == check;
        if !is_sound || index_bytes > INDEX_BYTES_MAX || records_bytes > RECORDS_BYTES_MAX {
            return Err(Unreadable::Damaged);
        }
        let place = Self { at, index_bytes, packed_bytes, records_bytes, index_check, packed_check };
        if place.next() > file_bytes { Err(Unreadable::Torn) } else { Ok(Some(place)) }
    }

    /// Where the next one begins.
    pub fn next(&self) -> u64 {
        self.packed_at() + u64::from(self.packed_bytes)
    }

    fn packed_at(&self) -> u64 {
        self.at + BLOCK_HEAD_BYTES as u64 + u64::from(self.index_bytes)
    }

    /// What its records are found by.
    pub fn entries(&self, file: &File) -> Result<Vec<Entry>, Unreadable> {
        let index = read(file, self.at + BLOCK_HEAD_BYTES as u64, self.index_bytes, self.index_check)?;
        postcard::from_bytes(&index).map_err(|_| Unreadable::Damaged)
    }

    /// Its records, unpacked.
    pub fn records(&self, file: &File) -> Result<Vec<u8>, Unreadable> {
        let packed = read(file, self.packed_at(), self.packed_bytes, self.packed_check)?;
        let bytes = usize::try_from(self.records_bytes).map_err(|_| Unreadable::Damaged)?;
        zstd::bulk::decompress(&packed, bytes).ok().filter(|records| records.len() == bytes).ok_or(Unreadable::Damaged)
    }
}

/// The record of `entry` among the unpacked ones of its block.
pub fn record(records: &[u8], entry: &Entry) -> Result<Record, Unreadable> {
    let (at, bytes) = (entry.at as usize, entry.bytes as usize);
    let written = records.get(at..at.saturating_add(bytes)).ok_or(Unreadable::Damaged)?;
    postcard::from_bytes(written).map_err(|_| Unreadable::Damaged)
}

fn read(file: &File, at: u64, bytes: u32, check: u32) -> Result<Vec<u8>, Unreadable> {
    let mut read = vec![0; bytes as usize];
    file.read_exact_at(&mut read, at)?;
    if crc32fast::hash(&read) == check { Ok(read) } else { Err(Unreadable::Damaged) }
}
