"""What rq.test.ts has done by rq: with `worker` this is a worker, else it gives jobs and judges what becomes of them."""

import os
import sys
import time

import redis
from rq import Queue, Worker
from rq.command import send_shutdown_command, send_stop_job_command
from rq.job import JobStatus

# Nothing that is waited for takes so long, s.
LIMIT = 30

connection = redis.Redis(port=int(os.environ["SLOTLESS_TEST_PORT"]))
queues = [Queue(name, connection=connection) for name in ("high", "low")]


def succeed():
    return connection.incr("done")


def fail():
    raise ValueError("as wanted")


def wait():
    time.sleep(LIMIT)


def until(what, condition):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def give():
    until("a worker", lambda: Worker.count(connection=connection) == 1)
    [worker] = Worker.all(connection=connection)
    for queue in queues:
        failing = queue.enqueue("rq-jobs.fail")
        until("a job to fail", lambda: failing.get_status() == JobStatus.FAILED)
        assert "as wanted" in failing.exc_info
        assert queue.failed_job_registry.get_job_ids() == [failing.id]
    waiting = queues[1].enqueue("rq-jobs.wait")
    until("the worker to be at work", lambda: worker.get_current_job_id() == waiting.id)
    send_stop_job_command(connection, waiting.id)
    until("the job to be stopped", lambda: waiting.get_status() in (JobStatus.STOPPED, JobStatus.FAILED))
    assert "stopped by user" in waiting.exc_info
    # It watches a key and writes to others in one transaction.
    job = queues[0].enqueue("rq-jobs.succeed")
    until("the job to be done", lambda: connection.get("done") == b"1")
    until("the job to be told", lambda: job.get_status() == JobStatus.FINISHED)
    assert job.result == 1
    send_shutdown_command(connection, worker.name)
    until("the worker to leave", lambda: Worker.count(connection=connection) == 0)
    print("all done")


if __name__ == "__main__":
    if sys.argv[1:] == ["worker"]:
        Worker(queues, connection=connection).work()
    else:
        give()
