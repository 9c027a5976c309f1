"""Writes the recorded SLALOM numbers of another source in a compact form: python record.py GOLDEN_FOLDER"""
import json
import os
import sys

import numpy as np

SOURCE, HERE = sys.argv[1], os.path.dirname(os.path.abspath(__file__))
short = lambda values: [float(str(np.float32(v))) for v in values]


def write(name, data):
    with open(os.path.join(HERE, name), "w") as file:
        json.dump(data, file, separators=(",", ":"))
        file.write("\n")


for name in ("eff_bert_512", "eff_bert_5008", "eff_bert4_class2", "eff_gpt", "deletion_bert", "fidel_bert"):
    data = dict(np.load(os.path.join(SOURCE, name + ".npz")))
    unique = data["unique"].tolist()
    queries = []
    for row, length in zip(data["ids"], data["length"]):
        queries.append("".join(str(unique.index(t)) for t in row[:length].tolist() if t in unique))
    out = {"tokens": data["tokens"].tolist(), "unique": unique, "queries": " ".join(queries), "F": short(data["F"])}
    for key in data:
        if key not in ("ids", "length", "counts", "F", "tokens", "unique"):
            out[key] = short(data[key])
    write(name + ".json", out)
data = dict(np.load(os.path.join(SOURCE, "exact_regression.npz")))
write("exact_regression.json", {key: value.tolist() for key, value in data.items()})
for name in ("fits", "compat_runs", "exact_recovery", "metrics_cases"):
    write(name + ".json", json.load(open(os.path.join(SOURCE, name + ".json"))))
