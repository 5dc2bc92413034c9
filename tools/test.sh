#!/usr/bin/env bash
# Installs what the tests need, builds and runs them; stops at the first preset that fails.
#
# Usage: tools/test.sh [PRESET...]    presets: release (default), dev (address and undefined
#                                     behaviour sanitizers), tsan (thread sanitizer)
# With CI=true in the environment a skipped test is a failure too.
set -euo pipefail
cd "$(dirname "$0")/.."

# ctest's summary is the last thing this prints.
test_preset() {
  local preset=$1 report="build/$1/tests.xml"
  cmake --preset "$preset"
  cmake --build --preset "$preset"
  # The output of tests that pass is kept whole, for check_skipped.py to look through.
  if [ "${CI:-}" != true ]; then
    ctest --preset "$preset"
    return
  fi
  ctest --preset "$preset" --output-junit "$PWD/$report" --test-output-size-passed 100000000
  tools/check_skipped.py "$report"
}

tools/install_dependencies.sh build test
[ $# -gt 0 ] || set -- release
for preset in "$@"; do
  printf '\n== %s ==\n' "$preset"
  test_preset "$preset"
done
