"""Record what shap, lime and dianna say of small predictors that Rust can state again. README.md describes the files.

    python record.py [NAME]...        (every file without arguments: shapley kernel permutation partition lime rise)

Needs numpy, onnx, onnxruntime, scikit-learn, scikit-image, shap 0.51, lime 0.2.0.1 and dianna 1.8.1; the tests need none of
them. Each recorded number is checked here against the definition of its method in plain loops.
"""

from __future__ import annotations

import itertools
import json
import math
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import shap
from dianna.methods.rise_image import RISEImage
from dianna.methods.rise_text import RISEText
from lime import lime_base
from lime.lime_image import LimeImageExplainer
from lime.lime_tabular import LimeTabularExplainer
from lime.lime_text import LimeTextExplainer
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
SHAP, LIME, DIANNA = (f"{name} {version(name)}" for name in ("shap", "lime", "dianna"))
LINKS = {"identity": lambda y: y, "tanh": np.tanh, "sigmoid": lambda y: 1 / (1 + np.exp(-y))}


def plain(value):
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.bool_ | bool):
        return int(value)
    return value.item() if isinstance(value, np.generic) else value


def write(name, document):
    # A case a line: the files are read by people who look for one case.
    cases = ",\n".join(json.dumps(plain(case)) for case in document.pop("cases"))
    head = json.dumps(plain(document))[1:-1]
    path = HERE / f"{name}.json"
    path.write_text("{" + head + (", " if head else "") + '"cases": [\n' + cases + "\n]}\n")
    assert path.stat().st_size < 200_000
    print(f"{name}: {path.stat().st_size} bytes")


def close(found, wanted, tolerance=1e-9):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)


# ---- Predictors.


class Polynomial:
    """link(constant + sum a_i x_i + sum b_ij x_i x_j + sum c_ijk x_i x_j x_k), one output."""

    def __init__(self, seed, players, link="identity"):
        random = np.random.default_rng(seed)
        self.players, self.link = players, link
        self.constant = round(random.normal(), 3)
        self.linear = random.normal(size=players).round(3)
        pairs = list(itertools.combinations(range(players), 2))
        triples = list(itertools.combinations(range(players), 3))
        self.pairs = [pairs[i] for i in sorted(random.choice(len(pairs), 8, replace=False))]
        self.triples = [triples[i] for i in sorted(random.choice(len(triples), 5, replace=False))]
        self.of_pairs, self.of_triples = random.normal(size=8).round(3), random.normal(size=5).round(3)

    def __call__(self, rows):
        rows = np.asarray(rows, float)
        total = self.constant + rows @ self.linear
        for indices, coefficient in [*zip(self.pairs, self.of_pairs), *zip(self.triples, self.of_triples)]:
            total = total + coefficient * rows[:, indices].prod(1)
        return LINKS[self.link](total)

    def stated(self):
        return {
            "link": self.link,
            "constant": self.constant,
            "linear": self.linear,
            "pairs": [[*i, c] for i, c in zip(self.pairs, self.of_pairs)],
            "triples": [[*i, c] for i, c in zip(self.triples, self.of_triples)],
        }


class Network:
    """`mlp.onnx`, evaluated in float64 from its float32 weights: what is recorded has no rounding of a runtime in it."""

    def __init__(self):
        path = HERE / "mlp.onnx"
        self.weights = [numpy_helper.to_array(w).astype(float) for w in onnx.load(path).graph.initializer]
        self.players = self.weights[0].shape[0]
        rows = np.random.default_rng(0).normal(size=(7, self.players)).astype(np.float32)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        close(session.run(None, {"features": rows})[0], self(rows), 1e-6)

    def __call__(self, rows):
        first, first_bias, second, second_bias, third, third_bias = self.weights
        hidden = np.maximum(np.asarray(rows, float) @ first + first_bias, 0)
        scores = np.tanh(hidden @ second + second_bias) @ third + third_bias
        powers = np.exp(scores - scores.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)

    def stated(self):
        return {"onnx": "mlp.onnx"}


def write_network():
    random = np.random.default_rng(10)
    widths = [10, 16, 12, 3]
    nodes, initializers, value = [], [], "features"
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        weight = random.normal(scale=1.5 / math.sqrt(inputs), size=(inputs, outputs)).astype(np.float32)
        bias = random.normal(scale=0.3, size=outputs).astype(np.float32)
        names = [f"weight{layer}", f"bias{layer}"]
        initializers += [numpy_helper.from_array(array, name) for array, name in zip((weight, bias), names)]
        nodes.append(helper.make_node("Gemm", [value, *names], [f"sum{layer}"]))
        operator = ["Relu", "Tanh", "Softmax"][layer]
        value = ["hidden0", "hidden1", "probabilities"][layer]
        nodes.append(helper.make_node(operator, [f"sum{layer}"], [value]))
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", widths[0]])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", widths[-1]])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, HERE / "mlp.onnx")


# ---- Definitions, in plain loops.


def worth(predictor, row, background):
    """The game: players outside the coalition take the values of a background row, averaged over those rows."""
    known = {}

    def of(coalition):
        key = frozenset(coalition)
        if key not in known:
            inside = np.array([i in key for i in range(len(row))])
            known[key] = predictor(np.where(inside, row, background)).mean(0)
        return known[key]

    return of


def shapley(of, players):
    values = []
    for i in range(players):
        others = [j for j in range(players) if j != i]
        total = 0
        for size in range(players):
            weight = math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
            for coalition in itertools.combinations(others, size):
                total = total + weight * (of({*coalition, i}) - of(coalition))
        values.append(total)
    return np.array(values)


def walk(of, order):
    """Contribution of each player when players join in this order."""
    joined, before, values = set(), of(()), [None] * len(order)
    for i in order:
        joined.add(int(i))
        after = of(joined)
        values[i] = after - before
        before = after
    return np.array(values)


def members(linkage, node):
    players = len(linkage) + 1
    if node < players:
        return {node}
    left, right = (int(child) for child in linkage[node - players][:2])
    return members(linkage, left) | members(linkage, right)


def owen(of, linkage):
    """Mean over all orders in which each cluster joins as a block; per player: every ancestor's other child in, or out."""
    players = len(linkage) + 1
    parents = {}
    for at, (left, right, *_) in enumerate(linkage):
        parents[int(left)], parents[int(right)] = (players + at, int(right)), (players + at, int(left))
    values = []
    for i in range(players):
        siblings, node = [], i
        while node in parents:
            node, sibling = parents[node]
            siblings.append(members(linkage, sibling))
        total = 0
        for chosen in itertools.product([False, True], repeat=len(siblings)):
            context = set().union(*(s for s, inside in zip(siblings, chosen) if inside))
            total = total + of(context | {i}) - of(context)
        values.append(total / 2 ** len(siblings))
    return np.array(values)


def owen_within(of, linkage, budget, random):
    """Best first: the open cluster with the largest weighted difference is split next; what is open at the end of the
    budget is shared equally among its players. The empty and the full coalition count. `random` breaks ties."""
    players = len(linkage) + 1
    values, rows = np.zeros((players,) + np.shape(of(()))), 2
    everyone = frozenset(range(players))
    open_ = [(frozenset(), 2 * players - 2, 1.0)]
    difference = lambda entry: of(entry[0] | members(linkage, entry[1])) - of(entry[0])  # noqa: E731
    while open_:
        if rows >= budget:
            break
        open_.sort(key=lambda entry: -np.max(np.abs(difference(entry))) * entry[2] * (1 + 1e-9 * random.normal()))
        context, node, weight = open_.pop(0)
        if node < players:
            values[node] += weight * difference((context, node, weight))
            continue
        left, right = (int(child) for child in linkage[node - players][:2])
        rows += 2
        for child, sibling in [(left, right), (right, left)]:
            open_.append((context, child, weight / 2))
            open_.append((context | members(linkage, sibling), child, weight / 2))
    for context, node, weight in open_:
        group = members(linkage, node)
        for i in group:
            values[i] += weight * difference((context, node, weight)) / len(group)
    assert np.allclose(values.sum(0), of(everyone) - of(()))
    return values, rows


def ridge(rows, labels, weights, alpha):
    """min over b, c of sum w (y - c - x b)^2 + alpha |b|^2: coefficients, intercept, weighted R^2."""
    share = weights / weights.sum()
    mean, mean_label = share @ rows, share @ labels
    x, y = rows - mean, labels - mean_label
    b = np.linalg.solve(x.T @ (weights[:, None] * x) + alpha * np.eye(x.shape[1]), x.T @ (weights * y))
    return b, mean_label - mean @ b, 1 - (weights @ (y - x @ b) ** 2) / (weights @ y**2)


# ---- Recordings.


def games():
    """By name: predictor, row, background rows."""
    random = np.random.default_rng(3)
    ones, zeros = np.ones(8), np.zeros((1, 8))
    row, references = random.normal(size=10).round(2), random.normal(size=(5, 10)).round(2)
    # One player is as in the background: its value is zero, and shap leaves it out of the game.
    same = references[:1].copy()
    same[0, 3] = row[3]
    small = random.normal(size=(4, 5)).round(2)
    network = Network()
    return {
        "binary": (Polynomial(1, 8), ones, zeros),
        "binary-tanh": (Polynomial(2, 8, "tanh"), ones, zeros),
        "real": (Polynomial(3, 10), row, same),
        "real-set": (Polynomial(3, 10), row, references),
        "real-sigmoid": (Polynomial(4, 10, "sigmoid"), row, same),
        "real-sigmoid-set": (Polynomial(4, 10, "sigmoid"), row, references),
        "five": (Polynomial(5, 5, "sigmoid"), small[0], small[1:]),
        "network": (network, row, references[:1]),
        "network-set": (network, row, references),
    }


def stated(name, predictor, row, background):
    return {"name": name, "predictor": predictor.stated(), "row": row, "background": background}


def kernel_shap(predictor, row, background, samples):
    explainer = shap.KernelExplainer(predictor, background)
    return explainer, explainer.shap_values(row, nsamples=samples, l1_reg=False, silent=True)


def record_shapley():
    cases = []
    for name, (predictor, row, background) in games().items():
        of, players = worth(predictor, row, background), len(row)
        wanted = shapley(of, players)
        _, kernel = kernel_shap(predictor, row, background, 2**players)
        exact = shap.explainers.Exact(predictor, shap.maskers.Independent(background))(row[None]).values[0]
        close(kernel, wanted)
        close(exact, wanted)
        if players == 5:
            every = [walk(of, order) for order in itertools.permutations(range(players))]
            close(np.mean(every, 0), wanted)
        cases.append(
            stated(name, predictor, row, background)
            | {"empty": of(()), "full": of(range(players)), "kernel": kernel, "exact": exact, "plain": wanted}
        )
    by = {
        "kernel": f"{SHAP}, KernelExplainer.shap_values(nsamples=2^n, l1_reg=False)",
        "exact": f"{SHAP}, explainers.Exact with maskers.Independent",
        "plain": "record.py, shapley()",
    }
    write("shapley", {"made_by": by, "cases": cases})


def record_kernel():
    """Fewer rows than coalitions: the regression for the coalitions and weights that shap drew."""
    cases = []
    for name, samples in [("real", 120), ("real-sigmoid-set", 200), ("network-set", 160)]:
        predictor, row, background = games()[name]
        if name == "real":  # without the player that does not vary, so that masks have all players
            background = games()["real-set"][2][:1]
        np.random.seed(0)
        explainer, values = kernel_shap(predictor, row, background, samples)
        masks, weights = (
            explainer.maskMatrix[: explainer.nsamplesAdded],
            explainer.kernelWeights[: explainer.nsamplesAdded],
        )
        of = worth(predictor, row, background)
        outputs = np.array([of(np.flatnonzero(mask)) for mask in masks])
        empty, full = of(()), of(range(len(row)))
        close(outputs.reshape(len(masks), -1), explainer.ey[: len(masks)])
        # Weighted least squares with the sum of the values fixed, by its Lagrange conditions.
        normal = masks.T @ (weights[:, None] * masks)
        system = np.block([[normal, np.ones((len(row), 1))], [np.ones((1, len(row))), np.zeros((1, 1))]])
        right = np.concatenate(
            [masks.T @ (weights[:, None] * (outputs - empty).reshape(len(masks), -1)), [np.ravel(full - empty)]]
        )
        close(np.linalg.solve(system, right)[:-1].reshape(values.shape), values, 1e-8)
        cases.append(
            stated(name, predictor, row, background)
            | {"nsamples": samples, "coalitions": masks.astype(int), "weights": weights, "outputs": outputs}
            | {"empty": empty, "full": full, "values": values}
        )
    write("kernel", {"made_by": f"{SHAP}, KernelExplainer.shap_values(nsamples, l1_reg=False)", "cases": cases})


def record_permutation():
    cases = []
    for name, count in [("five", 2), ("binary-tanh", 3), ("real-sigmoid-set", 2), ("network-set", 4)]:
        predictor, row, background = games()[name]
        players = len(row)
        of = worth(predictor, row, background)
        np.random.seed(7)
        explainer = shap.explainers.Permutation(predictor, shap.maskers.Independent(background))
        np.random.seed(7)
        values = explainer(row[None], max_evals=count * (2 * players + 1), error_bounds=True, silent=True)
        deviation, values = values.error_std[0], values.values[0]
        # The orders that it drew: shuffled in place, each from the one before.
        np.random.seed(7)
        order, orders = np.arange(players), []
        for _ in range(count):
            np.random.shuffle(order)
            orders.append(order.copy())
        walks = [walk(of, path) for order in orders for path in (order, order[::-1])]
        close(np.mean(walks, 0), values)
        close(np.std(walks, 0), deviation)
        forward = np.mean([walk(of, order) for order in orders], 0)
        cases.append(
            stated(name, predictor, row, background)
            | {"orders": orders, "antithetic": values, "forward": forward}
            | {"deviation": deviation}
        )
    by = {
        "antithetic": f"{SHAP}, explainers.Permutation(max_evals=orders*(2n+1)): each order and its reverse",
        "forward": "record.py, walk(): the orders alone",
        "deviation": f"{SHAP}, error_std: of the walks of both directions, divided by their number",
    }
    write("permutation", {"made_by": by, "cases": cases})


def balanced(players):
    """Linkage of neighbours joined in pairs: (left, right, distance, members)."""
    level, sizes, rows = list(range(players)), {i: 1 for i in range(players)}, []
    while len(level) > 1:
        above = []
        for left, right in zip(level[::2], level[1::2]):
            node = players + len(rows)
            sizes[node] = sizes[left] + sizes[right]
            rows.append([left, right, 1.0 + math.log2(sizes[node]), sizes[node]])
            above.append(node)
        level = above + ([level[-1]] if len(level) % 2 else [])
    return np.array(rows, float)


def chain(players):
    return np.array([[i + 1, 0 if i == 0 else players + i - 1, 1.0 + i, i + 2] for i in range(players - 1)], float)


def record_partition():
    cases = []
    five = np.array([[0, 3, 0.2, 2], [1, 4, 0.5, 2], [6, 2, 0.8, 3], [5, 7, 1.5, 5]])
    trees = [
        ("binary-tanh", balanced(8), "balanced", 24),
        ("binary", chain(8), "chain", 40),
        ("five", five, "uneven", 8),
        ("real-sigmoid-set", balanced(10), "balanced", 30),
        ("network-set", balanced(10), "balanced", 26),
    ]
    for name, linkage, shape, budget in trees:
        predictor, row, background = games()[name]
        of = worth(predictor, row, background)
        wanted = owen(of, linkage)

        def explained(budget):
            masker = shap.maskers.Partition(background, clustering=linkage)
            explainer = shap.explainers.Partition(predictor, masker)
            found = explainer(row[None], max_evals=budget, batch_size=2, silent=True)
            return found.values[0], explainer.last_eval_count + 2

        values, rows = explained(10**6)
        close(values, wanted)
        constrained = shap.explainers.Exact(predictor, shap.maskers.Partition(background, clustering=linkage))
        close(constrained(row[None], max_evals=10**6, silent=True).values[0], wanted)
        within, used = explained(budget)
        for seed in range(8):  # which of two equals comes first makes no difference to what is recorded
            mine, mine_used = owen_within(of, linkage, budget, np.random.default_rng(seed))
            close(mine, within)
            assert mine_used == used, (mine_used, used)
        cases.append(
            stated(name, predictor, row, background)
            | {"tree": shape, "linkage": linkage, "rows": rows, "values": values, "plain": wanted}
            | {"budget": budget, "budget_rows": used, "within_budget": within}
        )
    by = {
        "values": f"{SHAP}, explainers.Partition(max_evals=10^6, batch_size=2) with maskers.Partition(clustering=linkage)",
        "plain": "record.py, owen(); explainers.Exact with the same masker gives the same",
        "within_budget": f"{SHAP}, explainers.Partition(max_evals=budget, batch_size=2)",
    }
    write("partition", {"made_by": by, "cases": cases})


def captured(run):
    """What an explainer of lime hands to its regression, and its answer."""
    seen = {}
    original = lime_base.LimeBase.explain_instance_with_data

    def watched(self, data, labels, distances, label, num_features, **rest):
        seen.update(data=np.array(data, float), labels=np.array(labels)[:, label], distances=distances)
        seen.update(weights=self.kernel_fn(distances))
        return original(self, data, labels, distances, label, num_features, **rest)

    lime_base.LimeBase.explain_instance_with_data = watched
    try:
        run()
    finally:
        lime_base.LimeBase.explain_instance_with_data = original
    return seen


def two_classes(predictor):
    return lambda rows: np.stack([1 - predictor(rows), predictor(rows)], 1)


def lime_runs():
    """By name: the kernel's width, and a run of an explainer with a seed."""
    random = np.random.default_rng(12)
    tabular, words, patches = Polynomial(20, 9, "sigmoid"), Polynomial(21, 8, "sigmoid"), Polynomial(22, 16, "sigmoid")
    training = random.normal(size=(60, 9)).round(2)
    text = "one two three four five six seven eight"
    image = random.random((8, 8, 3)).round(3)
    segments = np.kron(np.arange(16).reshape(4, 4), np.ones((2, 2), int))

    def presence(strings):
        return np.array([[word in given.split() for word in text.split()] for given in strings], float)

    def patch_means(images):
        return np.stack([images[:, segments == k].mean((1, 2)) for k in range(16)], 1)

    of_tabular = LimeTabularExplainer(training, discretize_continuous=True, random_state=5)
    of_text = LimeTextExplainer(bow=True, random_state=5)
    of_image = LimeImageExplainer(random_state=5)
    return {
        "tabular": (0.75 * 3.0, lambda: of_tabular.explain_instance(training[0], two_classes(tabular), num_samples=60)),
        "text": (
            25.0,
            lambda: of_text.explain_instance(text, lambda s: two_classes(words)(presence(s)), num_samples=50),
        ),
        "image": (
            0.25,
            lambda: of_image.explain_instance(
                image, lambda x: two_classes(patches)(patch_means(x)), labels=(1,), top_labels=None, hide_color=0,
                num_samples=70, segmentation_fn=lambda _: segments,
            ),
        ),
    }  # fmt: skip


def distance(name, z):
    kept = z.sum() / len(z)
    if name == "tabular":
        return math.sqrt(len(z) - z.sum())
    # Cosine distance to the row of ones; nothing kept counts as orthogonal.
    return (1 - math.sqrt(kept)) * (100 if name == "text" else 1)


def selected(method, rows, labels, weights, count):
    if method == "none":
        return list(range(rows.shape[1]))
    if method == "highest_weights":
        influence = np.abs(ridge(rows, labels, weights, 0.01)[0] * rows[0])
        return list(np.argsort(-influence, kind="stable")[:count])
    chosen = []
    while len(chosen) < count:  # forward selection
        left = [k for k in range(rows.shape[1]) if k not in chosen]
        chosen.append(max(left, key=lambda k: ridge(rows[:, [*chosen, k]], labels, weights, 0.0)[2]))
    return chosen


def record_lime():
    cases, random = [], np.random.default_rng(2)
    for name, (width, run) in lime_runs().items():
        seen = captured(run)
        rows, labels, weights = seen["data"], seen["labels"], seen["weights"]
        close(seen["distances"], [distance(name, z) for z in rows], 1e-6)
        close(weights, np.exp(-(seen["distances"] ** 2) / (2 * width**2)), 1e-12)
        base = lime_base.LimeBase(lambda d: np.exp(-(d**2) / (2 * width**2)), random_state=0)
        fits = []
        for method, count in [("none", rows.shape[1]), ("highest_weights", 4), ("forward_selection", 3)]:
            intercept, found, r2, local = base.explain_instance_with_data(
                rows, np.stack([1 - labels, labels], 1), seen["distances"], 1, count, feature_selection=method
            )
            found = dict(found)
            chosen = selected(method, rows, labels, weights, count)
            assert set(chosen) == set(found), (name, method)
            b, c, score = ridge(rows[:, chosen], labels, weights, 1.0)
            close(b, [found[k] for k in chosen], 1e-8)
            close([c, score], [intercept, r2], 1e-8)
            fits.append(
                {"selection": method, "features": chosen, "coefficients": b, "intercept": intercept, "r2": r2}
                | {"local": local[0]}
            )
        # Kernel at chosen coalitions, the one without players included.
        samples = (random.random((6, rows.shape[1])) < 0.5).astype(float)
        samples[0], samples[1] = 1, 0
        distances = np.array([distance(name, z) for z in samples])
        cases.append(
            {"name": name, "kernel_width": width, "z": rows.astype(int), "y": labels, "distances": seen["distances"]}
            | {"weights": weights, "fits": fits}
            | {"kernel": {"z": samples.astype(int), "distances": distances, "weights": base.kernel_fn(distances)}}
        )
    by = {
        "z, y, distances, weights": f"{LIME}, Lime{{Tabular,Text,Image}}Explainer.explain_instance, as handed to lime_base",
        "fits": f"{LIME}, lime_base.LimeBase.explain_instance_with_data (sklearn {version('scikit-learn')} Ridge alpha=1)",
        "kernel": "record.py, distance(), which is asserted to be lime's for every row of z",
    }
    write("lime", {"made_by": by, "cases": cases})


def mirrored(at, cells):
    """Reflection about the centres of the first and last cell."""
    period = 2 * (cells - 1)
    at = abs(at) % period
    return period - at if at > cells - 1 else at


def upsampled(grid, up):
    """Bilinear with centres at half cells: cell = (pixel + 1/2) cells / pixels - 1/2, mirrored at the borders."""

    def line(cells, pixels):
        matrix = np.zeros((pixels, cells))
        for pixel in range(pixels):
            at = (pixel + 0.5) * cells / pixels - 0.5
            low = math.floor(at)
            matrix[pixel, mirrored(low, cells)] += 1 - (at - low)
            matrix[pixel, mirrored(low + 1, cells)] += at - low
        return matrix

    return line(grid.shape[0], up[0]) @ grid @ line(grid.shape[1], up[1]).T


def record_rise():
    cases = []
    for name, shape, cells, masks, keep in [("even", (8, 8), 4, 12, 0.5), ("uneven", (8, 10), 3, 12, 0.3)]:
        random = np.random.default_rng(31)
        image = random.normal(size=(*shape, 1)).round(3).astype(np.float32)
        weights = random.normal(size=(2, *shape)).round(3)

        def predictor(images):
            return np.tanh(0.3 * np.einsum("bhw,chw->bc", np.asarray(images, float)[..., 0], weights))

        np.random.seed(4)
        explainer = RISEImage(n_masks=masks, feature_res=cells, p_keep=keep, axis_labels={2: "channels"})
        saliency = explainer.explain(predictor, image, labels=[0, 1], batch_size=5)
        found = explainer.masks[..., 0].astype(float)
        # Its draws again: all grids first, then a shift for each mask.
        np.random.seed(4)
        grids = np.random.choice(a=(True, False), size=(masks, cells, cells), p=(keep, 1 - keep)).astype(float)
        cell = [math.ceil(size / cells) for size in shape]
        up = [(cells + 1) * size for size in cell]
        shifts = [[np.random.randint(0, cell[0]), np.random.randint(0, cell[1])] for _ in range(masks)]
        for grid, (top, left), mask in zip(grids, shifts, found):
            close(upsampled(grid, up)[top : top + shape[0], left : left + shape[1]], mask, 1e-6)
        outputs = predictor(image * found[..., None].astype(np.float32))
        close(outputs, explainer.predictions, 1e-6)
        close(np.einsum("nc,nhw->chw", outputs, found) / (masks * keep), saliency, 1e-6)
        cases.append(
            {"name": name, "keep": keep, "cell": cell, "upsampled": up, "grids": grids.astype(int), "shifts": shifts}
            | {"image": image[..., 0], "weights": weights, "masks": found, "outputs": explainer.predictions}
            | {"saliency": saliency}
        )
    # Text: masks have no grid.
    random = np.random.default_rng(32)
    of_words = Polynomial(33, 7, "sigmoid")

    class Words:
        mask_token = "_"
        tokenize = staticmethod(str.split)
        convert_tokens_to_string = staticmethod(" ".join)

    np.random.seed(5)
    text = RISEText(n_masks=12, p_keep=0.5)
    present = lambda strings: np.array([[w != "_" for w in s.split()] for s in strings], float)  # noqa: E731
    [words] = text.explain(lambda s: two_classes(of_words)(present(s)), "a b c d e f g", labels=[1], tokenizer=Words())
    outputs = of_words(text.masks.astype(float))
    saliency = np.array([value for _, _, value in words])
    close(outputs @ text.masks / (12 * 0.5), saliency)
    cases.append(
        {"name": "text", "keep": 0.5, "predictor": of_words.stated(), "masks": text.masks.astype(int)}
        | {"outputs": outputs, "saliency": saliency}
    )
    by = {
        "masks, outputs, saliency": f"{DIANNA}, RISEImage.explain and RISEText.explain",
        "grids, shifts": f"record.py: the draws of {DIANNA} for its seed, asserted to give its masks",
    }
    write("rise", {"made_by": by, "cases": cases})


def main():
    warnings.filterwarnings("ignore")
    write_network()
    for name in sys.argv[1:] or ["shapley", "kernel", "permutation", "partition", "lime", "rise"]:
        globals()[f"record_{name}"]()


if __name__ == "__main__":
    main()
