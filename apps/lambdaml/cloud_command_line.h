// The part of the command line that knows the commands of cloud_arguments.h. A part of
// command_line.cc.
#pragma once

#include "apps/lambdaml/command_line.h"

namespace CLI {
class App;
}  // namespace CLI

namespace lambdaml::cli {

class CloudCommandLine {
 public:
  void AddTo(CLI::App& app);
  // The command of AddTo's that was parsed. There must be one.
  Command Chosen() const;

 private:
  void AddPackage(CLI::App& app);

  CLI::App* package_app_ = nullptr;
  PackageArguments package_;
};

}  // namespace lambdaml::cli
