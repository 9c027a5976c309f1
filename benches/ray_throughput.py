"""Throughput of explanations on a local Ray against one process: rows per second, the same rows and the same numbers.

    python benches/ray_throughput.py --model testdata/compare/breast-cancer.onnx --rows 4000 --actors 2

Needs the package `exegesis`, `ray[data]` and `pyarrow`. Every variant has the same number of cores in all.
"""

import argparse
import logging
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
    x = np.random.default_rng(0).normal(size=(3 * choice.rows, width)).astype("float32")
    table = pa.table({"id": np.arange(3 * choice.rows), **{name: x[:, i] for i, name in enumerate(names)}})

    ray.init(num_cpus=choice.actors, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    print(f"{choice.rows} and {3 * choice.rows} rows, {choice.actors} actors of one core, one process of as many threads; rows/s")
    print(f"{'method':32} {'one process':>12} {'Ray':>8} {'ratio':>6} {'Ray, with its start':>20}")
    for method in split(choice.methods):
        options = dict(columns=names, method=method, keep=["id"], row_key="id", target=0)

        def alone(rows):
            return model.explain_table(rows, threads=choice.actors, batch_rows=choice.batch, **options)

        def spread(rows):
            data = ray.data.from_arrow([rows.slice(at, choice.batch) for at in range(0, rows.num_rows, choice.batch)])
            mapped = data.map_batches(
                exegesis.ray.Explainer,
                fn_constructor_kwargs=dict(model=choice.model, **options),
                batch_format="pyarrow",
                batch_size=choice.batch,
                compute=ray.data.ActorPoolStrategy(size=choice.actors),
                num_cpus=1,
            )
            return pa.concat_tables(mapped.iter_batches(batch_format="pyarrow", batch_size=None))

        alone(table.slice(0, 2 * choice.batch))
        one, single = timed(alone, table)
        _, small = timed(spread, table.slice(0, choice.rows))
        two, large = timed(spread, table)
        assert two["id"].to_pylist() == one["id"].to_pylist()
        for name in names:
            column = f"attribution/{name}"
            np.testing.assert_allclose(two[column].to_numpy(), one[column].to_numpy(), atol=1e-4)
        # Starting actors takes seconds whatever there is to do: what counts is what more rows take.
        rate, more = table.num_rows / single, 2 * choice.rows / (large - small)
        print(f"{method:32} {rate:12.0f} {more:8.0f} {more / rate:6.2f} {table.num_rows / large:20.0f}", flush=True)
    ray.shutdown()


def timed(work, rows):
    """What `work` gives, and the seconds that it takes."""
    started = time.perf_counter()
    found = work(rows)
    return found, time.perf_counter() - started


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
