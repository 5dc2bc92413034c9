#!/usr/bin/env bash
# Checks formatting, the direction of includes, house style, and what clang-tidy finds.
#
# Usage: tools/lint.sh [FILE.cc...]    the files for clang-tidy; default: all of the library and
#                                      the programs
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -eq 0 ]; then
  mapfile -t files < <(git ls-files 'lambdaml/*.cc' 'apps/*.cc')
else
  files=("$@")
fi

git ls-files -z '*.h' '*.cc' | xargs -0 clang-format --dry-run -Werror
tools/check_layers.py
cmake --preset release >/dev/null
cmake --build --preset release --target generated_sources >/dev/null
printf '%s\0' "${files[@]}" |
  xargs -0 -P "$(nproc)" -n 4 clang-tidy -p build/release --quiet --warnings-as-errors='*'
