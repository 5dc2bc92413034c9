"""Checks the model generations.pml with Spin, exhaustively, and that Spin finds what is broken on
purpose. Arguments: the model, the C compiler."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

MODEL = os.path.abspath(sys.argv.pop(1))
COMPILER = sys.argv.pop(1)
IS_LONG = sys.argv[1:2] == ["long"] and bool(sys.argv.pop(1))
MEMORY_MB_MAX = 1000

# Each is a bound on what is explored.
SOUND = (
    ["CRASHES=2"],
    ["CRASHES=1", "SCATTER"],
    ["CRASHES=1", "RANKS=3", "STEPS=1"],
    ["CRASHES=1", "GENERATIONS=3", "CHECKPOINTS=3", "STEPS=2"],
    ["DUPLICATES=1", "STEPS=1", "CHECKPOINTS=1"],
    ["DUPLICATES=2", "STEPS=1", "CHECKPOINTS=1"],
    ["CRASHES=1", "RESTARTS=0"],
    ["CRASHES=1", "RESTARTS=1"],
)
SOUND_LONG = (
    ["DUPLICATES=2"],
    ["DUPLICATES=1", "MAY_FAIL", "RESTARTS=1"],
    ["CRASHES=1", "DUPLICATES=1", "STEPS=1", "CHECKPOINTS=1"],
)

# Searched for runs without end too.
FINITE = (
    ["CRASHES=1"],
    ["DUPLICATES=1", "STEPS=1", "CHECKPOINTS=1"],
)

# What is broken, the bound, and what Spin says then.
MUTANTS = (
    ("RESULTS_NOT_KEPT", ["CRASHES=1"], "invalid end state"),
    ("RELEASED_BEFORE_SAVED", ["CRASHES=1"], "invalid end state"),
    ("NEVER_ASKS", ["CRASHES=1"], "invalid end state"),
    ("LEFT_BEHIND_FAILS", ["CRASHES=1", "RESTARTS=1"], "assertion violated"),
    ("MANIFEST_FIRST", ["CRASHES=1"], "assertion violated"),
    ("WITHOUT_WAIT_FOR_MANIFEST", ["CRASHES=1"], "assertion violated"),
    ("SHARED_KEYS", ["CRASHES=1"], "assertion violated"),
    ("ANNOUNCEMENT_PUT_ALWAYS", ["DUPLICATES=1", "STEPS=1", "CHECKPOINTS=1"], "invalid end state"),
    ("LATEST_GOES_BACK", ["DUPLICATES=1", "MAY_FAIL", "RESTARTS=1"], "invalid end state"),
)


# What Spin's verifier is to look for: errors of single states, or cycles. The model marks no state as
# progress, so every cycle is one without progress.
STATES = ("-DSAFETY", [])
CYCLES = ("-DNP", ["-l"])


def verdict(defines, goal=STATES):
    """What the verifier prints for the model with these macros."""
    search, options = goal
    flags = [f"-D{define}" for define in defines]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["spin", "-a", *flags, MODEL], cwd=folder, check=True,
                       stdout=subprocess.DEVNULL, timeout=60)
        subprocess.run([COMPILER, "-O1", "-w", search, "-DCOLLAPSE",
                        f"-DMEMLIM={MEMORY_MB_MAX}", "-o", "pan", "pan.c"],
                       cwd=folder, check=True, timeout=120)
        return subprocess.run(["./pan", "-m100000", *options], cwd=folder, check=True, text=True,
                              stdout=subprocess.PIPE, timeout=300).stdout


@unittest.skipUnless(shutil.which("spin"), "spin is not installed")
class Generations(unittest.TestCase):
    def test_the_protocol_holds(self):
        for bound in SOUND + (SOUND_LONG if IS_LONG else ()):
            with self.subTest(bound=bound):
                output = verdict(bound)
                self.assertRegex(output, r"errors: 0\n")
                self.assertIsNone(re.search("search depth too small|out of memory|not completed",
                                            output), output)

    def test_no_run_is_endless(self):
        for bound in FINITE:
            with self.subTest(bound=bound):
                self.assertRegex(verdict(bound, CYCLES), r"errors: 0\n")

    def test_what_is_broken_is_found(self):
        for mutant, bound, error in MUTANTS:
            with self.subTest(mutant=mutant):
                self.assertRegex(verdict([mutant, *bound]), error)


if __name__ == "__main__":
    unittest.main()
