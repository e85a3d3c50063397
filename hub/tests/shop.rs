//! The first minutes with a real shop, of both READMEs, as a reader would type them; only the port is another.

use std::path::Path;
use std::process::Command;

fn follow(readme: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join(readme)).expect("the README is there");
    let block = text.split("```").find(|block| block.contains("servers/oscar/open.sh")).expect("the shop is a block");
    let folder = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink(root.join("tests"), folder.path().join("tests")).expect("a link");
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
    let typed = block.trim_start_matches("sh\n").replace("8000", &port.to_string());
    // A shop that a mistake leaves open is closed.
    let script =
        format!("set -eo pipefail\ntrap 'kill $(cat oscar/pid 2>/dev/null) 2>/dev/null || true' EXIT\n{typed}");
    let bin = Path::new(env!("CARGO_BIN_EXE_huiliu")).parent().expect("a folder of programs");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]).current_dir(folder.path());
    let ran = bash.env("PATH", &path).env("HUILIU_LANG", "en").output().expect("bash runs");
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{told}\n{}", String::from_utf8_lossy(&ran.stderr));
    assert!(told.contains("6 golden records made"), "{told}");
    assert!(told.contains("total 256.00 CNY"), "{told}");
    // Its last line closes the shop.
    let closed = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        std::net::TcpStream::connect(("127.0.0.1", port)).is_err()
    });
    assert!(closed, "the shop is still open");
    assert!(told.contains("\"first_name\":\"小珊\""), "{told}");
}

#[test]
fn the_english_shop_opens() {
    follow("README.md");
}

#[test]
fn the_chinese_shop_opens() {
    follow("README.zh-CN.md");
}
