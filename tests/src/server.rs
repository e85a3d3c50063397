//! A real server that answers HTTP, as a process of its own on a free loopback port: stopped as a power cut stops it, and
//! started again where it was.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The slowest start seen on a busy machine took ten seconds.
const START_MAX: Duration = Duration::from_secs(90);

/// Between two looks whether a server answers.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A port that nobody listens on, and that no outgoing call is given before somebody does, or while he is dead: the system
/// takes those from 32,768 on.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id().wrapping_mul(397) % 8_000).unwrap_or_default();
    loop {
        let port = 21_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// See the module. It ends when this is dropped.
pub struct Server {
    make: Box<dyn Fn() -> Command + Send + Sync>,
    child: Mutex<Child>,
    log: PathBuf,
    ready: &'static str,
    /// Where it listens.
    pub port: u16,
}

impl Server {
    /// Starts what `make` says, appends what it prints to the file `log`, and waits until a GET of `ready` is answered
    /// with HTTP 200.
    pub fn start(
        port: u16,
        log: PathBuf,
        ready: &'static str,
        make: impl Fn() -> Command + Send + Sync + 'static,
    ) -> Self {
        let child = Mutex::new(spawn(make(), &log));
        let server = Self { make: Box::new(make), child, log, ready, port };
        server.wait_until_up();
        server
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until_up(&self) {
        let begun = Instant::now();
        while begun.elapsed() < START_MAX {
            if answers(self.port, self.ready).is_some_and(|head| head.contains(" 200 ")) {
                return;
            }
            if let Some(status) = self.child().try_wait().expect("a child") {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        panic!("the server does not answer:\n{}", self.log());
    }

    /// Ends it at once, whatever it is doing.
    pub fn kill(&self) {
        let mut child = self.child();
        child.kill().expect("it can be ended");
        child.wait().expect("it ends");
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child().id()
    }

    /// It takes calls and does nothing with them, until it is killed.
    pub fn freeze(&self) {
        let id = self.child().id().to_string();
        let told = Command::new("kill").args(["-STOP", &id]).status().expect("a kill command");
        assert!(told.success());
    }

    /// Starts it again on the same port and data.
    pub fn restart(&self) {
        *self.child() = spawn((self.make)(), &self.log);
        self.wait_until_up();
    }

    /// What it printed so far, over all starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut child = self.child();
        child.kill().ok();
        child.wait().ok();
    }
}

fn spawn(mut command: Command, log: &PathBuf) -> Child {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
    let same = file.try_clone().expect("the same log");
    let child = command.stdin(Stdio::null()).stdout(file).stderr(same).spawn();
    child.unwrap_or_else(|error| panic!("the server did not start ({error}); run ./test.sh, which installs it"))
}

/// The first line of the answer.
fn answers(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(START_MAX)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n").ok()?;
    let mut head = [0; 64];
    let count = stream.read(&mut head).ok()?;
    Some(String::from_utf8_lossy(&head[..count]).into_owned())
}
