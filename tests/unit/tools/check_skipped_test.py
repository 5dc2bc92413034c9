"""Tests of tools/check_skipped.py. Argument: the folder of the tools."""

import sys
import unittest

sys.path.insert(0, sys.argv.pop(1))
import check_skipped  # noqa: E402


def found(status, output=""):
    """What the check says of one test case with such a status and output."""
    return check_skipped.left_out(
        f'<testsuite><testcase name="a_test" status="{status}"><system-out>{output}</system-out>'
        "</testcase></testsuite>")


class LeftOut(unittest.TestCase):
    def test_a_test_that_ran_is_fine(self):
        self.assertEqual([], found("run", "[       OK ] A.B (0 ms)\n[  PASSED  ] 1 test.\n"))

    def test_a_test_that_ctest_did_not_run_is_found(self):
        self.assertEqual([("a_test", "did not run (notrun)")], found("notrun"))
        self.assertEqual([("a_test", "did not run (disabled)")], found("disabled"))

    def test_skipped_cases_of_a_googletest_program_are_found(self):
        output = ("[ RUN      ] A.B\n[  SKIPPED ] A.B (0 ms)\n[  PASSED  ] 1 test.\n"
                  "[  SKIPPED ] 1 test, listed below:\n[  SKIPPED ] A.B\n")
        self.assertEqual([("a_test", "left out A.B")], found("run", output))

    def test_disabled_cases_of_a_googletest_program_are_found(self):
        self.assertEqual([("a_test", "left out 2 DISABLED TESTS")],
                         found("run", "[  PASSED  ] 1 test.\n\n  YOU HAVE 2 DISABLED TESTS\n"))

    def test_skipped_cases_of_python_are_found(self):
        self.assertEqual([("a_test", "left out skipped=1")], found("run", "OK (skipped=1)\n"))


if __name__ == "__main__":
    unittest.main()
