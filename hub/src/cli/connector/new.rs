//! `huiliu connector new`.

use std::path::Path;
use std::process::ExitCode;

use crate::language::Language;
use crate::say;

/// Begins a connector in the deployment: a commented manifest, a mapping and a fixture that pass `connector check`.
#[derive(clap::Args)]
pub struct Args {
    /// The connector's name: small letters, digits and underscores.
    name: String,
}

const MANIFEST: &str = include_str!("templates/connector.toml");
const MAPPING: &str = include_str!("templates/mapping.toml");
const FIXTURE: &str = include_str!("templates/person.json");

/// Writes three files; never over one that exists.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let name = args.name.as_str();
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !plain {
        return Err(say!(
            language,
            "`{name}` is no name for a connector: small letters, digits and underscores, a letter first",
            "`{name}` 不能作为连接器名称：只能用小写字母、数字和下划线，并以字母开头"
        ));
    }
    let files = [
        (folder.join("connectors").join(name).join("connector.toml"), MANIFEST),
        (folder.join("mappings").join(format!("{name}.toml")), MAPPING),
        (folder.join("connectors").join(name).join("fixtures/customers/person.json"), FIXTURE),
    ];
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
        return Err(format!("{} exists already; nothing was changed", path.display()));
    }
    for (path, text) in &files {
        let wrong = |error: std::io::Error| format!("{}: cannot be written: {error}", path.display());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(wrong)?;
        }
        std::fs::write(path, text.replace("NAME", name)).map_err(wrong)?;
        let path = path.display();
        println!("{}", say!(language, "made {path}", "已生成 {path}"));
    }
    let folder = folder.display();
    println!(
        "{}",
        say!(
            language,
            "edit them, then run `huiliu -C {folder} connector check {folder}/connectors/{name}`",
            "编辑后请运行 `huiliu -C {folder} connector check {folder}/connectors/{name}`"
        )
    );
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::super::check::examine;
    use super::*;

    #[test]
    fn what_is_begun_passes_the_check_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let args = Args { name: "till".to_owned() };
        run(folder.path(), &args, Language::En).unwrap();
        let connector = folder.path().join("connectors/till");
        let told = examine(folder.path(), &connector, None).unwrap();
        assert_eq!(told.wrong, Vec::<String>::new());
        assert_eq!(told.fine.len(), 3, "{:?}", told.fine);
        assert!(run(folder.path(), &args, Language::En).unwrap_err().contains("exists already"));
        assert!(
            run(folder.path(), &Args { name: "../till".to_owned() }, Language::En).unwrap_err().contains("no name")
        );
    }

    #[test]
    fn the_check_says_what_is_wrong_and_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &Args { name: "till".to_owned() }, Language::En).unwrap();
        let connector = folder.path().join("connectors/till");
        let file = connector.join("connector.toml");
        let edit =
            |from: &str, to: &str| std::fs::write(&file, MANIFEST.replace("NAME", "till").replace(from, to)).unwrap();
        let told = || examine(folder.path(), &connector, None).unwrap().wrong.join("\n");
        edit("{secret.token}", "{secret.tokn}");
        assert!(told().contains("did you mean `token`?") && told().contains("connector.toml:19:"), "{}", told());
        edit("[streams.customers]", "[streams.customer]");
        assert!(
            told().contains("no stream `customers`") && told().contains("fixtures/customer/ holds no record"),
            "{}",
            told()
        );
        edit("key = \"/id\"", "key = 3");
        assert!(told().contains("connector.toml:"), "{}", told());
        edit("", "");
        std::fs::write(connector.join("fixtures/customers/person.json"), "{\"phone\": \"12\"}").unwrap();
        assert!(told().contains("person.json: /phone"), "{}", told());
        std::fs::remove_file(folder.path().join("mappings/till.toml")).unwrap();
        assert!(told().contains("there is no mappings/till.toml"), "{}", told());
    }
}
