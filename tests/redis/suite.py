"""Compares two runs of Redis' test suite: suite.py DIRECTORY SKIPS. Exit 1 where a test that passes bare does not pass through the wall and no reason stands for it."""
import re
import sys
from pathlib import Path


def tests(directory):
    """Unit and name of each test that passed and of each that did not, and how many there were; some are played more than once."""
    passed, failed, counts = set(), set(), {"ok": 0, "err": 0}
    for log in sorted(Path(directory).glob("*.txt")):
        for line in log.read_text(errors="replace").splitlines():
            if m := re.match(r"\[(ok|err)\]: (.*?)(?: \(\d+ ms\))?(?: in tests/.*)?$", line):
                counts[m[1]] += 1
                (passed if m[1] == "ok" else failed).add((log.stem, m[2]))
            elif line.startswith("[TIMEOUT]") or line.startswith("[exception]"):
                failed.add((log.stem, line[:60]))
    return passed, failed, counts


def main():
    work, skips = Path(sys.argv[1]), Path(sys.argv[2])
    bare, through = tests(work / "bare"), tests(work / "wall")
    reasons, units = {}, {}
    for line in skips.read_text().splitlines():
        if line and not line.startswith("#"):
            unit, name, reason = line.split(" | ", 2)
            (units if name == "*" else reasons)[unit if name == "*" else (unit, name)] = reason
    missing = sorted(bare[0] - through[0])
    unknown = [test for test in missing if test not in reasons and test[0] not in units]
    for test in missing:
        print(f"{'NOT KNOWN' if test in unknown else 'known':9} {test[0]} | {test[1]} | {reasons.get(test) or units.get(test[0], '')}")
    for test in sorted(set(reasons) & through[0]):
        print(f"passes    {test[0]} | {test[1]}: its reason can go")
    for name, log in (("bare", bare), ("through the wall", through)):
        print(f"{name}: {log[2]['ok']} ok, {log[2]['err']} errors")
    print(f"{len(missing)} pass bare and not through the wall, {len(unknown)} of them without a reason")
    sys.exit(1 if unknown else 0)


if __name__ == "__main__":
    main()
