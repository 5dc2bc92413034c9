// What a program needs to start where none of its libraries are: the dynamic loader and every
// shared object that it loads. The loader itself is asked (its --list, which runs no code of the
// program), so the answer follows RUNPATH, the loader's cache and whatever else it goes by.
#pragma once

#include <string>
#include <vector>

namespace lambdaml::package {

struct SharedObject {
  std::string name;  // as programs ask for it: "libz.so.1"
  std::string path;  // on this machine

  bool operator==(const SharedObject&) const = default;
};

// The dynamic loader that a program asks for (its PT_INTERP). One small read.
// Errors: kInvalidArgument for a file that is no dynamically linked x86-64 program; kNotFound, ….
std::string InterpreterOf(const std::string& program);

// All that is loaded for `object`, a program or a shared object, without itself and the loader,
// sorted by name. Starts one process. Errors: kNotFound, naming a library that this machine lacks;
// kUnavailable when the loader fails.
std::vector<SharedObject> LoadedObjects(const std::string& loader, const std::string& object);

}  // namespace lambdaml::package
