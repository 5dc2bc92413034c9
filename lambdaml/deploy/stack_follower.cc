#include "lambdaml/deploy/stack_follower.h"

#include <algorithm>
#include <fmt/format.h>
#include <thread>
#include <utility>

#include "lambdaml/base/error.h"

namespace lambdaml::deploy {
namespace {

constexpr base::Duration kPauseMin = std::chrono::milliseconds(200);
constexpr base::Duration kPauseMax = std::chrono::seconds(3);

// Of a resource whose work was stopped because that of another failed: no reason of its own.
constexpr std::string_view kStopped = "Resource creation cancelled";

}  // namespace

bool IsInProgress(std::string_view stack_status) {
  return stack_status.ends_with("_IN_PROGRESS") && stack_status != "REVIEW_IN_PROGRESS";
}

bool HasFailed(std::string_view stack_status) {
  return stack_status.ends_with("_FAILED") || stack_status.ends_with("ROLLBACK_COMPLETE");
}

Patience::Patience(std::string what, const Console& console, const base::Deadline& deadline)
    : what_(std::move(what)), console_(console), deadline_(deadline), pause_(kPauseMin) {}

void Patience::Wait() {
  if (console_.interrupted != nullptr && console_.interrupted->load()) {
    throw base::Error(base::ErrorCode::kCancelled,
                      fmt::format("interrupted while waiting for {}: CloudFormation goes on by "
                                  "itself; the same command takes it up again",
                                  what_));
  }
  if (deadline_.Expired()) {
    throw base::Error(base::ErrorCode::kDeadlineExceeded, fmt::format("{} is not done yet", what_));
  }
  std::this_thread::sleep_for(std::min(pause_, deadline_.Remaining()));
  pause_ = std::min(pause_ * 3 / 2, kPauseMax);
}

StackFollower::StackFollower(aws::CloudFormation& service, const Console& console)
    : service_(service), console_(console) {}

void StackFollower::Begin(const std::string& stack_id, const base::Deadline& deadline) {
  last_event_id_.clear();
  failure_.clear();
  if (stack_id.empty()) return;
  const std::vector<aws::StackEvent> events = service_.EventsAfter(stack_id, "", deadline);
  if (!events.empty()) last_event_id_ = events.back().id;
}

void StackFollower::ShowNewEvents(const std::string& stack_id, const base::Deadline& deadline) {
  for (const aws::StackEvent& event : service_.EventsAfter(stack_id, last_event_id_, deadline)) {
    std::string line =
        fmt::format("  {:<24} {:<16} {}", event.status, event.logical_id, event.type);
    if (!event.reason.empty()) line += fmt::format("  {}", event.reason);
    console_.show(line);
    const bool is_cause = event.status.ends_with("_FAILED") && !event.reason.starts_with(kStopped);
    if (is_cause && failure_.empty()) {
      failure_ = fmt::format("{} ({}): {}", event.logical_id, event.type, event.reason);
    }
    last_event_id_ = event.id;
  }
}

aws::Stack StackFollower::Follow(const std::string& stack_id, const base::Deadline& deadline) {
  Patience patience(fmt::format("the stack {}", stack_id), console_, deadline);
  for (;;) {
    // First the status, so that no event before its end is missed.
    std::optional<aws::Stack> stack = service_.Describe(stack_id, deadline);
    if (!stack) {
      throw base::Error(base::ErrorCode::kNotFound,
                        fmt::format("the stack {} has been deleted meanwhile", stack_id));
    }
    ShowNewEvents(stack_id, deadline);
    if (!IsInProgress(stack->status)) {
      if (!HasFailed(stack->status)) return *std::move(stack);
      const std::string& reason = failure_.empty() ? stack->status_reason : failure_;
      throw base::Error(base::ErrorCode::kUnavailable,
                        fmt::format("the stack ended as {}: {}", stack->status, reason));
    }
    patience.Wait();
  }
}

}  // namespace lambdaml::deploy
