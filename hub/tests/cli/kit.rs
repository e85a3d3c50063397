//! A deployment folder, and the program running on it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use huiliu_tests::server::free_port;

/// Nothing here takes longer on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A deployment folder.
pub struct Folder(tempfile::TempDir);

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Whether it succeeded.
    pub fine: bool,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            fine: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Said {
    /// Standard output of a command that had to succeed.
    #[track_caller]
    pub fn out(self) -> String {
        assert!(self.fine, "{}\n{}", self.out, self.err);
        self.out
    }
}

impl Said {
    /// Standard output, read as JSON.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.out()).expect("JSON")
    }

    /// Standard output of a command that had to fail.
    #[track_caller]
    pub fn out_of_failure(self) -> String {
        assert!(!self.fine, "{}", self.out);
        self.out
    }

    /// Standard error of a command that had to fail.
    #[track_caller]
    pub fn err(self) -> String {
        assert!(!self.fine, "{}", self.out);
        self.err
    }
}

impl Folder {
    /// A folder with this huiliu.toml.
    pub fn new(config: &str) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        folder.write("huiliu.toml", config);
        folder
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn run(&self, args: &[&str]) -> Said {
        self.command(args).stdin(Stdio::null()).output().expect("huiliu runs").into()
    }

    /// Writes a file of the folder.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("write");
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).expect("read")
    }

    /// The program on this folder, ready to be started. It speaks English.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_huiliu"));
        command.arg("-C").arg(self.path()).args(args).env("HUILIU_LANG", "en").env_remove("RUST_LOG");
        command
    }

    /// Runs with a text on standard input.
    pub fn tell(&self, args: &[&str], input: &str) -> Said {
        let mut command = self.command(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A program that ends without reading closes the pipe: what it says tells why.
        let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        child.wait_with_output().expect("huiliu runs").into()
    }

    /// Serves on `port` until dropped; logs go to `serve.log`.
    pub fn serve(&self, port: u16, env: &[(&str, &str)]) -> Serving {
        let log = std::fs::File::create(self.path().join("serve.log")).expect("a log");
        let mut command = self.command(&["serve"]);
        command.envs(env.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let serving = Serving { child: command.spawn().expect("huiliu starts"), port };
        let ready = || TcpStream::connect(("127.0.0.1", port)).is_ok() && serving.get("/readyz").0 == 200;
        until("serve is ready", || ready().then_some(()));
        serving
    }
}

/// A running `huiliu serve`.
pub struct Serving {
    child: Child,
    port: u16,
}

impl Serving {
    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Status and body of a GET.
    pub fn get(&self, path: &str) -> (u16, String) {
        self.call("GET", path, &[], "")
    }

    /// Status and body of a call.
    pub fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        call(self.port, method, path, headers, body)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again until there is an answer.
#[track_caller]
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: not within {} s", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Lets a script of this folder act in a real browser; what it tells.
pub fn browse(script: &str, question: &serde_json::Value) -> serde_json::Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tools = std::env::var_os("HUILIU_TEST_TOOLS").map_or_else(|| root.join("../.cache/test-tools"), PathBuf::from);
    let mut command = Command::new("node");
    command.arg(root.join("tests/cli").join(script)).arg(tools.join("node"));
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("Node.js starts; ./test.sh installs it");
    let _ = child.stdin.take().expect("a pipe").write_all(question.to_string().as_bytes());
    let output = child.wait_with_output().expect("the script ends");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} failed; ./test.sh installs what it needs\n{told}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A call to a scripted server.
pub struct Call {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// Serves HTTP by a script until the test ends; returns the port.
pub fn script(answer: impl FnMut(&Call) -> (u16, String) + Send + 'static) -> u16 {
    script_after(|_| {}, answer)
}

/// As [`script`]; each call waits for itself first, beside the others.
pub fn script_after(
    wait: impl Fn(&Call) + Send + Sync + 'static,
    answer: impl FnMut(&Call) -> (u16, String) + Send + 'static,
) -> u16 {
    let (wait, answer) = (Arc::new(wait), Arc::new(Mutex::new(answer)));
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (wait, answer) = (wait.clone(), answer.clone());
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                let Some(call) = read(&mut reader) else { return };
                wait(&call);
                let (status, body) = (answer.lock().expect("no panic"))(&call);
                let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n");
                let length = body.len();
                let _ = write!(reader.get_mut(), "{head}Content-Length: {length}\r\n\r\n{body}");
            });
        }
    });
    port
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Call> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Call { method, target, headers, body: String::from_utf8(body).ok()? })
}

/// Status and body of a call.
pub fn call(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(request.as_bytes()).expect("send");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status");
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}
