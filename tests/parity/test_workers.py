"""Worker processes: each way to fail costs one job, says why, and leaves the others alone."""

import multiprocessing
import os
import time

import pytest

from parity.process.pool import Failure, Pool, WorkerError, usable_cores
from tests.parity.faulty import open_misbehaving, open_nothing

PLENTY = 100.0
"""Seconds that no job here is meant to take."""


def run(jobs, *, size=1, time_limit=PLENTY):
    with Pool(open_misbehaving, size=size, time_limit=time_limit) as pool:
        return dict(pool.run(jobs))


def test_every_job_comes_back_with_its_index_from_workers_that_stay():
    found = run(list("abcde"), size=2)
    assert [found[k][0] for k in range(5)] == list("abcde")
    assert os.getpid() not in {pid for _, pid in found.values()}
    assert len({pid for _, pid in found.values()}) <= 2


def test_a_process_that_dies_costs_its_own_job_and_says_how():
    found = run(["segfault", "leave", "exit", "kill", "raise", "fine"])
    reasons = {k: found[k].reason for k in range(5)}
    assert reasons == {
        0: "the process died (signal 11: segmentation fault)",
        1: "the process ended itself (exit code 7)",
        2: "the process ended itself (exit code 1)",
        3: "the process died (signal 9: killed, as systems do to a process that takes too much memory)",
        4: "ValueError: no such thing",
    }
    assert all("about to" in found[k].output for k in (0, 2, 4))
    assert all(found[k].told == (f"started {kind}",) for k, kind in enumerate(["segfault", "leave", "exit"]))
    assert "Current thread" in found[0].output
    assert found[5][0] == "fine"


def test_a_job_over_its_time_is_killed_its_stack_kept_and_the_next_one_is_run():
    found = run(["hang", "fine"], time_limit=1.0)
    assert found[0].reason == "did not finish within 1 s"
    assert "misbehave" in found[0].output
    assert found[1][0] == "fine"


def test_a_job_is_given_its_own_output_only():
    found = run(["fine", "raise"])
    assert "about to fine" not in found[1].output


def test_left_early_no_worker_stays_at_work():
    before = set(multiprocessing.active_children())
    pool = Pool(open_misbehaving, size=2, time_limit=PLENTY)
    jobs = pool.run(["fine", "hang", "hang"])
    next(jobs)
    assert set(multiprocessing.active_children()) - before
    jobs.close()
    pool.close()
    assert not set(multiprocessing.active_children()) - before


def test_an_interrupt_kills_what_is_at_work():
    before = set(multiprocessing.active_children())
    pool = Pool(open_misbehaving, size=1, time_limit=PLENTY)
    with pytest.raises(KeyboardInterrupt):
        list(pool.run([f"interrupt {os.getpid()}"]))
    assert not set(multiprocessing.active_children()) - before
    pool.close()


def test_a_pool_takes_jobs_again_after_a_failure():
    with Pool(open_misbehaving, size=1, time_limit=PLENTY) as pool:
        [(_, first)] = pool.run(["leave"])
        [(_, second)] = pool.run(["fine"])
    assert isinstance(first, Failure)
    assert second[0] == "fine"


def test_an_idle_worker_that_died_is_replaced():
    before = set(multiprocessing.active_children())
    with Pool(open_misbehaving, size=1, time_limit=PLENTY) as pool:
        [(_, (_, pid))] = pool.run(["fine"])
        os.kill(pid, 9)
        [died] = set(multiprocessing.active_children()) - before
        died.join()
        [(_, (kind, other))] = pool.run(["fine"])
    assert kind == "fine"
    assert other != pid


def test_workers_that_cannot_start_are_an_error_of_the_run_not_of_a_job():
    with Pool(open_nothing, size=1, time_limit=PLENTY) as pool, pytest.raises(WorkerError, match="data are damaged"):
        list(pool.run(["fine"]))


def test_no_jobs_start_no_process():
    started = time.monotonic()
    assert run([]) == {}
    assert time.monotonic() - started < PLENTY


@pytest.mark.parametrize(
    ("size", "limit", "message"),
    [
        (0, 1.0, "number of worker processes must be at least 1, got 0"),
        (1, 0.0, "time limit must be a positive number of seconds, got 0.0"),
        (1, float("nan"), "time limit must be a positive number of seconds, got nan"),
    ],
)
def test_a_size_or_a_limit_that_makes_no_sense_is_refused(size, limit, message):
    with pytest.raises(ValueError, match=message):
        Pool(open_misbehaving, size=size, time_limit=limit)


def test_usable_cores_are_those_of_this_process():
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
