//! The files an interpreter starts with: read-only, in memory, the same on every machine.
//!
//! WASI's own types are those of `wasmtime-wasi`, whose files are the machine's: with its inodes, times and the order of its directories,
//! of which some would be left in the component. What is linked here are the functions the C library reads files with; all others say
//! that the file system is read-only.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime::component::{ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType, Val, flags};
use wasmtime::{Result, StoreContextMut};
use wasmtime_wasi::p2::DynInputStream;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{ResourceTable, WasiView};

/// Every file is of this second: 1980-01-01T00:00:00Z, the first that every archive can hold.
const TIME_S: u64 = 315_532_800;

/// A file or a folder.
#[derive(Clone, Debug)]
enum Node {
    File(bytes::Bytes),
    Folder(BTreeMap<String, Arc<Node>>),
}

/// The folders a component finds, by the paths they are mounted at.
#[derive(Clone, Debug, Default)]
pub struct Files {
    mounts: Vec<(String, Arc<Node>)>,
}

/// An open file or folder, by its path from the root.
#[derive(Debug)]
pub struct Descriptor {
    path: String,
    node: Arc<Node>,
}

/// A folder that is being read.
#[derive(Debug)]
pub struct Entries(std::collections::VecDeque<(String, DescriptorType)>);

impl Files {
    /// Adds a folder of these files at `path`.
    pub fn mount(&mut self, path: &str, files: &crate::Tree) {
        let mut root = BTreeMap::new();
        for (name, content) in files {
            insert(&mut root, name, content);
        }
        self.mounts.push((path.to_owned(), Arc::new(Node::Folder(root))));
    }
}

fn insert(folder: &mut BTreeMap<String, Arc<Node>>, path: &str, content: &[u8]) {
    match path.split_once('/') {
        None => drop(folder.insert(path.to_owned(), Arc::new(Node::File(content.to_vec().into())))),
        Some((name, rest)) => {
            let inner = folder.entry(name.to_owned()).or_insert_with(|| Arc::new(Node::Folder(BTreeMap::new())));
            if let Node::Folder(inner) = Arc::make_mut(inner) {
                insert(inner, rest, content);
            }
        }
    }
}

impl Descriptor {
    fn at(&self, path: &str) -> Result<Self, ErrorCode> {
        let mut found = Self { path: self.path.clone(), node: self.node.clone() };
        for step in path.split('/').filter(|step| !step.is_empty() && *step != ".") {
            let Node::Folder(folder) = &*found.node else { return Err(ErrorCode::NotDirectory) };
            let node = folder.get(step).ok_or(ErrorCode::NoEntry)?.clone();
            found = Self { path: format!("{}/{step}", found.path), node };
        }
        Ok(found)
    }

    fn kind(&self) -> DescriptorType {
        kind(&self.node)
    }

    fn stat(&self) -> DescriptorStat {
        let size = match &*self.node {
            Node::File(content) => content.len() as u64,
            Node::Folder(_) => 0,
        };
        let time = Some(Datetime { seconds: TIME_S, nanoseconds: 0 });
        DescriptorStat { kind: self.kind(), link_count: 1, size, accessed: time, modified: time, changed: time }
    }

    /// What tells two files apart: FNV-1a over the path, in two halves.
    fn hash(&self) -> MetadataHash {
        let of = |basis: u64| self.path.bytes().fold(basis, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        MetadataHash { lower: of(0xcbf2_9ce4_8422_2325), upper: of(0x8422_2325_cbf2_9ce4) }
    }
}

fn kind(node: &Node) -> DescriptorType {
    match node {
        Node::File(_) => DescriptorType::RegularFile,
        Node::Folder(_) => DescriptorType::Directory,
    }
}

// The types of `wasi:filesystem@0.2`, as far as they are spoken of.

#[expect(dead_code, reason = "the contract has them all")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
enum DescriptorType {
    #[component(name = "unknown")]
    Unknown,
    #[component(name = "block-device")]
    BlockDevice,
    #[component(name = "character-device")]
    CharacterDevice,
    #[component(name = "directory")]
    Directory,
    #[component(name = "fifo")]
    Fifo,
    #[component(name = "symbolic-link")]
    SymbolicLink,
    #[component(name = "regular-file")]
    RegularFile,
    #[component(name = "socket")]
    Socket,
}

#[expect(dead_code, reason = "the contract has them all")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
enum ErrorCode {
    #[component(name = "access")]
    Access,
    #[component(name = "would-block")]
    WouldBlock,
    #[component(name = "already")]
    Already,
    #[component(name = "bad-descriptor")]
    BadDescriptor,
    #[component(name = "busy")]
    Busy,
    #[component(name = "deadlock")]
    Deadlock,
    #[component(name = "quota")]
    Quota,
    #[component(name = "exist")]
    Exist,
    #[component(name = "file-too-large")]
    FileTooLarge,
    #[component(name = "illegal-byte-sequence")]
    IllegalByteSequence,
    #[component(name = "in-progress")]
    InProgress,
    #[component(name = "interrupted")]
    Interrupted,
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "io")]
    Io,
    #[component(name = "is-directory")]
    IsDirectory,
    #[component(name = "loop")]
    Loop,
    #[component(name = "too-many-links")]
    TooManyLinks,
    #[component(name = "message-size")]
    MessageSize,
    #[component(name = "name-too-long")]
    NameTooLong,
    #[component(name = "no-device")]
    NoDevice,
    #[component(name = "no-entry")]
    NoEntry,
    #[component(name = "no-lock")]
    NoLock,
    #[component(name = "insufficient-memory")]
    InsufficientMemory,
    #[component(name = "insufficient-space")]
    InsufficientSpace,
    #[component(name = "not-directory")]
    NotDirectory,
    #[component(name = "not-empty")]
    NotEmpty,
    #[component(name = "not-recoverable")]
    NotRecoverable,
    #[component(name = "unsupported")]
    Unsupported,
    #[component(name = "no-tty")]
    NoTty,
    #[component(name = "no-such-device")]
    NoSuchDevice,
    #[component(name = "overflow")]
    Overflow,
    #[component(name = "not-permitted")]
    NotPermitted,
    #[component(name = "pipe")]
    Pipe,
    #[component(name = "read-only")]
    ReadOnly,
    #[component(name = "invalid-seek")]
    InvalidSeek,
    #[component(name = "text-file-busy")]
    TextFileBusy,
    #[component(name = "cross-device")]
    CrossDevice,
}

flags! {
    DescriptorFlags {
        #[component(name = "read")]
        const READ;
        #[component(name = "write")]
        const WRITE;
        #[component(name = "file-integrity-sync")]
        const FILE_INTEGRITY_SYNC;
        #[component(name = "data-integrity-sync")]
        const DATA_INTEGRITY_SYNC;
        #[component(name = "requested-write-sync")]
        const REQUESTED_WRITE_SYNC;
        #[component(name = "mutate-directory")]
        const MUTATE_DIRECTORY;
    }
}

flags! {
    PathFlags {
        #[component(name = "symlink-follow")]
        const SYMLINK_FOLLOW;
    }
}

flags! {
    OpenFlags {
        #[component(name = "create")]
        const CREATE;
        #[component(name = "directory")]
        const DIRECTORY;
        #[component(name = "exclusive")]
        const EXCLUSIVE;
        #[component(name = "truncate")]
        const TRUNCATE;
    }
}

#[derive(Clone, Copy, Debug, ComponentType, Lift, Lower)]
#[component(record)]
struct Datetime {
    #[component(name = "seconds")]
    seconds: u64,
    #[component(name = "nanoseconds")]
    nanoseconds: u32,
}

#[derive(Clone, Copy, Debug, ComponentType, Lift, Lower)]
#[component(record)]
struct DescriptorStat {
    #[component(name = "type")]
    kind: DescriptorType,
    #[component(name = "link-count")]
    link_count: u64,
    #[component(name = "size")]
    size: u64,
    #[component(name = "data-access-timestamp")]
    accessed: Option<Datetime>,
    #[component(name = "data-modification-timestamp")]
    modified: Option<Datetime>,
    #[component(name = "status-change-timestamp")]
    changed: Option<Datetime>,
}

#[derive(Clone, Copy, Debug, ComponentType, Lift, Lower)]
#[component(record)]
struct MetadataHash {
    #[component(name = "lower")]
    lower: u64,
    #[component(name = "upper")]
    upper: u64,
}

#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(record)]
struct DirectoryEntry {
    #[component(name = "type")]
    kind: DescriptorType,
    #[component(name = "name")]
    name: String,
}

/// The functions that change something, and those nobody asks while modules are read.
const REFUSED: [&str; 19] = [
    "[method]descriptor.write-via-stream",
    "[method]descriptor.append-via-stream",
    "[method]descriptor.advise",
    "[method]descriptor.sync-data",
    "[method]descriptor.set-size",
    "[method]descriptor.set-times",
    "[method]descriptor.write",
    "[method]descriptor.sync",
    "[method]descriptor.create-directory-at",
    "[method]descriptor.set-times-at",
    "[method]descriptor.link-at",
    "[method]descriptor.readlink-at",
    "[method]descriptor.remove-directory-at",
    "[method]descriptor.rename-at",
    "[method]descriptor.symlink-at",
    "[method]descriptor.unlink-file-at",
    "[method]descriptor.get-flags",
    "[method]descriptor.get-type",
    "[method]descriptor.read",
];

type Store<'a, T> = StoreContextMut<'a, T>;
type Answer<R> = Result<(Result<R, ErrorCode>,)>;

fn table<'a, T: WasiView>(store: &'a mut Store<'_, T>) -> &'a mut ResourceTable {
    store.data_mut().ctx().table
}

/// Links `files` in place of what a linker has.
pub fn link<T: WasiView + 'static>(linker: &mut Linker<T>, files: Files, version: &str) -> Result<()> {
    let mut types = linker.instance(&format!("wasi:filesystem/types@{version}"))?;
    types.resource("descriptor", ResourceType::host::<Descriptor>(), |mut store, rep| {
        table(&mut store).delete(Resource::<Descriptor>::new_own(rep))?;
        Ok(())
    })?;
    types.resource("directory-entry-stream", ResourceType::host::<Entries>(), |mut store, rep| {
        table(&mut store).delete(Resource::<Entries>::new_own(rep))?;
        Ok(())
    })?;
    link_finding(&mut types)?;
    link_reading(&mut types)?;
    for name in REFUSED {
        types.func_new(name, |_, _, _, results| {
            let why = if results.is_empty() { return Ok(()) } else { Val::Enum("read-only".to_owned()) };
            results[0] = Val::Result(Err(Some(Box::new(why))));
            Ok(())
        })?;
    }
    linker.instance(&format!("wasi:filesystem/preopens@{version}"))?.func_wrap("get-directories", move |mut store: Store<'_, T>, (): ()| {
        let mut open = Vec::new();
        for (path, node) in &files.mounts {
            let descriptor = Descriptor { path: path.clone(), node: node.clone() };
            open.push((table(&mut store).push(descriptor)?, path.clone()));
        }
        Ok((open,))
    })
}

fn link_finding<T: WasiView + 'static>(types: &mut LinkerInstance<'_, T>) -> Result<()> {
    types.func_wrap(
        "[method]descriptor.open-at",
        |mut store: Store<'_, T>,
         (folder, _, path, how, _): (Resource<Descriptor>, PathFlags, String, OpenFlags, DescriptorFlags)|
         -> Answer<Resource<Descriptor>> {
            let found = match table(&mut store).get(&folder)?.at(&path) {
                Err(ErrorCode::NoEntry) if how & OpenFlags::CREATE == OpenFlags::CREATE => return Ok((Err(ErrorCode::ReadOnly),)),
                Err(code) => return Ok((Err(code),)),
                Ok(found) => found,
            };
            if how & OpenFlags::DIRECTORY == OpenFlags::DIRECTORY && found.kind() != DescriptorType::Directory {
                return Ok((Err(ErrorCode::NotDirectory),));
            }
            Ok((Ok(table(&mut store).push(found)?),))
        },
    )?;
    types.func_wrap("[method]descriptor.stat", |mut store: Store<'_, T>, (file,): (Resource<Descriptor>,)| -> Answer<DescriptorStat> {
        Ok((Ok(table(&mut store).get(&file)?.stat()),))
    })?;
    types.func_wrap(
        "[method]descriptor.stat-at",
        |mut store: Store<'_, T>, (folder, _, path): (Resource<Descriptor>, PathFlags, String)| -> Answer<DescriptorStat> {
            Ok((table(&mut store).get(&folder)?.at(&path).map(|found| found.stat()),))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.metadata-hash",
        |mut store: Store<'_, T>, (file,): (Resource<Descriptor>,)| -> Answer<MetadataHash> {
            Ok((Ok(table(&mut store).get(&file)?.hash()),))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.metadata-hash-at",
        |mut store: Store<'_, T>, (folder, _, path): (Resource<Descriptor>, PathFlags, String)| -> Answer<MetadataHash> {
            Ok((table(&mut store).get(&folder)?.at(&path).map(|found| found.hash()),))
        },
    )
}

fn link_reading<T: WasiView + 'static>(types: &mut LinkerInstance<'_, T>) -> Result<()> {
    types.func_wrap(
        "[method]descriptor.read-via-stream",
        |mut store: Store<'_, T>, (file, offset): (Resource<Descriptor>, u64)| -> Answer<Resource<DynInputStream>> {
            let Node::File(content) = &*table(&mut store).get(&file)?.node.clone() else { return Ok((Err(ErrorCode::IsDirectory),)) };
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
            let stream: DynInputStream = Box::new(MemoryInputPipe::new(content.slice(start..)));
            Ok((Ok(table(&mut store).push(stream)?),))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.read-directory",
        |mut store: Store<'_, T>, (folder,): (Resource<Descriptor>,)| -> Answer<Resource<Entries>> {
            let Node::Folder(folder) = &*table(&mut store).get(&folder)?.node.clone() else { return Ok((Err(ErrorCode::NotDirectory),)) };
            let entries = Entries(folder.iter().map(|(name, node)| (name.clone(), kind(node))).collect());
            Ok((Ok(table(&mut store).push(entries)?),))
        },
    )?;
    types.func_wrap(
        "[method]directory-entry-stream.read-directory-entry",
        |mut store: Store<'_, T>, (entries,): (Resource<Entries>,)| -> Answer<Option<DirectoryEntry>> {
            let next = table(&mut store).get_mut(&entries)?.0.pop_front();
            Ok((Ok(next.map(|(name, kind)| DirectoryEntry { kind, name })),))
        },
    )
}
