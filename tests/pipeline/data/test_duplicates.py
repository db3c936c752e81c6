"""Duplicates: copies are found however they were made, and images that merely resemble each other are not."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from pipeline.data.config import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.data.duplicates import candidate_pairs, confirm, conflicts, groups_of_equals, star_groups
from pipeline.images.statistics import summarise
from pipeline.ingestion.ingest import ingest


@pytest.fixture(scope="module")
def scenes():
    """Different crops of two photographs: neighbours, but no two alike."""
    from sklearn.datasets import load_sample_images

    crops = []
    for photo in map(Image.fromarray, load_sample_images().images):
        crops += [photo.crop((x, y, x + 106, y + 85)) for y in range(0, 342, 71) for x in range(0, 534, 46)]
    return [crop for crop in crops if np.asarray(crop.convert("L")).std() > 10]  # plain sky shows too little to tell


def near(thumbnails):
    pairs = candidate_pairs(thumbnails)
    return {tuple(pair) for pair in pairs[confirm(thumbnails[pairs[:, 0]], thumbnails[pairs[:, 1]])].tolist()}


def jpeg(image, quality=40):
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return Image.open(data)


COPIES = {
    "smaller": lambda image: image.resize((90, 72)),
    "larger": lambda image: image.resize((300, 240)),
    "jpeg": jpeg,
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    "gray": lambda image: image.convert("L"),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.7),
}


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_found_and_only_they(scenes, copy):
    m = len(scenes)
    thumbnails = np.stack([summarise(image).thumbnail for image in [*scenes, *map(COPIES[copy], scenes)]])
    expected = {(i, i + m) for i in range(m)}
    found = near(thumbnails)
    assert len(found & expected) >= 0.97 * m
    assert found <= expected


@pytest.mark.slow
def test_copies_are_found_among_many(scenes):
    m = len(scenes)
    own = np.stack([summarise(image).thumbnail for image in [*scenes, *map(COPIES["smaller"], scenes)]])
    rng = np.random.default_rng(0)
    others = rng.integers(0, 256, (70_000, 8, 8), dtype=np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    found = near(np.concatenate([own, others]))
    expected = {(i, i + m) for i in range(m)}
    assert len(found & expected) >= 0.97 * m
    assert found <= expected


@pytest.mark.slow
def test_many_images_of_one_scene_are_grouped_with_few_comparisons(scenes):
    m = 600
    scene = summarise(scenes[0]).thumbnail
    frames = np.clip(scene + np.random.default_rng(0).integers(-2, 3, (m, 32, 32)), 0, 255).astype(np.uint8)
    pairs = np.array(sorted(near(frames)))
    assert len(pairs) < 320 * m
    assert (star_groups(m, pairs) >= 0).mean() > 0.99


@pytest.mark.slow
def test_different_digits_are_not_near_duplicates():
    """Digits resemble each other more than any photographs do; even so no group is large, and none mixes classes."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = [Image.fromarray(np.rint(image * 15.9).astype(np.uint8)).resize((80, 80)) for image in digits.images]
    thumbnails = np.stack([summarise(image).thumbnail for image in images])
    pairs = np.array(sorted(near(thumbnails)))
    group = star_groups(len(images), pairs)
    assert np.bincount(group[group >= 0]).max() <= 8
    assert (digits.target[pairs[:, 0]] == digits.target[pairs[:, 1]]).all()


def test_groups_do_not_chain():
    chain = np.array([[i, i + 1] for i in range(99)])
    group = star_groups(100, chain)
    assert set(np.bincount(group[group >= 0]).tolist()) == {0, 2}  # 0 and 1, 2 and 3, and so on
    assert (group == np.arange(100) // 2 * 2).all()
    hub = np.array([[0, i] for i in range(1, 50)])
    assert (star_groups(50, hub) == 0).all()


def test_equals_and_conflicts():
    digests = np.array([[1, 2], [3, 4], [1, 2], [3, 4], [5, 6]], dtype=np.uint8)
    group = groups_of_equals(digests)
    assert group.tolist() == [0, 1, 0, 1, -1]
    found = conflicts(group, np.array([0, 0, 1, 0, 1]))
    assert [rows.tolist() for rows in found] == [[0, 2]]
    assert conflicts(group, np.array([0, 0, -1, 0, 1])) == []


def test_near_duplicates_stay_in_one_split(scenes, tmp_path):
    for name, part in (("a", scenes[:50]), ("b", scenes[50:])):
        (tmp_path / "in" / name).mkdir(parents=True)
        for i, image in enumerate(part):
            image.save(tmp_path / "in" / name / f"{i}.png")
            if i % 2:
                image.resize((150, 120)).save(tmp_path / "in" / name / f"{i} again.jpg", quality=60)
    report = ingest(tmp_path / "in", tmp_path / "out.h5")
    assert len(report.near_duplicates) >= 0.95 * sum(i % 2 for i in [*range(50), *range(len(scenes) - 50)])
    assert report.random_split_leaks > 10
    with Dataset.open(tmp_path / "out.h5") as data:
        split = dict(zip(data.paths, data.split, strict=True))
    assert all(split[one] == split[other] for one, other in report.near_duplicates)
    off = ingest(tmp_path / "in", tmp_path / "out.h5", DataConfig(near_duplicates=False), overwrite=True)
    assert off.near_duplicates == ()


def test_small_images_are_left_alone(face_folder, tmp_path):
    assert ingest(face_folder, tmp_path / "out.h5").near_duplicates == ()
