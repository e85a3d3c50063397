//! Answers of the person at the terminal, or lines `name=value` from a pipe.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Read as _, Write as _};

use huiliu_core::manifest::{SecretSetting, Setting};
use huiliu_mappings::diagnose::suggest;

use crate::language::Language;
use crate::say;

/// A pipe holds a handful of keys: what is longer, in bytes, is something else.
const PIPE_BYTES_MAX: u64 = 256 << 10;

/// Where answers come from.
pub(super) enum Answers {
    /// A person.
    Person(Language),
    /// A script: what it gave, and what it was asked for.
    Script { language: Language, given: BTreeMap<String, String>, asked: Vec<String> },
}

impl Answers {
    pub fn open(language: Language) -> Result<Self, String> {
        if std::io::stdin().is_terminal() {
            return Ok(Self::Person(language));
        }
        let mut text = String::new();
        let read = std::io::stdin().take(PIPE_BYTES_MAX + 1).read_to_string(&mut text);
        let length = read.map_err(|error| say!(language, "standard input: {error}", "标准输入：{error}"))?;
        if length as u64 > PIPE_BYTES_MAX {
            let (en, zh) =
                ("standard input is too long: give name=value, one a line", "标准输入过长：请每行给出一个 名称=值");
            return Err(language.pick(en, zh).to_owned());
        }
        let mut given = BTreeMap::new();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            // The line may hold a secret: it is not repeated.
            let number = at + 1;
            let (name, value) = line.split_once('=').ok_or_else(|| {
                say!(
                    language,
                    "standard input line {number}: write name=value",
                    "标准输入第 {number} 行：请写成 名称=值"
                )
            })?;
            given.insert(name.trim().to_owned(), value.trim().to_owned());
        }
        Ok(Self::Script { language, given, asked: Vec::new() })
    }

    /// The language that is spoken.
    pub fn language(&self) -> Language {
        match self {
            Self::Person(language) | Self::Script { language, .. } => *language,
        }
    }

    /// Whether somebody sits there who may be asked what no manifest knows of.
    pub fn has_person(&self) -> bool {
        matches!(self, Self::Person(_))
    }

    /// The value of a setting; none: the default stands, or the person must fill it in later.
    pub fn setting(&mut self, name: &str, what: &Setting) -> Result<Option<String>, String> {
        match self {
            Self::Script { language, given, asked } => {
                let name = format!("config.{name}");
                let value = given.remove(&name).filter(|value| !value.is_empty());
                if value.is_none() && what.default.is_none() {
                    let about = &what.description;
                    return Err(say!(
                        *language,
                        "{name} is missing: {about}\ngive a line {name}=… on standard input",
                        "缺少 {name}：{about}\n请在标准输入中给出一行 {name}=…"
                    ));
                }
                asked.push(name);
                Ok(value)
            }
            Self::Person(language) => {
                println!("config.{name}: {}", what.description);
                loop {
                    let line = match &what.default {
                        Some(default) => ask(&format!("config.{name} [{default}]: "))?,
                        None => ask(&format!("config.{name}: "))?,
                    };
                    if !line.is_empty() {
                        return Ok(Some(line));
                    }
                    if what.default.is_some() {
                        return Ok(None);
                    }
                    println!("{}", language.pick("A value is needed.", "必须填写。"));
                }
            }
        }
    }

    /// The value of a secret; none: it stays as it is.
    pub fn secret(
        &mut self,
        name: &str,
        what: &SecretSetting,
        have: bool,
        again: bool,
    ) -> Result<Option<String>, String> {
        match self {
            Self::Script { given, asked, .. } => {
                asked.push(name.to_owned());
                Ok(given.remove(name).filter(|value| !value.is_empty()))
            }
            Self::Person(language) => {
                if have && !again {
                    return Ok(None);
                }
                let skip = have || what.optional;
                loop {
                    let hint = match (have, what.optional) {
                        (true, _) => language.pick(" (Enter keeps the sealed one)", "（回车保留已封存的值）"),
                        (false, true) => language.pick(" (Enter skips it)", "（回车跳过）"),
                        (false, false) => "",
                    };
                    let asked = rpassword::prompt_password(format!("secret.{name}{hint}: "));
                    let value = asked.map_err(|error| {
                        say!(*language, "the terminal cannot be read: {error}", "无法读取终端：{error}")
                    })?;
                    let value = value.trim();
                    if !value.is_empty() {
                        return Ok(Some(value.to_owned()));
                    }
                    if skip {
                        return Ok(None);
                    }
                    println!(
                        "{}",
                        language
                            .pick("A value is needed; it is not shown while you type.", "必须填写；输入时不会显示。")
                    );
                }
            }
        }
    }

    /// The address that the browser ended at; none without a person and without a line `redirected=…`.
    pub fn redirected(&mut self) -> Result<Option<String>, String> {
        match self {
            Self::Script { given, asked, .. } => {
                asked.push("redirected".to_owned());
                Ok(given.remove("redirected"))
            }
            Self::Person(language) => {
                let line = ask(&say!(language, "The address that the browser ended at: ", "浏览器最终停留的地址："))?;
                Ok(Some(line).filter(|line| !line.is_empty()))
            }
        }
    }

    /// A script that gives what nobody asks for has misspelled something. `later`: what is asked for after this.
    pub fn nothing_left(&self, later: &[&str]) -> Result<(), String> {
        let Self::Script { language, given, asked } = self else { return Ok(()) };
        let known: Vec<&str> = asked.iter().map(String::as_str).chain(later.iter().copied()).collect();
        let Some(name) = given.keys().find(|name| !known.contains(&name.as_str())) else { return Ok(()) };
        let (hint, known) = (language.told(&suggest(name, known.iter().copied())), known.join(", "));
        Err(say!(
            *language,
            "standard input gives `{name}`, which nobody asks for{hint}; asked for: {known}",
            "标准输入给出了 `{name}`，但没有询问它{hint}；询问的是：{known}"
        ))
    }
}

fn ask(prompt: &str) -> Result<String, String> {
    print!("{prompt}");
    std::io::stdout().flush().map_err(|error| error.to_string())?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| error.to_string())?;
    Ok(line.trim().to_owned())
}
