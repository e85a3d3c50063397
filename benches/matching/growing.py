#!/usr/bin/env python3
"""What a model is worth that was learned while only part of the records was there.

Learns from a part of the FEBRL sets, and of invented people, as they come in a random order, then puts all records one by
one before that model, and compares with a run that learns from all of them at once.

    growing.py HUILIU [--people 100000] [--parts 0.25,0.5,0.75]
"""
import argparse, csv, random, subprocess, tempfile

from compare import febrl, pairwise, people


def run(huiliu, folder, *more):
    command = [huiliu, "match", "run", f"{folder}/records.csv", "--columns", f"{folder}/columns.toml"]
    subprocess.run([*command, "--out", f"{folder}/clusters.csv", *more], check=True, capture_output=True)


def learn(huiliu, folder, part):
    with open(f"{folder}/records.csv", newline="") as file:
        head, *rows = csv.reader(file)
    random.Random(5).shuffle(rows)
    with open(f"{folder}/part.csv", "w", newline="") as file:
        csv.writer(file).writerows([head, *rows[: int(len(rows) * part)]])
    command = [huiliu, "match", "train", f"{folder}/part.csv", "--columns", f"{folder}/columns.toml"]
    subprocess.run([*command, "--out", f"{folder}/model.json"], check=True, capture_output=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("huiliu")
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--parts", default="0.25,0.5,0.75")
    given = parser.parse_args()
    parts = [float(part) for part in given.parts.split(",")]
    print(f"{'set':<12}{'batch':>10}" + "".join(f"{part:>10}" for part in parts))
    sets = [(name, lambda folder, name=name: febrl(name, folder)) for name in ("febrl1", "febrl2", "febrl3")]
    for name, make in [*sets, ("people", lambda folder: people(given.people, folder))]:
        with tempfile.TemporaryDirectory() as folder:
            columns, truth = make(folder)
            with open(f"{folder}/columns.toml", "w") as file:
                file.writelines(f'{column} = "{kind}"\n' for column, kind in columns.items())
            run(given.huiliu, folder)
            figures = [pairwise(f"{folder}/clusters.csv", truth)]
            for part in parts:
                learn(given.huiliu, folder, part)
                run(given.huiliu, folder, "--model", f"{folder}/model.json", "--one-by-one")
                figures.append(pairwise(f"{folder}/clusters.csv", truth))
            print(f"{name:<12}" + "".join(f"{figure:>10.4f}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
