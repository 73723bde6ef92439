//! The program's allocator, jemalloc, and a function that returns unused memory to the system at once. No safe interface offers that, so this
//! is a crate of its own, and the program itself can forbid unsafe code.

#[cfg(not(target_env = "msvc"))]
pub use tikv_jemallocator::Jemalloc as Allocator;

/// The system's allocator, where jemalloc does not build.
#[cfg(target_env = "msvc")]
pub use std::alloc::System as Allocator;

/// Returns all memory to the system that the allocator keeps and that is not in use. By itself jemalloc does so some seconds later.
#[cfg(not(target_env = "msvc"))]
pub fn release_unused() {
    /// The number 4096 is `MALLCTL_ARENAS_ALL`, which stands for all arenas.
    const PURGE: &std::ffi::CStr = c"arena.4096.purge";
    let none = std::ptr::null_mut();
    // SAFETY: the name is a C string that lives as long as the program, and `arena.<i>.purge` neither reads a value nor writes one, so all
    // other arguments must be null or zero, as they are. It may be called on any thread at any time.
    // If the control does not exist, the call returns an error and nothing is returned to the system.
    let _ = unsafe { tikv_jemalloc_sys::mallctl(PURGE.as_ptr(), none, none.cast(), none, 0) };
}

/// Does nothing: the system's allocator has no such function.
#[cfg(target_env = "msvc")]
pub fn release_unused() {}
