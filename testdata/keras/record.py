"""Record small Keras networks as ONNX files (tf2onnx) together with the gradients that TensorFlow computes.

    python record.py

Writes `<network>/model.onnx` and `<network>/case.npz` beside this file; README.md describes them.
"""

from __future__ import annotations

import os
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


def check(model: onnx.ModelProto, name: str, arrays: dict[str, np.ndarray]) -> None:
    """Compare ONNX Runtime with the recorded output, for all rows and for single ones."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs, wanted = arrays[f"input/{name}"], arrays["output/probabilities"]
    for rows in [slice(None), *(slice(row, row + 1) for row in range(len(inputs)))]:
        [got] = session.run(["probabilities"], {name: inputs[rows]})
        np.testing.assert_allclose(got, wanted[rows], atol=TOLERANCE)


def main() -> None:
    for build in (keras_cnn, keras_lstm, keras_gru):
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
        np.savez(folder / "case.npz", **arrays)
        print(build.__name__, {key: np.abs(a).max() for key, a in arrays.items()})


if __name__ == "__main__":
    main()
