//! `huiliu connector new`.

use std::path::Path;
use std::process::ExitCode;

use crate::language::Language;
use crate::say;

/// Begins a connector in the deployment: a commented manifest, a mapping and fixtures that pass `connector check`.
#[derive(clap::Args)]
pub struct Args {
    /// The connector's name: small letters, digits and underscores.
    name: String,
}

const MANIFEST: &str = include_str!("templates/connector.toml");
const MAPPING: &str = include_str!("templates/mapping.toml");
const FIXTURE: &str = include_str!("templates/person.json");
const CALL: &str = include_str!("templates/call.json");

/// Writes four files, never over one that exists.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let name = args.name.as_str();
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !plain {
        return Err(say!(
            language,
            "`{name}` is no name for a connector: small letters, digits and underscores, a letter first",
            "`{name}` 不能作为连接器名：只用小写字母、数字和下划线，以字母开头"
        ));
    }
    let files = [
        (folder.join("connectors").join(name).join("connector.toml"), MANIFEST),
        (folder.join("mappings").join(format!("{name}.toml")), MAPPING),
        (folder.join("connectors").join(name).join("fixtures/customers/person.json"), FIXTURE),
        (folder.join("connectors").join(name).join("fixtures/webhook/customer_updated.json"), CALL),
    ];
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
        let path = path.display();
        return Err(say!(language, "{path} exists already; nothing was changed", "{path} 已存在；未做任何改动"));
    }
    for (path, text) in &files {
        let wrong = |error: std::io::Error| {
            let path = path.display();
            say!(language, "{path}: cannot be written: {error}", "{path}：无法写入：{error}")
        };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(wrong)?;
        }
        std::fs::write(path, text.replace("NAME", name)).map_err(wrong)?;
        let path = path.display();
        println!("{}", say!(language, "made {path}", "已创建 {path}"));
    }
    let at = folder.display();
    println!(
        "{}",
        say!(
            language,
            "edit them, then run `huiliu -C {at} connector check --write {at}/connectors/{name}`",
            "请编辑这些文件，然后运行 `huiliu -C {at} connector check --write {at}/connectors/{name}`"
        )
    );
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use crate::contract::files::examine;

    use super::*;

    fn begun() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &Args { name: "till".to_owned() }, Language::En).unwrap();
        folder
    }

    #[test]
    fn what_is_begun_is_sound_and_never_overwritten() {
        let folder = begun();
        let told = examine(folder.path(), &folder.path().join("connectors/till"), None).unwrap();
        assert_eq!(told.wrong, []);
        assert_eq!(told.fine.len(), 4, "{:?}", told.fine);
        let again = |name: &str| run(folder.path(), &Args { name: name.to_owned() }, Language::En).unwrap_err();
        assert!(again("till").contains("exists already") && again("../till").contains("no name"));
    }

    #[test]
    fn the_check_says_what_is_wrong_and_what_is_missing() {
        let folder = begun();
        let connector = folder.path().join("connectors/till");
        let file = connector.join("connector.toml");
        let edit =
            |from: &str, to: &str| std::fs::write(&file, MANIFEST.replace("NAME", "till").replace(from, to)).unwrap();
        let told = || {
            let wrong = examine(folder.path(), &connector, None).unwrap().wrong;
            wrong.into_iter().map(|says| says.en).collect::<Vec<_>>().join("\n")
        };
        let line = MANIFEST.lines().position(|line| line.contains("{secret.token}")).unwrap() + 1;
        edit("{secret.token}", "{secret.tokn}");
        assert!(
            told().contains("did you mean `token`?") && told().contains(&format!("connector.toml:{line}:")),
            "{}",
            told()
        );
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
