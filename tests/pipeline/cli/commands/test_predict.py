"""The command `predict`: rows, exit codes, a closed pipe."""

from __future__ import annotations

import json
import subprocess
import sys


def test_predict_writes_to_standard_output_and_tells_errors_by_the_exit_code(facette, faces, run_path):
    good = faces / "face" / "0000.png"
    code, out, err = facette("predict", run_path, good, "nothing.jpg", "--format", "jsonl")

    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 3
    assert [row["status"] for row in rows] == ["ok", "error"]
    assert "1 not_found" in err


def test_closed_pipe_ends_quietly(faces, run_path):
    command = [sys.executable, "-m", "pipeline.cli", "predict", str(run_path), *[str(faces)] * 40]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stderr
        child.stdout.readline()
        child.stdout.close()
        assert b"Traceback" not in child.stderr.read()
        child.wait()
