"""The command `ingest`: what it writes, refuses and replaces."""

from __future__ import annotations

import json


def test_ingest_dry_run_append_and_rejected(facette, tmp_path, link_classes):
    link_classes(tmp_path / "photos", cats=6, dogs=6)
    (tmp_path / "photos" / "cats" / "bad.jpg").write_text("no image")
    code, out, _ = facette("ingest", "photos", "p.h5", "--dry-run", "--rejected", "rejected.csv")
    assert code == 3
    assert "dry run" in out
    assert not (tmp_path / "p.h5").exists()
    assert "cats/bad.jpg,not_an_image" in (tmp_path / "rejected.csv").read_text()
    (tmp_path / "photos" / "cats" / "bad.jpg").unlink()
    assert facette("ingest", "photos", "p.h5")[0] == 0
    code, out, _ = facette("ingest", "photos", "p.h5", "--append", "--json")
    assert code == 0
    assert json.loads(out)["ingested"] == 0  # all there already


def test_an_existing_data_set_is_replaced_only_on_demand(facette, faces, tmp_path):
    target = tmp_path / "a.h5"
    assert facette("ingest", faces, "a.h5", "--size", "16")[0] == 0
    before = target.read_bytes()
    code, _, err = facette("ingest", faces, "a.h5", "--size", "12")
    assert code == 2
    assert "a.h5: exists already; replace it with --overwrite" in err
    assert target.read_bytes() == before
    assert facette("ingest", faces, "a.h5", "--size", "12", "--overwrite")[0] == 0
    assert target.read_bytes() != before
    assert facette("ingest", faces, "a.h5", "--append", "--overwrite")[0] == 2
