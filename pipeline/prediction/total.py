"""How many files there are to classify: counted in a thread of its own, while the first ones are classified."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from pipeline.errors import USER_ERRORS
from pipeline.prediction.inputs import DatasetSlice, Item


class FileTotal:
    """Counts the files of inputs in the background.

    Parameters
    ----------
    list_items : callable
        Lists the items, independently of those that are classified.

    Attributes
    ----------
    n : int or None
        The number of files; None until all are counted, or if they cannot be listed.
    """

    def __init__(self, list_items: Callable[[], Iterable[Item | DatasetSlice]]) -> None:
        self.n: int | None = None
        self._list_items, self._is_wanted = list_items, True
        self._thread = threading.Thread(target=self._count, name="count files", daemon=True)

    def __enter__(self) -> FileTotal:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_wanted = False
        self._thread.join()

    def _count(self) -> None:
        n = 0
        try:
            for item in self._list_items():
                if not self._is_wanted:
                    return
                n += len(item) if isinstance(item, DatasetSlice) else 1
        except USER_ERRORS:  # whoever classifies the files reports it
            return
        self.n = n
