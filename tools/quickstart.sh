#!/usr/bin/env bash
# From a clean Debian 12 to a first model: installs what is needed, builds, and trains logistic
# regression with four worker functions, on heart_scale and on a million generated rows.
set -euo pipefail
cd "$(dirname "$0")/.."

say() {
  printf '\n\033[1m%s\033[0m\n' "$*"
}

run() {
  printf '$ %s\n' "$*"
  "$@"
}

say 'Installing what is needed'
tools/install_dependencies.sh build

say 'Building'
cmake --preset release -DLAMBDAML_BUILD_TESTS=OFF -DLAMBDAML_BUILD_BENCH=OFF
cmake --build --preset release

readonly LAMBDAML=build/release/bin/lambdaml
readonly MODELS=build/quickstart
mkdir -p "$MODELS"

say 'Training on heart_scale: 270 patients, 13 measurements'
run "$LAMBDAML" train --model lr --data /usr/share/doc/liblinear-tools/examples/heart_scale \
  --workers 4 --output "$MODELS/heart.model"

say 'Training on a million Higgs-like rows'
run "$LAMBDAML" data generate higgs --rows 1000000 --output "$MODELS/higgs.npz"
run "$LAMBDAML" train --model lr --data "$MODELS/higgs.npz" --workers 4 \
  --output "$MODELS/higgs.model"
