"""A folder of the test's own, and a cluster of processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CLUSTER = """
import os, sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with cluster.get_client() as client:
            client.wait_for_workers(2)
            print(cluster.scheduler_address, *client.run(os.getpid).values(), flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """Make the test's temporary folder the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cluster(own_folder):
    """Start a scheduler and two worker processes; yield the address and the workers' process numbers."""
    pytest.importorskip("distributed")
    Path("cluster.py").write_text(CLUSTER)
    with subprocess.Popen(
        [sys.executable, "cluster.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdout
        assert child.stdin
        address, *pids = child.stdout.readline().split()
        yield address, [int(pid) for pid in pids]
        child.stdin.close()
        try:
            child.wait(timeout=30)
        except subprocess.TimeoutExpired:  # it is not our cluster's end that is tested
            child.kill()
