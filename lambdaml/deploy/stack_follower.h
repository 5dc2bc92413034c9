// Waits for what CloudFormation does, and tells each of its steps.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <string_view>

#include "lambdaml/aws/cloud_formation.h"
#include "lambdaml/base/clock.h"

namespace lambdaml::deploy {

// How the commands of this module talk to their user.
struct Console {
  std::function<void(const std::string& line)> show;
  const std::atomic<bool>* interrupted = nullptr;  // set: stop waiting, throw kCancelled
};

bool IsInProgress(std::string_view stack_status);  // "…_IN_PROGRESS", but REVIEW_IN_PROGRESS
bool HasFailed(std::string_view stack_status);     // "…_FAILED", "…ROLLBACK_COMPLETE"

// One stack's operation. Threads: one.
class StackFollower {
 public:
  StackFollower(aws::CloudFormation& service, const Console& console);

  // Before an operation: its events are those that come after now. stack_id may be empty: none yet.
  void Begin(const std::string& stack_id, const base::Deadline& deadline);

  // Shows events until nothing is in progress any more, and returns the stack as it is then.
  // Errors: kUnavailable, with the reason of the first resource that failed, if the operation did;
  // kDeadlineExceeded; kCancelled (CloudFormation goes on); kNotFound if the stack has gone.
  aws::Stack Follow(const std::string& stack_id, const base::Deadline& deadline);

 private:
  void ShowNewEvents(const std::string& stack_id, const base::Deadline& deadline);

  aws::CloudFormation& service_;
  const Console& console_;
  std::string last_event_id_;
  std::string failure_;  // the first, which causes all others
};

// Pauses that grow from a fifth of a second to three, between looks at an operation under way.
// Threads: one.
class Patience {
 public:
  Patience(std::string what, const Console& console, const base::Deadline& deadline);

  // Errors: kDeadlineExceeded, naming `what`; kCancelled.
  void Wait();

 private:
  const std::string what_;
  const Console& console_;
  const base::Deadline deadline_;
  base::Duration pause_;
};

}  // namespace lambdaml::deploy
