//! A real Dovecot, started with its own configuration in its own folder, on a free loopback port.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::server::free_port;

/// The account; the server takes any name.
pub const USERNAME: &str = "hub@example.test";

/// The password of every account.
pub const PASSWORD: &str = "correct-horse";

/// The account that mail belongs to when the test runs as root: Dovecot gives no mail to root.
const NOBODY: u32 = 65534;

/// A running server with one mailbox, `INBOX` and `Sent` in it. It ends when this is dropped.
pub struct Dovecot {
    child: Child,
    dir: tempfile::TempDir,
    /// Where it speaks in the clear, and STARTTLS.
    pub port: u16,
    /// Where it speaks TLS from the first byte.
    pub tls_port: u16,
    delivered: usize,
}

fn program() -> PathBuf {
    let known = ["/usr/sbin/dovecot", "/usr/local/sbin/dovecot", "/opt/homebrew/sbin/dovecot"].map(PathBuf::from);
    let found = known.into_iter().find(|path| path.exists());
    found.expect("these tests need a Dovecot IMAP server: install it with `apt-get install dovecot-imapd`")
}

impl Dovecot {
    /// Starts it; its mailbox is empty.
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("dc").tempdir_in("/tmp").unwrap();
        let me = std::fs::metadata(dir.path()).unwrap();
        let root = me.uid() == 0;
        let (uid, gid) = if root { (NOBODY, NOBODY) } else { (me.uid(), me.gid()) };
        for folder in ["run", "state", "mail", "mail/new", "mail/cur", "mail/tmp", "mail/.Sent"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        for folder in ["mail", "mail/new", "mail/cur", "mail/tmp", "mail/.Sent"] {
            if root {
                chown(dir.path().join(folder), Some(uid), Some(gid)).unwrap();
            }
        }
        make_certificate(dir.path());
        let (port, tls_port) = (free_port(), free_port());
        let user = if root {
            String::new()
        } else {
            format!("default_login_user = {0}\ndefault_internal_user = {0}", name_of_me())
        };
        let home = dir.path().display();
        let config = format!(
            "protocols = imap\nbase_dir = {home}/run\nstate_dir = {home}/state\nlog_path = {home}/log\n{user}\n\
             ssl = yes\nssl_cert = <{home}/cert.pem\nssl_key = <{home}/key.pem\ndisable_plaintext_auth = no\n\
             mail_location = maildir:{home}/mail\nfirst_valid_uid = 1\nauth_failure_delay = 0\n\
             passdb {{\n driver = static\n args = password={PASSWORD}\n}}\n\
             userdb {{\n driver = static\n args = uid={uid} gid={gid} home={home}/mail\n}}\n\
             service imap-login {{\n chroot =\n inet_listener imap {{\n address = 127.0.0.1\n port = {port}\n }}\n\
             inet_listener imaps {{\n address = 127.0.0.1\n port = {tls_port}\n ssl = yes\n }}\n}}\n\
             service anvil {{\n chroot =\n unix_listener anvil-auth-penalty {{\n mode = 0\n }}\n}}\n\
             service stats {{\n chroot =\n}}\n"
        );
        std::fs::write(dir.path().join("dovecot.conf"), config).unwrap();
        let mut command = Command::new(program());
        command.arg("-F").arg("-c").arg(dir.path().join("dovecot.conf")).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut dovecot = Self { child, dir, port, tls_port, delivered: 0 };
        dovecot.wait_until_up();
        dovecot
    }

    fn wait_until_up(&mut self) {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)) {
                let mut greeting = String::new();
                if BufReader::new(stream).read_line(&mut greeting).is_ok_and(|_| greeting.starts_with("* OK")) {
                    return;
                }
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("Dovecot ended with {status}: {}", self.log());
            }
            std::thread::yield_now();
        }
        panic!("Dovecot does not answer: {}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Its certificate, as the file of a private authority.
    pub fn certificate(&self) -> String {
        self.dir.path().join("cert.pem").display().to_string()
    }

    /// Puts a mail into the inbox as a delivery agent does: written whole, then moved into `new`.
    pub fn deliver(&mut self, raw: &[u8], received_s: i64) {
        self.delivered += 1;
        let mail = self.dir.path().join("mail");
        let name = format!("{}.M{}P1.test", received_s, 1_000_000 + self.delivered);
        let written = mail.join("tmp").join(&name);
        let mut file = std::fs::File::create(&written).unwrap();
        file.write_all(raw).unwrap();
        let received = SystemTime::UNIX_EPOCH + Duration::from_secs(received_s.unsigned_abs());
        file.set_modified(received).unwrap();
        let owner = std::fs::metadata(&mail).unwrap();
        chown(&written, Some(owner.uid()), Some(owner.gid())).unwrap();
        std::fs::rename(&written, mail.join("new").join(&name)).unwrap();
    }

    /// Removes the inbox with its index and its list of UIDs, and lets the next delivery make it anew.
    pub fn renew_inbox(&self) {
        let mail = self.dir.path().join("mail");
        for entry in std::fs::read_dir(&mail).unwrap().map(Result::unwrap) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("dovecot") && !name.starts_with("dovecot-uidvalidity") {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
        for folder in ["new", "cur"] {
            for entry in std::fs::read_dir(mail.join(folder)).unwrap().map(Result::unwrap) {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
    }

    /// What a person's mail program says to the server after login and opening the inbox.
    pub fn say(&self, commands: &[&str]) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut answers = BufReader::new(stream.try_clone().unwrap());
        let login = format!("LOGIN {USERNAME} {PASSWORD}");
        for command in [login.as_str(), "SELECT INBOX"].iter().chain(commands) {
            write!(stream, "t {command}\r\n").unwrap();
            let mut line = String::new();
            while !line.starts_with("t ") {
                line.clear();
                assert!(answers.read_line(&mut line).unwrap() > 0, "the line broke at {command}");
            }
            assert!(line.starts_with("t OK"), "{command}: {line}");
        }
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let config = self.dir.path().join("dovecot.conf");
        let stopped = Command::new(program()).arg("-c").arg(config).arg("stop").stderr(Stdio::null()).status();
        if !stopped.is_ok_and(|status| status.success()) {
            self.child.kill().ok();
        }
        self.child.wait().ok();
    }
}

fn name_of_me() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A certificate of its own for `localhost`; Dovecot's package brings openssl along.
fn make_certificate(dir: &Path) {
    let subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(subject)
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(dir.join("key.pem"))
        .arg("-out")
        .arg(dir.join("cert.pem"))
        .stderr(Stdio::null())
        .status();
    assert!(made.is_ok_and(|status| status.success()), "these tests need openssl: `apt-get install openssl`");
}
