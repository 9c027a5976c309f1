"""Makes a small picture per method for docs/reference/methods.md: the photograph and the sentence of the how-to pages.

    python docs/images/record_methods.py target/debug/exegesis [NAME...]         (needs pillow and the fixtures)

A method that refuses an input has no picture of it; the refusal is printed.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
COMMAND = Path(sys.argv[1]).resolve()
CACHE = ROOT / "fixtures" / "cache"
PREPROCESS = "resize=256,interp=bicubic,crop=224,mean=127,std=128"
INPUTS = {
    "photograph": ["efficientnet-lite0.onnx", CACHE / "coffee.png", "--preprocess", PREPROCESS]
    + ["--labels", CACHE / "imagenet-labels.txt"],
    "sentence": ["reviews.onnx", "review.npz", "--vocabulary", "vocabulary.txt"],
}
# Methods that delete words need to know which tokens are special: a text, for the built-in model.
ASKING = ["occlusion", "lime", "shapley", "kernel-shap", "permutation-shap", "partition-shap", "rise", "slalom"]
TEXT = ["--text", "The plot is dull, but the cast is wonderful!"]
FOLDERS = {"photograph": CACHE, "sentence": ROOT / "testdata" / "how-to"}
LARGEST = {"photograph": 48_000, "sentence": 16_000}


def shrink(source: Path, target: Path, largest: int) -> None:
    original = Image.open(source).convert("RGB")
    width = min(original.width, 720)
    while True:
        image = original.resize((width, round(original.height * width / original.width)), Image.Resampling.LANCZOS)
        image.quantize(64, kmeans=2, dither=Image.Dither.NONE).save(target, optimize=True)
        if target.stat().st_size < largest:
            return
        width = width * 9 // 10


def main() -> None:
    listed = subprocess.run([COMMAND, "methods"], capture_output=True, text=True, check=True).stdout
    names = [line.split()[0] for line in listed.splitlines() if line[:1].strip() and not line.startswith("exegesis")]
    (HERE / "methods").mkdir(exist_ok=True)
    for name in sys.argv[2:] or names:
        for what, arguments in INPUTS.items():
            with tempfile.TemporaryDirectory() as folder:
                saved = Path(folder) / "picture.png"
                given = TEXT if what == "sentence" and name in ASKING else arguments
                command = [COMMAND, "explain", *given, "--method", name, "--save", saved]
                run = subprocess.run(command, cwd=FOLDERS[what], capture_output=True, text=True)
                target = HERE / "methods" / f"{name}-{what}.png"
                if run.returncode != 0:
                    target.unlink(missing_ok=True)
                    print(f"{name}, {what}: {run.stderr.strip().splitlines()[-1]}")
                    continue
                shrink(saved, target, LARGEST[what])
                print(target.name, target.stat().st_size)


if __name__ == "__main__":
    main()
