"""How folders and paths become labels, splits and groups."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pipeline.errors import InputError
from pipeline.files.names import composed, escape
from pipeline.sources.source import Sample, Source
from pipeline.text import count, shortened

_SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "unlabelled": "unlabelled",
    "unlabeled": "unlabelled",
}
# What people add to these words: train_set, TestData, val2017, images-train, seg_test.
_ADDED = re.compile(r"[\W\d_]+|dataset|data|set|split|folder|files?|images?|imgs?|pics?|photos?|samples?|examples?|seg")


def split_of(name: str) -> str:
    """Return the split that a folder's name (or a cell of a table) means; empty if it means none.

    ``Training``, ``train_set`` and ``images-train`` mean ``"train"``; ``val2017`` means ``"validation"``.
    """
    return _SPLIT_WORDS.get(_ADDED.sub("", name.lower()), "")


def compose_class_names(source: Source) -> Source:
    """Return a source whose class names have composed accents (NFC), so that one class has one name everywhere."""
    names = {*source.classes, *(sample.label for sample in source.samples)}
    forms = {name: form for name in names if (form := composed(name)) != name}
    if not forms:
        return source
    samples = [sample._replace(label=forms.get(sample.label, sample.label)) for sample in source.samples]
    return replace(source, samples=samples, classes=tuple(dict.fromkeys(map(composed, source.classes))))


def check_class_names(source: Source) -> None:
    """Reject class names that look the same.

    Raises
    ------
    InputError
        If two names differ only in case.
    """
    seen: dict[str, str] = {}
    for name in sorted({sample.label for sample in source.samples if sample.label}):
        first = seen.setdefault(name.casefold(), name)
        if first != name:
            raise InputError(
                f"{source.location}: classes {first!r} and {name!r} differ only in upper and lower case; "
                "rename one of them, or merge their images"
            )


def arrange(paths: Sequence[str], location: str) -> tuple[list[Sample], tuple[str, ...]]:
    """Give every path its label and split by the names of its folders: ``[SPLIT/]CLASS/...``.

    Parameters
    ----------
    paths : sequence of str
        Relative to the root, with ``/`` between their parts.
    location : str
        The root, for messages.

    Returns
    -------
    samples : list of Sample
        In the order of the paths; the key of each is its path.
    notes : tuple of str
        What a user should know about how the paths were understood.

    Raises
    ------
    InputError
        If there are folders of splits and other folders in one place.
    """
    tops = {path.split("/", 1)[0] for path in paths if "/" in path}
    split_tops = {top: split_of(top) for top in sorted(tops) if split_of(top)}
    parts = set(split_tops.values())
    ready_made = "train" in parts and len(parts) > 1
    if ready_made and tops != split_tops.keys():
        others = shortened([repr(escape(top)) for top in sorted(tops - split_tops.keys())])
        raise InputError(
            f"{location}: has the split folders {', '.join(map(escape, split_tops))} but also {others}; "
            "move these elsewhere, or rename the split folders if they are classes"
        )
    doubled = _doubled(paths) if ready_made else set()
    samples = []
    for path in paths:
        folders = path.split("/")[:-1]
        split = split_tops[folders.pop(0)] if ready_made and folders else ""
        if folders and path.split("/", 1)[0] in doubled:
            folders.pop(0)
        label = class_name(folders[0]) if folders and split != "unlabelled" else ""
        samples.append(Sample(escape(path), label, split, "", path))
    notes = (f"ready-made splits: {', '.join(map(escape, split_tops))}",) if ready_made else _doubtful_classes(paths)
    return samples, notes


def class_name(folder: str) -> str:
    """Return the class that a folder, or a cell of a table, names."""
    return escape(composed(folder))


def _doubled(paths: Sequence[str]) -> set[str]:
    """Return the top folders that hold only a folder of the same split, as in ``test_set/test_set/cat/1.png``."""
    below: dict[str, set[str]] = {}
    for path in paths:
        top, *inner, _ = path.split("/") if "/" in path else ("", "")
        below.setdefault(top, set()).add(inner[0] if inner else "")
    return {
        top for top, names in below.items() if len(names) == 1 and split_of(top) and split_of(top) == split_of(*names)
    }


def _doubtful_classes(paths: Sequence[str]) -> tuple[str, ...]:
    """Return a note if all classes hold the same folders and nothing else: they may be splits, or hold splits."""
    below: dict[str, set[str]] = {}
    for path in paths:
        top, *inner, _ = path.split("/") if "/" in path else ("", "")
        if not inner:
            return ()
        below.setdefault(top, set()).add(inner[0])
    names = next(iter(below.values()), set())
    if len(below) < 2 or any(other != names for other in below.values()) or len(names) < 2:
        return ()
    classes = shortened([repr(escape(top)) for top in below])
    inner_names = shortened([repr(escape(name)) for name in sorted(names)])
    if all(map(split_of, names)):
        remedy = "these are not used as splits; to use them, put the class folders into them, as in train/cat"
    else:
        remedy = f"if {classes} are splits and no classes, rename them train, validation and test"
    return (f"the classes {classes} hold the same folders, {inner_names}: {remedy}",)


def group_samples(source: Source, group_by: str) -> Source:
    """Give every sample the group that `group_by` asks for: ``folder``, or a pattern to look for in the path.

    A column of a manifest is read when the manifest is opened; such a source has its groups already, and is returned
    as it is.

    Raises
    ------
    InputError
        If the pattern is not a valid regular expression, or is found in no path.
    """
    if not group_by or group_by in source.columns:
        return source
    if group_by == "folder":
        groups = [sample.path.rpartition("/")[0] for sample in source.samples]
    else:
        try:
            pattern = re.compile(group_by)
        except re.error as error:
            raise InputError(f"group_by: {group_by!r} is not a pattern ({error}); try one such as 'S\\d+'") from None
        found = [pattern.search(sample.path) for sample in source.samples]
        groups = [(match[1] if pattern.groups else match[0]) or "" if match else "" for match in found]
    if not any(groups):
        columns = f" (columns of the manifest: {', '.join(source.columns)})" if source.columns else ""
        first = source.samples[0].path if source.samples else ""
        raise InputError(
            f"group_by: {group_by!r} is found in no path of {source.location}{columns}; give 'folder', or a pattern "
            f"that is in a path such as {first!r}"
        )
    alone = groups.count("")
    note = f"{count(alone, 'image')} without a group by {group_by!r}: each is on its own"
    return replace(
        source,
        samples=[sample._replace(group=group) for sample, group in zip(source.samples, groups, strict=True)],
        notes=(*source.notes, note) if alone else source.notes,
    )
