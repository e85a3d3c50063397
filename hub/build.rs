//! Lists what ships: every folder of `connectors/` that holds a manifest, and every file of `mappings/systems/`. The
//! folders are the list, so that a new system edits no file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where")).join("..");
    let mut text = String::new();
    let manifests = entries(&root, "connectors").into_iter().map(|name| format!("connectors/{name}/connector.toml"));
    list(&mut text, &root, "MANIFESTS", manifests.filter(|path| root.join(path).is_file()));
    let mappings = entries(&root, "mappings/systems").into_iter().map(|name| format!("mappings/systems/{name}"));
    list(&mut text, &root, "MAPPINGS", mappings);
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo says where"));
    std::fs::write(out.join("shipped.rs"), text).expect("the output folder can be written");
    fold_code();
}

/// What generic code becomes is often the same for several types: it is kept once, a tenth of the program. Rust links with
/// LLD for this target; other linkers do not know the word.
fn fold_code() {
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|it| it == value);
    if is("TARGET", "x86_64-unknown-linux-gnu") && is("PROFILE", "release") {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
        if is("HOST", "x86_64-unknown-linux-gnu") && loader_unpacks() {
            println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
    }
}

/// Whether this system's loader knows the packed list of what it is to correct when the program starts, 1.6 MB shorter than
/// the plain one: glibc does since 2.36. A program that was linked so says what it needs where it is older.
fn loader_unpacks() -> bool {
    let asked = std::process::Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let said = asked.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default();
    let version = said.strip_prefix("glibc ").and_then(|it| it.split_once('.'));
    version
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)))
        .is_some_and(|it: (u32, u32)| it >= (2, 36))
}

/// The names in a folder, sorted; cargo runs this again when one comes or goes.
fn entries(root: &Path, folder: &str) -> Vec<String> {
    println!("cargo::rerun-if-changed={}", root.join(folder).display());
    let found = std::fs::read_dir(root.join(folder)).expect("the folder is there");
    let mut names: Vec<String> =
        found.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn list(text: &mut String, root: &Path, name: &str, paths: impl Iterator<Item = String>) {
    let _ = writeln!(text, "const {name}: &[File<'static>] = &[");
    for path in paths {
        let _ = writeln!(text, "    (\"{path}\", include_str!(\"{}\")),", root.join(&path).display());
    }
    text.push_str("];\n");
}
