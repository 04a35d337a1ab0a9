//! The allocator of a component: a block that is filled from its start, and the C library's allocator behind it.
//!
//! An instance lives for one call, and most calls need a few kilobytes. The C library's allocator has to set up its lists first and
//! writes to both ends of the memory it manages; every page it touches is one that the host wipes after the call. A block that is
//! only filled touches what it gives away, and nothing needs to be set up. What does not fit goes to the C library, so that a call
//! with much to do reuses what it frees, as ever.
//!
//! A plugin that brings an allocator of its own takes the SDK without its feature `arena`.

#![expect(unsafe_code, reason = "an allocator cannot be written without; every block is within the arena or the C library's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};
use std::ptr;

#[cfg(target_feature = "atomics")]
compile_error!("the SDK's allocator is for components of one thread, and a host runs no others");

/// What is given away without asking the C library. Larger, and a call that allocates and frees much touches more pages than it
/// needs at a time.
const ARENA_BYTES: usize = 32 * 1024;

#[global_allocator]
static ALLOCATOR: Arena = Arena { bytes: UnsafeCell::new([0; ARENA_BYTES]), used: Cell::new(0), blocks: Cell::new(0) };

#[repr(C, align(16))]
struct Arena {
    bytes: UnsafeCell<[u8; ARENA_BYTES]>,
    /// Everything from here on is free.
    used: Cell<usize>,
    /// How many blocks are given away. When the last comes back, all is free again.
    blocks: Cell<usize>,
}

// SAFETY: a component has one thread; threads and shared memory are off in the host's engine.
unsafe impl Sync for Arena {}

impl Arena {
    /// Where `block` starts in the arena; none if it is the C library's.
    fn start(&self, block: *mut u8) -> Option<usize> {
        let start = block.addr().wrapping_sub(self.bytes.get().addr());
        (start < ARENA_BYTES).then_some(start)
    }
}

// SAFETY: a block given away lies between two values of `used`, which falls only to the start of a block that came back or, once
// none is given away, to zero; so no two overlap. The arena is aligned to 16, more is asked of the C library.
unsafe impl GlobalAlloc for Arena {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.used.get().next_multiple_of(layout.align());
        let end = start.saturating_add(layout.size());
        if end > ARENA_BYTES || layout.align() > align_of::<Self>() {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc(layout) };
        }
        self.used.set(end);
        self.blocks.set(self.blocks.get() + 1);
        // SAFETY: within the arena.
        unsafe { self.bytes.get().cast::<u8>().add(start) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(start) = self.start(block) else {
            // SAFETY: not of the arena, so it is the C library's.
            return unsafe { System.dealloc(block, layout) };
        };
        let blocks = self.blocks.get() - 1;
        self.blocks.set(blocks);
        if blocks == 0 {
            self.used.set(0);
        } else if start + layout.size() == self.used.get() {
            self.used.set(start);
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(start) = self.start(block) else {
            // SAFETY: not of the arena, so it is the C library's.
            return unsafe { System.realloc(block, layout, size) };
        };
        let is_last = start + layout.size() == self.used.get();
        if is_last && start.saturating_add(size) <= ARENA_BYTES {
            self.used.set(start + size);
            return block;
        }
        // SAFETY: `size` is a size for this alignment, as the caller promises; two blocks never overlap.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}
