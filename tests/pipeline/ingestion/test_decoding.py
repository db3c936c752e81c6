"""Chunks of samples are decoded into columns, and leave a trace of every sample."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from pipeline.images.geometry import Geometry
from pipeline.ingestion.decoding import DecodedChunk, SampleChunk, chunks, decode_chunk, select
from pipeline.ingestion.resume import _packed, _unpacked
from pipeline.sources.source import Sample

GEOMETRY = Geometry(8, 8, "rgb", "crop")


@pytest.fixture
def decoded(photo_image):
    """Decode a large image, a file that is none, a small image, and another large one."""
    files = [encoded(photo_image), b"words", encoded(photo_image.resize((8, 8))), encoded(photo_image.rotate(180))]
    samples = [Sample(f"{i}.png", key=i) for i in range(4)]
    found = decode_chunk(lambda sample: files[sample.key], GEOMETRY, 10**9, SampleChunk(0, samples))
    return files, found


def encoded(image):
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def test_a_source_is_cut_into_chunks_without_gaps():
    for m, n_chunks in ((1, 1), (40, 5), (512, 64), (1024, 64), (1025, 65), (20_000, 79)):
        samples = [Sample(f"{i}.png") for i in range(m)]
        found = list(chunks(samples, GEOMETRY))
        assert [chunk.number for chunk in found] == [*range(n_chunks)]
        assert [sample for chunk in found for sample in chunk.samples] == samples
    huge = Geometry(4096, 4096, "rgb", "crop")
    assert {len(chunk.samples) for chunk in chunks(samples, huge)} == {1}  # 50 MB


def test_every_sample_is_an_image_or_rejected(decoded):
    files, found = decoded
    assert found.at.tolist() == [0, 2, 3]
    assert found.found == 4
    assert found.rejected[:, :2].tolist() == [["1.png", "not_an_image"]]
    assert [row.tobytes() for row in found.sha256] == [hashlib.sha256(files[i]).digest() for i in (0, 2, 3)]
    assert found.sizes.tolist() == [[427, 640], [8, 8], [427, 640]]
    assert found.kinds.tolist() == ["PNG RGB"] * 3
    assert found.thumbnail_of.tolist() == [0, 2]
    assert (found.pixels[1] == np.asarray(Image.open(io.BytesIO(files[2])))).all()


def test_selected_images_keep_their_own_columns(decoded):
    _, found = decoded
    chosen = select(found, np.array([False, True, True]))
    assert chosen.at.tolist() == [2, 3]
    assert (chosen.pixels == found.pixels[1:]).all()
    assert chosen.thumbnail_of.tolist() == [1]
    assert (chosen.thumbnails == found.thumbnails[1:]).all()
    assert (chosen.rejected == found.rejected).all()


def test_a_stored_chunk_is_the_same_again(decoded):
    _, found = decoded
    back = _unpacked(*_packed(found))
    for name in DecodedChunk.__dataclass_fields__:
        before, after = getattr(found, name), getattr(back, name)
        assert (before.dtype, before.shape) == (after.dtype, after.shape)
        assert (before == after).all()
