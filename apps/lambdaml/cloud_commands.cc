// deploy, destroy, status, logs: the commands that talk to AWS about the function itself.
#include <chrono>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <iostream>
#include <optional>
#include <string>
#include <unistd.h>

#include "lambdaml/aws/cloud_formation.h"
#include "lambdaml/aws/lambda.h"
#include "lambdaml/aws/logs.h"
#include "lambdaml/aws/session.h"
#include "lambdaml/aws/sts.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/units.h"
#include "lambdaml/deploy/deploy.h"
#include "lambdaml/deploy/destroy.h"
#include "lambdaml/deploy/function_template.h"
#include "lambdaml/deploy/stack_parameters.h"
#include "lambdaml/net/sha256.h"
#include "lambdaml/package/function_package.h"

#include "apps/lambdaml/commands.h"
#include "apps/lambdaml/interrupts.h"
#include "apps/lambdaml/programs.h"

namespace lambdaml::cli {
namespace {

constexpr base::Duration kDeployTimeout = std::chrono::minutes(30);
constexpr base::Duration kLookTimeout = std::chrono::minutes(1);

aws::Session SessionOf(const std::string& region) {
  aws::Session session;
  if (!region.empty()) session.region = region;
  return session;
}

void Show(const std::string& line) { WriteOutput(line + "\n"); }

// Checks the credentials before anything else, and says where things will happen.
void ShowAccount(const aws::Session& session, const base::Deadline& deadline) {
  const aws::CallerIdentity identity = aws::GetCallerIdentity(session, deadline);
  Show(fmt::format("account {}, region {}, as {}", identity.account, aws::RegionOf(session),
                   identity.arn));
}

base::Blob PackageOf(const DeployArguments& arguments) {
  if (!arguments.package.empty()) return base::MapFile(arguments.package);
  return base::Blob(package::MakeZip(
      package::CollectFunction({.worker = ProgramBeside("lambdaml-worker"),
                                .bootstrap = ProgramBeside("lambdaml-bootstrap")})));
}

std::string HashOfFile(const std::string& path) {
  return net::Hex(net::Sha256(base::MapFile(path).span()));
}

void ShowOutputs(const aws::Stack& stack) {
  for (const auto& [name, value] : stack.outputs) Show(fmt::format("{:<14} {}", name, value));
}

// Whether the user, asked on the terminal, says yes.
bool IsConfirmed(const std::string& question) {
  if (::isatty(STDIN_FILENO) != 1) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      "destroy: there is no terminal to ask on: say --yes");
  }
  WriteOutput(question + " [y/N] ");
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

}  // namespace

void Run(const DeployArguments& arguments) {
  if (arguments.shows_template) return WriteOutput(deploy::FunctionTemplate());
  const InterruptScope interrupts;
  const aws::Session session = SessionOf(arguments.region);
  const base::Blob package = PackageOf(arguments);
  const base::Deadline deadline = base::Deadline::After(kDeployTimeout);
  ShowAccount(session, deadline);
  // Of a package of somebody else's making nothing is known.
  aws::Texts parameters = arguments.parameters;
  parameters[deploy::kWorkerHashParameter] =
      arguments.package.empty() ? HashOfFile(ProgramBeside("lambdaml-worker")) : "";
  const aws::Stack stack =
      deploy::Deploy(session,
                     {.stack = arguments.stack,
                      .parameters = parameters,
                      .package = package.span(),
                      .is_dry_run = arguments.is_dry_run},
                     {.show = Show, .interrupted = interrupts.flag()}, deadline);
  if (arguments.is_dry_run) return Show("nothing was changed: this was a dry run");
  ShowOutputs(stack);
}

void Run(const DestroyArguments& arguments) {
  const InterruptScope interrupts;
  const aws::Session session = SessionOf(arguments.region);
  const base::Deadline deadline = base::Deadline::After(kDeployTimeout);
  ShowAccount(session, deadline);
  const std::optional<deploy::Doomed> doomed =
      deploy::FindDoomed(session, arguments.stack, deadline);
  if (!doomed) return Show(fmt::format("there is no stack {}", arguments.stack));
  std::string question =
      fmt::format("This deletes the stack {} ({})", arguments.stack, doomed->status);
  if (doomed->object_count > 0) {
    question += fmt::format(" and {} objects at {}{}", base::FormatCount(doomed->object_count),
                            doomed->objects_url,
                            doomed->owns_bucket ? ", a bucket of its own, models included" : "");
  }
  if (arguments.is_sure) {
    Show(question + ".");
  } else if (!IsConfirmed(question + ". Go on?")) {
    return Show("nothing was deleted");
  }
  deploy::Destroy(session, *doomed, {.show = Show, .interrupted = interrupts.flag()}, deadline);
  Show(fmt::format("the stack {} is gone", arguments.stack));
}

void Run(const StatusArguments& arguments) {
  if (!arguments.job.job.empty()) return ShowJob(arguments);
  const aws::Session session = SessionOf(arguments.job.region);
  const base::Deadline deadline = base::Deadline::After(kLookTimeout);
  ShowAccount(session, deadline);
  const std::optional<aws::Stack> stack =
      aws::CloudFormation(session).Describe(arguments.stack, deadline);
  if (!stack) {
    return Show(fmt::format("there is no stack {}: `lambdaml deploy` makes it", arguments.stack));
  }
  Show(fmt::format("{:<14} {}", "stack", stack->status));
  ShowOutputs(*stack);
  const auto name = stack->parameters.find("FunctionName");
  if (name == stack->parameters.end()) return;
  aws::Lambda lambda(session);
  const auto function = lambda.GetFunctionConfiguration(name->second, deadline);
  if (!function) return Show(fmt::format("there is no function {}", name->second));
  Show(fmt::format("{:<14} {}, {} MB, {} s, {}", "function", function->state, function->memory_mb,
                   function->timeout_seconds, function->architecture));
  const aws::AccountConcurrency concurrency = lambda.GetAccountSettings(deadline);
  const std::optional<int64_t> reserved = lambda.GetReservedConcurrency(name->second, deadline);
  Show(fmt::format(
      "{:<14} {} at one time{}", "executions", reserved.value_or(concurrency.unreserved),
      reserved ? ", set aside for it" : ", shared with the account's other functions"));
}

void Run(const LogsArguments& arguments) {
  const auto begin = std::chrono::system_clock::now() -
                     std::chrono::duration<double, std::ratio<3600>>(arguments.hours);
  const auto epoch_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(begin.time_since_epoch()).count();
  aws::FilterLogEvents(
      SessionOf(arguments.region),
      {.group = fmt::format("/aws/lambda/{}", arguments.function),
       .pattern = arguments.job.empty() ? "" : fmt::format("\"{}\"", arguments.job),
       .begin_epoch_ms = epoch_ms},
      [](const aws::LogEvent& event) {
        const std::chrono::sys_time<std::chrono::milliseconds> time{
            std::chrono::milliseconds(event.epoch_ms)};
        const std::string_view text = event.message;
        Show(fmt::format("{:%FT%T}Z {} {}", std::chrono::floor<std::chrono::milliseconds>(time),
                         event.stream.substr(event.stream.rfind(']') + 1).substr(0, 8),
                         text.substr(0, text.find_last_not_of('\n') + 1)));
      },
      base::Deadline::After(kLookTimeout));
}

}  // namespace lambdaml::cli
