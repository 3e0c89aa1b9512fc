"""What celery.test.ts has done by Celery: `python3 -m celery -A celery-tasks worker`, and tasks given by running this."""

import os
import time

import redis
from celery import Celery, chord, group

PORT = int(os.environ["SLOTLESS_TEST_PORT"])
QUEUES = ["celery", "low", "high"]

URL = f"redis://127.0.0.1:{PORT}/0"
# Nothing that is waited for takes so long, s.
LIMIT = 30

app = Celery("celery-tasks", broker=URL, backend=URL)
app.conf.update(task_acks_late=True)
store = redis.Redis(port=PORT)


@app.task(name="double")
def double(n):
    store.sadd("done", n * 2)
    return n * 2


@app.task(name="fail")
def fail():
    raise ValueError("as wanted")


@app.task(name="total")
def total(numbers):
    return sum(numbers)


@app.task(name="again", bind=True, max_retries=3)
def again(self, n):
    if store.incr(f"tries:{n}") < 2:
        raise self.retry(countdown=0)
    store.sadd("done", n)


def queues():
    for n in range(60):
        double.apply_async([n], queue=QUEUES[n % 3])
    again.delay(1001)
    double.apply_async([1000], countdown=1)
    expected = {n * 2 for n in range(60)} | {1001, 2000}
    end = time.time() + LIMIT
    while time.time() < end and {int(n) for n in store.smembers("done")} != expected:
        time.sleep(0.05)
    assert {int(n) for n in store.smembers("done")} == expected, store.smembers("done")
    # The last one is acknowledged after it is done.
    while time.time() < end and store.hlen("unacked") > 0:
        time.sleep(0.05)
    assert [store.llen(queue) for queue in QUEUES] == [0, 0, 0]
    assert [store.hlen("unacked"), store.zcard("unacked_index")] == [0, 0]


def results():
    asked = [double.delay(n) for n in range(20)]
    assert [one.get(timeout=LIMIT) for one in asked] == [n * 2 for n in range(20)]
    assert group(double.s(n) for n in range(5))().get(timeout=LIMIT) == [0, 2, 4, 6, 8]
    assert chord(double.s(n) for n in range(5))(total.s()).get(timeout=LIMIT) == 20
    failing = fail.delay()
    try:
        failing.get(timeout=LIMIT)
    except ValueError as error:
        assert "as wanted" in str(error)
    else:
        raise AssertionError("no error")


def control(workers):
    end = time.time() + LIMIT
    while time.time() < end and len(app.control.ping(timeout=0.3) or []) < workers:
        pass
    told = dict(kv for one in app.control.ping(timeout=LIMIT, limit=workers) for kv in one.items())
    assert len(told) == workers and all(answer == {"ok": "pong"} for answer in told.values()), told
    inspect = app.control.inspect(list(told), timeout=LIMIT, limit=workers)
    assert inspect.ping() == told
    assert all("double" in tasks for tasks in inspect.registered().values())
    limit = {"task_name": "again", "rate_limit": "1000/s"}
    replies = app.control.broadcast("rate_limit", limit, reply=True, timeout=LIMIT, limit=workers)
    answers = [answer for one in replies for answer in one.values()]
    assert answers == [{"ok": "new rate limit set successfully"}] * workers, answers


if __name__ == "__main__":
    control(2)
    queues()
    results()
    print("all done")
