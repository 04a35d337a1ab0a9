//! A SQLite VFS that does what SQLite's own does, and tells a [`Disk`] of every change and sync on the way. It syncs nothing for real.
//!
//! The pattern of <https://www.sqlite.org/vfs.html#vfs_shims>: each of its open files is a [`Watched`], and behind it in the same
//! memory the file of the VFS below.
#![expect(unsafe_code, reason = "a VFS is a table of C functions; this one stands under tests only")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::ffi;

use super::disk::{Disk, FileId, Verdict};

/// A VFS that SQLite knows by name, for as long as this lives. No connection may outlive it.
pub struct Mounted(Box<Shim>);

#[repr(C)]
struct Shim {
    /// First, so that a pointer to it is one to all of it.
    vfs: ffi::sqlite3_vfs,
    below: *mut ffi::sqlite3_vfs,
    disk: Arc<Disk>,
    name: CString,
}

/// An open file. The one below follows it.
#[repr(C)]
struct Watched {
    /// First, as in `sqlite3_file`.
    methods: *const ffi::sqlite3_io_methods,
    /// Of the [`Mounted`] that opened it.
    disk: *const Disk,
    /// None for what does not survive its process anyway.
    file: Option<FileId>,
    /// Failed syncs it was told of.
    told: usize,
    /// Its directory entry is synced with its first sync, as `unixSync` does for new journals and logs.
    directory_due: bool,
}

impl Mounted {
    pub fn new(disk: Arc<Disk>) -> Self {
        static MOUNTED: AtomicU64 = AtomicU64::new(0);
        let name = CString::new(format!("power-cut-{}", MOUNTED.fetch_add(1, Ordering::Relaxed))).unwrap();
        // SAFETY: a null name asks for the default VFS, which lives as long as the process.
        let below = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
        assert!(!below.is_null(), "SQLite has a VFS of its own");
        // SAFETY: it is not null. What is copied from it and not replaced does not look at the VFS it is called with.
        let mut vfs = unsafe { *below };
        vfs.szOsFile += c_int::try_from(size_of::<Watched>()).unwrap();
        vfs.pNext = ptr::null_mut();
        vfs.zName = name.as_ptr();
        vfs.xOpen = Some(open);
        vfs.xDelete = Some(delete);
        let mut shim = Box::new(Shim { vfs, below, disk, name });
        // SAFETY: it stays where it is until it is unregistered in `drop`.
        let registered = unsafe { ffi::sqlite3_vfs_register(&raw mut shim.vfs, 0) };
        assert_eq!(registered, ffi::SQLITE_OK);
        Self(shim)
    }

    pub fn name(&self) -> &str {
        self.0.name.to_str().unwrap()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // SAFETY: it is registered, and by the promise of the type no connection uses it any more.
        unsafe { ffi::sqlite3_vfs_unregister(&raw mut self.0.vfs) };
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // The third version adds memory-mapped reads, which are off by default.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let kept = ffi::SQLITE_OPEN_MAIN_DB | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_WAL;
    // SAFETY: SQLite calls with the VFS that was registered, whose first field it points to, and with `szOsFile` bytes of its own
    // memory for the file: enough for a `Watched` and the file below.
    unsafe {
        let shim = vfs.cast::<Shim>();
        let watched = file.cast::<Watched>();
        let disk: &Disk = &(*shim).disk;
        // Where this stays null SQLite does not close the file.
        (*file).pMethods = ptr::null();
        let opened = (*(*shim).below).xOpen.unwrap()((*shim).below, name, below(file), flags, out_flags);
        if opened != ffi::SQLITE_OK {
            return opened;
        }
        let opened = (flags & kept != 0 && !name.is_null()).then(|| disk.open(&file_name(name)));
        let (file, told) = opened.map_or((None, 0), |(file, told)| (Some(file), told));
        let directory_due = flags & ffi::SQLITE_OPEN_CREATE != 0 && flags & ffi::SQLITE_OPEN_MAIN_DB == 0;
        watched.write(Watched { methods: &raw const METHODS, disk, file, told, directory_due });
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: as in `open`. The VFS below is told not to sync the directory: that is noted, not done.
    unsafe {
        let shim = vfs.cast::<Shim>();
        let deleted = (*(*shim).below).xDelete.unwrap()((*shim).below, name, 0);
        if deleted == ffi::SQLITE_OK {
            (*shim).disk.delete(&file_name(name), sync_directory & 1 != 0);
        }
        deleted
    }
}

/// # Safety
/// `name` is a string of SQLite's.
unsafe fn file_name(name: *const c_char) -> String {
    // SAFETY: it ends with a zero byte.
    let path = Path::new(std::ffi::OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes()));
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// The file of the VFS below.
///
/// # Safety
/// `file` is the memory of an open file of this VFS.
unsafe fn below(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: there are `size_of::<Watched>()` bytes, and the file below behind them. Both are aligned to eight bytes.
    unsafe { file.cast::<Watched>().add(1).cast() }
}

/// The disk and the file on it.
///
/// # Safety
/// `file` is an open file of this VFS.
unsafe fn watched<'a>(file: *mut ffi::sqlite3_file) -> (&'a Disk, Option<FileId>) {
    // SAFETY: `open` wrote it, and the disk lives as long as the VFS is mounted.
    unsafe {
        let watched = &*file.cast::<Watched>();
        (&*watched.disk, watched.file)
    }
}

/// Calls a method of the file below.
macro_rules! call_below {
    ($file:ident . $method:ident ( $($argument:expr),* )) => {{
        let below = below($file);
        (*(*below).pMethods).$method.unwrap()(below $(, $argument)*)
    }};
}

/// Methods that change nothing on the disk.
macro_rules! pass_on {
    ($($name:ident => $method:ident ( $($argument:ident : $kind:ty),* ) $(-> $given:ty)? ),+ $(,)?) => {$(
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $argument: $kind)*) $(-> $given)? {
            // SAFETY: `file` is one that `open` opened; the rest goes on as it came.
            unsafe { call_below!(file.$method($($argument),*)) }
        }
    )+};
}

pass_on! {
    close => xClose() -> c_int,
    read => xRead(into: *mut c_void, bytes: c_int, at: i64) -> c_int,
    file_size => xFileSize(size: *mut i64) -> c_int,
    lock => xLock(kind: c_int) -> c_int,
    unlock => xUnlock(kind: c_int) -> c_int,
    check_reserved_lock => xCheckReservedLock(reserved: *mut c_int) -> c_int,
    file_control => xFileControl(operation: c_int, argument: *mut c_void) -> c_int,
    sector_size => xSectorSize() -> c_int,
    device_characteristics => xDeviceCharacteristics() -> c_int,
    shm_map => xShmMap(page: c_int, page_bytes: c_int, extend: c_int, mapped: *mut *mut c_void) -> c_int,
    shm_lock => xShmLock(offset: c_int, count: c_int, flags: c_int) -> c_int,
    shm_barrier => xShmBarrier(),
    shm_unmap => xShmUnmap(delete: c_int) -> c_int,
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, bytes: c_int, at: i64) -> c_int {
    // SAFETY: as in `pass_on`; SQLite gives `bytes` bytes.
    unsafe {
        let (disk, Some(id)) = watched(file) else { return call_below!(file.xWrite(from, bytes, at)) };
        let all = std::slice::from_raw_parts(from.cast::<u8>(), usize::try_from(bytes).unwrap());
        let written = disk.write(id, usize::try_from(at).unwrap(), all, |some| {
            call_below!(file.xWrite(from, c_int::try_from(some.len()).unwrap(), at)) == ffi::SQLITE_OK
        });
        match written {
            Verdict::Done => ffi::SQLITE_OK,
            Verdict::Full => ffi::SQLITE_FULL,
            Verdict::Failed => ffi::SQLITE_IOERR_WRITE,
        }
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, bytes: i64) -> c_int {
    // SAFETY: as in `pass_on`.
    unsafe {
        let done = call_below!(file.xTruncate(bytes));
        if let (disk, Some(id)) = watched(file)
            && done == ffi::SQLITE_OK
        {
            disk.resize(id, usize::try_from(bytes).unwrap());
        }
        done
    }
}

/// Not passed on: what a sync makes certain is on paper, and the real one would only take time.
unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: as in `pass_on`. SQLite uses a file from one thread at a time.
    unsafe {
        let (disk, Some(id)) = watched(file) else { return ffi::SQLITE_OK };
        let watched = &mut *file.cast::<Watched>();
        if disk.sync(id, watched.directory_due, &mut watched.told) != Verdict::Done {
            return ffi::SQLITE_IOERR_FSYNC;
        }
        watched.directory_due = false;
        ffi::SQLITE_OK
    }
}
