"""Throughput of explanations on a local Ray against one process: rows per second, the same rows and the same numbers.

    python benches/ray_throughput.py --model testdata/compare/breast-cancer.onnx --rows 4000 --actors 2

Needs the package `exegesis`, `ray[data]` and `pyarrow`. Every variant has the same number of cores in all.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import ray

import exegesis as xg
import exegesis.ray


def main():
    here = Path(__file__).parents[1]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=str(here / "testdata" / "compare" / "breast-cancer.onnx"))
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--batch", type=int, default=250)
    parser.add_argument("--methods", default="integrated-gradients,kernel-shap:samples=200,lime:samples=500")
    choice = parser.parse_args()

    model = xg.load(choice.model)
    width = int(next(iter(model.inputs.values()))[1][1])
    names = [f"c{i}" for i in range(width)]
    x = np.random.default_rng(0).normal(size=(choice.rows, width)).astype("float32")
    table = pa.table({"id": np.arange(choice.rows), **{name: x[:, i] for i, name in enumerate(names)}})

    ray.init(num_cpus=choice.actors, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    ray.data.DataContext.get_current().enable_progress_bars = False
    print(f"{'method':40} {'one process':>14} {'Ray':>14} {'ratio':>7} {'Ray, start':>11}  rows/s; {choice.rows} rows, {choice.actors} actors")
    for method in split(choice.methods):
        options = dict(columns=names, method=method, keep=["id"], row_key="id", target=0)
        model.explain_table(table.slice(0, 2 * choice.batch), **options)
        started = time.perf_counter()
        alone = model.explain_table(table, threads=choice.actors, batch_rows=choice.batch, **options)
        single = time.perf_counter() - started

        data = ray.data.from_arrow([table.slice(at, choice.batch) for at in range(0, choice.rows, choice.batch)])
        mapped = data.map_batches(
            exegesis.ray.Explainer,
            fn_constructor_kwargs=dict(model=choice.model, **options),
            batch_format="pyarrow",
            batch_size=choice.batch,
            concurrency=choice.actors,
            num_cpus=1,
        )
        started = time.perf_counter()
        arrived, found = [], []
        for batch in mapped.iter_batches(batch_format="pyarrow", batch_size=None, prefetch_batches=4):
            arrived.append(time.perf_counter())
            found.append(batch)
        # Starting actors takes seconds whatever there is to do: rows are counted from the first batch that arrives.
        first, rest = found[0].num_rows, sum(batch.num_rows for batch in found[1:])
        spread = rest / (arrived[-1] - arrived[0])
        together = pa.concat_tables(found)
        assert together["id"].to_pylist() == alone["id"].to_pylist()
        for name in names:
            column = f"attribution/{name}"
            np.testing.assert_allclose(together[column].to_numpy(), alone[column].to_numpy(), atol=1e-4)
        rate = choice.rows / single
        print(f"{method:40} {rate:14.0f} {spread:14.0f} {spread / rate:7.2f} {arrived[0] - started:9.1f} s  (first {first} rows)")
    ray.shutdown()


def split(text):
    """`a,b:k=v,l=w` as `a`, `b:k=v,l=w`."""
    methods = []
    for piece in text.split(","):
        if methods and "=" in piece and ":" not in piece:
            methods[-1] += f",{piece}"
        else:
            methods.append(piece)
    return methods


if __name__ == "__main__":
    main()
