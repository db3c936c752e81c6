"""Damaged and hostile files: read, or rejected with one message, in bounded time and memory, whatever is in them.

`FACETTE_FUZZ=100 pytest tests/fuzz` runs a hundred times as many examples, with another seed each day.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fuzz.py")
EXAMPLES = {
    "images": 250,
    "archives": 60,
    "manifests": 120,
    "data_sets": 120,
    "course_files": 120,
    "arrays": 120,
    "array": 120,
    "models": 80,
    "checkpoints": 80,
}
MEGABYTES = 1500


@pytest.mark.slow
@pytest.mark.parametrize("what", EXAMPLES)
def test_no_file_does_harm(what, tmp_path):
    times = int(os.environ.get("FACETTE_FUZZ", "1"))
    command = [sys.executable, str(SCRIPT), what, "--work", str(tmp_path), "--examples", str(EXAMPLES[what] * times)]
    if times > 1:
        command += ["--seed", str(int(time.time()) // 86_400)]
    child = subprocess.run(command, capture_output=True, text=True, errors="replace")
    assert child.returncode == 0, f"{' '.join(command)}\n{child.stderr[-3000:]}"
    result = json.loads(child.stdout)
    assert result["examples"] >= EXAMPLES[what] * times // 2
    assert set(result["outcomes"]) - {"ok"}
    assert result["peak_mb"] < MEGABYTES


@pytest.mark.slow
@pytest.mark.parametrize("what", ["ingest", "train"])
def test_killed_at_any_moment_nothing_is_half_written_and_the_end_is_the_same(what):
    command = [sys.executable, str(SCRIPT.with_name("kill.py")), what, "--count", "4", "--images", "120"]
    child = subprocess.run(command, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr[-3000:]
    assert json.loads(child.stdout)["killed"]
