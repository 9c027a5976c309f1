"""Networks of Keras, and what TensorFlow's tape says of them."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import layers  # noqa: E402

STEPS = 20
NAMES = ("keras_cnn", "keras_lstm", "keras_unet")


def cnn() -> keras.Model:
    """Channels last; a residual addition, norms, dropout."""
    image = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Add()([x, layers.Conv2D(8, 3, padding="same", activation="silu")(x)])
    x = layers.MaxPooling2D(2)(x)
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, layers.Dense(4)(x))


def lstm() -> keras.Model:
    """A bidirectional layer and another one, steps of any number."""
    sequence = keras.Input((None, 5), name="sequence")
    x = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(sequence)
    return keras.Model(sequence, layers.Dense(3)(layers.LSTM(6)(x)))


def unet() -> keras.Model:
    """Two levels, up by a transposed convolution and by interpolation, joined with what went down; scores per pixel."""
    image = keras.Input((16, 16, 1), name="image")
    a = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    b = layers.Conv2D(6, 3, padding="same", activation="relu")(layers.MaxPooling2D(2)(a))
    c = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPooling2D(2)(b))
    b = layers.Concatenate()([b, layers.Conv2DTranspose(6, 2, strides=2)(c)])
    b = layers.Conv2D(6, 3, padding="same", activation="relu")(b)
    a = layers.Concatenate()([a, layers.UpSampling2D(2, interpolation="bilinear")(b)])
    return keras.Model(image, layers.Conv2D(3, 1)(a))


def network(name: str) -> "tuple[keras.Model, dict[str, np.ndarray], np.ndarray, np.ndarray]":
    """A network with its input, a target per row, and a baseline."""
    keras.utils.set_random_seed(sum(map(ord, name)))
    model = {"keras_cnn": cnn, "keras_lstm": lstm, "keras_unet": unet}[name]()
    for weight in model.weights:
        # Zeros and ones of fresh biases and norms would hide mistakes.
        if weight.name in ("moving_variance", "gamma"):
            weight.assign(np.random.uniform(0.5, 1.5, weight.shape))
        elif weight.name in ("moving_mean", "beta", "bias"):
            weight.assign(weight + np.random.normal(0, 0.2, weight.shape))
    key, shape = {"keras_cnn": ("image", (12, 12, 3)), "keras_lstm": ("sequence", (7, 5)), "keras_unet": ("image", (16, 16, 1))}[name]
    x = np.random.normal(size=(3, *shape)).astype("float32")
    baseline = np.broadcast_to(np.random.normal(size=(1, *shape)).astype("float32"), x.shape).copy()
    target = np.array([1, 0, 2])
    if name == "keras_unet":
        classes = model(x, training=False).numpy().argmax(-1)
        target = np.array([np.bincount(row.ravel()).argmax() for row in classes])
    return model, {key: x}, target, baseline


def tape_says(model: keras.Model, inputs: "dict[str, np.ndarray]", target: np.ndarray, baseline: np.ndarray) -> "dict[str, np.ndarray]":
    """Gradient, and its mean over the Gauss-Legendre points of the path from the baseline, times the difference."""
    (x,) = inputs.values()
    answer = model(x, training=False).numpy()

    def gradient(at: np.ndarray) -> np.ndarray:
        at = tf.constant(at, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(at)
            score = tf.reduce_sum(seeds(answer, target) * model(at, training=False))
        return tape.gradient(score, at).numpy()

    points, weights = np.polynomial.legendre.leggauss(STEPS)
    mean = np.zeros(x.shape)
    for point, weight in zip((points + 1) / 2, weights / 2):
        mean += weight * gradient((baseline + point * (x - baseline)).astype("float32"))
    return {"gradient": gradient(x), "integrated-gradients": ((x - baseline) * mean).astype("float32")}


def seeds(answer: np.ndarray, target: np.ndarray) -> np.ndarray:
    """1 at a row's class; of scores per pixel, shared by the pixels where the class is the best."""
    made = np.zeros_like(answer)
    for row, own in enumerate(target):
        chosen = answer[row].argmax(-1) == own
        made[row, ..., own] = chosen / chosen.sum() if answer.ndim == 4 else 1
    return made
