//! Files that other programs wrote: openpyxl's workbooks and the tables of Python's csv module; and files that nobody
//! should have written.

use std::path::Path;

use huiliu_file::read::{Options, rows, rows_of};
use huiliu_file::workbook;
use huiliu_tests::judge;
use serde_json::{Value, json};

const WORKBOOKS: &str = r##"
import datetime, json, sys
from openpyxl import Workbook
folder = json.load(sys.stdin)["folder"]
book = Workbook()
sheet = book.active
sheet.title = "会员"
sheet.append(["编号", "姓名", "手机", "生日", "登记", "身份证", "金额", "有效", "编号"])
sheet.append(["007", "李雷", 13800138000, datetime.date(1990, 1, 31), datetime.datetime(2026, 3, 4, 5, 6, 7), "110101199003077773", 12.5, True, "x"])
sheet.append([None] * 9)
sheet.append([42, "韩梅梅", None, None, None, 110101199003077773, 0.1])
sheet["A4"].number_format = "000000"
sheet.append(["8", "合并", "13900139000"])
sheet.append(["9", None, None])
sheet.merge_cells("B5:B6")
sheet.append(["10", "=1/0", "#N/A"])
sheet["C7"].data_type = "e"
sheet.append(["11", "  ", "=A2"])
sheet.append(["12", "多", 1, None, None, None, None, None, None, "没有表头"])
other = book.create_sheet("门店 2")
other.append(["name"])
other.append(["第二张"])
book.create_sheet("空")
book.save(folder + "/members.xlsx")
early = Workbook()
early.epoch = datetime.datetime(1904, 1, 1)
early.active.append(["d"])
early.active.append([datetime.date(2020, 2, 29)])
early.save(folder + "/early.xlsx")
json.dump({}, sys.stdout)
"##;

const TABLES: &str = r#"
import csv, json, sys
asked = json.load(sys.stdin)
rows = [["编号", "姓名", "备注"], ["007", "李雷, 先生", "第一行\n第\"二\"行"], ["008", "韩梅梅", ""]]
made = []
for encoding in ["utf-8", "utf-8-sig", "utf-16", "gb18030", "gbk"]:
    for delimiter in [",", ";", "\t", "|"]:
        for quoting in [csv.QUOTE_MINIMAL, csv.QUOTE_ALL]:
            for end in ["\n", "\r\n"]:
                name = f"{asked['folder']}/{len(made)}.csv"
                with open(name, "w", encoding=encoding, newline="") as out:
                    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(rows)
                made.append(name)
name = asked["folder"] + "/mark.csv"
open(name, "wb").write("\ufeff\"编号\",姓名,备注\n007,\"李雷, 先生\",\"第一行\n第\"\"二\"\"行\"\n008,韩梅梅,\n".encode("gb18030"))
json.dump(made + [name], sys.stdout)
"#;

const HOSTILE: &str = r#"
import json, sys, zipfile
from openpyxl import Workbook
folder = json.load(sys.stdin)["folder"]
book = Workbook()
for row in range(50):
    book.active.append([f"name {row}", row])
book.save(folder + "/good.xlsx")
parts = {name: zipfile.ZipFile(folder + "/good.xlsx").read(name) for name in zipfile.ZipFile(folder + "/good.xlsx").namelist()}
def make(name, **changed):
    with zipfile.ZipFile(f"{folder}/{name}.xlsx", "w", zipfile.ZIP_DEFLATED) as out:
        for part, body in parts.items():
            short = part.split("/")[-1].split(".")[0]
            out.writestr(part, changed.pop(short, body))
        for short, body in changed.items():
            out.writestr(f"xl/{short}.xml", body)
def sheet(rows):
    return b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>' + rows + b'</sheetData></worksheet>'
make("blank_bomb", sheet1=sheet(b' ' * (300 << 20)))
make("string_bomb", sharedStrings=b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>' + b'a' * (300 << 20) + b'</t></si></sst>')
make("liar", sharedStrings=b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" uniqueCount="900000000000000000"><si><t>a</t></si></sst>')
make("wide", sheet1=sheet(b'<row r="1">' + b'<c t="inlineStr"><is><t>a</t></is></c>' * 1_000_000 + b'</row>'))
make("beyond", sheet1=sheet(b'<row r="1"><c r="ZZZZZZZZZZZZ1" t="inlineStr"><is><t>a</t></is></c></row>'))
make("deep", sheet1=sheet(b'<row><c>' * 100_000))
make("entities", sheet1=b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + sheet(b'<row r="1"><c t="inlineStr"><is><t>&b;</t></is></c></row>'))
make("no_style", sheet1=sheet(b'<row r="1"><c r="A1" s="999999"><v>1</v></c></row><row r="2"><c r="A2" t="s"><v>99999</v></c></row>'))
json.dump({}, sys.stdout)
"#;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn made(script: &str) -> (tempfile::TempDir, Value) {
    let folder = folder();
    let told = judge::python(script, &json!({ "folder": folder.path().display().to_string() }));
    (folder, told)
}

fn read(path: &Path, sheet: Option<&str>) -> Vec<(u64, Result<Value, String>)> {
    let mut told = Vec::new();
    let done = rows_of(path, Options { sheet }, &mut |row| {
        told.push(row);
        true
    });
    done.unwrap_or_else(|error| panic!("{error}"));
    told
}

#[test]
fn a_workbook_is_read_as_a_person_sees_it() {
    let (folder, _) = made(WORKBOOKS);
    let path = folder.path().join("members.xlsx");
    let told = read(&path, None);
    let row =
        |number: u64| told.iter().find(|(at, _)| *at == number).unwrap_or_else(|| panic!("no row {number}")).1.clone();
    let first = json!({"编号": "007", "姓名": "李雷", "手机": "13800138000", "生日": "1990-01-31", "登记": "2026-03-04T05:06:07",
        "身份证": "110101199003077773", "金额": "12.5", "有效": "true", "编号 (2)": "x"});
    assert_eq!(row(2), Ok(first));
    assert!(told.iter().all(|(at, _)| *at != 3), "an empty row is none");
    let lossy = row(4).unwrap_err();
    assert!(lossy.contains("column 6") && lossy.contains("more than 15 digits"), "{lossy}");
    assert_eq!(row(5), Ok(json!({"编号": "8", "姓名": "合并", "手机": "13900139000"})));
    assert_eq!(row(6), Ok(json!({"编号": "9"})), "a merged cell stands in its first row only");
    assert!(row(7).unwrap_err().contains("an error of the spreadsheet"));
    assert_eq!(row(8), Ok(json!({"编号": "11"})), "a formula that was never computed has no value");
    assert!(row(9).unwrap_err().contains("10 cells under 9 headers"));
    assert_eq!(workbook::sheets(&path).unwrap(), ["会员", "门店 2", "空"]);
    assert_eq!(read(&path, Some("门店 2")), [(2, Ok(json!({"name": "第二张"})))]);
    assert_eq!(read(&path, Some("空")), []);
    let told = rows_of(&path, Options { sheet: Some("门店") }, &mut |_| true).unwrap_err();
    assert!(told.contains("no sheet is called `门店`; there are: 会员, 门店 2, 空"), "{told}");
    assert_eq!(read(&folder.path().join("early.xlsx"), None), [(2, Ok(json!({"d": "2020-02-29"})))]);
}

/// Another writer keeps texts in a list of their own, and styles.
const PADDED: &str = r#"
import json, sys, xlsxwriter
book = xlsxwriter.Workbook(json.load(sys.stdin)["folder"] + "/a.xlsx")
sheet = book.add_worksheet()
sheet.write_string(0, 0, "编号")
rows = [(42, "000000"), (1234567, "000000"), (42, "0"), (42, "General"), (-7, "000000")]
for at, (number, code) in enumerate(rows):
    sheet.write_number(at + 1, 0, number, book.add_format({"num_format": code}))
sheet.write_rich_string(6, 0, "李", book.add_format({"bold": True}), "雷")
sheet.write_string(7, 0, "007")
sheet.write_formula(8, 0, "=1+1", None, 2)
book.close()
json.dump({}, sys.stdout)
"#;

#[test]
fn zeros_that_a_person_sees_are_read() {
    let (folder, _) = made(PADDED);
    let told = read(&folder.path().join("a.xlsx"), None).into_iter().map(|(_, row)| row.unwrap()["编号"].clone());
    assert_eq!(told.collect::<Vec<_>>(), ["000042", "1234567", "42", "42", "-7", "李雷", "007", "2"]);
}

#[test]
fn tables_are_read_whatever_their_encoding_and_delimiter() {
    let (_folder, names) = made(TABLES);
    let names = names.as_array().unwrap();
    assert_eq!(names.len(), 81);
    for name in names {
        let rows: Vec<Value> =
            read(Path::new(name.as_str().unwrap()), None).into_iter().map(|(_, row)| row.unwrap()).collect();
        let first = json!({"编号": "007", "姓名": "李雷, 先生", "备注": "第一行\n第\"二\"行"});
        assert_eq!(rows, [first, json!({"编号": "008", "姓名": "韩梅梅"})], "{name}");
    }
}

#[test]
fn hostile_workbooks_are_refused_in_words() {
    let (folder, _) = made(HOSTILE);
    let told = |name: &str| {
        let mut count = 0_u64;
        let done = rows(&folder.path().join(format!("{name}.xlsx")), &mut |_| {
            count += 1;
            true
        });
        done.map(|()| count)
    };
    assert_eq!(told("good"), Ok(49));
    for (name, word) in [
        ("blank_bomb", "grows to more than"),
        ("string_bomb", "grows to more than"),
        ("liar", "states more texts than it has"),
        ("wide", "more than 16384 columns"),
        ("beyond", "cannot be read"),
        ("deep", "cannot be read"),
    ] {
        let error = told(name).expect_err(name);
        assert!(error.contains(word), "{name}: {error}");
    }
    for name in ["entities", "no_style"] {
        let _ = told(name);
    }
    let whole = std::fs::read(folder.path().join("good.xlsx")).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let cut = folder.path().join("cut.xlsx");
        std::fs::write(&cut, &whole[..at]).unwrap();
        let error = rows(&cut, &mut |_| true).expect_err("a truncated archive");
        assert!(error.contains("not a workbook") || error.contains("damaged"), "{at}: {error}");
        // A byte turned over is read or refused, and never the end of the program.
        let mut turned = whole.clone();
        turned[at] ^= 0x55;
        std::fs::write(&cut, turned).unwrap();
        let _ = rows(&cut, &mut |_| true);
    }
}
