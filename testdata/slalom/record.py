"""Writes the tiny transformers of recorded weights as ONNX, and the prediction of each case: python record.py GOLDEN_FOLDER"""
import json
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SOURCE, HERE = sys.argv[1], os.path.dirname(os.path.abspath(__file__))


class Graph:
    def __init__(self):
        self.nodes, self.weights, self.count = [], [], 0

    def weight(self, name, value):
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op, *inputs, **attributes):
        self.count += 1
        out = f"{op.lower()}_{self.count}"
        self.nodes.append(helper.make_node(op, list(inputs), [out], name=out, **attributes))
        return out


def build(name, causal):
    p = dict(np.load(os.path.join(SOURCE, name + ".npz")))
    g = Graph()
    f32 = lambda key: g.weight(key, p[key].astype(np.float32))
    linear = lambda x, w, b: g.node("Add", g.node("MatMul", x, g.weight(w + "_t", p[w].T.astype(np.float32))), f32(b))
    norm = lambda x, key: g.node("LayerNormalization", x, f32(key + "_g"), f32(key + "_b"), axis=-1, epsilon=1e-5)
    number = lambda key, value, dtype=np.int64: g.weight(key, np.array(value, dtype))
    length = g.node("Gather", g.node("Shape", "input_ids"), number("one", 1), axis=0)
    steps = g.node("Range", number("zero", 0), length, number("step", 1))
    x = g.node("Add", g.node("Gather", f32("tok"), "input_ids", axis=0), g.node("Gather", f32("pos"), steps, axis=0))
    x = norm(x, "ln0")
    split, joined = number("split", [0, 0, 2, 8]), number("joined", [0, 0, 16])
    heads = lambda y, perm: g.node("Transpose", g.node("Reshape", y, split), perm=perm)
    if causal:
        column = g.node("Unsqueeze", steps, number("axis1", [1]))
        later = g.node("Greater", g.node("Unsqueeze", steps, number("axis0", [0])), column)
        hidden = g.node("Where", later, number("minus", -1e9, np.float32), number("nothing", 0, np.float32))
    for layer in range(2):
        key = lambda k: f"l{layer}_{k}"
        q = heads(linear(x, key("Wq"), key("bq")), [0, 2, 1, 3])
        k = heads(linear(x, key("Wk"), key("bk")), [0, 2, 3, 1])
        v = heads(linear(x, key("Wv"), key("bv")), [0, 2, 1, 3])
        a = g.node("Mul", g.node("MatMul", q, k), number(f"scale{layer}", 1 / np.sqrt(8), np.float32))
        if causal:
            a = g.node("Add", a, hidden)
        o = g.node("MatMul", g.node("Softmax", a, axis=-1), v)
        o = g.node("Reshape", g.node("Transpose", o, perm=[0, 2, 1, 3]), joined)
        x = norm(g.node("Add", x, linear(o, key("Wo"), key("bo"))), key("ln1"))
        z = linear(x, key("W1"), key("b1"))
        e = g.node("Erf", g.node("Mul", z, number(f"root{layer}", np.sqrt(0.5), np.float32)))
        z = g.node("Mul", g.node("Mul", z, number(f"half{layer}", 0.5, np.float32)), g.node("Add", e, number(f"unit{layer}", 1, np.float32)))
        x = norm(g.node("Add", x, linear(z, key("W2"), key("b2"))), key("ln2"))
    pooled = g.node("Gather", x, number("at", -1 if causal else 0), axis=1)
    if not causal:
        pooled = g.node("Tanh", linear(pooled, "Wp", "bp"))
    logits = linear(pooled, "Wc", "bc")
    g.nodes[-1].output[0] = "logits"
    graph = helper.make_graph(
        g.nodes, name,
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(p["bc"])])],
        {w.name: w for w in g.weights}.values(),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, os.path.join(HERE, name + ".onnx"))


for name in ("bert", "bert4", "gpt"):
    build("tiny_" + name, name == "gpt")
cases = json.load(open(os.path.join(SOURCE, "forward_cases.json")))
import onnxruntime  # noqa: E402, the check only

for name, rows in cases.items():
    session = onnxruntime.InferenceSession(os.path.join(HERE, f"tiny_{name}.onnx"))
    for row in rows:
        got = session.run(None, {"input_ids": np.array([row["ids"]])})[0][0]
        assert np.abs(got - row["logits_f64"]).max() < 1e-4, (name, row, got)
with open(os.path.join(HERE, "forward_cases.json"), "w") as file:
    json.dump(cases, file, separators=(",", ":"))
    file.write("\n")
