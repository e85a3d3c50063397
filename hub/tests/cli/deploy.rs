//! What `deploy/` says, held against those who will read it: systemd, Kubernetes' own schemas, and the program.

use std::path::{Path, PathBuf};
use std::process::Command;

use huiliu_tests::{judge, postgres};
use serde_json::{Value, json};

use crate::kit::{Folder, free_port};

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(deploy(name)).unwrap_or_else(|error| panic!("deploy/{name}: {error}"))
}

/// The documents of a YAML file, and what the schemas of Kubernetes say against each.
fn manifests(yaml: &str) -> (Vec<Value>, Vec<String>) {
    let script = "
import json, sys, yaml, kubernetes_validate
documents = list(yaml.safe_load_all(json.load(sys.stdin)))
told = []
for version in ['1.29', '1.33']:
    for document in documents:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            told.append(f'{document[\"kind\"]}: {error.message}')
print(json.dumps([documents, told]))";
    let answer = judge::python(script, &json!(yaml));
    serde_json::from_value(answer).expect("documents and mistakes")
}

fn of_kind<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    documents.iter().find(|it| it["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

#[test]
fn the_manifests_are_what_kubernetes_takes() {
    for name in ["kubernetes/huiliu.yaml", "kubernetes/single.yaml"] {
        let (documents, told) = manifests(&text(name));
        assert!(documents.len() >= 4 && told.is_empty(), "{name}: {told:#?}");
    }
    let (_, told) = manifests(&text("kubernetes/huiliu.yaml").replace("readinessProbe", "readyProbe"));
    assert_eq!(told.len(), 2, "a slip would be seen: {told:?}");
}

/// Starts the program as the manifest's pod would, and asks what the pod would be asked.
fn run(name: &str, kind: &str) {
    let (documents, _) = manifests(&text(name));
    let container = &of_kind(&documents, kind)["spec"]["template"]["spec"]["containers"][0];
    let config = of_kind(&documents, "ConfigMap")["data"]["huiliu.toml"].as_str().expect("a configuration");
    let ports: Vec<i64> = [0, 1].map(|at| container["ports"][at]["containerPort"].as_i64().expect("a port")).into();
    assert!(ports.iter().all(|port| config.contains(&format!("listen = \"0.0.0.0:{port}\""))), "{ports:?}");

    let (hooks, console) = (free_port(), free_port());
    let here = |text: &str| text.replace("0.0.0.0:7200", &format!("127.0.0.1:{hooks}"));
    let folder = Folder::new(&here(config).replace("0.0.0.0:7210", &format!("127.0.0.1:{console}")));
    let store;
    let mut env = Vec::new();
    if let Some(given) = container["env"].as_array() {
        assert_eq!((given.len(), &given[0]["name"]), (1, &json!("HUILIU_STORE")));
        store = postgres::database();
        env.push(("HUILIU_STORE", store.as_str()));
    }
    // The key comes as a file that may only be read.
    folder.write("data/secret.key", "0123456789abcdef0123456789abcdef");
    let checked = folder.command(&["check"]).envs(env.iter().copied()).output().expect("huiliu runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert_eq!(container["args"], json!(["serve"]));
    let hub = folder.serve(hooks, &env);
    for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
        let Some(path) = container[probe]["httpGet"]["path"].as_str() else { continue };
        assert_eq!(hub.get(path).0, 200, "{probe}");
    }
    assert!(std::net::TcpStream::connect(("127.0.0.1", console)).is_ok(), "the console listens");
    let is_there = folder.path().join("data/huiliu.db").is_file();
    assert_eq!(is_there, env.is_empty(), "the store of the environment comes first");
}

#[test]
fn the_pod_of_many_nodes_runs() {
    run("kubernetes/huiliu.yaml", "Deployment");
}

#[test]
fn the_pod_of_one_node_runs() {
    run("kubernetes/single.yaml", "StatefulSet");
}

#[test]
fn the_image_starts_what_the_manifests_ask_for() {
    let text = text("Containerfile");
    assert!(text.contains(r#"ENTRYPOINT ["/usr/local/bin/huiliu", "-C", "/srv/huiliu"]"#), "{text}");
    let (documents, _) = manifests(&self::text("kubernetes/huiliu.yaml"));
    let pod = &of_kind(&documents, "Deployment")["spec"]["template"]["spec"];
    assert!(text.contains(&format!("USER {0}:{0}", pod["securityContext"]["runAsUser"])), "{pod}");
    for mount in pod["containers"][0]["volumeMounts"].as_array().expect("mounts") {
        let path = mount["mountPath"].as_str().expect("a path");
        assert!(path == "/tmp" || path.starts_with("/srv/huiliu/"), "{path}");
    }
}

/// What `systemd-analyze` says of a unit.
fn systemd(args: &[&str], unit: &Path) -> (bool, String) {
    let out = Command::new("systemd-analyze").args(args).arg(unit).output();
    let out = out.expect("systemd-analyze runs; ./test.sh installs it");
    let said = [out.stdout, out.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
    (out.status.success(), said)
}

#[test]
fn systemd_takes_the_unit_and_finds_it_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = folder.path().join("huiliu.service");
    let program = env!("CARGO_BIN_EXE_huiliu");
    let right = text("systemd/huiliu.service").replace("/usr/local/bin/huiliu", program);
    std::fs::write(&unit, &right).expect("write");
    assert_eq!(systemd(&["verify", "--man=no"], &unit), (true, String::new()));
    let (closed, said) = systemd(&["security", "--offline=true", "--no-pager", "--threshold=15"], &unit);
    assert!(closed, "its exposure is above 1.5: {said}");

    std::fs::write(&unit, right.replace("ProtectHome=yes", "ProtectHme=yes")).expect("write");
    let (_, said) = systemd(&["verify", "--man=no"], &unit);
    assert!(said.contains("ProtectHme"), "a slip would be seen: {said}");
}

#[test]
fn the_units_command_serves() {
    let unit = text("systemd/huiliu.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a command");
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!(words[..3], ["/usr/local/bin/huiliu", "-C", "/var/lib/huiliu"]);
    assert_eq!(words[3..], ["serve"], "what `Folder::serve` starts");
    let port = free_port();
    let folder = Folder::new(&format!("[hub]\nlisten = '127.0.0.1:{port}'\n"));
    let given = unit.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('='));
    let hub = folder.serve(port, &given.collect::<Vec<_>>());
    assert_eq!(hub.get("/readyz").0, 200);
    assert!(folder.read("serve.log").lines().all(|line| line.starts_with('{')), "logs are JSON");
}
