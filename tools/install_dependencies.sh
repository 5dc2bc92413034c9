#!/usr/bin/env bash
# Installs from Debian 12 what LambdaML needs, and from npm the DynamoDB server of its tests (in
# build/dynalite). Quick and silent when it is all there.
#
# Usage: tools/install_dependencies.sh [GROUP...]    groups: build test bench lint (default: all)
set -euo pipefail
cd "$(dirname "$0")/.."

# package                group  why
readonly PACKAGES='
  build-essential        build  GCC 12, C and C++ libraries
  cmake                  build  build system
  ninja-build            build  what CMake drives
  pkg-config             build  finds libraries without CMake files
  ca-certificates        build  TLS to the package mirrors
  git                    build  the sources
  libboost-dev           build  Beast and Asio: HTTP of the local platform
  libfmt-dev             build  formatting
  nlohmann-json3-dev     build  JSON
  libcli11-dev           build  command lines
  libtomlplusplus-dev    build  job files
  libxxhash-dev          build  checksums
  libzstd-dev            build  .zst data
  zlib1g-dev             build  .gz data, as a stream
  libdeflate-dev         build  .npz shards
  libcurl4-openssl-dev   build  HTTP to the services
  libssl-dev             build  hashes of request signing; TLS
  libpugixml-dev         build  answers of S3
  libhiredis-dev         build  protocol of Redis
  libthrift-dev          build  protocol of the parameter server
  thrift-compiler        build  its code
  libpng-dev             build  pictures to predict
  libjpeg-dev            build  pictures to predict
  libdnnl-dev            build  convolutions
  python3                build  checks and tests written in Python
  liblinear-tools        build  heart_scale, the first data set; liblinear-train and -predict
  libgtest-dev           test   GoogleTest
  libgmock-dev           test   its matchers
  zstd                   test   makes .zst inputs
  openssl                test   makes certificates; a TLS server
  radosgw                test   the S3 server, the gateway of Ceph
  ceph-mon               test   its monitor
  ceph-osd               test   its storage
  memcached              test   the Memcached server
  libmemcached-dev       test   an independent client of it
  redis-server           test   the Redis server
  nodejs                 test   runs dynalite, the DynamoDB server
  spin                   test   checks the model of the protocol
  python3-botocore       test   an independent signer of requests, with models of AWS services
  python3-yaml           test   reads the CloudFormation template
  awscli                 test   another client of the Invoke API
  python3-thrift         test   an independent client of the parameter server
  python3-numpy          test   reads our shards, as users do
  python3-scipy          test   sparse matrices and reference minima
  python3-torch          test   the reference of the networks; the peer of the bench
  liblinear-dev          bench  the peer of the libsvm reader
  python3-sklearn        bench  the peer of reader and training
  clang-format           lint   formatting
  clang-tidy             lint   static analysis
'

# What comes from npm: folders of tests/support with a lock file, installed into build.
readonly NODE_FOLDERS=(dynalite linters)

readonly HEART_SCALE=usr/share/doc/liblinear-tools/examples/heart_scale

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@"
}

is_installed() {
  [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Prints the packages of the groups given that are not installed.
missing_packages() {
  local package group reason
  while read -r package group reason; do
    if [[ -n "$package" && " $* " == *" $group "* ]] && ! is_installed "$package"; then
      printf '%s\n' "$package"
    fi
  done <<<"$PACKAGES"
}

# Minimal systems are set up to leave out /usr/share/doc, and heart_scale with it.
install_heart_scale() (
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  cd "$folder"
  apt-get -qq -o APT::Sandbox::User="$(id -un)" download liblinear-tools
  dpkg-deb --fsys-tarfile liblinear-tools_*.deb | tar -x "./$HEART_SCALE"
  as_root install -D -m 644 "$HEART_SCALE" "/$HEART_SCALE"
)

is_node_folder_installed() {
  [ -f "build/$1/node_modules/.package-lock.json" ] &&
    cmp --silent "tests/support/$1/package-lock.json" "build/$1/package-lock.json"
}

# Packages from npm, in the versions of their lock file. No package's own script is run: one that is
# compiled brings its binary along.
install_node_folder() {
  printf 'installing %s\n' "$1"
  mkdir -p "build/$1"
  cp "tests/support/$1/package.json" "tests/support/$1/package-lock.json" "build/$1"
  npm ci --prefix "build/$1" --ignore-scripts --no-audit --no-fund --loglevel=error
}

main() {
  local groups=("$@")
  [ $# -gt 0 ] || groups=(build test bench lint)
  local group
  for group in "${groups[@]}"; do
    if [[ ! "$group" =~ ^(build|test|bench|lint)$ ]]; then
      printf '%s: no such group: build, test, bench or lint\n' "$group" >&2
      exit 2
    fi
  done

  local missing folder node_folders=()
  mapfile -t missing < <(missing_packages "${groups[@]}")
  if [[ " ${groups[*]} " == *" test "* ]]; then
    for folder in "${NODE_FOLDERS[@]}"; do
      is_node_folder_installed "$folder" || node_folders+=("$folder")
    done
    # Debian packages it by itself; elsewhere it comes with nodejs.
    if [ ${#node_folders[@]} -gt 0 ] && ! command -v npm >/dev/null; then missing+=(npm); fi
  fi
  if [ ${#missing[@]} -gt 0 ] || [ ! -f "/$HEART_SCALE" ]; then
    apt_get update
  fi
  if [ ${#missing[@]} -gt 0 ]; then
    printf 'installing %s\n' "${missing[*]}"
    apt_get install --yes --no-install-recommends "${missing[@]}"
  fi
  [ -f "/$HEART_SCALE" ] || install_heart_scale
  for folder in "${node_folders[@]}"; do install_node_folder "$folder"; done
}

main "$@"
