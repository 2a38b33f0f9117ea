"""The tasks of Celery's program; the worker imports them."""
import os

import celery

app = celery.Celery("drivers", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False, result_expires=600, task_track_started=True)


@app.task
def square(n, mark):
    return n


@app.task
def total(numbers, mark):
    return sum(numbers)


@app.task
def broken(mark):
    raise ValueError(mark)


@app.task(bind=True, max_retries=2, default_retry_delay=0.2)
def flaky(self, mark):
    if self.request.retries < 2:
        raise self.retry()
    return self.request.retries
