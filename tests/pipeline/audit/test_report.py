"""The report of an audit: file names are counted where not all are shown, and nothing is silently left out."""

import json

import numpy as np
import pytest
from PIL import Image

from pipeline.audit.report import AuditReport, Finding
from pipeline.errors import InputError


def report(*findings):
    classes = {f"class {k}": k for k in range(7)}
    return AuditReport("photos", 1234, classes, {}, {"height": (10, 20, 30)}, {"PNG RGB": 1234}, findings)


def test_text_names_the_first_files_and_counts_the_rest():
    paths = tuple(f"{i}.png" for i in range(1200))
    text = report(Finding("dark", "warning", "1,200 images are very dark", paths)).to_text(names=2)
    assert text.splitlines() == [
        "photos: 1,234 images",
        "classes: class 0 0, class 1 1, class 2 2, class 3 3, class 4 4 and 2 more",
        "files: PNG RGB 1,234",
        "height: 10 to 30, half of them under 20",
        "warning: 1,200 images are very dark",
        "    0.png",
        "    1.png",
        "    and 1,198 more",
    ]
    assert report().to_text().endswith("no problems were found")


def test_json_names_every_file():
    found = json.loads(report(Finding("dark", "warning", "dark", ("a.png", "b.png"))).to_json())["findings"]
    assert found == [{"kind": "dark", "severity": "warning", "message": "dark", "paths": ["a.png", "b.png"]}]


def test_a_contact_sheet_has_a_row_for_each_finding_with_images(tmp_path):
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    with_image = Finding("dark", "warning", "dark", ("a.png",), (("a.png", red),))
    report(with_image, Finding("one class", "serious", "one"), with_image).write_contact_sheet(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (12 * 96, 2 * (96 + 18))
        assert sheet.getpixel((40, 60)) == sheet.getpixel((40, 60 + 96 + 18)) == (255, 0, 0)
    with pytest.raises(InputError, match="no finding has images"):
        report(Finding("one class", "serious", "one")).write_contact_sheet(tmp_path / "none.png")
    with pytest.raises(InputError, match="cannot be written"):
        report(with_image).write_contact_sheet(tmp_path / "no" / "sheet.png")
