"""Feed damaged and hostile files to everything that reads files, in a process with limits.

    python tests/fuzz/fuzz.py images --examples 10000 --seed 1

Every example is a good file with some bytes changed, cut out, put in or moved, or an archive or a table made of bad
parts. It must be read, or refused with the reader's own error: any other exception, a crash, more than `--seconds` for
one example or more memory than `--memory` ends the process with an exit code other than 0, and leaves the example in
`--work`. Without `--seed`, the examples are always the same ones. The result is a line of JSON.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import json
import os
import resource
import struct
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from model.errors import FormatError

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from model.storage.checkpoint import load_state
from pipeline.classifier import ImageClassifier
from pipeline.cli.describe import describe_model
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.images.decode import declared_size, decode_image, open_image
from pipeline.images.errors import ERROR_CODES, ImageError
from pipeline.images.geometry import Geometry
from pipeline.ingestion.ingest import IngestOptions, ingest
from pipeline.sources.open import open_source

GEOMETRY = Geometry(24, 20)


def photo(width: int = 61, height: int = 47) -> Image.Image:
    """Return part of a photograph."""
    from sklearn.datasets import load_sample_image

    return Image.fromarray(load_sample_image("china.jpg")).resize((width, height))


def images() -> dict[str, bytes]:
    """Return good image files of many kinds, by name."""
    rgb = photo()
    gray, alpha = rgb.convert("L"), rgb.convert("RGBA")
    alpha.putalpha(gray)
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    text = PngImagePlugin.PngInfo()
    text.add_text("note", "x" * 300, zip=True)
    frames = [rgb.rotate(angle) for angle in (5, 10)]
    kinds: dict[str, tuple[Image.Image, str, dict]] = {
        "jpeg": (rgb, "JPEG", {"exif": exif}),
        "jpeg progressive": (rgb, "JPEG", {"progressive": True, "subsampling": 0}),
        "jpeg gray": (gray, "JPEG", {"quality": 30}),
        "jpeg cmyk": (rgb.convert("CMYK"), "JPEG", {}),
        "mpo": (rgb, "MPO", {"save_all": True, "append_images": frames}),
        "png": (rgb, "PNG", {"pnginfo": text}),
        "png alpha": (alpha, "PNG", {}),
        "png palette": (rgb.quantize(16), "PNG", {"transparency": 3}),
        "png 16": (wide, "PNG", {}),
        "apng": (rgb, "PNG", {"save_all": True, "append_images": frames}),
        "gif": (rgb.quantize(32), "GIF", {"save_all": True, "append_images": frames, "transparency": 1}),
        "webp": (alpha, "WEBP", {"quality": 40}),
        "webp lossless": (rgb, "WEBP", {"lossless": True}),
        "webp moving": (rgb, "WEBP", {"save_all": True, "append_images": frames}),
        "tiff": (rgb, "TIFF", {}),
        "tiff lzw": (rgb, "TIFF", {"compression": "tiff_lzw"}),
        "tiff deflate": (wide, "TIFF", {"compression": "tiff_adobe_deflate"}),
        "tiff jpeg": (rgb, "TIFF", {"compression": "jpeg"}),
        "tiff fax": (gray.convert("1"), "TIFF", {"compression": "group4"}),
        "tiff pages": (rgb, "TIFF", {"save_all": True, "append_images": frames}),
        "tiff float": (gray.convert("F"), "TIFF", {}),
        "bmp": (rgb, "BMP", {}),
        "bmp palette": (rgb.quantize(200), "BMP", {}),
        "ppm": (rgb, "PPM", {}),
        "pgm": (gray, "PPM", {}),
        "pbm": (gray.convert("1"), "PPM", {}),
        "pfm": (gray.convert("F"), "PPM", {}),
        "avif": (rgb, "AVIF", {"quality": 40}),
    }
    found = {}
    for name, (image, format, options) in kinds.items():
        stream = io.BytesIO()
        if "append_images" in options:
            options["append_images"] = [frame.copy() for frame in frames]
        image.copy().save(stream, format, **options)  # copies, since Pillow keeps the options with the image
        found[name] = stream.getvalue()
    try:
        import pillow_heif
    except ImportError:
        return found
    pillow_heif.register_heif_opener()
    stream = io.BytesIO()
    rgb.save(stream, "HEIF", quality=40)
    return {**found, "heic": stream.getvalue()}


def folder_of_images(work: Path) -> Path:
    """Write class folders of twelve images each."""
    for name in ("cat", "dog"):
        (work / "images" / name).mkdir(parents=True, exist_ok=True)
        for i in range(12):
            photo(16 + i, 16).save(work / "images" / name / f"{i}.png")
    (work / "images" / "cat" / "note.txt").write_text("not an image")
    return work / "images"


def zip_files(work: Path) -> dict[str, bytes]:
    """Return good archives: plain, packed, and with a manifest."""
    root, found = folder_of_images(work), {}
    names = {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.*"))}
    table = "path,label,split\n" + "".join(f"{n},{n[:3]},{('train', 'test')[i % 2]}\n" for i, n in enumerate(names))
    for name, packing, more in (("stored", 0, {}), ("deflated", 8, {}), ("manifest", 8, {"table.csv": table.encode()})):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", packing) as archive:
            for member, data in {**names, **more}.items():
                archive.writestr(member, data)
        found[name] = stream.getvalue()
    return found


def manifests(work: Path) -> dict[str, bytes]:
    """Return good tables of images."""
    root = folder_of_images(work)
    rows = [
        f"images/{p.relative_to(root).as_posix()},{p.parent.name},train,{i // 3}"
        for i, p in enumerate(sorted(root.rglob("*.png")))
    ]
    text = "path,label,split,group\n" + "\n".join(rows) + "\n"
    other = b"\xef\xbb\xbf" + text.replace(",", ";").encode()
    return {"csv": text.encode(), "other": other, "utf-16": text.encode("utf-16")}


def data_sets(work: Path) -> dict[str, bytes]:
    """Return a data set of this project, and the same with groups and near duplicates."""
    root = folder_of_images(work)
    ingest(root, work / "a.h5")
    ingest(root, work / "b.h5", options=IngestOptions(geometry=Geometry(16, 16, "gray"), split="test"))
    return {name: (work / name).read_bytes() for name in ("a.h5", "b.h5")}


def course_files(work: Path) -> dict[str, bytes]:
    """Return files in the course's layout, as HDF5 of different ages write it."""
    import h5py

    found = {}
    for age in ("earliest", "v108", "latest"):
        with h5py.File(work / "course.h5", "w", libver=age) as file:
            pixels = np.stack([np.asarray(photo(8, 8))] * 20)
            file.create_dataset("train_set_x", data=pixels, chunks=(5, 8, 8, 3), compression="gzip")
            file["train_set_y"] = np.arange(20) % 2
            file["list_classes"] = np.array([b"non-cat", b"cat"])
        found[age] = (work / "course.h5").read_bytes()
    return found


def arrays(work: Path) -> dict[str, bytes]:
    """Return NumPy archives."""
    pixels, labels = np.stack([np.asarray(photo(8, 8))] * 20), np.arange(20) % 2
    found = {}
    for name, save in (("plain", np.savez), ("packed", np.savez_compressed)):
        stream = io.BytesIO()
        save(stream, images=pixels, labels=labels, classes=np.array(["a", "b"]))
        found[name] = stream.getvalue()
    return found


def array(work: Path) -> dict[str, bytes]:
    """Return arrays of bytes and of numbers from 0 to 1."""
    found = {}
    for name, pixels in (("bytes", np.zeros((9, 8, 8, 3), np.uint8)), ("floats", np.ones((9, 8, 8), np.float32))):
        np.save(stream := io.BytesIO(), pixels)
        found[name] = stream.getvalue()
    return found


def run_files(work: Path, name: str) -> dict[str, bytes]:
    """Return the file of this name of a finished run."""
    from model.config import NetworkConfig, TrainingConfig
    from model.edges.config import NOT_PRETRAINED
    from pipeline.training.finish import finish
    from pipeline.training.prepare import prepare
    from pipeline.training.recipe import Recipe

    found = {}
    for kind, batch_norm, average in (("plain", False, 0.0), ("normalised", True, 0.9)):
        network = NetworkConfig(hidden=(7, 5), batch_norm=batch_norm)
        recipe = Recipe(network, TrainingConfig(epochs=2, average=average), NOT_PRETRAINED)
        run = prepare(folder_of_images(work), work / kind, recipe=recipe)
        with run.dataset:
            list(run.epochs())
            finish(run)
        found[kind] = (work / kind / name).read_bytes()
    return found


# -- what is done to them ---------------------------------------------------------------------------------------------


def changed(good: bytes, edits: list[tuple]) -> bytes:
    """Return the bytes with all edits made, in order."""
    data = bytearray(good)
    for kind, place, *rest in edits:
        place %= max(1, len(data))
        if kind == "flip":
            data[place : place + 1] = bytes(b ^ (1 << rest[0]) for b in data[place : place + 1])
        elif kind == "put":
            data[place : place + len(rest[0])] = rest[0]
        elif kind == "insert":
            data[place:place] = rest[0]
        elif kind == "cut":
            del data[place : place + rest[0]]
        elif kind == "end":
            del data[place:]
        elif kind == "move":
            length, target = rest
            part = data[place : place + length]
            target %= len(data) + 1
            data[target : target + len(part)] = part
        elif kind == "repeat":
            data[place:place] = data[place : place + rest[0]] * 3
    return bytes(data)


PLACE = st.one_of(st.integers(0, 40), st.integers(0, 600), st.integers(0, 1 << 20))
EXTREMES = [
    struct.pack(order + size, value)
    for order in "<>"
    for size, values in (
        ("H", (0, 1, 0x7FFF, 0xFFFF)),
        ("I", (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 100_000)),
        ("Q", (0, 1 << 40, 0xFFFFFFFFFFFFFFFF)),
    )
    for value in values
]
EDIT = st.one_of(
    st.tuples(st.just("flip"), PLACE, st.integers(0, 7)),
    st.tuples(st.just("put"), PLACE, st.one_of(st.sampled_from(EXTREMES), st.binary(min_size=1, max_size=12))),
    st.tuples(st.just("insert"), PLACE, st.binary(min_size=1, max_size=12)),
    st.tuples(st.just("cut"), PLACE, st.integers(1, 64)),
    st.tuples(st.just("end"), PLACE),
    st.tuples(st.just("move"), PLACE, st.integers(1, 200), PLACE),
    st.tuples(st.just("repeat"), PLACE, st.integers(1, 200)),
)


def damaged(files: dict[str, bytes]) -> st.SearchStrategy[tuple[str, bytes]]:
    """Make examples of good files, by the name of the file they come from."""

    def apply(name: str, edits: list[tuple]) -> tuple[str, bytes]:
        return name, changed(files[name], edits)

    return st.builds(apply, st.sampled_from(sorted(files)), st.lists(EDIT, min_size=1, max_size=6))


NAMES = st.one_of(
    st.sampled_from(
        [
            "a/b.png",
            "../../x.png",
            "/etc/x.png",
            "a\\..\\x.png",
            "C:/x.png",
            "a/./b.png",
            "a//b.png",
            "",
            "/",
            ".",
            "..",
            "a/" * 300 + "x.png",
            "train/a/1.png",
            "TEST/b/2.png",
            "a/\0.png",
            "__MACOSX/._x",
            "a/\n.png",
            "table.csv",
            "a/" + "n" * 5000,
            "é/ü.png",
            "e\u0301/x.png",
            "a/link",
            "inner.zip",
            "table.tsv",
        ]
    ),
    st.text(max_size=20).filter(lambda text: not any(0xD800 <= ord(c) < 0xE000 for c in text)),
)


def hostile_zips() -> st.SearchStrategy[tuple[str, bytes]]:
    """Make archives of members with bad names and contents, and headers that say something else."""
    good = images()
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a/b.png", good["png"])
    contents = [
        good["png"],
        good["jpeg"],
        b"",
        b"text",
        inner.getvalue(),
        b"path,label\na/b.png,x\n",
        bytes(1 << 22),
        good["png"][:60] + bytes(1 << 25),
    ]
    member = st.tuples(
        NAMES,
        st.integers(0, len(contents) - 1),
        st.sampled_from([0, 8, 12, 14]),
        st.sampled_from([0o100644, 0o120777, 0o040755, 0o010644, 0]),
        st.sampled_from(["", "", "", "encrypted", "checksum", "size", "packing"]),
    )

    def build(members: list[tuple], edits: list[tuple]) -> tuple[str, bytes]:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name, content, packing, mode, _ in members:
                info = zipfile.ZipInfo(name or "_")
                info.external_attr, info.compress_type = mode << 16, packing
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of names that are there twice
                    archive.writestr(info, contents[content])
        data = bytearray(stream.getvalue())
        at = data.find(b"PK\1\2")
        for *_, fault in members:
            if at < 0:
                break
            place, value = {
                "encrypted": (8, b"\1\0"),
                "checksum": (16, b"\0\1\2\3"),
                "size": (24, b"\xff\xff\xff\x7f"),
                "packing": (10, b"\x63\0"),
            }.get(fault, (8, b""))
            data[at + place : at + place + len(value)] = value
            at = data.find(b"PK\1\2", at + 4)
        return "made", changed(bytes(data), edits)

    members = st.lists(member, min_size=1, max_size=6)
    return st.builds(build, members, st.one_of(st.just([]), st.lists(EDIT, max_size=2)))


CELLS = st.one_of(
    st.sampled_from(
        [
            "path",
            "label",
            "split",
            "group",
            "images/cat/1.png",
            "/etc/passwd",
            "../x",
            "",
            " ",
            '"',
            "train",
            "=cmd()",
            "\0",
            "\r",
            "x" * 200_000,
            "-1",
            "é",
            "images/dog",
            "/dev/zero",
            "nan",
        ]
    ),
    st.text(max_size=8),
)


def hostile_tables() -> st.SearchStrategy[tuple[str, bytes]]:
    """Make tables of bad cells, under a good first line or a bad one."""
    good = ["path", "label", "split", "group"]
    heads = st.one_of(st.just(good[:2]), st.just(good), st.lists(CELLS, max_size=5))
    rows = st.lists(st.lists(CELLS, max_size=5), max_size=6)

    def build(head: list[str], rows: list[list[str]], separator: str, code: str) -> tuple[str, bytes]:
        return "made", "\n".join(separator.join(row) for row in [head, *rows]).encode(code, errors="surrogatepass")

    return st.builds(build, heads, rows, st.sampled_from(",;\t"), st.sampled_from(["utf-8", "utf-16"]))


# -- how they are read ------------------------------------------------------------------------------------------------


def checked(error: Exception) -> str:
    """Return the code of an error whose message is in order."""
    assert "\n" not in str(error), error
    code = getattr(error, "code", "")
    assert not code or code in ERROR_CODES, code
    return code or "refused"


def read_image(path: Path) -> str:
    """Decode an image in every way there is."""
    data, outcomes = path.read_bytes(), set()
    for read in (partial(decode_image, geometry=GEOMETRY), declared_size, partial(open_image, draft=16)):
        try:
            read(data)
            outcomes.add("ok")
        except ImageError as error:
            outcomes.add(checked(error))
    return "/".join(sorted(outcomes - {"ok"})) or "ok"


def read_source(path: Path) -> str:
    """List a source of images, and read them."""
    source, outcomes = open_source(path), Counter()
    for sample in source.samples[:40]:
        try:
            data = source.read(sample)
            if isinstance(data, bytes):
                decode_image(data, GEOMETRY)
            outcomes["ok"] += 1
        except ImageError as error:
            checked(error)
            outcomes["some rejected"] += 1
    return "ok" if set(outcomes) <= {"ok"} else "some rejected"


def read_data_set(path: Path) -> str:
    """Read all that a data set holds."""
    with Dataset.open(path) as data:
        data.read("train")
        for name in ("paths", "sha256", "sizes", "kinds", "keys", "measures", "rejected", "X"):
            getattr(data, name)
        data.thumbnails()
    return read_source(path)


def read_model(path: Path) -> str:
    """Load a model, describe it, and classify with it."""
    classifier = ImageClassifier.load(path)
    describe_model(classifier)
    shape = classifier.geometry.shape
    if np.prod(shape) < 1 << 20:
        assert np.isfinite(classifier.probabilities(np.zeros((1, *shape), np.uint8))).all()
    return "ok"


def read_checkpoint(path: Path) -> str:
    """Load the state of a training."""
    load_state(path)
    return "ok"


Files = Callable[[Path], dict[str, bytes]]
TARGETS: dict[str, tuple[Files, str, Callable[[Path], str]]] = {
    "images": (lambda work: images(), "case.img", read_image),
    "archives": (zip_files, "case.zip", read_source),
    "manifests": (manifests, "case.csv", read_source),
    "data_sets": (data_sets, "case.h5", read_data_set),
    "course_files": (course_files, "case.h5", read_source),
    "arrays": (arrays, "case.npz", read_source),
    "array": (array, "case.npy", read_source),
    "models": (partial(run_files, name="model.h5"), "case.h5", read_model),
    "checkpoints": (partial(run_files, name="checkpoint.h5"), "case.h5", read_checkpoint),
}
MADE = {"archives": hostile_zips, "manifests": hostile_tables}


def fuzz(what: str, work: Path, examples: int, start: int | None, seconds: float) -> dict:
    """Run one target; return what became of its examples."""
    files, case, read = TARGETS[what]
    good = files(work)
    path = work / case
    for data in good.values():  # what is not damaged is read
        path.write_bytes(data)
        if data[:2] != b"\xff\xfe":  # a table in UTF-16 is no good table
            read(path)
    outcomes: Counter[str] = Counter()
    slowest = (0.0, "")

    strategy = damaged(good) | MADE[what]() if what in MADE else damaged(good)

    @settings(
        max_examples=examples,
        derandomize=start is None,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
    )
    @given(strategy)
    def run(example: tuple[str, bytes]) -> None:
        nonlocal slowest
        name, data = example
        path.write_bytes(data)
        faulthandler.dump_traceback_later(seconds, exit=True)
        begin = time.perf_counter()
        try:
            outcome = read(path)
        except (InputError, FormatError, FileNotFoundError) as error:
            outcome = checked(error)
        took = time.perf_counter() - begin
        faulthandler.cancel_dump_traceback_later()
        outcomes[outcome] += 1
        if took > slowest[0]:
            slowest = took, name
            (work / f"slowest-{case}").write_bytes(data)

    (seed(start)(run) if start is not None else run)()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "what": what,
        "examples": sum(outcomes.values()),
        "outcomes": dict(outcomes.most_common()),
        "slowest_s": round(slowest[0], 3),
        "slowest": slowest[1],
        "peak_mb": round(peak),
    }


def main() -> None:
    """Set the limits, and run one target."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=TARGETS)
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--seed", type=int, help="other examples than the usual ones")
    parser.add_argument("--seconds", type=float, default=20.0, help="that one example may take")
    parser.add_argument("--memory", type=float, default=4.0, help="GiB of address space")
    parser.add_argument("--work", type=Path, help="folder to work in; kept")
    arguments = parser.parse_args()
    faulthandler.enable()
    limit = int(arguments.memory * (1 << 30))
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    processor = 60 + arguments.examples
    resource.setrlimit(resource.RLIMIT_CPU, (processor, processor))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        work = arguments.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        os.environ["OMP_NUM_THREADS"] = "1"
        print(json.dumps(fuzz(arguments.what, work, arguments.examples, arguments.seed, arguments.seconds)))


if __name__ == "__main__":
    main()
