//! What is asked at a terminal: a person of Python sits at it, through a terminal of the machine.

use std::process::{Command, Stdio};

use crate::kit::Folder;

/// Waits for each question and types its answer; prints all that was seen. Ends with the program's status, and ends a
/// program that asks something else.
const PERSON: &str = r#"
import json, os, pty, select, signal, sys, time
turns, argv = json.loads(sys.argv[1]), sys.argv[2:]
pid, master = pty.fork()
if pid == 0:
    os.execv(argv[0], argv)
seen, at, began = b"", 0, time.monotonic()
while time.monotonic() - began < 60:
    if select.select([master], [], [], 0.2)[0]:
        try:
            more = os.read(master, 65536)
        except OSError:
            break
        if not more:
            break
        seen += more
    if turns and turns[0][0].encode() in seen[at:]:
        question, answer = turns.pop(0)
        at = seen.index(question.encode(), at) + len(question.encode())
        time.sleep(0.1)
        os.write(master, (answer + "\n").encode())
sys.stdout.buffer.write(seen)
sys.stdout.flush()
if turns:
    os.kill(pid, signal.SIGKILL)
    sys.exit(f"never asked: {turns[0][0]}")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// Runs the program at a terminal; what was seen there, and whether it ended well.
#[track_caller]
fn at_terminal(folder: &Folder, args: &[&str], turns: &[(&str, &str)]) -> (bool, String) {
    let turns = serde_json::to_string(turns).unwrap();
    let program = folder.command(args);
    let mut command = Command::new("python3");
    command.args(["-c", PERSON, &turns]).arg(program.get_program()).args(program.get_args());
    command.env("HUILIU_LANG", "en").env_remove("RUST_LOG").env("TERM", "xterm");
    let ran = command.stdin(Stdio::null()).output().expect("python3 runs");
    let told = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(!told.contains("never asked"), "{told}\n{}", String::from_utf8_lossy(&ran.stdout));
    (ran.status.success(), String::from_utf8_lossy(&ran.stdout).into_owned())
}

/// A deployment that brings a connector with one setting and one secret.
fn deployment() -> Folder {
    let folder = Folder::new("[hub]\n");
    folder.run(&["connector", "new", "till"]).out();
    let manifest = folder.read("connectors/till/connector.toml");
    let manifest = manifest.replace("https://{config.account}.example.com/api", "{config.account}");
    let (manifest, _) = manifest.split_once("\n[webhook]").expect("the webhook stands at the end");
    let fits = |line: &&str| !line.starts_with("webhook = ");
    let manifest: Vec<&str> = manifest.lines().filter(fits).collect();
    folder.write("connectors/till/connector.toml", &manifest.join("\n").replace("\"string\"", "\"url\""));
    folder
}

#[test]
fn connect_asks_for_settings_and_secrets_in_english() {
    let folder = deployment();
    let turns = [
        ("config.account: ", ""),
        ("A value is needed.", "http://127.0.0.1:9"),
        ("May till call private addresses? [y/N] ", "n"),
        ("secret.token: ", ""),
        ("A value is needed; it is not shown", "s3cret"),
    ];
    let (fine, seen) = at_terminal(&folder, &["connect", "till", "--connector", "till"], &turns);
    assert!(!fine, "a private address is not called: {seen}");
    assert!(seen.contains("added [connections.till]"), "{seen}");
    assert!(seen.contains("secret.token: missing"), "{seen}");
    assert!(!seen.contains("s3cret"), "a secret is not shown while it is typed: {seen}");
    assert!(!folder.read("huiliu.toml").contains("\nnetwork ="), "{}", folder.read("huiliu.toml"));
    assert!(seen.contains("The system does not answer as expected"), "{seen}");
    let (_, seen) = at_terminal(&folder, &["connect", "till", "--again"], &[("(Enter keeps the sealed one): ", "")]);
    assert!(seen.contains("secret.token: sealed"), "{seen}");
}

#[test]
fn connect_asks_for_settings_and_secrets_in_chinese() {
    let folder = deployment();
    let turns = [
        ("config.account: ", ""),
        ("必须填写。", "http://127.0.0.1:9"),
        ("允许 till 访问内网地址吗？[y/N] ", "是"),
        ("secret.token: ", ""),
        ("必须填写；输入时不会显示。", "s3cret"),
    ];
    let (fine, seen) = at_terminal(&folder, &["--lang", "zh", "connect", "till", "--connector", "till"], &turns);
    assert!(!fine && seen.contains("已把 [connections.till] 写入") && seen.contains("secret.token: 缺少"), "{seen}");
    assert!(folder.read("huiliu.toml").contains("\nnetwork = \"private\""), "{}", folder.read("huiliu.toml"));
    assert!(!seen.contains("s3cret") && seen.contains("暂时无法访问该系统"), "nothing listens there: {seen}");
    let (_, seen) =
        at_terminal(&folder, &["--lang", "zh", "connect", "till", "--again"], &[("（回车保留已封存的值）: ", "")]);
    assert!(seen.contains("secret.token: 已封存"), "{seen}");
}

#[test]
fn import_shows_what_would_happen_and_asks() {
    let folder =
        Folder::new("[connections.members]\nconnector = 'file'\nmapping = 'mappings/members.toml'\nkey = 'id'\n");
    folder.write("mappings/members.toml", "[rows]\nentity = 'customer'\n[rows.fields]\ndisplay_name = '/name'\n");
    folder.write("members.csv", "id,name\n1,李雷\n");
    let file = folder.path().join("members.csv").display().to_string();
    let import = ["import", file.as_str(), "--connection", "members"];
    let (fine, seen) = at_terminal(&folder, &import, &[("Import it? [y/N] ", "n")]);
    assert!(fine && seen.contains("New golden records") && seen.contains("Nothing was imported."), "{seen}");
    assert_eq!(folder.run(&["export"]).out(), "");
    let chinese: Vec<&str> = ["--lang", "zh"].iter().chain(&import).copied().collect();
    let (fine, seen) = at_terminal(&folder, &chinese, &[("确认导入？[y/N] ", "是")]);
    assert!(fine && seen.contains("新建主记录") && seen.contains("1 行：新建主记录 1"), "{seen}");
    assert_eq!(folder.run(&["export"]).out().lines().count(), 1);
    let (fine, seen) = at_terminal(&folder, &[&import[..], &["--yes"]].concat(), &[]);
    assert!(fine && !seen.contains("Import it?"), "{seen}");
}
