"""An export on two Dask workers, one of which is killed in the middle, makes every item."""

import os
import signal
import threading
import time
from pathlib import Path

import joblib
import pytest

import padviz


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_worker_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    distributed = pytest.importorskip("dask.distributed", reason="the extra padviz[dask] is not installed")
    sizes = range(64, 64 + 8 * 20, 8)
    killed = []

    def kill(pid: int) -> None:
        while not (found := [*tmp_path.glob("*-usage.png")]):
            time.sleep(0.05)
        killed.append(len(found))
        os.kill(pid, signal.SIGKILL)

    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        victim = next(iter(client.run(os.getpid).values()))
        thread = threading.Thread(target=kill, args=[victim])
        thread.start()
        with joblib.parallel_config(backend="dask"):
            outcomes = padviz.export(["vgg11"], tmp_path, size=[*sizes])
        thread.join()
    assert 0 < killed[0] < len(sizes)
    assert [outcome.state for outcome in outcomes] == ["made"] * len(sizes)
    assert len([*tmp_path.glob("*-usage.png")]) == len(sizes)
