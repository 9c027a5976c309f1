"""Makes the pictures of the pages in docs/how-to and of the gallery: runs each page's commands and shrinks what they save.

    python docs/images/record.py target/debug/exegesis [PAGE...]         (needs pillow and the fixtures)
"""

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
COMMAND = Path(sys.argv[1]).resolve()
LARGEST = 145_000
GALLERY = 600_000  # sixteen maps

pages = [*sorted((ROOT / "docs" / "how-to").glob("*.md")), ROOT / "docs" / "reference" / "gallery.md"]
for page in pages if len(sys.argv) < 3 else [p for p in pages if p.stem in sys.argv[2:]]:
    text = page.read_text()
    pictures = re.findall(r"\]\(\.\./images/([^)]+)\)", text)
    if not pictures:
        continue
    with tempfile.TemporaryDirectory() as folder:
        files = list((ROOT / "testdata" / "how-to").iterdir())
        files += [f for f in (ROOT / "fixtures" / "cache").iterdir() if f.is_file() and f.name in text]
        for file in files:
            shutil.copy(file, folder)
        for block in re.findall(r"```sh\n(.*?)```", text, re.S):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line)
                if words and words[0] == "exegesis" and any(p in words for p in pictures):
                    subprocess.run([COMMAND, *words[1:]], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        for name in pictures:
            original = Image.open(Path(folder) / name).convert("RGB")
            largest, width = (GALLERY, 1500) if page.stem == "gallery" else (LARGEST, 1000)
            width = min(original.width, width)
            while True:
                size = (width, round(original.height * width / original.width))
                image = original if size == original.size else original.resize(size, Image.Resampling.LANCZOS)
                image.quantize(96, kmeans=2, dither=Image.Dither.NONE).save(HERE / name, optimize=True)
                if (HERE / name).stat().st_size < largest:
                    break
                width = width * 9 // 10
            print(name, image.size, (HERE / name).stat().st_size)
