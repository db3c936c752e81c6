"""What a long prediction has done so far, in a store beside its output: a run that was stopped resumes from there.

For every chunk of items, the store (`pipeline.files.store`) holds its rows as they stand in the output, and a record of
what they depend on: the stamps of the files, their hashes, and the errors. The key is a hash of the names in the chunk,
so a chunk is found wherever it is in the stream. A chunk whose record still holds is not done again; any other is done
again as a whole, so the output is the one of an undisturbed run, byte for byte.

The store's state says which output is ours: ``identity`` (what decides how rows look), ``output`` (the stamp of the
output file as we left it), ``next`` (the stamp of the file that is about to replace it), and ``facts`` (see `mark`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from model.storage.atomic import replacing
from pipeline.errors import InputError
from pipeline.files.names import escape
from pipeline.files.stamps import Stamp, stamp_of
from pipeline.files.store import Store, store_path
from pipeline.prediction.formats import Format
from pipeline.prediction.inputs import Item


class Record(NamedTuple):
    """What the rows of a chunk depend on.

    Attributes
    ----------
    m : int
        Number of items.
    stamps : list
        Stamp of each item's file; for images of a data set, the stamp of the data set alone.
    errors : dict
        Index of the item in the chunk (as text) -> (code, message).
    counts : dict
        Counts of a `pipeline.prediction.rows.Tally`.
    digests, paths, folders : sequence of str
        SHA-256 of each item's file, its absolute path, and the folder that it is to be sorted into (None: it stays
        where it is); empty for images of a data set.
    """

    m: int
    stamps: list[Stamp]
    errors: dict[str, list[str]]
    counts: dict[str, dict[str, int]]
    digests: Sequence[str] = ()
    paths: Sequence[str | None] = ()
    folders: Sequence[str | None] = ()


class Journal:
    """The stored chunks of one output; `begin` or `resume` opens it.

    Attributes
    ----------
    note : str
        What a user should know about what was found.
    facts : dict
        What `mark` stored.
    """

    def __init__(self, output: Path, store: Store, identity: dict[str, Any], note: str = "") -> None:
        self.output, self.note = output, note
        self._store, self._identity = store, identity
        self.facts: dict[str, Any] = store.state.get("facts", {})
        self._known = Stamp(*store.state["output"]) if store.state else stamp_of(output)

    @classmethod
    def begin(cls, output: Path, identity: dict[str, Any], *, overwrite: bool = False) -> Journal:
        """Open the journal of an output, or start one.

        Parameters
        ----------
        output : Path
        identity : dict
            All that decides how rows look; chunks stored under another identity are removed. Plain JSON values.
        overwrite : bool
            Start over, and replace `output` whatever it is.

        Raises
        ------
        InputError
            If `output` or its store is foreign, cannot be written, or another process is writing it.
        """
        where = escape(output)
        if output.is_dir():
            raise InputError(f"{where}: is a folder; give the name of a file to write")
        if not output.parent.is_dir():
            raise InputError(f"{where}: there is no folder {escape(output.parent)}")
        store = Store(output)
        state = store.state
        try:
            is_ours = bool(state) and list(stamp_of(output)) in (state["output"], state.get("next"))
            if output.exists() and not is_ours and not overwrite:
                raise InputError(f"{where}: is there already; give another name, or replace it with --overwrite")
            note = ""
            if overwrite or (state and state["identity"] != identity):
                store.remove_all_but(())
                store.state = {}
                if not overwrite:
                    note = "the model or the options have changed since the last run: everything is predicted again"
            journal = cls(output, store, identity, note)
            journal.mark()
        except BaseException:
            if state:
                store.close()
            else:
                store.remove()
            raise
        return journal

    @classmethod
    def resume(cls, output: Path) -> Journal | None:
        """Open the journal of an output as it is; None if there is none.

        Raises
        ------
        InputError
            If another process is writing it, or its store is something else.
        """
        if not store_path(output).exists():
            return None
        store = Store(output)
        if not store.state:  # its process was killed when it had just been made
            store.remove()
            return None
        return cls(output, store, store.state["identity"])

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def mark(self, **facts: Any) -> None:
        """Add to `facts`; store them, and that the output, as it is now, is this run's (or that there is none)."""
        self.facts |= facts
        self._known = stamp_of(self.output)
        self._save()

    def _save(self, next_output: Path | None = None) -> None:
        state = {"identity": self._identity, "facts": self.facts, "output": list(self._known)}
        if next_output:
            state["next"] = list(stamp_of(next_output))
        self._store.set_state(state)

    def record(self, key: str) -> Record | None:
        """Return the record of a chunk; None if there is none, or it is damaged."""
        found = self._store.get(key)
        if found is None:
            return None
        record = Record(**found[0])
        return record._replace(stamps=[Stamp(*stamp) for stamp in record.stamps])

    def commit(self, key: str, rows: bytes, record: Record) -> None:
        """Store the rows of a chunk."""
        if self.facts.pop("chunks", None) is not None:  # from now on the output is not what the chunks add up to
            self._save()
        self._store.put(key, record._asdict(), rows)

    def publish(self, keys: Sequence[str], format: Format, topk: int) -> None:
        """Put the rows of these chunks together under the output's name, and remove those of all others.

        Raises
        ------
        InputError
            If somebody else has put a file there meanwhile, or stored rows are damaged.
        """
        if stamp_of(self.output) != self._known:
            raise InputError(f"{escape(self.output)}: has appeared or changed meanwhile; it is left as it is")
        with replacing(self.output) as temporary:
            format.write(self._rows(keys), temporary, topk)
            self._save(next_output=temporary)  # in case the process is killed before `mark`
        self.mark(chunks=list(keys))
        self._store.remove_all_but(keys)

    def _rows(self, keys: Sequence[str]) -> Iterator[bytes]:
        for key in keys:
            found = self._store.get(key)
            if found is None:
                raise InputError(f"{escape(self._store.path)}: is damaged; run the same command again")
            yield found[1]

    @property
    def path(self) -> Path:
        """Where it is stored."""
        return self._store.path

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing in it that a later run could use."""
        return not self._store.keys()

    def close(self) -> None:
        """Let other processes in; what is stored stays."""
        self._store.close()

    def remove(self) -> None:
        """Remove what is stored, which is of no more use, and close."""
        self._store.remove()


def still_holds(
    record: Record,
    items: Sequence[Item],
    stamps: Sequence[Stamp],
    *,
    keep_errors: bool,
    digest: Callable[[Item], str],
    error: Callable[[Item], Sequence[str]],
) -> Iterator[Callable[[], bool]]:
    """Yield the checks that a record has to pass and that take time, so that the caller can do them side by side.

    A file is known by its stamp, or by its hash if the stamp has changed. A file that could not be read is tried again.
    """
    for i, item in enumerate(items):
        before = record.errors.get(str(i))
        if before:
            if not keep_errors:
                yield lambda item=item, before=before: list(error(item)) == before  # type: ignore[misc]
        elif stamps[i] != record.stamps[i]:
            yield lambda item=item, i=i: digest(item) == record.digests[i]  # type: ignore[misc]
