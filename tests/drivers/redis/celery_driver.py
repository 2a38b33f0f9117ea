"""Celery: a worker in a process of its own, results, groups and chords, countdowns, retries, remote control; all by Redis."""
import os
import signal
import subprocess
import sys

from common import MARK, URL, run, say, until

import celery

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from celery_tasks import app, broken, flaky, square, total  # noqa: E402

WORKER = [sys.executable, "-m", "celery", "-A", "celery_tasks", "worker", "-P", "threads", "-c", "4", "-n", "one@drivers", "-l", "WARNING", "--without-mingle"]
worker = subprocess.Popen(WORKER, cwd=HERE, stdout=sys.stderr, stderr=sys.stderr)


def connect():
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=3)
    until(lambda: app.control.ping(timeout=1), 60)
    say("connect", f"ping {app.control.ping(timeout=3)}")
    say("connect", "ready")


def work():
    sent = [square.delay(n, MARK) for n in range(20)]
    values = [s.get(timeout=30) for s in sent]
    say("work", f"done {sum(s.successful() for s in sent)}")
    say("work", f"sum {sum(values)}")
    say("work", f"routed {square.apply_async((5, MARK), queue='other').state} {app.control.add_consumer('other', reply=True, timeout=3)}")


def later():
    say("later", f"countdown {square.apply_async((7, MARK), countdown=1).get(timeout=30)}")
    expired = square.apply_async((8, MARK), countdown=1, expires=0.1)
    until(lambda: expired.state == "REVOKED")
    say("later", f"expired {expired.state}")


def failures():
    failed = broken.delay(MARK)
    try:
        failed.get(timeout=30)
    except ValueError as error:
        say("failures", f"failed {error} {failed.state}")
    say("failures", f"retried {flaky.delay(MARK).get(timeout=30)}")


def results():
    group = celery.group(square.s(n, MARK) for n in range(5))()
    say("results", f"group {group.get(timeout=30)}")
    chord = celery.chord([square.s(n, MARK) for n in range(5)])(total.s(MARK))
    say("results", f"chord {chord.get(timeout=30)}")
    chain = (square.s(2, MARK) | square.s(MARK))()
    say("results", f"chain {chain.get(timeout=30)}")
    kept = square.delay(9, MARK)
    kept.get(timeout=30)
    again = app.AsyncResult(kept.id)
    say("results", f"again {again.result} {again.status}")
    again.forget()
    say("results", f"forgotten {app.AsyncResult(kept.id).status}")


def introspection():
    inspect = app.control.inspect(timeout=5)
    say("introspection", f"queues {sorted(q['name'] for q in inspect.active_queues()['one@drivers'])}")
    say("introspection", f"tasks {sorted(t for t in inspect.registered()['one@drivers'] if 'celery_tasks' in t)}")
    say("introspection", f"active {inspect.active()}")
    for _ in range(3):
        square.apply_async((1, MARK), queue="unread")
    with app.connection_for_write() as connection:
        say("introspection", f"waiting {connection.default_channel.queue_declare('unread', passive=True).message_count}")
        say("introspection", f"purged {connection.default_channel.queue_purge('unread')}")
    worker.send_signal(signal.SIGTERM)
    say("introspection", f"worker ended {worker.wait(30)}")


try:
    run(celery.__version__, connect=connect, work=work, later=later, failures=failures, results=results, introspection=introspection)
finally:
    if worker.poll() is None:
        worker.kill()
        worker.wait()
