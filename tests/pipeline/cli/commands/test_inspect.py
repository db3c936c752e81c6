"""The command `inspect`: images and runs."""

from __future__ import annotations

import json
import shutil


def test_inspect_looks_through_images(facette, faces, tmp_path):
    code, out, _ = facette("inspect", faces, "--html", "audit.html", "--contact-sheet", "sheet.png")
    assert code == 0
    assert "200 images" in out
    assert (tmp_path / "audit.html").exists()
    assert (tmp_path / "sheet.png").exists()
    code, out, _ = facette("inspect", faces, "--json")
    assert json.loads(out)["m"] == 200


def test_inspect_compares_runs(facette, run_path, tmp_path):
    for name in ("first", "second"):
        shutil.copytree(run_path, tmp_path / "runs" / name)
    metrics = json.loads((tmp_path / "runs" / "first" / "metrics.json").read_text())
    metrics["splits"][metrics["evaluated_on"]]["accuracy"] = 0.25
    (tmp_path / "runs" / "first" / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "runs" / "second" / "report.html").unlink()

    code, out, _ = facette("inspect", "runs")
    assert code == 0
    assert out.index("\n  second") < out.index("\n  first")
    assert "25.0%" in out
    code, out, _ = facette("inspect", "runs", "--json")
    assert {found["name"]: found["accuracy"] for found in json.loads(out)}["first"] == 0.25
    assert facette("inspect", "runs", "--html", "x.html")[0] == 2
