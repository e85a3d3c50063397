//! How the program takes memory from the system.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// For so many milliseconds the allocator keeps what nobody uses. Left to itself it keeps it for a second, in which a hub that
/// is busy takes a fifth more than it needs; where it keeps nothing, work takes a tenth longer.
const KEEPS: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "50");

/// Does without huge pages, and lets the allocator give back early what it does not use. To be called first: the program begins
/// anew by it.
pub fn keep_small() {
    // Huge pages stay whole where a few bytes of each are needed, and an idle hub would hold twice as much. Where the
    // kernel knows of none there is nothing to turn off.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    begin_anew();
}

/// Lets the allocator give back what nobody uses by now: it looks for that only where something large is taken or freed, which
/// a program at rest does not do.
pub fn give_back() {
    const LARGE: usize = 1 << 22;
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE)));
}

/// The allocator reads its settings before the program itself begins. Whoever set another value keeps it, and where the
/// program cannot be begun anew, or another one runs it (a loader), it goes on and takes more.
fn begin_anew() {
    let (name, value) = KEEPS;
    let mut args = std::env::args_os();
    if std::env::var_os(name).is_none()
        && let (Some(called), Ok(program)) = (args.next(), std::env::current_exe())
        && Path::new(&called).file_name() == program.file_name()
    {
        let _ = Command::new(program).arg0(called).args(args).env(name, value).exec();
    }
}
