//! Published SDKs as judges from outside: small scripts in Python or Node.js that read a question as JSON from standard
//! input and print the answer as JSON.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Where `test.sh` installs SDKs and servers.
pub fn tools() -> PathBuf {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.cache/test-tools"));
    std::env::var_os("HUILIU_TEST_TOOLS").map_or_else(beside, PathBuf::from)
}

/// Asks a Python script; `test.sh` installs the packages of tests/sdks/requirements.txt.
pub fn python(script: &str, question: &Value) -> Value {
    let mut command = Command::new(tools().join("python/bin/python"));
    command.args(["-c", script]);
    ask(command, question)
}

/// Asks a Node.js script; `test.sh` installs the packages of tests/sdks/npm.txt.
pub fn node(script: &str, question: &Value) -> Value {
    let mut command = Command::new("node");
    command.args(["-e", script]).env("NODE_PATH", tools().join("node/node_modules"));
    ask(command, question)
}

/// Asks a program that reads a question and prints the answer.
pub fn ask(mut command: Command, question: &Value) -> Value {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child =
        child.unwrap_or_else(|error| panic!("the judge did not start ({error}); run ./test.sh, which installs it"));
    // A judge that dies before it has read everything is told of below, with its own words.
    let _ = child.stdin.take().expect("a pipe").write_all(question.to_string().as_bytes());
    let output = child.wait_with_output().expect("the judge ends");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the judge failed; ./test.sh installs what it needs\n{told}");
    serde_json::from_slice(&output.stdout).expect("the judge answers in JSON")
}
