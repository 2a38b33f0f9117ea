"""RQ: queues, a worker, its scheduler, dependencies, registries."""
import datetime
import logging
import os
import sys

import redis
import rq
import rq_jobs
from common import MARK, URL, run, say, until
from rq.job import Job
from rq.registry import FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry
from rq.worker import SimpleWorker

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
logging.disable(logging.INFO)
r = redis.Redis.from_url(URL)
queue = rq.Queue("default", connection=r)


def work(**kw):
    SimpleWorker([queue], connection=r).work(burst=True, **kw)


def connect():
    say("connect", f"ready {len(queue)}")
    say("connect", "ready")


def work_step():
    jobs = [queue.enqueue(rq_jobs.square, n, MARK, result_ttl=500) for n in range(20)]
    say("work", f"queued {len(queue)} {queue.job_ids == [j.id for j in jobs]}")
    work()
    say("work", f"done {sum(j.get_status(refresh=True) == 'finished' for j in jobs)}")
    say("work", f"sum {sum(j.return_value(refresh=True) for j in jobs)}")
    first = queue.enqueue(rq_jobs.square, 1, MARK)
    last = queue.enqueue(rq_jobs.square, 2, MARK, depends_on=first, at_front=True)
    say("work", f"depends {last.get_status()}")
    work()
    say("work", f"after {last.get_status(refresh=True)}")


def later():
    job = queue.enqueue_in(datetime.timedelta(seconds=1), rq_jobs.square, 7, MARK)
    say("later", f"scheduled {len(ScheduledJobRegistry(queue=queue))} {job.get_status()}")
    from rq.scheduler import RQScheduler

    scheduler = RQScheduler([queue], connection=r)
    say("later", f"locks {sorted(scheduler.acquire_locks())}")
    until(lambda: scheduler.enqueue_scheduled_jobs() or len(queue))
    scheduler.release_locks()
    work()
    say("later", f"done {job.return_value(refresh=True)}")


def failures():
    job = queue.enqueue(rq_jobs.broken, MARK, retry=rq.Retry(max=1))
    work()
    failed = FailedJobRegistry(queue=queue)
    say("failures", f"failed {len(failed)} {job.get_status(refresh=True)} {job.latest_result().exc_string.strip().splitlines()[-1]}")
    failed.requeue(job)
    say("failures", f"again {len(queue)} {len(failed)}")
    work()
    failed.remove(job, delete_job=True)
    say("failures", f"gone {Job.exists(job.id, connection=r)}")


def results():
    job = queue.enqueue(rq_jobs.square, 3, MARK, meta={"mark": MARK}, job_id="named")
    work()
    again = Job.fetch("named", connection=r)
    say("results", f"fetched {again.return_value()} {again.args} {again.meta}")
    say("results", f"many {[j and j.id for j in Job.fetch_many(['named', 'nobody'], connection=r)]}")
    job.cancel()
    job.delete()


def introspection():
    say("introspection", f"queues {[q.name for q in rq.Queue.all(connection=r)]} {queue.count}")
    say("introspection", f"finished {len(FinishedJobRegistry(queue=queue))}")
    say("introspection", f"workers {rq.Worker.count(connection=r)}")
    queue.enqueue(rq_jobs.square, 3, MARK)
    say("introspection", f"emptied {queue.empty()} {len(queue)}")


run(rq.VERSION if hasattr(rq, "VERSION") else __import__("importlib.metadata").metadata.version("rq"), connect=connect, work=work_step, later=later,
    failures=failures, results=results, introspection=introspection)
