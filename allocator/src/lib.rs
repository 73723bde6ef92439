//! jemalloc as the allocator of the program, and the one thing about it that no safe interface offers: giving back at once what it keeps
//! for later. It is a crate of its own so that the program itself can forbid unsafe code.

#[cfg(not(target_env = "msvc"))]
pub use tikv_jemallocator::Jemalloc as Allocator;

/// The system's allocator, where jemalloc does not build.
#[cfg(target_env = "msvc")]
pub use std::alloc::System as Allocator;

/// Gives all memory back to the system that the allocator holds and nobody uses. jemalloc does so by itself, some seconds later.
#[cfg(not(target_env = "msvc"))]
pub fn release_unused() {
    /// `MALLCTL_ARENAS_ALL` stands for all arenas.
    const PURGE: &std::ffi::CStr = c"arena.4096.purge";
    let none = std::ptr::null_mut();
    // SAFETY: the name is a C string that lives as long as the program, and `arena.<i>.purge` neither reads a value nor writes one, so all
    // other arguments must be null or zero, as they are. It may be called on any thread at any time.
    // A control that is not there says so by its answer, and then nothing is given back.
    let _ = unsafe { tikv_jemalloc_sys::mallctl(PURGE.as_ptr(), none, none.cast(), none, 0) };
}

/// Gives nothing back.
#[cfg(target_env = "msvc")]
pub fn release_unused() {}
