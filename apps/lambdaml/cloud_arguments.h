// The commands that bring the worker to where functions run, as structs.
#pragma once

#include <map>
#include <string>

namespace lambdaml::cli {

struct PackageArguments {
  std::string output;  // a zip file; empty: none
  std::string image;   // a folder for a container image's context; empty: none
  std::string worker;  // empty: the worker beside this program
};

struct DeployArguments {
  std::string stack = "lambdaml";
  std::string region;   // empty: as the AWS tools find it
  std::string package;  // a zip file; empty: the worker beside this program is packed
  std::map<std::string, std::string> parameters;  // of the template, those given
  bool is_dry_run = false;
  bool shows_template = false;
};

struct DestroyArguments {
  std::string stack = "lambdaml";
  std::string region;
  bool is_sure = false;  // do not ask
};

struct StatusArguments {
  std::string stack = "lambdaml";
  std::string region;
};

struct LogsArguments {
  std::string job;  // empty: all
  std::string function = "lambdaml";
  std::string region;
  double hours = 1;
};

}  // namespace lambdaml::cli
