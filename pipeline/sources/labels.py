"""How folders and paths become labels, splits and groups."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from pipeline.errors import InputError
from pipeline.files.names import escape
from pipeline.sources.source import Sample, Source
from pipeline.text import count, shortened

SPLIT_NAMES = {
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


def check_class_names(source: Source) -> None:
    """Reject class names that look the same.

    Raises
    ------
    InputError
        If two names differ only in case, or in how an accent is stored.
    """
    seen: dict[str, str] = {}
    for name in sorted({sample.label for sample in source.samples if sample.label}):
        first = seen.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if first != name:
            raise InputError(
                f"{source.location}: classes {first!r} and {name!r} differ only in upper and lower case (or in how an "
                "accent is stored); rename one of them, or merge their images"
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
    split_tops = {top for top in tops if top.lower() in SPLIT_NAMES}
    parts = {SPLIT_NAMES[top.lower()] for top in split_tops}
    ready_made = "train" in parts and len(parts) > 1
    if ready_made and tops != split_tops:
        others = shortened([repr(escape(top)) for top in sorted(tops - split_tops)])
        raise InputError(
            f"{location}: has the split folders {', '.join(sorted(split_tops))} but also {others}; "
            "move these elsewhere, or rename the split folders if they are classes"
        )
    samples = []
    for path in paths:
        folders = path.split("/")[:-1]
        split = SPLIT_NAMES[folders.pop(0).lower()] if ready_made and folders else ""
        label = escape(folders[0]) if folders and split != "unlabelled" else ""
        samples.append(Sample(escape(path), label, split, "", path))
    notes = (f"ready-made splits: {', '.join(sorted(split_tops))}",) if ready_made else ()
    return samples, notes


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
