"""The audit: what was planted is found, named by file, and a clean set gets no alarm."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from pipeline.audit.audit import audit
from pipeline.data.config import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.images.statistics import measures_of, summarise
from pipeline.ingestion.ingest import ingest


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """Two classes of 40 crops of photographs each, dealt out at random: no feature predicts a class."""
    from sklearn.datasets import load_sample_images

    folder = tmp_path_factory.mktemp("clean")
    crops = []
    for photo in map(Image.fromarray, load_sample_images().images):
        crops += [photo.crop((x, y, x + 120, y + 90)) for y in range(0, 330, 60) for x in range(0, 520, 40)]
    brightness, contrast, _, sharpness, _ = measures_of([summarise(crop) for crop in crops]).T
    ordinary = (contrast > 20) & (sharpness > 0.06) & (brightness < 220)  # sky and bokeh would rightly be reported
    crops = [crops[i] for i in np.flatnonzero(ordinary)]
    rng = np.random.default_rng(0)
    for name, part in zip(("left", "right"), np.split(rng.permutation(len(crops))[:80], 2), strict=True):
        (folder / name).mkdir()
        for i in part:
            crops[i].save(folder / name / f"{i:03d}.png")
    return folder


@pytest.fixture
def folder(clean, tmp_path):
    return shutil.copytree(clean, tmp_path / "set")


def found(report):
    return {finding.kind: set(finding.paths) for finding in report.findings}


def files(folder, name):
    return sorted((folder / name).iterdir())


def test_a_clean_set_gets_no_alarm(folder):
    report = audit(folder)
    assert not [finding for finding in report.findings if finding.severity == "serious"]
    assert not found(report)
    assert report.m == 80
    assert report.classes == {"left": 40, "right": 40}
    assert report.sizes["height"] == (90, 90, 90)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda image, path: image.convert("L").save(path), "label leakage: colour mode"),
        (lambda image, path: image.save(path, "BMP"), "label leakage: file type"),
        (lambda image, path: image.resize((140, 105)).save(path), "label leakage: size in pixels"),
        (lambda image, path: image.crop((0, 0, 90, 90)).save(path), "label leakage: aspect ratio"),
        (lambda image, path: ImageEnhance.Brightness(image).enhance(0.3).save(path), "label leakage: brightness"),
        (lambda image, path: image.convert("L").convert("RGB").save(path), "label leakage: colourfulness"),
    ],
)
def test_planted_label_leakage_is_found(folder, change, kind):
    for path in files(folder, "right"):
        with Image.open(path) as image:
            image.load()
        change(image, path)
    report = audit(folder)
    assert kind in found(report)
    assert any("'right'" in finding.message for finding in report.findings if finding.kind == kind)


def test_bad_images_are_named(folder):
    paths = files(folder, "left")

    def plant(i, make):
        with Image.open(paths[i]) as image:
            make(image.convert("RGB")).save(paths[i])
        return f"left/{paths[i].name}"

    blank = plant(0, lambda image: Image.new("RGB", image.size, (90, 91, 90)))
    expected = {
        "dark": plant(1, lambda image: ImageEnhance.Brightness(image).enhance(0.12)),
        "blurry": plant(2, lambda image: image.filter(ImageFilter.GaussianBlur(8))),
        "odd aspect ratio": plant(3, lambda image: image.resize((400, 60))),
        "odd size": plant(4, lambda image: image.resize((1400, 1050))),
        "light": plant(5, lambda image: image.point(lambda value: 225 + value // 9)),
        "low information": plant(6, lambda image: image.convert("L").point(lambda value: 200 * (value > 128))),
    }
    (folder / "left" / "broken.png").write_bytes(b"")
    report = audit(folder)
    for kind, path in expected.items():
        assert path in found(report)[kind], kind
        assert len(found(report)[kind]) <= 3
    assert blank in found(report)["low information"]
    assert any("left/broken.png" in path for path in found(report)["rejected"])


def test_duplicates_conflicts_and_leaks_are_named(folder, tmp_path):
    left, right = files(folder, "left"), files(folder, "right")
    shutil.copy(left[0], folder / "left" / "copy.png")
    shutil.copy(left[1], folder / "right" / "conflict.png")
    with Image.open(right[5]) as image:
        image.resize((200, 150)).convert("RGB").save(folder / "right" / "again.jpg", quality=60)
    report = audit(folder)
    assert {f"left/{left[0].name}", "left/copy.png"} <= found(report)["exact duplicates"]
    assert found(report)["conflicting labels"] == {f"left/{left[1].name}", "right/conflict.png"}
    assert {f"right/{right[5].name}", "right/again.jpg"} <= found(report)["near duplicates"]
    ready_made = tmp_path / "ready"
    for name, paths in (("left", left), ("right", right)):
        for i, path in enumerate(paths):
            part = ready_made / ("train" if i % 2 else "test") / name
            part.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, part / path.name)
    shutil.copy(left[0], ready_made / "train" / "left" / "leak.png")
    report = audit(ready_made)
    assert {f"test/left/{left[0].name}", "train/left/leak.png"} <= found(report)["exact duplicates across splits"]
    assert report.splits == {"train": 41, "test": 40}


def test_a_data_set_is_audited_as_it_is(folder, tmp_path):
    ingest(folder, tmp_path / "out.h5", DataConfig(size="32"))
    with Dataset.open(tmp_path / "out.h5") as data:
        assert audit(data) == audit(tmp_path / "out.h5")
    assert audit(tmp_path / "out.h5").splits == {"train": 56, "validation": 12, "test": 12}


def test_a_set_too_small_to_train_on_can_still_be_audited(folder):
    shutil.rmtree(folder / "right")
    for path in files(folder, "left")[1:]:
        path.unlink()
    report = audit(folder)
    assert {"few images", "one class"} <= set(found(report))
    files(folder, "left")[0].unlink()
    with pytest.raises(InputError, match="holds no images"):
        audit(folder)


def test_text_json_html_and_contact_sheet(folder, tmp_path):
    shutil.copy(files(folder, "left")[0], folder / "left" / "<b>&copy.png")
    report = audit(folder)
    assert "<b>&copy.png" in report.to_text(names=100)
    assert "&lt;b&gt;&amp;copy.png" in report.to_html()
    assert json.loads(report.to_json())["classes"] == {"left": 41, "right": 40}
    report.write_contact_sheet(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 12 * 96
        assert len(sheet.getcolors(1 << 20)) > 100
