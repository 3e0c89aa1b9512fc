"""What celery.test.ts has done by Celery: `python3 -m celery -A celery-tasks worker`, and tasks given by running this."""

import os
import time

import redis
from celery import Celery

PORT = int(os.environ["SLOTLESS_TEST_PORT"])
QUEUES = ["celery", "low", "high"]

app = Celery("celery-tasks", broker=f"redis://127.0.0.1:{PORT}/0")
app.conf.update(task_ignore_result=True, task_acks_late=True, worker_enable_remote_control=False)
store = redis.Redis(port=PORT)


@app.task(name="double")
def double(n):
    store.sadd("done", n * 2)


@app.task(name="again", bind=True, max_retries=3)
def again(self, n):
    if store.incr(f"tries:{n}") < 2:
        raise self.retry(countdown=0)
    store.sadd("done", n)


if __name__ == "__main__":
    for n in range(60):
        double.apply_async([n], queue=QUEUES[n % 3])
    again.delay(1001)
    double.apply_async([1000], countdown=1)
    expected = {n * 2 for n in range(60)} | {1001, 2000}
    end = time.time() + 30
    while time.time() < end and {int(n) for n in store.smembers("done")} != expected:
        time.sleep(0.05)
    assert {int(n) for n in store.smembers("done")} == expected, store.smembers("done")
    # The last one is acknowledged after it is done.
    while time.time() < end and store.hlen("unacked") > 0:
        time.sleep(0.05)
    assert [store.llen(queue) for queue in QUEUES] == [0, 0, 0]
    assert [store.hlen("unacked"), store.zcard("unacked_index")] == [0, 0]
    print("all done")
