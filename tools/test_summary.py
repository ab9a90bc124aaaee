"""Sums up a meson test run: failures with their output's end, skips with their reasons, the ten slowest parts, and the closing line.
Usage: test_summary.py testlog.junit.xml testlog.json LOG. Exit 1 when something failed or nothing ran."""
import json, re, sys, xml.etree.ElementTree as ET

junit, log, text = sys.argv[1:4]
passed, failed, skipped, failures, skips = 0, 0, 0, [], []
for suite in ET.parse(junit).getroot():
    for case in suite.iter("testcase"):
        name = f"{suite.get('name')}/{case.get('name')}"
        if case.find("skipped") is not None:
            skipped += 1
            skips.append((name, case.find("skipped").get("message") or ""))
        elif case.find("failure") is not None or case.find("error") is not None:
            failed += 1
            failures.append(name)
        else:
            passed += 1
parts = []
for line in open(log):
    t = json.loads(line)
    parts.append((t["duration"], t["name"]))
    out = t.get("stdout", "")
    m = re.search(r"# SKIP:? *(.*)|^1\.\.0 # SKIP *(.*)|^SKIP: *(.*)", out, re.M | re.I)
    if m and t["result"] == "SKIP":
        skips = [(n, r or next(g for g in m.groups() if g is not None)) if n.endswith(t["name"].split(":")[-1].strip()) else (n, r) for n, r in skips]
    if t["result"] in ("FAIL", "ERROR", "TIMEOUT"):
        print(f"--- {t['name']}: {t['result']}\n{out[-3000:]}{t.get('stderr', '')[-3000:]}")
        if not any(t["name"].split(":")[-1].strip() in f for f in failures):
            failed += 1
            failures.append(t["name"])
print("\nslowest:")
for d, n in sorted(parts, reverse=True)[:10]:
    print(f"  {d:7.1f} s  {n}")
for n, why in skips:
    print(f"skipped: {n}: {why or 'no reason given'}")
for f in failures:
    print(f"FAILED: {f}")
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(bool(failed) or passed == 0)
