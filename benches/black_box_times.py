"""Time shap, lime, dianna and slalom-explanations on the models of `black_box_models.py`, and measure their error.

    python black_box_models.py                                         (once; writes target/black-box)
    python black_box_times.py reference [--model table] [--times 200]  (once; minutes)
    python black_box_times.py time [--model table]... [--method kernel-shap]... [--seeds 3] [--rows N]

`time` prints a JSON line per model, method and seed: `seconds`, `model_seconds` of them inside ONNX Runtime (2 threads),
`processor_seconds` and `model_processor_seconds` the same in time of all threads, which other work on the machine disturbs
less, its `load` (above 2, the first two are mostly waiting), `rows` the model was given, and where there is a reference for
what the method estimates `error`, the root mean square difference over that of the reference. `reference` prints the standard
error likewise. All methods of a model may use the same rows: table 2,000, mnist 1,000, efficientnet 500, text 1,000; SLALOM
5,000. A method runs once with few rows before it is timed. Another `--removal` needs a `--folder` of its own.

| method | what runs |
|---|---|
| `kernel-shap` | `shap.KernelExplainer`, `l1_reg=False` (`kernel-shap-default`: shap's default, 10 players are kept) |
| `permutation-shap` | `shap.explainers.Permutation` |
| `partition-shap` | `shap.explainers.Partition` over the linkage of the model's npz; its default batch of 10 |
| `partition-pixels` | the same with `shap.maskers.Image`, which halves the picture to pixels; summed over patches |
| `lime` | `LimeTabularExplainer` (quartiles), `LimeImageExplainer`, `LimeTextExplainer`, all players in the fit |
| `rise` | dianna's `RISETabular`, `RISEImage` (grid 7, given p = 1/2), `RISEText` |
| `slalom-eff`, `slalom-fidel` | `SLALOMLocalExplanantions`: short texts and Adam; deletions and alternating least squares |

shap and SLALOM take players as coalitions in their own form (rows of zeros and ones; token ids), lime and dianna the row
itself: pictures as they are, texts as strings of tokens. Outputs are the model's own, so that lime sees logits where the
model has them. FOLDER/runs/MODEL-METHOD-SEED.npz has `values` per player (RISE, pixels: also `map`) and the figures, for
SLALOM also `ids`, `mask`, `scores` (logit 1 less logit 0) of the rows it drew, `value` and `importance` per player and `mse`,
that of its fit on these rows. FOLDER/reference-MODEL.npz has `shapley`, `standard_error` (antithetic permutations) and `owen`
(all coalitions of the linkage).

Needs shap 0.51, lime 0.2.0.1, dianna 1.8.1 and slalom-explanations 0.1.2 beside what the models need.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from black_box_models import FOLDER, MODELS, Problem, Tokens, breast_cancer, problem

ROWS = {"table": 2000, "mnist": 1000, "efficientnet": 500, "text": 1000}
SLALOM_ROWS = 5000
SHAPLEY = ["kernel-shap", "kernel-shap-default", "permutation-shap"]
METHODS = {
    "table": [*SHAPLEY, "partition-shap", "lime", "rise"],
    "mnist": [*SHAPLEY, "partition-shap", "partition-pixels", "lime", "rise"],
    "efficientnet": [*SHAPLEY, "partition-shap", "partition-pixels", "lime", "rise"],
    "text": [*SHAPLEY, "partition-shap", "lime", "rise", "slalom-eff", "slalom-fidel"],
}
# How many times the budget the reference takes; a picture costs EfficientNet 20 ms of two threads.
TIMES = {"table": 200, "mnist": 200, "efficientnet": 40, "text": 200}
Found = dict[str, object]


def kernel_shap(given: Problem, rows: int, seed: int, l1_reg: object = False) -> Found:
    import shap

    explainer = shap.KernelExplainer(given.scores, np.zeros((1, given.count)))
    # The empty and the full coalition are not among its samples.
    return {"values": explainer.shap_values(np.ones(given.count), nsamples=rows - 2, l1_reg=l1_reg, silent=True)}


def permutation_shap(given: Problem, rows: int, seed: int) -> Found:
    import shap

    explainer = shap.explainers.Permutation(
        given.scores, shap.maskers.Independent(np.zeros((1, given.count))), seed=seed
    )
    budget = max(rows, 2 * given.count + 1)
    found = explainer(np.ones((1, given.count)), max_evals=budget, batch_size=given.at_a_time, silent=True)
    return {"values": found.values[0]}


def partition_shap(given: Problem, rows: int, seed: int) -> Found:
    import shap

    masker = shap.maskers.Partition(np.zeros((1, given.count)), clustering=given.linkage)
    found = shap.explainers.Partition(given.scores, masker)(np.ones((1, given.count)), max_evals=rows, silent=True)
    return {"values": found.values[0]}


def channels_last(given: Problem) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """The picture as [height, width, channels], and the outputs for such pictures."""
    nchw = given.row.shape[1] == 3
    picture = given.row[0].transpose(1, 2, 0) if nchw else given.row[0]

    def outputs(pictures: np.ndarray) -> np.ndarray:
        pictures = np.asarray(pictures, np.float32)[..., : picture.shape[-1]]
        given_rows = pictures.transpose(0, 3, 1, 2) if nchw else pictures
        parts = range(0, len(pictures), given.at_a_time)
        return np.concatenate([given.model(np.ascontiguousarray(given_rows[i : i + given.at_a_time])) for i in parts])

    return picture, outputs


def of_patches(given: Problem, values: np.ndarray, combine: Callable) -> np.ndarray:
    patch_of = given.players.reshape(values.shape)
    return np.array([combine(values[patch_of == player]) for player in range(given.count)])


def partition_pixels(given: Problem, rows: int, seed: int) -> Found:
    import shap

    picture, outputs = channels_last(given)
    masker = shap.maskers.Image(np.zeros(picture.size), picture.shape)
    explainer = shap.explainers.Partition(lambda x: outputs(x)[:, given.target].astype(float), masker)
    found = explainer(picture[None], max_evals=rows, batch_size=given.at_a_time, silent=True)
    pixels = found.values[0].sum(-1)
    return {"values": of_patches(given, pixels, np.sum), "map": pixels}


def lime(given: Problem, rows: int, seed: int) -> Found:
    every = {"labels": (given.target,), "top_labels": None, "num_features": given.count, "num_samples": rows}
    if given.name == "table":
        from lime.lime_tabular import LimeTabularExplainer

        explainer = LimeTabularExplainer(breast_cancer()[0], random_state=seed)
        found = explainer.explain_instance(
            given.row[0].astype(float), lambda x: by_parts(given, x.astype(np.float32)), **every
        )
    elif given.name == "text":
        from lime.lime_text import LimeTextExplainer

        # Positions are players (no bag of words), and absent words leave nothing behind.
        explainer = LimeTextExplainer(bow=False, mask_string="", split_expression=r"\s+", random_state=seed)
        found = explainer.explain_instance(" ".join(given.tokens), given.of_strings, **every)
    else:
        from lime.lime_image import LimeImageExplainer

        picture, outputs = channels_last(given)
        patch_of = given.players.reshape(picture.shape[:2])
        grey = picture[..., 0] if picture.shape[-1] == 1 else picture
        explainer = LimeImageExplainer(random_state=seed)
        found = explainer.explain_instance(
            grey, outputs, hide_color=0, batch_size=given.at_a_time, segmentation_fn=lambda _: patch_of, **every
        )
    values = np.zeros(given.count)
    for player, value in found.local_exp[given.target]:
        values[player] = value
    return {"values": values}


def by_parts(given: Problem, rows: np.ndarray) -> np.ndarray:
    parts = range(0, len(rows), given.at_a_time)
    return np.concatenate([given.model(rows[i : i + given.at_a_time]) for i in parts])


def rise(given: Problem, rows: int, seed: int) -> Found:
    if given.name == "table":
        from dianna.methods.rise_tabular import RISETabular

        explainer = RISETabular(breast_cancer()[0], n_masks=rows, p_keep=0.5)
        run = lambda x: by_parts(given, np.asarray(x, np.float32))  # noqa: E731
        found = explainer.explain(
            run, given.row[0], labels=[given.target], mask_type="mean", batch_size=given.at_a_time
        )
        return {"values": np.asarray(found)[0]}
    if isinstance(given, Tokens):
        from dianna.methods.rise_text import RISEText

        class Blanks:
            mask_token = "[MASK]"
            tokenize = staticmethod(str.split)
            convert_tokens_to_string = staticmethod(" ".join)

        [words] = RISEText(n_masks=rows, p_keep=0.5).explain(
            given.of_strings, " ".join(given.tokens), [given.target], tokenizer=Blanks(), batch_size=given.at_a_time
        )
        return {"values": np.array([value for _, _, value in words])}
    from dianna.methods.rise_image import RISEImage

    picture, outputs = channels_last(given)
    explainer = RISEImage(n_masks=rows, feature_res=7, p_keep=0.5, axis_labels={2: "channels"})
    [found] = explainer.explain(outputs, picture, labels=[given.target], batch_size=given.at_a_time)
    return {"values": of_patches(given, found, np.mean), "map": found}


def slalom(given: Tokens, rows: int, seed: int, fidel: bool) -> Found:
    import torch
    from slalom_explanations import SLALOMLocalExplanantions

    # Its tensors have a hundred rows: a second thread only waits, for seconds where the machine has other work.
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    # The package writes 101 and 102 for the first and last token whatever the vocabulary: its other ids are moved away.
    moved, seen = 1000, {"ids": [], "mask": [], "scores": []}

    class Runtime(torch.nn.Module):
        """ONNX Runtime behind the interface the package asks for; remembers what it was asked."""

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
            ids, mask = input_ids.numpy(), attention_mask.numpy().astype(np.int64)
            own = np.where(
                ids == 101, given.first, np.where(ids == 102, given.last, np.where(mask == 0, given.pad, ids - moved))
            )
            logits = given.model(own, mask)
            for key, value in [("ids", own), ("mask", mask), ("scores", logits[:, 1] - logits[:, 0])]:
                seen[key].append(value)
            return {"logits": torch.from_numpy(logits)}

    runtime, players = Runtime(), (given.ids + moved).tolist()
    if fidel:
        surrogate = fidelity_fit(runtime, players, rows)
    else:
        explainer = SLALOMLocalExplanantions(
            runtime, n_samples=rows, device="cpu", modes=["value", "imp"], pad_token_id=0
        )
        explainer.get_signed_importance_for_tokens(players)
        surrogate = explainer.curr_slalom_model
    at = surrogate.indexer[torch.tensor(players)]
    value, importance = (p.detach()[at].numpy() for p in (surrogate.my_values, surrogate.my_importance))
    # It explains logit 1 minus logit 0, whatever the class.
    sign = 1 if given.target == 1 else -1
    share = np.exp(importance - importance.max())
    found = {"values": sign * share / share.sum() * value, "value": value, "importance": importance}
    # Whole texts come alone, what is drawn 16 rows at a time.
    drawn = [call for call, ids in enumerate(seen["ids"]) if len(ids) > 1]
    widest = max(seen["ids"][call].shape[1] for call in drawn)
    wide = lambda array, fill: np.pad(array, [(0, 0), (0, widest - array.shape[1])], constant_values=fill)  # noqa: E731
    ids = np.concatenate([wide(seen["ids"][call], given.pad) for call in drawn])
    mask = np.concatenate([wide(seen["mask"][call], 0) for call in drawn])
    scores = np.concatenate([seen["scores"][call] for call in drawn])
    # The surrogate ignores what it has no index for: special tokens here, as in its own fit.
    player = (mask == 1) & ~np.isin(ids, [given.first, given.last])
    with torch.no_grad():
        fitted = surrogate.forward(torch.from_numpy(np.where(player, ids + moved, 0)))[:, 1].numpy()
    found |= {"ids": ids, "mask": mask, "scores": scores}
    return found | {"mse": float(np.mean((fitted - scores) ** 2)), "variance": float(scores.var())}


def fidelity_fit(runtime: object, players: list[int], rows: int) -> object:
    """What the package calls SLALOM-fidel, by its own parts: in 0.1.2 its explainer hands `fit_iter_rand` an argument that
    this does not take, and ends in a TypeError."""
    import torch
    from slalom_explanations.slalom_helpers import MyLittleSLALOM, fit_iter_rand

    text = torch.tensor([[101, *players, 102]])
    logits = runtime(text, torch.ones_like(text))["logits"]
    types = torch.tensor(players).unique()
    surrogate = MyLittleSLALOM(types, "cpu", v_init=logits[:, 1] - logits[:, 0])
    _, _, surrogate = fit_iter_rand(
        surrogate, runtime, types, torch.tensor(players), offline_ds_size=rows, use_cls=True, mode="deletion"
    )
    return surrogate


RUNS: dict[str, Callable[..., Found]] = {
    "kernel-shap": kernel_shap,
    "kernel-shap-default": lambda *given: kernel_shap(*given, l1_reg="num_features(10)"),
    "permutation-shap": permutation_shap,
    "partition-shap": partition_shap,
    "partition-pixels": partition_pixels,
    "lime": lime,
    "rise": rise,
    "slalom-eff": lambda *given: slalom(*given, fidel=False),
    "slalom-fidel": lambda *given: slalom(*given, fidel=True),
}


@contextlib.contextmanager
def quiet():
    """Progress bars and reports of the peers are not ours to print."""
    with open("/dev/null", "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield


def few(given: Problem, method: str) -> int:
    return 64 if method.startswith("slalom") else 2 * given.count + 2


def run_peer(
    model: str,
    method: str,
    rows: int | None = None,
    seed: int = 0,
    folder: Path = FOLDER,
    removal: str = "delete",
    warm: bool = True,
) -> dict:
    """One run of a peer: figures, and `values` per player. Saves them under FOLDER/runs."""
    given = problem(model, folder, removal=removal)
    rows = rows or (SLALOM_ROWS if method.startswith("slalom") else ROWS[model])
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if warm:
            np.random.seed(seed)
            RUNS[method](given, few(given, method), seed)
        given.model.reset()
        np.random.seed(seed)
        start, processor = time.perf_counter(), time.process_time()
        found = RUNS[method](given, rows, seed)
        seconds, processor = time.perf_counter() - start, time.process_time() - processor
    figures = {
        "seconds": seconds,
        "model_seconds": given.model.seconds,
        "processor_seconds": processor,
        "model_processor_seconds": given.model.processor_seconds,
        "rows": given.model.rows,
    }
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / f"runs/{model}-{method}-{seed}.npz", **found, **figures)
    return found | figures


def error(values: np.ndarray, method: str, model: str, folder: Path) -> dict:
    path = folder / f"reference-{model}.npz"
    wanted = {"partition-shap": "owen"} | dict.fromkeys(SHAPLEY, "shapley")
    if method not in wanted or not path.exists():
        return {}
    reference = np.load(path)[wanted[method]]
    return {"error": float(np.linalg.norm(values - reference) / np.linalg.norm(reference))}


def shapley_reference(given: Problem, rows: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Mean over pairs of an order and its reverse, and the standard error of that mean."""
    random, players = np.random.default_rng(seed), given.count
    pairs, together = rows // (2 * players), max(1, given.at_a_time // players)
    found = []
    for start in range(0, pairs, together):
        orders = [random.permutation(players) for _ in range(min(together, pairs - start))]
        both = np.array([path for order in orders for path in (order, order[::-1])])
        place = np.argsort(both, 1)
        coalitions = place[:, None, :] < np.arange(1, players)[None, :, None]
        inner = given.scores(coalitions.reshape(-1, players)).reshape(len(both), players - 1)
        ends = np.ones((len(both), 1))
        steps = np.diff(np.concatenate([given.empty * ends, inner, given.full * ends], 1), axis=1)
        walks = np.take_along_axis(steps, place, 1)
        found.extend(walks.reshape(-1, 2, players).mean(1))
    found = np.array(found)
    return found.mean(0), found.std(0, ddof=1) / np.sqrt(len(found))


def owen_reference(given: Problem) -> tuple[np.ndarray, int]:
    """Exact over the linkage: both children of each cluster in each context of its ancestors."""
    players = given.count
    members = [np.eye(players, dtype=bool)[i] for i in range(players)]
    for left, right, *_ in given.linkage:
        members.append(members[int(left)] | members[int(right)])
    values, rows = np.zeros(players), 0
    # Open contexts of a cluster, with the outputs without and with it.
    open_ = {len(members) - 1: [(np.zeros(players, bool), given.empty, given.full, 1.0)]}
    for node in range(len(members) - 1, -1, -1):
        contexts = open_.pop(node)
        if node < players:
            values[node] = sum(weight * (inside - outside) for _, outside, inside, weight in contexts)
            continue
        left, right = (int(child) for child in given.linkage[node - players][:2])
        asked = np.array([context | members[child] for context, *_ in contexts for child in (left, right)])
        outputs = given.scores(asked).reshape(-1, 2)
        rows += len(asked)
        for (context, outside, inside, weight), (of_left, of_right) in zip(contexts, outputs):
            open_.setdefault(left, []).append((context, outside, of_left, weight / 2))
            open_.setdefault(left, []).append((context | members[right], of_right, inside, weight / 2))
            open_.setdefault(right, []).append((context, outside, of_right, weight / 2))
            open_.setdefault(right, []).append((context | members[left], of_left, inside, weight / 2))
    return values, rows


def write_reference(model: str, times: int, folder: Path, removal: str) -> dict:
    given = problem(model, folder, removal=removal)
    start = time.perf_counter()
    owen, owen_rows = owen_reference(given)
    shapley, standard_error = shapley_reference(given, times * ROWS[model])
    np.savez(folder / f"reference-{model}.npz", shapley=shapley, standard_error=standard_error, owen=owen)
    return {
        "model": model, "players": given.count, "rows": given.model.rows, "owen_rows": owen_rows,
        "seconds": round(time.perf_counter() - start, 1),
        "standard_error": round(float(np.linalg.norm(standard_error) / np.linalg.norm(shapley)), 5),
        "gap": float(abs(shapley.sum() - (given.full - given.empty))),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("time", "reference"):
        command = commands.add_parser(name)
        command.add_argument("--model", choices=MODELS, action="append", help="default: all")
        command.add_argument("--folder", type=Path, default=FOLDER)
        command.add_argument("--removal", choices=["delete", "mask"], default="delete", help="of tokens")
        if name == "time":
            command.add_argument("--method", choices=RUNS, action="append", help="default: all of a model")
            command.add_argument("--rows", type=int)
            command.add_argument("--seeds", type=int, default=3)
        else:
            command.add_argument("--times", type=int, help="the model's rows; default 200, EfficientNet 40")
    options = parser.parse_args()
    for model in options.model or MODELS:
        if options.command == "reference":
            print(
                json.dumps(write_reference(model, options.times or TIMES[model], options.folder, options.removal)),
                flush=True,
            )
            continue
        for method in options.method or METHODS[model]:
            if method not in METHODS[model]:
                sys.exit(f"{method} does not run on {model}")
            for seed in range(options.seeds):
                found = run_peer(model, method, options.rows, seed, options.folder, options.removal)
                line = {"model": model, "method": method, "seed": seed, "rows": found["rows"]}
                line |= {key: round(found[key], 4) for key in found if key.endswith("seconds")}
                line["load"] = round(os.getloadavg()[0], 1)
                line |= {key: round(found[key], 6) for key in ("mse", "variance") if key in found}
                print(json.dumps(line | error(found["values"], method, model, options.folder)), flush=True)


if __name__ == "__main__":
    main()
