#include "lambdaml/deploy/deploy.h"

#include <algorithm>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/units.h"
#include "lambdaml/deploy/function_template.h"
#include "lambdaml/deploy/stack_parameters.h"
#include "lambdaml/net/sha256.h"
#include "lambdaml/store/open_store.h"

namespace lambdaml::deploy {
namespace {

using base::Error;
using base::ErrorCode;

// What is left of a stack that could not be created; it can only be deleted.
constexpr std::string_view kNeverCreated = "ROLLBACK_COMPLETE";
constexpr std::string_view kOnlyReviewed = "REVIEW_IN_PROGRESS";

// CloudFormation fails a change set that changes nothing, in one of these words.
bool ChangesNothing(const aws::ChangeSet& change_set) {
  return change_set.status == "FAILED" &&
         (change_set.status_reason.find("didn't contain changes") != std::string::npos ||
          change_set.status_reason.find("No updates are to be performed") != std::string::npos);
}

std::string LineOf(const aws::ResourceChange& change) {
  std::string line =
      fmt::format("  {:<24} {:<16} {}", change.action, change.logical_id, change.type);
  if (change.replacement == "True") line += "  (replaced)";
  if (change.replacement == "Conditional") line += "  (perhaps replaced)";
  return line;
}

class Deployment {
 public:
  Deployment(const aws::Session& session, const DeployOptions& options, const Console& console,
             const base::Deadline& deadline)
      : session_(session),
        options_(options),
        console_(console),
        deadline_(deadline),
        service_(session),
        follower_(service_, console),
        parameters_(options.parameters) {}

  aws::Stack Run() {
    FindStack();
    if (parameters_[kFunctionNameParameter].empty()) {
      parameters_[kFunctionNameParameter] = options_.stack;
    }
    std::string bucket = parameters_[kBucketParameter];
    if (bucket.empty() && stack_) bucket = stack_->outputs[kBucketOutput];
    if (bucket.empty()) {
      parameters_[kCodeKeyParameter] = "";
      console_.show(fmt::format("{}: everything but the function, which needs the bucket first",
                                options_.stack));
      if (!Change()) return *stack_;
      bucket = stack_->outputs[kBucketOutput];
    }
    const std::string file = net::Hex(net::Sha256(options_.package)) + ".zip";
    parameters_[kCodeKeyParameter] = fmt::format("{}/code/{}/{}", Prefix(), options_.stack, file);
    const std::string url = CodeUrl(session_, bucket, Prefix(), options_.stack);
    const std::unique_ptr<store::Store> code = store::OpenStore(url);
    if (!options_.is_dry_run) Upload(*code, file);
    console_.show(fmt::format("{}: the function and what it may do", options_.stack));
    if (Change()) DeleteOthers(*code, file);
    return *stack_;
  }

 private:
  std::string Prefix() { return parameters_[kPrefixParameter]; }

  // Takes the parameters that are not given from the stack, if there is one that can be changed.
  void FindStack() {
    stack_ = service_.Describe(options_.stack, deadline_);
    if (stack_ && stack_->status == kNeverCreated) {
      console_.show(fmt::format("{}: deleting what a failed creation has left", options_.stack));
      RefuseDryRun("delete it first");
      service_.DeleteStack(options_.stack, deadline_);
      AwaitDeletion();
    }
    if (stack_ && IsInProgress(stack_->status)) {
      throw Error(ErrorCode::kAlreadyExists,
                  fmt::format("the stack {} is {}: wait until that has ended", options_.stack,
                              stack_->status));
    }
    if (stack_) {
      for (const auto& [name, value] : stack_->parameters) parameters_.try_emplace(name, value);
    }
    if (parameters_[kPrefixParameter].empty()) parameters_[kPrefixParameter] = "lambdaml";
  }

  void RefuseDryRun(std::string_view what) const {
    if (!options_.is_dry_run) return;
    throw Error(ErrorCode::kAlreadyExists,
                fmt::format("the stack {} is {}: {}", options_.stack, stack_->status, what));
  }

  void AwaitDeletion() {
    Patience patience(fmt::format("the deletion of {}", options_.stack), console_, deadline_);
    while ((stack_ = service_.Describe(options_.stack, deadline_))) patience.Wait();
  }

  // Makes a change set of the parameters as they are now, shows it, and executes it unless this is
  // a dry run. False for a dry run.
  bool Change() {
    const bool is_new = !stack_ || stack_->status == kOnlyReviewed;
    follower_.Begin(stack_ ? stack_->id : "", deadline_);
    const std::string id = service_.CreateChangeSet(
        {.stack = options_.stack,
         .name = fmt::format("lambdaml-{:x}",
                             std::chrono::system_clock::now().time_since_epoch().count()),
         .is_new_stack = is_new,
         .template_body = std::string(FunctionTemplate()),
         .parameters = parameters_,
         .tags = {{"lambdaml", options_.stack}}},
        deadline_);
    const aws::ChangeSet change_set = AwaitChangeSet(id);
    stack_ = service_.Describe(options_.stack, deadline_);
    if (!stack_) {
      throw Error(ErrorCode::kNotFound,
                  fmt::format("the stack {} has been deleted meanwhile", options_.stack));
    }
    if (ChangesNothing(change_set)) {
      service_.DeleteChangeSet(id, deadline_);
      console_.show("  nothing to change");
      return !options_.is_dry_run;
    }
    if (change_set.status == "FAILED") {
      Discard(id, is_new);
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("CloudFormation refuses the stack {}: {}", options_.stack,
                              change_set.status_reason));
    }
    for (const aws::ResourceChange& change : change_set.changes) console_.show(LineOf(change));
    if (options_.is_dry_run) {
      Discard(id, is_new);
      return false;
    }
    service_.ExecuteChangeSet(id, deadline_);
    stack_ = follower_.Follow(stack_->id, deadline_);
    return true;
  }

  aws::ChangeSet AwaitChangeSet(const std::string& id) {
    Patience patience("the change set", console_, deadline_);
    for (;;) {
      aws::ChangeSet change_set = service_.DescribeChangeSet(id, deadline_);
      if (change_set.status == "CREATE_COMPLETE" || change_set.status == "FAILED") {
        return change_set;
      }
      patience.Wait();
    }
  }

  // A change set of a new stack has made an empty one.
  void Discard(const std::string& change_set_id, bool is_new) {
    service_.DeleteChangeSet(change_set_id, deadline_);
    if (is_new) service_.DeleteStack(options_.stack, deadline_);
  }

  void Upload(store::Store& code, const std::string& file) {
    const std::vector<std::string> present = code.List(file, deadline_);
    if (std::ranges::find(present, file) != present.end()) return;
    console_.show(
        fmt::format("uploading {} to {}", base::FormatBytes(options_.package.size()), code.url()));
    code.Put(file, options_.package, deadline_);
  }

  void DeleteOthers(store::Store& code, const std::string& file) {
    std::vector<std::string> others = code.List("", deadline_);
    std::erase(others, file);
    if (!others.empty()) code.Delete(others, deadline_);
  }

  const aws::Session& session_;
  const DeployOptions& options_;
  const Console& console_;
  const base::Deadline deadline_;
  aws::CloudFormation service_;
  StackFollower follower_;
  std::optional<aws::Stack> stack_;
  aws::Texts parameters_;
};

}  // namespace

std::string CodeUrl(const aws::Session& session, const std::string& bucket,
                    const std::string& prefix, const std::string& stack) {
  return fmt::format("s3://{}/{}/code/{}?region={}", bucket, prefix, stack, aws::RegionOf(session));
}

aws::Stack Deploy(const aws::Session& session, const DeployOptions& options, const Console& console,
                  const base::Deadline& deadline) {
  return Deployment(session, options, console, deadline).Run();
}

}  // namespace lambdaml::deploy
