// The part of the command line that knows the commands of cloud_arguments.h. A part of
// command_line.cc.
#pragma once

#include "apps/lambdaml/command_line.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the name of the library
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
  void AddDeploy(CLI::App& app);
  void AddDestroy(CLI::App& app);
  void AddStatus(CLI::App& app);
  void AddLogs(CLI::App& app);
  void AddCancel(CLI::App& app);

  CLI::App* package_app_ = nullptr;
  CLI::App* deploy_app_ = nullptr;
  CLI::App* destroy_app_ = nullptr;
  CLI::App* status_app_ = nullptr;
  CLI::App* logs_app_ = nullptr;
  CLI::App* cancel_app_ = nullptr;
  PackageArguments package_;
  DeployArguments deploy_;
  DestroyArguments destroy_;
  StatusArguments status_;
  LogsArguments logs_;
  CancelArguments cancel_;
};

}  // namespace lambdaml::cli
