"""Record small Keras networks as ONNX files (tf2onnx) together with the gradients that TensorFlow computes.

    python record.py                # everything
    python record.py keras_gru      # some

Writes `<network>/model.onnx` and `<network>/case.npz` beside this file, for recurrent networks also `<network>/standard.onnx`;
README.md describes them.
"""

from __future__ import annotations

import os
import sys
import zlib
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx
from keras import layers

HERE = Path(__file__).parent
TOLERANCE = 1e-4
OPSET = 17


def keras_cnn() -> tuple[keras.Model, list[int]]:
    """Channels-last convolutions; a normalisation before a convolution and one after; SAME padding of even kernels."""
    image = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.MaxPooling2D(2)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(12, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Dense(10, activation="relu")(layers.Flatten()(x))
    return keras.Model(image, layers.Dense(4, name="logits")(x)), [2, 0]


def keras_lstm() -> tuple[keras.Model, list[int]]:
    sequence = keras.Input((7, 5), name="sequence")
    x = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(sequence)
    x = layers.LSTM(6)(x)
    return keras.Model(sequence, layers.Dense(3, name="logits")(x)), [1, 2, 0]


def keras_gru() -> tuple[keras.Model, list[int]]:
    sequence = keras.Input((7, 5), name="sequence")
    x = layers.GRU(8)(sequence)
    return keras.Model(sequence, layers.Dense(3, name="logits")(x)), [0, 1, 2]


def keras_cnn1d() -> tuple[keras.Model, list[int]]:
    """Normalisations of a series: behind a convolution with a bias, behind one without, and behind a dense layer."""
    series = keras.Input((20, 2), name="series")
    x = layers.Conv1D(6, 3)(series)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv1D(8, 3, strides=2, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(7)(x)))
    return keras.Model(series, layers.Dense(3, name="logits")(layers.GlobalMaxPooling1D()(x))), [0, 2]


def recurrent(*stack: layers.Layer) -> tuple[keras.Model, list[int]]:
    """A stack of recurrent layers and a dense one."""
    sequence = keras.Input((7, 5), name="sequence")
    x = sequence
    for layer in stack:
        x = layer(x)
    return keras.Model(sequence, layers.Dense(3, name="logits")(x)), [2, 0, 1]


def keras_gru_before() -> tuple[keras.Model, list[int]]:
    return recurrent(layers.GRU(6, reset_after=False))


def keras_gru_bidirectional() -> tuple[keras.Model, list[int]]:
    return recurrent(layers.Bidirectional(layers.GRU(4)))


def keras_gru_sequences() -> tuple[keras.Model, list[int]]:
    return recurrent(layers.GRU(5, return_sequences=True), layers.GlobalAveragePooling1D())


def keras_gru_unrolled() -> tuple[keras.Model, list[int]]:
    return recurrent(layers.GRU(4, return_sequences=True, unroll=True), layers.GRU(5, reset_after=False, unroll=True))


def keras_lstm_unrolled() -> tuple[keras.Model, list[int]]:
    return recurrent(layers.LSTM(4, return_sequences=True, unroll=True), layers.LSTM(5, go_backwards=True, unroll=True))


def keras_rnn() -> tuple[keras.Model, list[int]]:
    return recurrent(layers.SimpleRNN(6, return_sequences=True, unroll=True), layers.SimpleRNN(5))


def randomise(model: keras.Model) -> None:
    """Replace the zeros and ones of a fresh network's biases and normalisations, which hide wrong rules."""
    for weight in model.weights:
        match weight.name:
            case "moving_variance" | "gamma":
                weight.assign(np.random.uniform(0.5, 1.5, weight.shape))
            case "moving_mean" | "beta":
                weight.assign(np.random.normal(0, 0.3, weight.shape))
            case "bias":
                weight.assign(weight + np.random.normal(0, 0.2, weight.shape))


def reference(model: keras.Model, inputs: np.ndarray, target: list[int]) -> dict[str, np.ndarray]:
    """Softmax output, logits and gradients, computed in float64 from the float32 weights and inputs."""
    keras.config.set_dtype_policy("float64")
    exact = type(model).from_config(in_float64(model.get_config()))
    keras.config.set_dtype_policy("float32")
    exact.set_weights([w.astype(np.float64) for w in model.get_weights()])
    x = tf.constant(inputs, tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        logits = exact(x, training=False)
        probabilities = tf.nn.softmax(logits)
        logit, probability = (tf.reduce_sum(tf.gather(y, target, batch_dims=1)) for y in (logits, probabilities))
    name = model.inputs[0].name
    arrays = {
        "output/probabilities": probabilities,
        "logits": logits,
        f"gradient/{name}": tape.gradient(logit, x),
        f"probability-gradient/{name}": tape.gradient(probability, x),
    }
    assert logits.dtype == tf.float64
    return {
        f"input/{name}": inputs,
        "target": np.array(target, np.int64),
        **{key: value.numpy().astype(np.float32) for key, value in arrays.items()},
    }


def in_float64(config):
    """A model's configuration with every float32 in it replaced."""
    match config:
        case dict():
            return {key: in_float64(value) for key, value in config.items()}
        case list() | tuple():
            return type(config)(in_float64(value) for value in config)
        case "float32":
            return "float64"
        case _:
            return config


def export(model: keras.Model) -> onnx.ModelProto:
    [x] = model.inputs
    signature = [tf.TensorSpec((None, *x.shape[1:]), tf.float32, name=x.name)]

    @tf.function(input_signature=signature)
    def predict(x):
        return {"probabilities": tf.nn.softmax(model(x, training=False))}

    exported, _ = tf2onnx.convert.from_function(predict, input_signature=signature, opset=OPSET)
    for value in [*exported.graph.input, *exported.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(exported, full_check=True)
    return exported


def standard(model: keras.Model) -> onnx.ModelProto | None:
    """The same network with the operators LSTM, GRU and RNN of ONNX; `None` without such layers."""
    [x] = model.inputs
    nodes, constants = [], []

    def constant(name: str, array: np.ndarray) -> str:
        constants.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(op: str, inputs: list[str], outputs: list[str], **attributes) -> str:
        nodes.append(onnx.helper.make_node(op, inputs, outputs, name=f"{op}_{len(nodes)}", **attributes))
        return outputs[0]

    value = node("Transpose", [x.name], ["time_first"], perm=[1, 0, 2])
    recurrent_layers = [layer for layer in model.layers if isinstance(layer, (layers.Bidirectional, layers.RNN))]
    for layer in recurrent_layers:
        ways = [layer.forward_layer, layer.backward_layer] if isinstance(layer, layers.Bidirectional) else [layer]
        op, attributes = operator(ways[0])
        weights = [np.stack(parts) for parts in zip(*(onnx_weights(way) for way in ways))]
        names = [constant(f"{layer.name}_{part}", array) for part, array in zip("WRB", weights)]
        backwards = "reverse" if ways[0].go_backwards else "forward"
        attributes |= {"hidden_size": ways[0].units, "direction": "bidirectional" if len(ways) == 2 else backwards}
        states = node(op, [value, *names], [f"{layer.name}_Y", f"{layer.name}_h"], **attributes)
        if layer.return_sequences:
            assert not ways[0].go_backwards
            moved = node("Transpose", [states], [f"{layer.name}_moved"], perm=[0, 2, 1, 3])
            shape = constant(f"{layer.name}_shape", np.array([0, 0, len(ways) * ways[0].units], np.int64))
            value = node("Reshape", [moved, shape], [f"{layer.name}_sequence"])
        elif len(ways) == 2:
            moved = node("Transpose", [f"{layer.name}_h"], [f"{layer.name}_moved"], perm=[1, 0, 2])
            value = node("Flatten", [moved], [layer.name])
        else:
            value = node("Squeeze", [f"{layer.name}_h", constant(f"{layer.name}_axis", np.array([0], np.int64))], [layer.name])
    if not recurrent_layers:
        return None
    if any(isinstance(layer, layers.GlobalAveragePooling1D) for layer in model.layers):
        value = node("ReduceMean", [value], ["mean"], axes=[0], keepdims=0)
    kernel, bias = model.layers[-1].get_weights()
    logits = node("Gemm", [value, constant("kernel", kernel), constant("bias", bias)], ["logits"])
    node("Softmax", [logits], ["probabilities"])
    tensor = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "standard",
        [tensor(x.name, onnx.TensorProto.FLOAT, ["batch", *x.shape[1:]])],
        [tensor("probabilities", onnx.TensorProto.FLOAT, ["batch", len(bias)])],
        constants,
    )
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made


def operator(layer: layers.RNN) -> tuple[str, dict]:
    match layer:
        case layers.GRU():
            return "GRU", {"linear_before_reset": int(layer.reset_after)}
        case layers.LSTM():
            return "LSTM", {}
        case layers.SimpleRNN():
            return "RNN", {}


def onnx_weights(layer: layers.RNN) -> list[np.ndarray]:
    """W, R and B of one direction. Keras orders the gates of an LSTM i, f, c, o; ONNX i, o, f, c."""
    kernel, recurrent_kernel, bias = layer.get_weights()
    order = [0, 3, 1, 2] if isinstance(layer, layers.LSTM) else range(kernel.shape[1] // layer.units)

    def blocks(array: np.ndarray) -> np.ndarray:
        parts = np.split(array, len(order), axis=-1)
        return np.concatenate([parts[gate] for gate in order], axis=-1)

    biases = [blocks(part) for part in bias] if bias.ndim == 2 else [blocks(bias), np.zeros_like(bias)]
    return [blocks(kernel).T, blocks(recurrent_kernel).T, np.concatenate(biases)]


def check(model: onnx.ModelProto, name: str, arrays: dict[str, np.ndarray]) -> None:
    """Compare ONNX Runtime with the recorded output, for all rows and for single ones."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs, wanted = arrays[f"input/{name}"], arrays["output/probabilities"]
    for rows in [slice(None), *(slice(row, row + 1) for row in range(len(inputs)))]:
        [got] = session.run(["probabilities"], {name: inputs[rows]})
        np.testing.assert_allclose(got, wanted[rows], atol=TOLERANCE)


def main() -> None:
    networks = (
        keras_cnn,
        keras_cnn1d,
        keras_lstm,
        keras_lstm_unrolled,
        keras_gru,
        keras_gru_before,
        keras_gru_bidirectional,
        keras_gru_sequences,
        keras_gru_unrolled,
        keras_rnn,
    )
    chosen = sys.argv[1:]
    for build in networks:
        if chosen and build.__name__ not in chosen:
            continue
        keras.utils.set_random_seed(zlib.crc32(build.__name__.encode()))
        model, target = build()
        randomise(model)
        [x] = model.inputs
        inputs = np.random.normal(size=(len(target), *x.shape[1:])).astype(np.float32)
        arrays = reference(model, inputs, target)
        exported = export(model)
        check(exported, x.name, arrays)
        folder = HERE / build.__name__
        folder.mkdir(exist_ok=True)
        (folder / "model.onnx").write_bytes(exported.SerializeToString())
        if (twin := standard(model)) is not None:
            check(twin, x.name, arrays)
            (folder / "standard.onnx").write_bytes(twin.SerializeToString())
        np.savez(folder / "case.npz", **arrays)
        print(build.__name__, {key: np.abs(a).max() for key, a in arrays.items()})


if __name__ == "__main__":
    main()
