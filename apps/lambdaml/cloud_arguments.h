// The commands that bring the worker to where functions run, as structs.
#pragma once

#include <string>

namespace lambdaml::cli {

struct PackageArguments {
  std::string output;  // a zip file; empty: none
  std::string image;   // a folder for a container image's context; empty: none
  std::string worker;  // empty: the worker beside this program
};

}  // namespace lambdaml::cli
