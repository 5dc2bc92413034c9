#!/usr/bin/env python3
"""Fails if a test that ctest counts as passed was left out, wholly or in part.

Usage: check_skipped.py JUNIT_XML

JUNIT_XML is what `ctest --output-junit` wrote. ctest runs a GoogleTest program as one test, which
passes however many of its cases were skipped, so what the programs printed is searched too: for
GoogleTest's skipped and disabled cases and for those of Python's unittest.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree

LEFT_OUT = (
    re.compile(r"^\[  SKIPPED \] (?P<what>[^ ,]+) \("),
    re.compile(r"^\s*YOU HAVE (?P<what>\d+ DISABLED TESTS?)"),
    re.compile(r"^OK \((?P<what>.*skipped=\d+.*)\)$"),
)


def left_out(junit_text):
    """(test, what) for everything that did not run."""
    found = []
    for case in ElementTree.fromstring(junit_text).iter("testcase"):
        name = case.get("name")
        if case.get("status") not in ("run", "fail"):
            found.append((name, f"did not run ({case.get('status')})"))
        for line in (case.findtext("system-out") or "").splitlines():
            for pattern in LEFT_OUT:
                match = pattern.match(line)
                if match:
                    found.append((name, f"left out {match.group('what')}"))
    return found


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    with open(arguments[0], encoding="utf-8", errors="replace") as file:
        found = left_out(file.read())
    for name, what in found:
        print(f"{name}: {what}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
