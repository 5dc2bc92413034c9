#include "apps/lambdaml/cloud_command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "lambdaml/deploy/stack_parameters.h"

namespace lambdaml::cli {
namespace {

void AddStack(CLI::App& app, std::string& stack, std::string& region) {
  app.add_option("--stack", stack, "name of the CloudFormation stack [lambdaml]")
      ->type_name("NAME");
  app.add_option("--region", region, "AWS region [as the AWS tools find it]")->type_name("NAME");
}

void AddJob(CLI::App& app, JobArguments& job) {
  app.add_option("--function", job.function, "name of the function [lambdaml]")->type_name("NAME");
  app.add_option("--run_folder", job.run_folder, "the jobs' folder [as the function says]")
      ->type_name("URL");
}

}  // namespace

void CloudCommandLine::AddTo(CLI::App& app) {
  AddPackage(app);
  AddDeploy(app);
  AddStatus(app);
  AddLogs(app);
  AddCancel(app);
  AddDestroy(app);
}

Command CloudCommandLine::Chosen() const {
  if (package_app_->parsed()) return package_;
  if (deploy_app_->parsed()) return deploy_;
  if (destroy_app_->parsed()) return destroy_;
  if (status_app_->parsed()) return status_;
  if (cancel_app_->parsed()) return cancel_;
  return logs_;
}

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

void CloudCommandLine::AddDeploy(CLI::App& app) {
  deploy_app_ = app.add_subcommand("deploy", "Bring the function to AWS Lambda");
  AddStack(*deploy_app_, deploy_.stack, deploy_.region);
  deploy_app_->add_option("--package", deploy_.package, "another function's zip [the worker's]")
      ->type_name("FILE");
  deploy_app_->add_flag("--dry_run", deploy_.is_dry_run, "show what would change, change nothing");
  deploy_app_->add_flag("--template", deploy_.shows_template,
                        "print the CloudFormation template, do nothing else");
  for (const deploy::StackParameter& parameter : deploy::StackParameters()) {
    const std::string name(parameter.name);
    deploy_app_
        ->add_option_function<std::string>(
            fmt::format("--{}", parameter.option),
            [this, name](const std::string& text) { deploy_.parameters[name] = text; },
            std::string(parameter.help))
        ->type_name(std::string(parameter.placeholder))
        ->group("Stack");
  }
  deploy_app_->footer(
      "Examples:\n"
      "  lambdaml deploy --dry-run\n"
      "  lambdaml deploy --bucket my-bucket --memory_mb 3538\n"
      "What is not given stays as the stack has it.");
}

void CloudCommandLine::AddDestroy(CLI::App& app) {
  destroy_app_ =
      app.add_subcommand("destroy", "Delete from AWS what deploy and the jobs have made");
  AddStack(*destroy_app_, destroy_.stack, destroy_.region);
  destroy_app_->add_flag("--yes", destroy_.is_sure, "do not ask");
  destroy_app_->footer("Example:\n  lambdaml destroy --stack lambdaml");
}

void CloudCommandLine::AddStatus(CLI::App& app) {
  status_app_ =
      app.add_subcommand("status", "What is deployed on AWS, or how far a job there has come");
  status_app_->add_option("job", status_.job.job, "a job of train --trigger lambda [the stack]")
      ->type_name("JOB");
  AddStack(*status_app_, status_.stack, status_.job.region);
  AddJob(*status_app_, status_.job);
  status_app_->add_option("--output", status_.output, "write the finished job's model there")
      ->type_name("PLACE");
  status_app_->add_option("--epochs", status_.epochs, "how many of the last epochs to show [20]")
      ->type_name("N")
      ->check(CLI::Range(int64_t{0}, int64_t{1000000}).description(""));
  status_app_->footer(
      "Examples:\n"
      "  lambdaml status --region eu-central-1\n"
      "  lambdaml status lambdaml-x7Kq2a --output heart.model");
}

void CloudCommandLine::AddCancel(CLI::App& app) {
  cancel_app_ = app.add_subcommand("cancel", "End a job that runs by itself on AWS");
  cancel_app_->add_option("job", cancel_.job.job, "as train --trigger lambda has named it")
      ->required()
      ->type_name("JOB");
  AddJob(*cancel_app_, cancel_.job);
  cancel_app_->add_option("--region", cancel_.job.region, "AWS region [as the AWS tools find it]")
      ->type_name("NAME");
  cancel_app_->footer("Example:\n  lambdaml cancel lambdaml-x7Kq2a");
}

void CloudCommandLine::AddLogs(CLI::App& app) {
  logs_app_ = app.add_subcommand("logs", "What functions on AWS have printed");
  logs_app_->add_option("job", logs_.job, "lines that name this job [all]")->type_name("JOB");
  logs_app_->add_option("--function", logs_.function, "name of the function [lambdaml]")
      ->type_name("NAME");
  logs_app_->add_option("--hours", logs_.hours, "how far back [1]")
      ->type_name("X")
      ->check(CLI::Range(0.0, 24.0 * 365));
  logs_app_->add_option("--region", logs_.region, "AWS region [as the AWS tools find it]")
      ->type_name("NAME");
  logs_app_->footer("Example:\n  lambdaml logs --hours 3");
}

}  // namespace lambdaml::cli
