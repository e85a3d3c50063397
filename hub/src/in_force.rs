//! The files that say how the hub works: which they are, copies of those that were in force, and their way back.
//!
//! Copies stand in the deployment's own folder, under `data/in_force/DIGEST`, with the rights of their originals: what a
//! configuration says about its store is nobody else's business.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use huiliu_core::proposal::{self, Files, Schedule};
use huiliu_core::store::proposals;

use crate::config;
use crate::deployment::Deployment;
use crate::run;

/// Files by their names in the folder.
type Texts = BTreeMap<String, String>;

/// Folders whose `.toml` files count.
const FOLDERS: [&str; 2] = ["rules", "mappings"];

/// The files of a deployment and what they say about pulling.
///
/// # Errors
/// A file cannot be read, or a schedule is none.
pub fn files(at: &Deployment) -> Result<Files, String> {
    let mut schedule = Schedule::new();
    for connection in at.engine.connections.values() {
        for (stream, every) in run::schedule(at, connection)? {
            let seconds = i64::try_from(every.as_secs()).unwrap_or(i64::MAX);
            schedule.insert(format!("{}/{stream}", connection.name), seconds);
        }
    }
    Ok(Files::of(&texts(&at.folder)?, schedule))
}

/// Notes that a deployment's files are in force, keeps copies of them, and binds its engine to them.
///
/// # Errors
/// The files cannot be read or copied, or the store failed.
pub fn enter(at: &Deployment) -> Result<(), String> {
    let files = files(at)?;
    keep(&at.folder, &files)?;
    let number = proposal::come_into_force(&at.engine, &files).map_err(|error| error.to_string())?;
    at.engine.work_by(number);
    Ok(())
}

/// Makes sure that the files of this folder are those in force.
///
/// # Errors
/// They are others, or cannot be read.
pub fn expect(at: &Deployment) -> Result<(), String> {
    let files = files(at)?;
    let in_force = at.engine.store.read(proposals::in_force).map_err(|error| error.to_string())?;
    match in_force {
        Some(in_force) if in_force.files != files.digest => Err(format!(
            "the files in {} are not those that came into force elsewhere; bring them over, and start it again",
            at.folder.display()
        )),
        _ => Ok(()),
    }
}

/// Keeps copies of a folder's files, which have this digest.
///
/// # Errors
/// They cannot be read or copied.
pub fn keep(folder: &Path, files: &Files) -> Result<(), String> {
    let copies = copies(folder, &files.digest);
    let told = |path: &Path, error: std::io::Error| format!("{}: cannot be written: {error}", path.display());
    let all = copies.parent().unwrap_or(folder);
    std::fs::create_dir_all(all).map_err(|error| told(all, error))?;
    // Nodes of one folder start side by side. A killed one's lock is free.
    let turn = all.join("lock");
    let _turn = std::fs::File::create(&turn).and_then(|file| file.lock().map(|()| file)).map_err(|e| told(&turn, e))?;
    if copies.is_dir() {
        return Ok(());
    }
    // A folder that is half there would be taken for all there was.
    let fresh = copies.with_extension("new");
    if let Err(error) = std::fs::remove_dir_all(&fresh)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(told(&fresh, error));
    }
    std::fs::create_dir_all(&fresh).map_err(|error| told(&fresh, error))?;
    for name in texts(folder)?.keys() {
        let to = fresh.join(name);
        std::fs::create_dir_all(to.parent().unwrap_or(&fresh)).map_err(|error| told(&to, error))?;
        std::fs::copy(folder.join(name), &to).map_err(|error| told(&to, error))?;
    }
    std::fs::rename(&fresh, &copies).map_err(|error| told(&copies, error))
}

/// Puts the files that were in force under `former` back in the place of those of the digest `applied`. Returns the names
/// of what was changed.
///
/// # Errors
/// There are no copies, or a file is neither: then nothing is changed.
pub fn put_back(folder: &Path, applied: &str, former: &str) -> Result<Vec<String>, String> {
    let (now, applied, former) = (texts(folder)?, copied(folder, applied)?, copied(folder, former)?);
    let names: BTreeSet<&String> = now.keys().chain(former.keys()).collect();
    let differing: Vec<&String> = names.into_iter().filter(|name| now.get(*name) != former.get(*name)).collect();
    if let Some(name) = differing.iter().find(|name| now.get(**name) != applied.get(**name)) {
        return Err(format!(
            "{name} was edited since the plan was applied, so the former files are not put back over it; put back by hand \
             what is to be undone, and run this again"
        ));
    }
    for name in &differing {
        let path = folder.join(name);
        let done = match former.get(*name) {
            // A file that is half there would be a mistake in the rules: the former one takes its place at once.
            Some(text) => {
                let fresh = path.with_extension("toml.new");
                std::fs::write(&fresh, text)
                    .and_then(|()| match std::fs::metadata(&path) {
                        Ok(known) => std::fs::set_permissions(&fresh, known.permissions()),
                        Err(_) => Ok(()),
                    })
                    .and_then(|()| std::fs::rename(&fresh, &path))
            }
            None => std::fs::remove_file(&path),
        };
        done.map_err(|error| format!("{}: cannot be written: {error}", path.display()))?;
    }
    Ok(differing.into_iter().cloned().collect())
}

fn copies(folder: &Path, digest: &str) -> PathBuf {
    folder.join("data/in_force").join(digest)
}

fn copied(folder: &Path, digest: &str) -> Result<Texts, String> {
    let copies = copies(folder, digest);
    if copies.is_dir() {
        return texts(&copies);
    }
    Err(format!(
        "{}: no copy of the former files is kept here; put them back by hand, and run this again",
        copies.display()
    ))
}

/// Every file that says how the hub works: huiliu.toml, model.toml, rules and the models of who is who among them, mappings,
/// manifests.
fn texts(folder: &Path) -> Result<Texts, String> {
    let mut names: BTreeSet<String> = ["huiliu.toml", "model.toml"].map(str::to_owned).into();
    for of in FOLDERS {
        names.extend(listed(&folder.join(of)).into_iter().map(|name| format!("{of}/{name}")));
    }
    for name in listed(&folder.join("connectors")) {
        names.insert(format!("connectors/{name}/connector.toml"));
    }
    let config = config::read(folder)?;
    names.extend(config.connections.into_values().filter_map(|it| it.mapping).filter(|name| is_inside(name)));
    let mut texts = Texts::new();
    let ends = |name: &String, with: &str| Path::new(name).extension().is_some_and(|it| it == with);
    let says = |name: &String| ends(name, "toml") || (ends(name, "json") && name.contains(".model."));
    for name in names.into_iter().filter(says) {
        let path = folder.join(&name);
        if path.is_file() {
            let text = std::fs::read_to_string(&path);
            texts.insert(name, text.map_err(|error| format!("{}: cannot be read: {error}", path.display()))?);
        }
    }
    Ok(texts)
}

fn listed(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// What lies elsewhere is somebody else's.
fn is_inside(name: &str) -> bool {
    Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Files {
        Files::of(&texts(folder).expect("files"), Schedule::new())
    }

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("write");
    }

    #[test]
    fn whoever_keeps_the_same_files_at_once_keeps_them() {
        for round in 0..50 {
            let folder = tempfile::tempdir().expect("a folder");
            write(folder.path(), "huiliu.toml", &format!("[hub]\ncache_mib = {}\n", 8 + round));
            write(folder.path(), "rules/survive.toml", "one");
            let (at, all) = (folder.path(), files(folder.path()));
            std::thread::scope(|threads| {
                let keepers: Vec<_> = (0..4).map(|_| threads.spawn(|| keep(at, &all))).collect();
                for keeper in keepers {
                    keeper.join().expect("it ends").expect("copies");
                }
            });
            assert_eq!(texts(&copies(at, &all.digest)).expect("copies"), texts(at).expect("files"));
        }
    }

    #[test]
    fn former_files_come_back_and_what_was_added_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        write(at, "huiliu.toml", "[connections.a]\nconnector = 'file'\nmapping = 'own/a.toml'\n");
        write(at, "own/a.toml", "first");
        write(at, "rules/survive.toml", "one");
        write(at, "rules/notes.txt", "no rule");
        write(at, "rules/person.model.json", "learned");
        let former = files(at);
        keep(at, &former).expect("copies");
        write(at, "rules/person.model.json", "learned anew");
        write(at, "rules/survive.toml", "two");
        write(at, "mappings/shop.toml", "new");
        let applied = files(at);
        assert_ne!(former.digest, applied.digest);
        keep(at, &applied).expect("copies");
        // A stop left one of them put back.
        write(at, "rules/survive.toml", "one");
        let back = ["mappings/shop.toml", "rules/person.model.json"];
        assert_eq!(put_back(at, &applied.digest, &former.digest).expect("back"), back);
        assert_eq!(files(at), former);
        assert!(put_back(at, &applied.digest, &former.digest).expect("nothing to do").is_empty());

        write(at, "own/a.toml", "somebody's");
        let told = put_back(at, &applied.digest, &former.digest).expect_err("edited");
        assert!(told.starts_with("own/a.toml was edited since"), "{told}");
        let told = put_back(at, "unknown", &former.digest).expect_err("no copy");
        assert!(told.contains("put them back by hand"), "{told}");
    }
}
