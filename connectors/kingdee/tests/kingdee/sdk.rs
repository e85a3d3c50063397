//! The vendor's own SDK as the client of our twin: headers and bodies that it sends are what the twin understands.

use std::path::PathBuf;
use std::process::Command;

use huiliu_twins::kingdee::{ACCT_ID, APP_ID, APP_SECRET, USER_NAME, Writes};
use serde_json::{Value, json};

use crate::kit::Kit;

/// Runs a script with the vendor's SDK at hand and returns what it printed.
pub fn run(script: &str) -> Vec<u8> {
    let venv = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.cache/test-tools/python");
    let python = venv.join("bin/python");
    let found = Command::new(&python).args(["-c", "import k3cloud_webapi_sdk"]).output();
    assert!(
        found.is_ok_and(|output| output.status.success()),
        "the vendor's SDK is missing; from the repository's root run: python3 -m venv .cache/test-tools/python && \
         .cache/test-tools/python/bin/pip install kingdee.cdp.webapi.sdk==8.2.0"
    );
    let output = Command::new(python).args(["-X", "utf8", "-c", script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

async fn play(kit: &Kit, app_secret: &str, steps: &str) -> Value {
    let url = kit.twin.base_url();
    let script = format!(
        "import json\n\
         from k3cloud_webapi_sdk.main import K3CloudApiSdk\n\
         sdk = K3CloudApiSdk('{url}')\n\
         sdk.InitConfig('{ACCT_ID}', '{USER_NAME}', '{APP_ID}', '{app_secret}', '{url}')\n\
         out = []\n\
         def say(text): out.append(json.loads(text))\n\
         {steps}\n\
         print(json.dumps(out))\n"
    );
    let printed = tokio::task::spawn_blocking(move || run(&script)).await.unwrap();
    serde_json::from_slice(&printed).unwrap()
}

#[tokio::test]
async fn vendor_sdk_saves_submits_audits_and_queries() {
    let kit = Kit::new().await;
    let steps = "\
say(sdk.Save('BD_Customer', {'Model': {'FCreateOrgId': {'FNumber': '100'}, 'FNumber': 'C1', 'FName': '测试客户'}}))
key = str(out[0]['Result']['Id'])
say(sdk.Submit('BD_Customer', {'Ids': key}))
say(sdk.Audit('BD_Customer', {'Ids': key}))
say(sdk.View('BD_Customer', {'Number': 'C1'}))
say(sdk.ExecuteBillQuery({'FormId': 'BD_Customer', 'FieldKeys': 'FCUSTID,FName,FDocumentStatus', 'FilterString': \"FNumber='C1'\", 'OrderString': '', 'TopRowCount': 0, 'StartRow': 0, 'Limit': 10}))";
    let said = play(&kit, APP_SECRET, steps).await;
    for reply in &said.as_array().unwrap()[..4] {
        assert_eq!(reply["Result"]["ResponseStatus"]["IsSuccess"], true, "{reply}");
    }
    let id = &said[0]["Result"]["Id"];
    assert_eq!(said[3]["Result"]["Result"]["Name"][0]["Value"], "测试客户");
    assert_eq!(said[4], json!([[id, "测试客户", "C"]]));
    assert_eq!(kit.twin.writes(), Writes { saves: 1, submits: 1, audits: 1 });
    // What the SDK made, the connector reads.
    let record = kit.fetch("customers", &id.to_string()).await.unwrap();
    assert_eq!(record.body["FNumber"], "C1");
}

#[tokio::test]
async fn vendor_sdk_with_a_wrong_secret_is_refused() {
    let kit = Kit::new().await;
    let steps = "say(sdk.ExecuteBillQuery({'FormId': 'BD_Customer', 'FieldKeys': 'FCUSTID'}))";
    let said = play(&kit, "another secret", steps).await;
    assert_eq!(said[0][0][0]["Result"]["ResponseStatus"]["MsgCode"], 1);
    assert_eq!(kit.twin.queries(), 0);
}
