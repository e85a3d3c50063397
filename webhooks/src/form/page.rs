//! The pages of a form, without a script: the form itself, and what is said after it was sent.

use std::fmt::Write as _;

use super::Spoken;

/// The parts of a form's page.
pub struct Parts<'a> {
    /// Where it is sent: path and query.
    pub action: &'a str,
    /// The heading.
    pub title: &'a str,
    /// Names of the inputs, and whether each must be filled in.
    pub fields: &'a [(String, bool)],
    /// Channels that may be consented to.
    pub consents: &'a [String],
    /// What is consented to.
    pub consent_text: &'a str,
    /// The input that people do not see.
    pub trap: &'a str,
    /// Inputs that travel along unseen.
    pub hidden: &'a [(String, String)],
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:1rem;color:#1a1a1a;background:#fff}\
    form{max-width:32rem}h1{font-size:1.4rem;line-height:1.3}p{margin:.75rem 0}input,textarea{font:inherit;width:100%;box-sizing:border-box;\
    padding:.5rem;border:1px solid #767676;border-radius:4px}input[type=checkbox]{width:auto}button{font:inherit;\
    padding:.6rem 1.4rem;border:0;border-radius:4px;background:#0b5cad;color:#fff}.w{position:absolute;left:-9999px}";

/// Text that may stand in HTML, in quotes too.
pub fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

/// A whole page around some content.
pub fn page(spoken: Spoken, title: &str, content: &str) -> String {
    let (lang, title) = (spoken.pick("en", "zh-CN"), escaped(title));
    format!(
        "<!doctype html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{content}</main>\n</body>\n</html>\n"
    )
}

/// What is said after a submission, or instead of one.
pub fn message(spoken: Spoken, text: &str) -> String {
    page(spoken, text, &format!("<div role=\"status\"><h1>{}</h1></div>\n", escaped(text)))
}

/// The `<form>` element.
pub fn form(spoken: Spoken, parts: &Parts<'_>) -> String {
    let mut html = format!(
        "<form method=\"post\" action=\"{}\" accept-charset=\"utf-8\">\n<h1>{}</h1>\n",
        escaped(parts.action),
        escaped(parts.title)
    );
    for (name, required) in parts.fields {
        let (label, kind) = (escaped(label(spoken, name)), kind(name));
        let (name, must) = (escaped(name), if *required { " required" } else { "" });
        let input = match kind {
            "textarea" => format!("<textarea name=\"{name}\" rows=\"5\"{must}></textarea>"),
            kind => format!("<input type=\"{kind}\" name=\"{name}\" autocomplete=\"{}\"{must}>", completed(&name)),
        };
        let _ = writeln!(html, "<p><label>{label}{}<br>\n{input}</label></p>", if *required { " *" } else { "" });
    }
    for channel in parts.consents {
        let by = escaped(&spoken.said(format!("({channel})"), format!("（{channel}）")));
        let (name, text) = (escaped(channel), escaped(parts.consent_text));
        let _ = writeln!(
            html,
            "<p><label><input type=\"checkbox\" name=\"consent_{name}\" value=\"yes\"> {text} {by}</label></p>"
        );
    }
    let (trap, leave) = (escaped(parts.trap), spoken.pick("Leave this empty", "请留空"));
    let _ = writeln!(
        html,
        "<div class=\"w\" aria-hidden=\"true\" style=\"position:absolute;left:-9999px\"><label>{leave}\
         <input type=\"text\" name=\"{trap}\" tabindex=\"-1\" autocomplete=\"off\"></label></div>"
    );
    for (name, value) in parts.hidden {
        let _ = writeln!(html, "<input type=\"hidden\" name=\"{}\" value=\"{}\">", escaped(name), escaped(value));
    }
    let _ = writeln!(html, "<p><button>{}</button></p>\n</form>", spoken.pick("Send", "提交"));
    html
}

/// What to paste into a page of the site's owner: the form, and a few lines that fetch its token and say where the
/// visitor came from. Without script the form of our own page stands in a frame.
pub fn snippet(spoken: Spoken, hook: &str, parts: &Parts<'_>) -> String {
    // The page around it has a heading of its own: this one stands below it.
    let form = form(spoken, parts).replacen("<form ", "<form hidden ", 1);
    let form = form.replacen("<h1>", "<h2>", 1).replacen("</h1>", "</h2>", 1);
    // In a script, a text is JSON, and nothing in it may end the element.
    let place = serde_json::Value::from(hook).to_string().replace('<', "\\u003c");
    let frame = frame(hook, parts.title);
    format!("{form}<script>\n{}</script>\n<noscript>{}</noscript>\n", SCRIPT.replace("HOOK", &place), frame.trim_end())
}

/// Fetches a token, and another at half its time, or after half a minute if that fails; tells the page and where its visitor came from.
const SCRIPT: &str = r#"(function () {
  var form = document.currentScript.previousElementSibling, hook = HOOK;
  function add(name, value) {
    if (!value) return;
    var input = document.createElement("input");
    input.type = "hidden"; input.name = name; input.value = value;
    form.appendChild(input);
  }
  function renew() {
    fetch(hook + "?token").then(function (reply) { return reply.json(); }).then(function (told) {
      form.action = hook + "?token=" + told.token;
      form.hidden = false;
      setTimeout(renew, told.seconds_max * 500);
    }).catch(function () { setTimeout(renew, 30000); });
  }
  add("page", location.href);
  add("referrer", document.referrer);
  renew();
})();
"#;

/// A frame that shows our own page.
pub fn frame(hook: &str, title: &str) -> String {
    let (hook, title) = (escaped(hook), escaped(title));
    format!("<iframe src=\"{hook}\" title=\"{title}\" width=\"100%\" height=\"640\" style=\"border:0\"></iframe>\n")
}

fn label(spoken: Spoken, name: &str) -> &str {
    match name {
        "name" => spoken.pick("Name", "姓名"),
        "given_name" => spoken.pick("First name", "名"),
        "family_name" => spoken.pick("Last name", "姓"),
        "email" => spoken.pick("E-mail", "电子邮箱"),
        "phone" => spoken.pick("Phone", "电话"),
        "company" => spoken.pick("Company", "公司"),
        "title" => spoken.pick("Job title", "职位"),
        "message" => spoken.pick("Message", "留言"),
        other => other,
    }
}

fn kind(name: &str) -> &'static str {
    match name {
        "email" => "email",
        "phone" => "tel",
        "message" => "textarea",
        _ => "text",
    }
}

/// The word by which browsers fill an input in.
fn completed(name: &str) -> &'static str {
    match name {
        "name" => "name",
        "given_name" => "given-name",
        "family_name" => "family-name",
        "email" => "email",
        "phone" => "tel",
        "company" => "organization",
        "title" => "organization-title",
        _ => "on",
    }
}
