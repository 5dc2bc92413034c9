// The worker as a package that runs on any x86-64 Linux, Lambda's provided.al2023 among them, with
// nothing of that system: the program, the dynamic loader and libraries it was built with, and the
// certificates it trusts. (AL2023 has glibc 2.34; a program of a newer system would not start.)
//
//   bootstrap            starts the worker by its own loader (apps/worker/bootstrap.cc)
//   lambdaml-worker      the program
//   lib/…                the loader, every library the program loads, the modules it may load later
//   ca-certificates.crt  the authorities that TLS trusts
#pragma once

#include <string>
#include <vector>

#include "lambdaml/package/zip_archive.h"

namespace lambdaml::package {

// Lambda's limits (developer guide, "Lambda quotas").
inline constexpr uint64_t kUnpackedBytesMax = uint64_t{250} << 20;

struct PackageOptions {
  std::string worker;             // the program; modules are files lambdaml-*.so beside it
  std::string bootstrap;          // the static program that starts it
  std::string certificates = {};  // a PEM file; "": that of the environment or the system
};

// The files of the package, sorted by name. Maps what it packs, starts one process for each program
// and module. Errors: kNotFound for a library or certificates that this machine lacks;
// kInvalidArgument for a worker that is no such program; kResourceExhausted above
// kUnpackedBytesMax.
std::vector<FileMember> CollectFunction(const PackageOptions& options);

// Writes a container image's build context into a new or empty folder: the files and a Dockerfile.
// Errors: kAlreadyExists if the folder holds something; as base::WriteFileAtomic.
void WriteImageContext(const std::vector<FileMember>& members, const std::string& folder);

}  // namespace lambdaml::package
