"""What a long prediction has done so far, in part files beside its output: a run that was stopped goes on from there.

``OUT.parts/`` holds, for every chunk of items, its rows as they will stand in the output, and a record of what
they rest on: the stamps of the files, their hashes, and the errors. Both bear the chunk's key, a hash of the names in
it, so that a chunk is found wherever it stands in the stream. One whose record still holds is not done again; any other
is done again as a whole, so that the end is the one an undisturbed run would have reached, to the byte. The record is
written after the rows and in one step, and holds their checksum: a chunk is there or it is not.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from model.storage.atomic import replacing
from pipeline.errors import InputError
from pipeline.files.names import escape
from pipeline.files.stamps import Stamp, stamp_of
from pipeline.prediction.formats import Format
from pipeline.prediction.inputs import Item

_FORMAT = {"format": "facette-journal", "version": 2}


class Record(NamedTuple):
    """What the rows of a chunk rest on.

    Attributes
    ----------
    m : int
        Its items.
    stamps : list
        Stamp of each item's file; for the images of a data set, only of that.
    errors : dict
        Place in the chunk -> (code, message).
    counts : dict
        Of `pipeline.prediction.rows.Tally`.
    digests, paths, folders : sequence of str
        SHA-256 of each item's file, where it lies (an absolute path), and the folder that it is to be sorted into
        (None: it stays where it is); empty for the images of a data set.
    size, checksum : int
        Bytes of the rows, and their CRC-32.
    """

    m: int
    stamps: list[Stamp]
    errors: dict[str, list[str]]
    counts: dict[str, dict[str, int]]
    digests: Sequence[str] = ()
    paths: Sequence[str | None] = ()
    folders: Sequence[str | None] = ()
    size: int = 0
    checksum: int = 0


class Journal:
    """The part files of one output.

    Parameters
    ----------
    output : Path
    identity : dict
        All that decides what rows look like; parts made under another are worthless. Plain JSON values.
    overwrite : bool
        Begin anew, and replace whatever `output` is.

    Attributes
    ----------
    note : str
        What a person should know about what was found.
    state : dict
        What `mark` stored.

    Raises
    ------
    InputError
        When `output` or its parts are foreign, cannot be written, or another process is at work on them.
    """

    def __init__(self, output: Path, identity: dict[str, Any], *, overwrite: bool = False) -> None:
        self.output, self.folder = output, output.with_name(output.name + ".parts")
        self.note, self.state = "", {}
        self._identity = {**_FORMAT, **identity}
        self._format_ending = str(identity["lines"])
        where = escape(output)
        if output.is_dir():
            raise InputError(f"{where}: is a folder; give the name of a file to write")
        if not output.parent.is_dir():
            raise InputError(f"{where}: there is no folder {escape(output.parent)}")
        found = self._found()
        ours = bool(found) and list(stamp_of(output)) in (found["output"], found.get("coming"))
        if output.exists() and not ours and not overwrite:
            raise InputError(f"{where}: is there already; give another name, or replace it with --overwrite")
        try:
            self.folder.mkdir(exist_ok=True)
            self._lock = self._locked()
        except OSError as error:
            raise InputError(f"{escape(self.folder)}: cannot be written ({error.strerror})") from None
        if overwrite or not found:
            self._clear()
        elif found["identity"] != self._identity:
            self.note = "the model or the options have changed since the last run: everything is predicted again"
            self._clear()
        else:
            self.state = found["state"]
        self.mark()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _found(self) -> dict[str, Any]:
        """Return what an earlier run left, or nothing."""
        if not self.folder.exists():
            return {}
        try:
            found = json.loads((self.folder / "run.json").read_text(encoding="ascii"))
            if found["identity"]["format"] == _FORMAT["format"]:
                return found
        except FileNotFoundError:
            if self.folder.is_dir() and not {path.name for path in self.folder.iterdir()} - {"lock"}:
                return {}
        except (OSError, ValueError, KeyError, TypeError):
            pass
        raise InputError(
            f"{escape(self.folder)}: is needed for part files, and holds something else; move it away, or choose "
            "another output"
        )

    def _locked(self) -> Any:
        """Keep other processes out for as long as the file is open."""
        try:
            import fcntl
        except ImportError:  # not on this system
            return None
        file = (self.folder / "lock").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise InputError(f"{escape(self.output)}: another process is writing it") from None
        except OSError:  # a file system without locks
            pass
        return file

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.name != "lock":
                path.unlink()

    def mark(self, **facts: Any) -> None:
        """Add facts to `state`; store it, and that the output, as it is now, is this run's (or that there is none)."""
        self.state |= facts
        self._known = stamp_of(self.output)
        self._store()

    def _store(self, coming: Path | None = None) -> None:
        found = {"identity": self._identity, "state": self.state, "output": list(self._known)}
        if coming:
            found["coming"] = list(stamp_of(coming))
        _write(self.folder / "run.json", json.dumps(found))

    def rows_path(self, key: str) -> Path:
        """Return where the rows of a chunk lie."""
        return self.folder / f"{key}.{self._format_ending}"

    def record(self, key: str) -> Record | None:
        """Return the record of a chunk, where there is one and its rows are whole."""
        try:
            stored = json.loads(self._record_path(key).read_text(encoding="ascii"))
            rows = self.rows_path(key).read_bytes()
            record = Record(**stored)
            if (len(rows), zlib.crc32(rows)) != (record.size, record.checksum):
                return None
        except (OSError, ValueError, TypeError):
            return None
        return record._replace(stamps=[Stamp(*stamp) for stamp in record.stamps])

    def commit(self, key: str, rows: bytes, record: Record) -> None:
        """Store the rows of a chunk."""
        if self.state.pop("chunks", None) is not None:  # from now on the output is not what the parts come to
            self._store()
        path = self._record_path(key)
        path.unlink(missing_ok=True)
        self.rows_path(key).write_bytes(rows)
        _write(path, json.dumps(record._replace(size=len(rows), checksum=zlib.crc32(rows))._asdict()))

    def _record_path(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def publish(self, keys: Sequence[str], format: Format, topk: int) -> None:
        """Put the rows of these chunks together under the output's name, and remove those of all others.

        Raises
        ------
        InputError
            When somebody else has put a file there meanwhile.
        """
        if stamp_of(self.output) != self._known:
            raise InputError(f"{escape(self.output)}: has appeared or changed meanwhile; it is left as it is")
        parts = [self.rows_path(key) for key in keys]
        with replacing(self.output) as temporary:
            if format.convert:
                format.convert(parts, temporary, topk)
            else:
                with temporary.open("wb") as file:
                    file.write(format.header(topk))
                    for part in parts:
                        with part.open("rb") as rows:
                            shutil.copyfileobj(rows, file, 1 << 20)
            self._store(coming=temporary)  # should the process be killed before `mark`
        self.mark(chunks=keys)
        wanted = set(keys)
        for path in self._part_files():
            if path.name.partition(".")[0] not in wanted:
                path.unlink()

    def _part_files(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.name not in ("lock", "run.json")]

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing in it that a later run could use."""
        return not self._part_files()

    def close(self) -> None:
        """Let other processes in; the part files stay."""
        if self._lock:
            self._lock.close()

    def remove(self) -> None:
        """Remove the part files, which are of no more use, and close."""
        self._clear()
        self.close()
        with contextlib.suppress(OSError):
            (self.folder / "lock").unlink(missing_ok=True)
            self.folder.rmdir()


def marked(output: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the (identity, state) that the journal of an output has; both empty where there is none."""
    try:
        found = json.loads((output.with_name(output.name + ".parts") / "run.json").read_text(encoding="ascii"))
        return found["identity"], found["state"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}, {}


def _write(path: Path, text: str) -> None:
    """Write a small file in one step; what is lost with the power is noticed and made again, so nothing waits."""
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_text(text, encoding="ascii")
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def still_holds(
    record: Record,
    items: Sequence[Item],
    stamps: Sequence[Stamp],
    *,
    keep_errors: bool,
    digest: Callable[[Item], str],
    error: Callable[[Item], Sequence[str]],
) -> Iterator[Callable[[], bool]]:
    """Yield the checks that a record has to pass, cheap ones done, so that costly ones can be done side by side.

    A file is known by its stamp; by its hash where the stamp has changed. What could not be read is tried again.
    """
    for i, item in enumerate(items):
        before = record.errors.get(str(i))
        if before:
            if not keep_errors:
                yield lambda item=item, before=before: list(error(item)) == before  # type: ignore[misc]
        elif stamps[i] != record.stamps[i]:
            yield lambda item=item, i=i: digest(item) == record.digests[i]  # type: ignore[misc]
