//! The vendor's signature, against a recorded vector and against the vendor's own SDK.

use std::collections::BTreeMap;

use huiliu_core::secrets::Secret;
use huiliu_kingdee::headers::Signer;

use crate::sdk::run;

const PATH: &str = "/k3cloud/Kingdee.BOS.WebApi.ServicesStub.DynamicFormService.ExecuteBillQuery.common.kdsvc";
const NOW_S: i64 = 1_700_000_000;

/// acct id, user, lcid, org, app id, app secret: invented, the same as in the recorded vector.
const PARTS: [&str; 6] = [
    "acct0001",
    "demo_user",
    "2052",
    "100",
    "900001_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
    "0123456789abcdef0123456789abcdef",
];

fn sign(parts: [&str; 6], path: &str, now_s: i64) -> BTreeMap<String, String> {
    let [acct_id, user_name, lcid, org_num, app_id, app_secret] = parts.map(str::to_owned);
    let (app_id, app_secret) = (Secret::new(app_id), Secret::new(app_secret));
    let signer = Signer { acct_id, user_name, lcid, org_num, app_id, app_secret };
    signer.sign(path, now_s).unwrap().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[test]
fn recorded_vector() {
    let headers = sign(PARTS, PATH, NOW_S);
    let expected = [
        ("X-Api-ClientID", "900001"),
        ("X-Api-Auth-Version", "2.0"),
        ("x-api-timestamp", "1700000000"),
        ("x-api-nonce", "1700000000"),
        ("x-api-signheaders", "x-api-timestamp,x-api-nonce"),
        ("X-Api-Signature", "N2M1YmZlZTUyZjc5YTRjMzU0MjkxMWVjODQ0YWEwZjQ0NzQyNWZjZjcwNGFhNzg0MzMxOGI5ZmI4YjNlMzUxOA=="),
        ("X-Kd-Appkey", PARTS[4]),
        ("X-Kd-Appdata", "YWNjdDAwMDEsZGVtb191c2VyLDIwNTIsMTAw"),
        ("X-Kd-Signature", "YWVkNzcxNzQyNjExMWIxYjVjN2I1YTA1NWRmY2RlNWZmOGUxZGY2ZDg2NjM0MzNkZWQ3NjZmNGZmMGU3MGM3MQ=="),
    ];
    for (name, value) in expected {
        assert_eq!(headers[name], value, "{name}");
    }
    assert_eq!(headers.len(), expected.len());
}

/// Changing any one character of what is signed changes a signature (or is refused, where the app id loses its form).
#[test]
fn every_byte_counts() {
    let good = sign(PARTS, PATH, NOW_S);
    let signatures =
        |headers: &BTreeMap<String, String>| (headers["X-Api-Signature"].clone(), headers["X-Kd-Signature"].clone());
    for part in 0..PARTS.len() {
        for at in 0..PARTS[part].len() {
            let mut changed: Vec<u8> = PARTS[part].bytes().collect();
            changed[at] = if changed[at] == b'7' { b'8' } else { b'7' };
            let changed = String::from_utf8(changed).unwrap();
            let mut parts = PARTS;
            parts[part] = &changed;
            if part == 4 && !changed.contains('_') {
                continue;
            }
            assert_ne!(signatures(&sign(parts, PATH, NOW_S)), signatures(&good), "part {part}, byte {at}");
        }
    }
    for at in 0..PATH.len() {
        let mut path: Vec<u8> = PATH.bytes().collect();
        path[at] = if path[at] == b'x' { b'y' } else { b'x' };
        let path = String::from_utf8(path).unwrap();
        assert_ne!(sign(PARTS, &path, NOW_S)["X-Api-Signature"], good["X-Api-Signature"], "path byte {at}");
    }
    assert_ne!(sign(PARTS, PATH, NOW_S + 1)["X-Api-Signature"], good["X-Api-Signature"]);
}

#[test]
fn malformed_app_id_is_unauthorized() {
    for app_id in [
        "",
        "900001",
        "900001_short",
        "900001_AAECAwQFBgcICQoLDA0ODxAREhMUFRY=",
        "900001AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
        "900001_***",
    ] {
        let [acct_id, user_name, lcid, org_num, _, app_secret] = PARTS.map(str::to_owned);
        let (app_id, app_secret) = (Secret::new(app_id), Secret::new(app_secret));
        let signer = Signer { acct_id, user_name, lcid, org_num, app_id, app_secret };
        assert_eq!(signer.sign(PATH, NOW_S).unwrap_err().kind(), "unauthorized");
    }
}

/// The vendor's SDK, with its clock frozen, produces the same headers for several paths, users and secrets.
#[test]
fn same_as_vendor_sdk() {
    let cases = [
        (PARTS, PATH, NOW_S),
        (["a,b", "王五", "1033", "0", "7_ZZZZabcdefghijklmnopqrstuvwxyz01", "s3cret"], "/K3Cloud/x y/中.kdsvc", 1),
    ];
    for (parts, path, now_s) in cases {
        let script = format!(
            "import json, time\n\
             time.time = lambda: {now_s}\n\
             from k3cloud_webapi_sdk.main import K3CloudApiSdk\n\
             sdk = K3CloudApiSdk('http://erp.example.com')\n\
             a, u, l, o, i, s = json.loads({parts:?})\n\
             sdk.InitConfig(a, u, i, s, 'http://erp.example.com', int(l), int(o))\n\
             print(json.dumps(sdk.BuildHeader('http://erp.example.com' + {path:?})))\n",
            parts = serde_json::to_string(&parts).unwrap(),
        );
        let theirs: BTreeMap<String, String> = serde_json::from_slice(&run(&script)).unwrap();
        for (name, value) in sign(parts, path, now_s) {
            assert_eq!(theirs.get(&name), Some(&value), "{name}");
        }
    }
}
