//! Standard output and standard error of a component, by way of the host's `log.print`.
//!
//! Rust's standard library prints through wasi-libc, and wasi-libc through WASI, which takes text from the component's memory.
//! Nearly every component can panic, a panic prints, and so nearly every component would import WASI's streams, and be linked
//! through two more modules and a table that give them that memory: half the cost of an instance, for text that is hardly ever
//! written. These functions stand in for the ones of wasi-libc and hand the text over by value.
//!
//! The linker takes what it finds first, and the SDK comes before the C library. What a program asks of WASI itself (clocks,
//! chance, its exit) is imported as ever.

#![expect(unsafe_code, reason = "the C library's functions have no safe form; each does one thing")]

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use crate::__bindings::sink::lockgate::plugin::log::{Output, print};

/// What the host takes at once.
const PIECE_BYTES_MAX: usize = 64;

/// `struct iovec` (POSIX, `sys/uio.h`).
#[repr(C)]
struct IoVec {
    base: *const u8,
    len: usize,
}

/// `writev` of POSIX. There are no other files than standard output and standard error.
#[unsafe(no_mangle)]
unsafe extern "C" fn writev(file: c_int, pieces: *const IoVec, count: c_int) -> isize {
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: the caller promises `count` pieces, as POSIX says.
    let pieces = if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(pieces, count) } };
    let mut written = 0;
    for piece in pieces {
        // SAFETY: the caller promises each of them.
        match unsafe { write(file, piece.base.cast(), piece.len) } {
            -1 => return -1,
            bytes => written += bytes,
        }
    }
    written
}

/// `write` of POSIX, the same.
#[unsafe(no_mangle)]
unsafe extern "C" fn write(file: c_int, bytes: *const c_void, count: usize) -> isize {
    let to = match file {
        1 => Output::Standard,
        2 => Output::Error,
        _ => return -1,
    };
    // SAFETY: the caller promises `count` bytes, as POSIX says.
    let text = if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), count) } };
    for piece in text.chunks(PIECE_BYTES_MAX) {
        print_piece(to, piece);
    }
    isize::try_from(count).unwrap_or(isize::MAX)
}

fn print_piece(to: Output, piece: &[u8]) {
    let mut bytes = [0; PIECE_BYTES_MAX];
    bytes[..piece.len()].copy_from_slice(piece);
    let number = |index: usize| std::array::from_fn(|offset| bytes[index * 8 + offset]);
    let [a, b, c, d, e, f, g, h] = std::array::from_fn(|index| u64::from_le_bytes(number(index)));
    print(to, piece.len() as u8, (a, b, c, d, e, f, g, h));
}

/// `getenv` of POSIX: a component has no environment, so there is no need to ask for it. A panic looks for `RUST_BACKTRACE`.
#[unsafe(no_mangle)]
extern "C" fn getenv(_: *const c_char) -> *const c_char {
    ptr::null()
}
