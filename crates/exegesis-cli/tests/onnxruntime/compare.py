"""Runs a compiled explanation in ONNX Runtime and the same input through the command; prints the largest relative error.

    python compare.py EXEGESIS MODEL METHOD INPUT CHANNELS SIZE TOLERANCE FOLDER

The input is a smooth picture (sums of a few waves), batches of 1 and 3. Exits with 1 above the tolerance.
"""

import subprocess
import sys

import numpy as np
import onnxruntime as ort


def picture(batch: int, channel_count: int, size: int) -> np.ndarray:
    y, x = np.mgrid[0:1:size * 1j, 0:1:size * 1j]
    rows = []
    for row in range(batch):
        channels = []
        for channel in range(channel_count):
            waves = [np.sin((k + 1 + row) * 5 * x + (channel + 1) * (k + 2) * y + k) / (k + 1) for k in range(5)]
            channels.append(np.sum(waves, axis=0))
        rows.append(channels)
    return (np.asarray(rows) / 1.5).astype(np.float32)


def main() -> int:
    command, model, method, name, channels, size, tolerance, folder = sys.argv[1:]
    compiled, data, saved = f"{folder}/explained.onnx", f"{folder}/x.npy", f"{folder}/explained.npz"
    subprocess.run([command, "compile", model, "--method", method, "-o", compiled, "-q"], check=True)
    session = ort.InferenceSession(compiled)
    outputs = [output.name for output in session.get_outputs()]
    worst = 0.0
    for batch in (1, 3):
        values = picture(batch, int(channels), int(size))
        np.save(data, values)
        subprocess.run([command, "explain", model, data, "--method", method, "--save", saved, "-q"], check=True)
        ours = np.load(saved)
        theirs = dict(zip(outputs, session.run(None, {name: values})))
        for theirs_key, ours_key in [
            (f"attribution/{name}", f"attribution/{name}"),
            (outputs[0], f"prediction/{outputs[0]}"),
        ]:
            a, b = theirs[theirs_key], ours[ours_key]
            assert a.shape == b.shape, (theirs_key, a.shape, b.shape)
            error = float(np.abs(a - b).max() / np.abs(b).max())
            print(f"{method} batch {batch} {theirs_key}: {error:.2e}")
            worst = max(worst, error)
    return 0 if worst <= float(tolerance) else 1


if __name__ == "__main__":
    sys.exit(main())
