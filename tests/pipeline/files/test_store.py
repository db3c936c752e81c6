"""Stored results survive whatever ends the process, and damage is noticed."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.files.store import Store, store_path


def reopened(store):
    store.close()
    return Store(Path("out.csv"))


@pytest.fixture
def store(own_folder):
    store = Store(Path("out.csv"))
    yield store
    store.close()


def test_results_and_state_are_there_again(store):
    store.put("a", {"m": 3}, b"one\0\n")
    store.put("b", [1, "x"], os.urandom(1_000_000))
    store.put("a", {"m": 4}, b"two")
    store.set_state({"output": [1, 2]})
    again = reopened(store)
    assert again.get("a") == ({"m": 4}, b"two")
    assert len(again.get("b")[1]) == 1_000_000
    assert again.get("c") is None
    assert again.keys() == {"a", "b"}
    assert again.state == {"output": [1, 2]}
    again.remove_all_but(["b", "c"])
    assert again.keys() == {"b"}
    again.close()
    assert os.listdir() == ["out.csv.parts"]  # noqa: PTH208


def test_removed_nothing_is_left(store):
    store.put("a", None, b"x")
    store.remove()
    assert os.listdir() == []  # noqa: PTH208


KILLED_WITHIN_A_TRANSACTION = """
import os, signal, sys
from pathlib import Path
from pipeline.files.store import Store
store = Store(Path("out.csv"))
store.put("a", 1, b"first" * 100_000)
store.put("b", 2, b"second")
with store._transaction() as database:
    database.execute("DELETE FROM results")
    database.execute("INSERT INTO results VALUES ('c', '3', 0, zeroblob(30000000))")  # more than fits into its memory
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_within_a_transaction_it_is_as_before(own_folder):
    assert subprocess.run([sys.executable, "-c", KILLED_WITHIN_A_TRANSACTION]).returncode < 0
    assert Path("out.csv.parts-journal").exists()
    store = Store(Path("out.csv"))
    assert store.keys() == {"a", "b"}
    assert store.get("a") == (1, b"first" * 100_000)
    assert store.get("b") == (2, b"second")
    store.remove()


def test_a_second_process_is_kept_out_until_the_first_ends(store):
    script = (
        "from pathlib import Path; from pipeline.files.store import Store; Store(Path('out.csv')).put('b', 0, b'y')"
    )
    store.put("a", 0, b"x")
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "out.csv: another process is writing it" in other.stderr
    with pytest.raises(InputError, match="another process is writing it"):
        Store(Path("out.csv"))
    store.close()
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
    again = Store(Path("out.csv"))
    assert again.keys() == {"a", "b"}
    again.close()


def test_a_changed_byte_is_noticed(store):
    store.put("a", 0, b"some rows")
    store.put("b", 0, b"other rows")
    store.put("c", "some facts", b"more")
    store.close()
    content = store_path(Path("out.csv")).read_bytes()
    assert content.count(b"some rows") == 1
    store.path.write_bytes(content.replace(b"some rows", b"same rows").replace(b"some facts", b"same facts"))
    again = reopened(store)
    assert again.get("a") is None
    assert again.get("c") is None
    assert again.get("b") == (0, b"other rows")
    again.close()


def test_of_a_damaged_store_nothing_is_taken_and_a_new_one_is_begun(store):
    for i in range(100):
        store.put(str(i), 0, b"x" * 10_000)
    store.close()
    content = bytearray(store.path.read_bytes())
    content[100:60_000] = os.urandom(59_900)
    store.path.write_bytes(content)
    again = reopened(store)
    assert again.keys() == set()
    again.put("a", 0, b"x")
    assert again.get("a") == (0, b"x")
    again.close()


def test_a_store_that_turns_out_damaged_is_removed_and_takes_no_more(store):
    for i in range(300):
        store.put(str(i), 0, b"x" * 30_000)
    store.close()
    content = bytearray(store.path.read_bytes())
    content[80_000:] = b"\xff" * (len(content) - 80_000)
    store.path.write_bytes(content)
    again = reopened(store)
    with pytest.raises(OSError, match="are damaged and were removed"):
        again.put("0", 0, b"y")
    with pytest.raises(OSError, match="closed"):  # an ingestion goes on without its store
        again.put("a", 0, b"y")
    assert os.listdir() == []  # noqa: PTH208


@pytest.mark.parametrize("foreign", [b"my own work", b"SQLite format 3\0" + bytes(200)])
def test_a_foreign_file_is_left_as_it_is(own_folder, foreign):
    Path("out.csv.parts").write_bytes(foreign)
    with pytest.raises(InputError, match=r"out\.csv\.parts: is the place .* holds something else"):
        Store(Path("out.csv"))
    assert Path("out.csv.parts").read_bytes() == foreign
    Path("other.csv.parts").mkdir()
    with pytest.raises(InputError, match="holds something else"):
        Store(Path("other.csv"))


def test_a_folder_that_cannot_be_written_is_named():
    with pytest.raises(InputError, match=r"/proc/out\.csv\.parts: cannot be written"):
        Store(Path("/proc/out.csv"))


ON_A_FULL_DISK = """
import resource
from pathlib import Path
from pipeline.files.store import Store
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
Store(Path("out.csv"))
"""


def test_a_store_that_cannot_be_begun_leaves_nothing(own_folder):
    child = subprocess.run([sys.executable, "-c", ON_A_FULL_DISK], capture_output=True, text=True)
    assert "out.csv.parts: cannot be written" in child.stderr
    assert os.listdir() == []  # noqa: PTH208


@pytest.mark.parametrize("name", [b"\xff?a=1#%41.csv", "größe.csv".encode(), b":memory:"])
def test_any_name_will_do(own_folder, name):
    store = Store(Path(os.fsdecode(name)))
    store.put("a", 0, b"x")
    store.close()
    assert os.listdir(b".") == [name + b".parts"]  # noqa: PTH208
    store = Store(Path(os.fsdecode(name)))
    assert store.get("a") == (0, b"x")
    store.close()


def test_a_path_may_begin_with_two_slashes(own_folder):
    store = Store(Path(f"/{Path.cwd()}/out.csv"))
    store.put("a", 0, b"x")
    again = reopened(store)
    assert again.get("a") == (0, b"x")
    again.close()


def test_a_file_system_without_locks_will_do(own_folder, monkeypatch):
    connect = sqlite3.connect

    def refuse(name, **options):
        if "nolock" not in name:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR | (15 << 8)  # SQLITE_IOERR_LOCK
            raise error
        return connect(name, **options)

    monkeypatch.setattr(sqlite3, "connect", refuse)
    store = Store(Path("out.csv"))
    store.put("a", 0, b"x")
    again = reopened(store)
    assert again.get("a") == (0, b"x")
    again.close()


def test_a_store_that_was_just_begun_is_taken(own_folder):
    Path("out.csv.parts").touch()
    store = Store(Path("out.csv"))
    assert store.state == {}
    store.remove()


def test_a_pipe_in_the_place_of_a_store_is_not_waited_for(own_folder):
    os.mkfifo("out.csv.parts")
    with pytest.raises(InputError, match="holds something else"):
        Store(Path("out.csv"))
