"""Sums up meson test runs: failures with their output's end, skips with their reasons, the ten slowest parts, and the closing line.

usage: test_summary.py testlog.json ..     exit status 1 when something failed or nothing passed

Every result of a test that prints TAP counts, a test of another kind counts once. (meson's own counts are of tests, and its JUnit file drops the reasons of skips.)"""
import json, re, sys

RESULT = re.compile(r"^(not )?ok\b[ \t]*(\d+)?[ \t]*-?[ \t]*((?:\\.|[^#\\])*)(?:#[ \t]*(\w+):?[ \t]*(.*))?$")
PLAN = re.compile(r"^1\.\.(\d+)(?:[ \t]*#[ \t]*(?:skip\w*:?)?[ \t]*(.*))?$", re.I)
passed, failures, skips, parts, shown = 0, [], [], [], []


def tap(name, out):
    """Counts the results of a TAP stream; (results read, failures among them, number planned)."""
    global passed
    results = bad = 0
    planned = None
    for line in out.splitlines():
        plan, m = PLAN.match(line), RESULT.match(line)
        if plan:
            planned = int(plan[1])
            if planned == 0:
                skips.append((name, plan[2] or ""))
        elif m:
            results += 1
            what, word = f"{name}: {m[3].strip()}", (m[4] or "").lower()
            if word.startswith("skip"):
                skips.append((what, m[5]))
            elif m[1] and word != "todo":
                bad += 1
                failures.append(what)
            else:
                passed += 1
    return results, bad, planned


def reason(t):
    m = re.search(r"^skip(?:ped)?:? *(.+)$", t.get("stdout", "") + "\n" + t.get("stderr", ""), re.M | re.I)
    return m[1] if m else ""


for line in (line for log in sys.argv[1:] for line in open(log)):
    t = json.loads(line)
    name, out, result = t["name"].split(" / ")[-1], t.get("stdout", ""), t["result"]
    parts.append((t["duration"], name))
    broken = result in ("FAIL", "ERROR", "TIMEOUT", "INTERRUPT", "UNEXPECTEDPASS")
    if re.search(r"^1\.\.\d+", out, re.M):
        results, bad, planned = tap(name, out)
        if broken and not bad:
            failures.append(f"{name}: {result}, {results} of {planned} results")
    elif broken:
        failures.append(f"{name}: {result}")
    elif result == "SKIP":
        skips.append((name, reason(t)))
    else:
        passed += 1
    if broken:
        shown.append((name, result, out, t.get("stderr", "")))

for name, result, out, err in shown:
    if re.search(r"^1\.\.\d+", out, re.M):
        out = "\n".join(line for line in out.splitlines() if not line.startswith("ok "))
    print(f"--- {name}: {result}\n{out[-4000:]}\n{err[-2000:]}")
print("\nslowest:")
for d, n in sorted(parts, reverse=True)[:10]:
    print(f"  {d:7.1f} s  {n}")
for n, why in skips:
    print(f"skipped: {n}: {why or 'no reason given'}")
for f in failures:
    print(f"FAILED: {f}")
print(f"{passed} passed, {len(failures)} failed, {len(skips)} skipped")
sys.exit(bool(failures) or passed == 0)
