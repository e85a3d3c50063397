//! Restate, a durable engine that installs from npm, as a peer: calls are sent to a handler that does nothing, each under
//! its event's id as the idempotency key, and are answered once they are in its log, which it syncs. It proves no signature.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::text;

/// Where a call to it goes.
pub const PATH: &str = "/intake/take/send";

/// What an event's id is called there.
pub const KEY: &str = "Idempotency-Key";

const HANDLER: &str = r#"
import * as restate from "@restatedev/restate-sdk";
const intake = restate.service({ name: "intake", handlers: { take: async () => {} } });
await restate.serve({ services: [intake], port: Number(process.argv[2]) });
"#;

/// A start takes a second.
const START_MAX: Duration = Duration::from_secs(30);

/// Ends with this program.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves over a folder until killed; `installed`: where npm put it. Prints its port.
pub async fn serve(installed: &Path, folder: &Path) -> Result<(), String> {
    let modules = installed.join("node_modules");
    let program = modules.join("@restatedev/restate-server-linux-x64/bin/restate-server");
    std::os::unix::fs::symlink(modules.canonicalize().map_err(text)?, folder.join("node_modules")).map_err(text)?;
    std::fs::write(folder.join("handler.mjs"), HANDLER).map_err(text)?;
    let [handler, ingress, admin, node] = [(); 4].map(|()| huiliu_tests::server::free_port());
    let mut command = Command::new("node");
    command.arg(folder.join("handler.mjs")).arg(handler.to_string());
    let mut children = vec![started(command)?];
    let mut command = Command::new(&program);
    command.arg("--no-logo").env("RESTATE_LISTEN_MODE", "tcp").env("RESTATE_BASE_DIR", folder.join("restate"));
    command.env("RESTATE_DISABLE_TELEMETRY", "true").env("DO_NOT_TRACK", "1");
    for (name, port) in [("", node), ("INGRESS__", ingress), ("ADMIN__", admin)] {
        command.env(format!("RESTATE_{name}BIND_ADDRESS"), format!("127.0.0.1:{port}"));
    }
    children.push(started(command)?);
    let body = format!("{{\"uri\":\"http://127.0.0.1:{handler}\"}}");
    let begun = Instant::now();
    while !is_known(admin, &body).await {
        if begun.elapsed() > START_MAX {
            return Err(format!("{} does not answer", program.display()));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{ingress}");
    std::future::pending::<()>().await;
    drop(children);
    Ok(())
}

fn started(mut command: Command) -> Result<Ended, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.map(Ended).map_err(|error| format!("{name}: {error}; see benches/README.md for how to install the peer"))
}

/// Makes the handler known to the server; false: one of them is not there yet.
async fn is_known(admin: u16, body: &str) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(("127.0.0.1", admin)).await.ok()?;
        let call = format!(
            "POST /deployments HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(call.as_bytes()).await.ok()?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await.ok()?;
        Some(reply.starts_with(b"HTTP/1.1 201") || reply.starts_with(b"HTTP/1.1 200"))
    };
    asked.await.unwrap_or(false)
}
