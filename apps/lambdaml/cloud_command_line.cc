#include "apps/lambdaml/cloud_command_line.h"

#include <CLI/CLI.hpp>

namespace lambdaml::cli {

void CloudCommandLine::AddTo(CLI::App& app) { AddPackage(app); }

Command CloudCommandLine::Chosen() const { return package_; }

void CloudCommandLine::AddPackage(CLI::App& app) {
  package_app_ = app.add_subcommand("package", "Pack the worker for AWS Lambda or a container");
  package_app_
      ->add_option("--output", package_.output,
                   "zip file for provided.al2023, x86_64 [function.zip without --image]")
      ->type_name("FILE");
  package_app_
      ->add_option("--image", package_.image, "new folder for a container image: `docker build` it")
      ->type_name("FOLDER");
  package_app_->add_option("--worker", package_.worker, "another custom runtime to pack [ours]")
      ->type_name("FILE");
  package_app_->footer("Example:\n  lambdaml package --output function.zip --image image");
}

}  // namespace lambdaml::cli
