"""What the Python programs share."""
import os
import sys
import time
import traceback

URL, MARK = os.environ["REDIS_URL"], os.environ["MARK"]


def say(step, text):
    print(f"{step}: {text}", flush=True)


def until(true, seconds=20):
    """Waits for something to become true."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError("it has not come")
        time.sleep(0.05)
    return True


def run(version, **steps):
    """Each step in its turn; one that fails says so and the others go on."""
    say("version", version)
    for name, step in steps.items():
        try:
            step()
        except Exception as error:  # noqa: BLE001, a step may fail in any way
            traceback.print_exc(file=sys.stderr)
            print(f"{name}! {type(error).__name__}: {' '.join(str(error).split())}", flush=True)
