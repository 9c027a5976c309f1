"""Python on the pages runs: the blocks marked `python` of a page, one after the other in one namespace."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["docs/how-to/python.md"])
def test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib").use("Agg")
    pytest.importorskip("pyarrow")
    blocks = BLOCK.findall((ROOT / page).read_text())
    assert blocks
    (tmp_path / "testdata").symlink_to(ROOT / "testdata")
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in blocks:
        exec(compile(block, page, "exec"), namespace)
    assert (tmp_path / "e.npz").stat().st_size > 0
    assert namespace["explained"].num_rows == 100
