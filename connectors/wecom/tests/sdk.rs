//! Callbacks sealed by published SDKs are opened by us, and ours by them: wechatpy (`PyPI`) and @wecom/crypto (npm).

mod kit;

use std::path::PathBuf;
use std::process::Command;

use huiliu_core::connector::{Connector as _, Opened, RawRequest, Received, Verified};
use huiliu_twins::wecom::{CALLBACK_TOKEN, CORP_ID, ENCODING_AES_KEY};
use huiliu_wecom::crypto;

use kit::{NOW, connector, raw, twin};

/// Where the test script puts the SDKs.
fn tools(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.cache/test-tools")).join(path)
}

fn run(command: &mut Command, missing: &str) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{missing} ({error})"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{missing}\n{errors}");
    String::from_utf8(output.stdout).expect("the SDK prints UTF-8").trim_end_matches('\n').to_owned()
}

/// Runs a script with wechatpy.
fn python(script: &str, arguments: &[&str]) -> String {
    let missing = "wechatpy is missing or failed; install: python3 -m venv .cache/test-tools/python && \
                   .cache/test-tools/python/bin/pip install wechatpy cryptography xmltodict";
    run(Command::new(tools("python/bin/python")).arg("-c").arg(script).args(arguments), missing)
}

/// Runs a script with @wecom/crypto.
fn node(script: &str, arguments: &[&str]) -> String {
    let missing = "@wecom/crypto is missing or failed; install node, then: npm install --prefix .cache/test-tools/node \
                   @wecom/crypto";
    run(Command::new("node").current_dir(tools("node")).arg("-e").arg(script).args(arguments), missing)
}

const EVENT: &str = "<xml><ToUserName><![CDATA[ww0123456789abcdef]]></ToUserName><FromUserName><![CDATA[sys]]></FromUserName>\
    <CreateTime>1767323045</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[change_external_contact]]></Event>\
    <ChangeType><![CDATA[add_external_contact]]></ChangeType><UserID><![CDATA[ann]]></UserID>\
    <ExternalUserID><![CDATA[wm1]]></ExternalUserID><State><![CDATA[门店二维码]]></State></xml>";

fn post(signature: &str, nonce: &str, body: String) -> RawRequest {
    RawRequest {
        method: "POST".to_owned(),
        target: format!("/hooks/wecom?msg_signature={signature}&timestamp={NOW}&nonce={nonce}"),
        headers: Vec::new(),
        body: body.into(),
    }
}

/// Opens a call and reads the event in it.
fn hint_of(cx: &huiliu_core::connector::Cx, request: &RawRequest) -> Vec<Received> {
    match connector().open(cx, request).expect("the SDK's call is accepted") {
        Opened::Message { body, .. } => {
            let verified = Verified { request: RawRequest { body, ..request.clone() } };
            connector().receive(cx, &verified).expect("a readable event")
        }
        Opened::Handshake(_) => panic!("an event is no handshake"),
    }
}

fn expected() -> Vec<Received> {
    vec![Received::Hint { stream: "contacts".into(), id: "ann:wm1".into() }]
}

const JSON_EVENT: &str = r#"{"Event":"change_external_contact","ChangeType":"add_external_contact","UserID":"ann","ExternalUserID":"wm1","State":"门店"}"#;

#[tokio::test]
async fn callbacks_of_wechatpy_are_accepted() {
    let (_twin, cx) = twin().await;
    let script = "import sys; from wechatpy.crypto import WeChatCrypto
token, key, owner, message, nonce, stamp = sys.argv[1:]
print(WeChatCrypto(token, key, owner).encrypt_message(message, nonce, stamp))";
    let sealed = |owner: &str, message: &str| {
        python(script, &[CALLBACK_TOKEN, ENCODING_AES_KEY, owner, message, "pynonce", &NOW.to_string()])
    };
    let part = |xml: &str, name: &str| -> String {
        let (_, rest) = xml.split_once(&format!("<{name}><![CDATA[")).expect("the part");
        rest.split_once("]]>").expect("its end").0.to_owned()
    };
    let xml = sealed(CORP_ID, EVENT);
    assert_eq!(hint_of(&cx, &post(&part(&xml, "MsgSignature"), "pynonce", xml.clone())), expected());
    let bot = sealed("", JSON_EVENT);
    let body = serde_json::json!({"encrypt": part(&bot, "Encrypt")}).to_string();
    assert_eq!(hint_of(&cx, &post(&part(&bot, "MsgSignature"), "pynonce", body)), expected());
    let foreign = sealed("ww9999999999999999", EVENT);
    let refused = connector().open(&cx, &post(&part(&foreign, "MsgSignature"), "pynonce", foreign.clone()));
    assert_eq!(refused.expect_err("another corp's").kind(), "unauthorized");
}

#[tokio::test]
async fn callbacks_of_wecom_crypto_are_accepted() {
    let (_twin, cx) = twin().await;
    let script = "const { encrypt, getSignature } = require('@wecom/crypto');
const [token, key, owner, message, nonce, stamp] = process.argv.slice(1);
const sealed = encrypt(key, message, owner);
console.log(sealed + ' ' + getSignature(token, stamp, nonce, sealed));";
    let sealed = |owner: &str, message: &str| {
        let line = node(script, &[CALLBACK_TOKEN, ENCODING_AES_KEY, owner, message, "jsnonce", &NOW.to_string()]);
        let (sealed, signature) = line.split_once(' ').expect("two words");
        (sealed.to_owned(), signature.to_owned())
    };
    let (encrypted, signature) = sealed(CORP_ID, EVENT);
    let body =
        format!("<xml><ToUserName><![CDATA[{CORP_ID}]]></ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>");
    assert_eq!(hint_of(&cx, &post(&signature, "jsnonce", body)), expected());
    let (encrypted, signature) = sealed("", JSON_EVENT);
    let body = serde_json::json!({"encrypt": encrypted}).to_string();
    assert_eq!(hint_of(&cx, &post(&signature, "jsnonce", body)), expected());
}

#[tokio::test]
async fn our_callbacks_open_in_both_sdks() {
    let (twin, _cx) = twin().await;
    let fields = [("UserID", "ann"), ("ExternalUserID", "wm1"), ("State", "门店二维码")];
    let call = raw(&twin.sealed("/hooks/wecom", "change_external_contact", "add_external_contact", &fields));
    let query = |name: &str| call.query(name).expect("a part of the query");
    let (signature, stamp, nonce) = (query("msg_signature"), query("timestamp"), query("nonce"));
    let body = String::from_utf8(call.body.to_vec()).expect("text");
    let python_script = "import sys; from wechatpy.crypto import WeChatCrypto
token, key, owner, body, signature, stamp, nonce = sys.argv[1:]
print(WeChatCrypto(token, key, owner).decrypt_message(body, signature, stamp, nonce))";
    let opened = python(python_script, &[CALLBACK_TOKEN, ENCODING_AES_KEY, CORP_ID, &body, &signature, &stamp, &nonce]);
    assert!(opened.contains("<ExternalUserID><![CDATA[wm1]]>") && opened.contains("门店二维码"), "{opened}");
    let node_script = "const { decrypt, getSignature } = require('@wecom/crypto');
const [token, key, sealed, stamp, nonce] = process.argv.slice(1);
const { message, id } = decrypt(key, sealed);
console.log(JSON.stringify([getSignature(token, stamp, nonce, sealed), id, message]));";
    let key = crypto::decode_key(ENCODING_AES_KEY).expect("a key");
    for (message, owner) in [(EVENT, CORP_ID), (JSON_EVENT, ""), ("我是中文abcd123", "wxb11529c136998cb6")] {
        let sealed = crypto::encrypt(&key, message.as_bytes(), owner).expect("random bytes");
        let signature = crypto::sign(CALLBACK_TOKEN, &stamp, &nonce, &sealed);
        let line = node(node_script, &[CALLBACK_TOKEN, ENCODING_AES_KEY, &sealed, &stamp, &nonce]);
        let read: Vec<String> = serde_json::from_str(&line).expect("three texts");
        assert_eq!(read, [signature.as_str(), owner, message]);
        let json = serde_json::json!({"Encrypt": sealed}).to_string();
        let dict = python_script.replace("(body,", "(__import__('json').loads(body),");
        let read = python(&dict, &[CALLBACK_TOKEN, ENCODING_AES_KEY, owner, &json, &signature, &stamp, &nonce]);
        assert_eq!(read, message);
    }
}
