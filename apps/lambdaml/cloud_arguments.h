// The commands that bring the worker to where functions run, as structs.
#pragma once

#include <cstdint>
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

// A job that runs by itself, and where it is.
struct JobArguments {
  std::string job;
  std::string function = "lambdaml";
  std::string run_folder;  // empty: as the function says
  std::string region;
};

struct StatusArguments {
  std::string stack = "lambdaml";
  JobArguments job;     // without a name: of the stack
  std::string output;   // for the model of a job that is finished
  int64_t epochs = 20;  // how many are shown at most
};

struct CancelArguments {
  JobArguments job;
};

struct LogsArguments {
  std::string job;  // empty: all
  std::string function = "lambdaml";
  std::string region;
  double hours = 1;
};

}  // namespace lambdaml::cli
