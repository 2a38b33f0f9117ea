"""Says what of the isolation suite's result is not a pass, and fails where the wall does not hold."""
import json
import sys

# What no rewriting can hide: unique keys that lack the tenant column (the suite's README, "Known limits"). Existence only.
SHARED_KEYS = ("i-pk-probe", "i-unique-probe-", "t-block-unique", "i-overriding")
FATAL = {"LEAK", "CHANGED", "ROWS", "BROKEN", "HARNESS"}

results = json.load(open(sys.argv[1]))["attack_results"]
bad = 0
for r in results:
    known = r["verdict"] == "SIDE" and r["id"].startswith(SHARED_KEYS)
    fatal = r["verdict"] in FATAL or (r["verdict"] == "SIDE" and not known)
    bad += fatal
    if r["verdict"] != "PASS":
        print(f"{'! ' if fatal else '  '}{r['verdict']:11} {r['id']:28} {r['detail'][:200]}")
print(f"isolation: {len(results)} attacks, {bad} not held")
sys.exit(1 if bad or not results else 0)
