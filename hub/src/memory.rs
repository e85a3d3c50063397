//! How the program takes memory from the system.

/// Does without huge pages: they stay whole where a few bytes of each are needed, and an idle hub would hold twice as much.
/// Where the kernel knows of none there is nothing to turn off.
pub fn keep_small() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
