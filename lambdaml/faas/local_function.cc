#include "lambdaml/faas/local_function.h"

#include <algorithm>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/faas/lambda_protocol.h"

namespace lambdaml::faas {

LocalFunction::LocalFunction(EventLoop& loop, FunctionConfig config,
                             std::vector<InvocationRecord>* records)
    : loop_(loop), config_(std::move(config)), records_(records) {}

bool LocalFunction::Invoke(AcceptedInvocation invocation) {
  if (shut_down_) {
    invocation.done({.kind = InvocationOutcome::Kind::kShutdown, .payload = {}, .log_tail = {}});
    return true;
  }
  if (running_count_ >= config_.concurrency_max) return false;
  Start(std::move(invocation));
  return true;
}

void LocalFunction::InvokeEvent(AcceptedInvocation event) {
  if (shut_down_) return;
  queued_events_.push_back(std::move(event));
  StartQueuedEvents();
}

void LocalFunction::StartQueuedEvents() {
  while (!queued_events_.empty() && running_count_ < config_.concurrency_max) {
    AcceptedInvocation event = std::move(queued_events_.front());
    queued_events_.pop_front();
    Start(std::move(event));
  }
}

void LocalFunction::Start(AcceptedInvocation invocation) {
  if (!idle_.empty()) {
    ExecutionEnvironment* environment = idle_.back();
    idle_.pop_back();
    ++running_count_;
    return environment->Assign(std::move(invocation));
  }
  try {
    environments_.push_back(
        std::make_unique<ExecutionEnvironment>(loop_, config_, ++environment_count_ever_, *this));
  } catch (const base::Error& error) {
    return Finish(std::move(invocation), {.kind = InvocationOutcome::Kind::kPlatformError,
                                          .payload = error.message(),
                                          .log_tail = {}});
  }
  ++running_count_;
  environments_.back()->Assign(std::move(invocation));
}

void LocalFunction::OnInvocationEnd(ExecutionEnvironment& environment,
                                    AcceptedInvocation invocation, InvocationOutcome outcome,
                                    InvocationRecord record) {
  --running_count_;
  if (environment.idle()) idle_.push_back(&environment);
  records_->push_back(std::move(record));
  Finish(std::move(invocation), std::move(outcome));
  StartQueuedEvents();
}

void LocalFunction::Finish(AcceptedInvocation invocation, InvocationOutcome outcome) {
  if (invocation.done) return invocation.done(std::move(outcome));
  if (outcome.kind != InvocationOutcome::Kind::kReturned) RepeatLater(std::move(invocation));
}

void LocalFunction::RepeatLater(AcceptedInvocation event) {
  const auto repetition = static_cast<size_t>(event.attempt - 1);
  if (shut_down_ || repetition >= config_.event_retry_delays.size()) return;
  ++event.attempt;
  const uint64_t id = ++repetition_count_ever_;
  repetitions_[id] = loop_.After(config_.event_retry_delays[repetition], [this, id, event] {
    AcceptedInvocation again = event;
    repetitions_.erase(id);
    InvokeEvent(std::move(again));
  });
}

void LocalFunction::OnEnvironmentEnd(ExecutionEnvironment& environment) {
  std::erase(idle_, &environment);
  std::erase_if(environments_, [&](const auto& owned) { return owned.get() == &environment; });
  if (shut_down_ && environments_.empty()) loop_.Post(std::exchange(shutdown_done_, nullptr));
}

void LocalFunction::Shutdown(EventLoop::Task done) {
  shut_down_ = true;
  queued_events_.clear();
  repetitions_.clear();
  idle_.clear();
  shutdown_done_ = std::move(done);
  if (environments_.empty()) return loop_.Post(std::exchange(shutdown_done_, nullptr));
  for (const auto& environment : environments_) environment->Shutdown();
}

}  // namespace lambdaml::faas
