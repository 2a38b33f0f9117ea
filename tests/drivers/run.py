#!/usr/bin/env python3
"""The driver matrix: one small program a driver, run on a private database and then, unchanged, as two tenants at once through the wall.

A program is told by its environment where to connect, and prints a line for all that it sees, `step: what`; a step that fails prints
`step! why`. What it saw directly must hold the lines of expected.txt, and what each tenant saw must be the same, line by line; after it
the rows that the shared database holds for each tenant must be those of the private one, and a third tenant's, which have the same ids,
untouched and seen by nobody. Each row bears its session's mark, so that a row of another shows whatever its id.

    python3 tests/drivers/run.py [--only NAME,NAME] [--quick] [--docs docs/COMPATIBILITY.md] [--verbose]

Exit 0: no driver failed. One that cannot be installed is shown with the reason, and is neither passed nor failed.
"""
import argparse
import dataclasses
import difflib
import os
import subprocess
import sys
import threading
import tomllib

import identity_kind
import postgres_kind
import redis_kind
import report
from servers import TARGET, workplace

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.join(TARGET, "drivers")
KINDS = {"postgres": postgres_kind.Kind, "redis": redis_kind.Kind, "redis-users": redis_kind.Users, "identity": identity_kind.Kind}
SECONDS = 180


@dataclasses.dataclass
class Result:
    """What became of a driver. `columns` by step: `pass`, `fail` or `none`; `why` has a line for each that is not `pass`."""
    driver: dict
    version: str = ""
    columns: dict = dataclasses.field(default_factory=dict)
    why: list = dataclasses.field(default_factory=list)

    @property
    def state(self):
        if not self.columns:
            return "not available"
        failing = [column for column, cell in self.columns.items() if cell == "fail"]
        if failing and failing == self.driver.get("fails"):
            return "known to fail"
        return "fail" if failing else "pass"

    def fail(self, column, why):
        self.columns[column] = "fail"
        self.why.append(f"{column}: {why}")


def install(needs, done={}):
    """None where it is there, or the reason why it cannot be."""
    if needs not in done:
        made = subprocess.run(["bash", os.path.join(HERE, "install.sh"), needs], env={**os.environ, "CACHE": CACHE}, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        lines = [line for line in made.stdout.splitlines() if line.strip()]
        done[needs] = None if made.returncode == 0 else (lines or ["no word of why"])[-1].strip()
    return done[needs]


def run_program(driver, environment):
    """Its exit code, lines of standard output, and standard error."""
    command = [word.format(cache=CACHE) for word in driver["run"]]
    plain = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    env = {**plain, "CACHE": CACHE, "NODE_PATH": f"{CACHE}/node/node_modules", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC",
           **{k: str(v) for k, v in environment.items()}}
    try:
        done = subprocess.run(command, cwd=HERE, env=env, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=SECONDS)
    except subprocess.TimeoutExpired as slow:
        out = slow.stdout.decode(errors="replace") if slow.stdout else ""
        return -1, out.splitlines(), f"not done after {SECONDS} s\n{(slow.stderr or b'').decode(errors='replace')}"
    except OSError as error:
        return -1, [], str(error)
    return done.returncode, done.stdout.splitlines(), done.stderr


def at_once(driver, environments):
    """Runs the program for all tenants at the same time."""
    results = [None] * len(environments)
    def one(n):
        results[n] = run_program(driver, environments[n])
    threads = [threading.Thread(target=one, args=(n,)) for n in range(len(environments))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def steps(lines, normal):
    """Lines by step, and the steps that failed or that the driver cannot do, with the reason."""
    seen, failed, absent = {}, {}, {}
    for line in map(normal, lines):
        for sign, into in ((": ", seen), ("! ", failed), ("- ", absent)):
            head, found, rest = line.partition(sign)
            if found and head.replace(" ", "").isalpha() and " " not in head:
                if into is seen:
                    into.setdefault(head, []).append(rest)
                else:
                    into[head] = rest
                break
    return seen, failed, absent


def examine(kind, driver, verbose):
    result, left = Result(driver), kind.COLUMNS[-1]
    lacking = install(driver["needs"]) if driver.get("needs") else None
    if lacking:
        result.why.append(lacking)
        return result
    if hasattr(kind, "examine"):
        kind.examine(driver, result, run_program)
        return result
    kind.reset()
    direct = run_program(driver, kind.direct(driver))
    kind.before_tenants()
    tenants = at_once(driver, [kind.tenant(driver, tenant) for tenant in kind.TENANTS])
    seen, failed, absent = steps(direct[1], kind.normal(None, driver))
    result.version = " ".join(seen.pop("version", []))
    for column in kind.COLUMNS[:-1]:
        expected = kind.expected(driver).get(column, [])
        lost = [line for line in expected if line not in seen.get(column, [])]
        result.columns[column] = "pass"
        if column in absent:
            result.columns[column] = "none"
            result.why.append(f"{column}: {absent[column]}")
        elif column in failed or lost or not seen.get(column):
            why = failed.get(column) or (f"directly, without `{lost[0]}`" if lost else "it printed nothing: " + tail(direct[2]))
            result.fail(column, f"on the private server: {why}")
            continue
        for tenant, (_, lines, errors) in zip(kind.TENANTS, tenants):
            compare(result, column, tenant, (seen, failed), steps(lines, kind.normal(tenant, driver)), errors)
    for tenant, (code, lines, errors) in [(None, direct), *zip(kind.TENANTS, tenants)]:
        foreign = kind.foreign(tenant, lines + errors.splitlines())
        if code != 0 and "fail" not in result.columns.values():
            result.fail(kind.COLUMNS[0], f"{tenant or 'the direct run'} ended with {code}: {tail(errors)}")
        if foreign:
            result.fail(left, f"{tenant} saw another's: {foreign}")
    result.columns.setdefault(left, "pass")
    for wrong in kind.verdict(driver):
        result.fail(left, wrong)
    if verbose or result.state == "fail":
        show(kind, result, direct, tenants, verbose)
    return result


def compare(result, column, tenant, direct, through, errors):
    """A tenant's lines of one step with those of the direct run."""
    (seen, _), (other, failed, _) = direct, through
    if column in failed:
        result.fail(column, f"{tenant}: {failed[column]}")
    elif other.get(column, []) != seen.get(column, []):
        change = [l for l in difflib.unified_diff(seen.get(column, []), other.get(column, []), lineterm="", n=0) if l[:2] not in ("--", "++", "@@")]
        result.fail(column, f"{tenant}: {' / '.join(change[:4])} {tail(errors) if not other.get(column) else ''}")


def tail(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def show(kind, result, direct, tenants, verbose):
    for tenant, (code, lines, errors) in [("direct", direct), *zip(kind.TENANTS, tenants)]:
        lines = lines if verbose else [line for line in lines if "! " in line]
        if lines or code:
            print("\n".join([f"--- {result.driver['name']} {tenant}: exit {code}", *lines, *errors.splitlines()[: 40 if verbose else 15]]))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--only", default="")
    arguments.add_argument("--quick", action="store_true", help="only those that need nothing installed")
    arguments.add_argument("--docs", help="write the table to this file, where all drivers are run")
    arguments.add_argument("--verbose", action="store_true")
    given = arguments.parse_args()
    with open(os.path.join(HERE, "drivers.toml"), "rb") as f:
        table = tomllib.load(f)
    only = [name for name in given.only.split(",") if name]
    wanted = {k: [d for d in table.get(k, []) if (not only or d["name"] in only) and (not given.quick or d.get("quick"))] for k in KINDS}
    unknown = set(only) - {d["name"] for drivers in wanted.values() for d in drivers}
    if unknown or not any(wanted.values()):
        sys.exit(f"no such driver: {', '.join(sorted(unknown))}")
    os.makedirs(CACHE, exist_ok=True)
    work, results = workplace(), {}
    for name, drivers in wanted.items():
        if not drivers:
            continue
        kind = KINDS[name](work, HERE)
        results[name] = []
        for driver in drivers:
            result = examine(kind, driver, given.verbose)
            results[name].append(result)
            print(f"{result.state:14} {name} {driver['name']} {result.version}", flush=True)
            for why in result.why:
                print(f"               {why}", flush=True)
        kind.quiet()
    if given.docs and not only:
        with open(given.docs, "w", encoding="utf-8") as f:
            f.write(report.page(results, {name: KINDS[name].COLUMNS for name in results}))
    states = [result.state for group in results.values() for result in group]
    print(f"{states.count('pass')} passed, {states.count('fail')} failed, {len(states) - states.count('pass') - states.count('fail')} skipped")
    sys.exit(1 if "fail" in states or "pass" not in states else 0)


if __name__ == "__main__":
    main()
