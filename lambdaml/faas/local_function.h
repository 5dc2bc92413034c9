// A function of the local platform: its environments, kept warm and reused most recently used
// first; its concurrency limit; its queue of events and their repetitions.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <vector>

#include "lambdaml/faas/event_loop.h"
#include "lambdaml/faas/execution_environment.h"
#include "lambdaml/faas/function_config.h"
#include "lambdaml/faas/invocation_record.h"

namespace lambdaml::faas {

// Threads: the loop's.
class LocalFunction final : public ExecutionEnvironment::Owner {
 public:
  // Records are appended to *records when an invocation ends.
  LocalFunction(EventLoop& loop, FunctionConfig config, std::vector<InvocationRecord>* records);

  const FunctionConfig& config() const { return config_; }

  // Starts a synchronous invocation; its `done` is called exactly once, later or at once. Returns
  // false, having done nothing, when the concurrency limit is reached.
  [[nodiscard]] bool Invoke(AcceptedInvocation invocation);

  // Queues an event. It waits while the concurrency limit is reached, and is repeated if it fails.
  void InvokeEvent(AcceptedInvocation event);

  // Ends all environments; waiting callers are told so, queued events are dropped. `done` is
  // called when the last process has gone.
  void Shutdown(EventLoop::Task done);

 private:
  void OnInvocationEnd(ExecutionEnvironment& environment, AcceptedInvocation invocation,
                       InvocationOutcome outcome, InvocationRecord record) override;
  void OnEnvironmentEnd(ExecutionEnvironment& environment) override;

  void Start(AcceptedInvocation invocation);
  void StartQueuedEvents();
  void Finish(AcceptedInvocation invocation, InvocationOutcome outcome);
  void RepeatLater(AcceptedInvocation event);

  EventLoop& loop_;
  const FunctionConfig config_;
  std::vector<InvocationRecord>* records_;

  std::list<std::unique_ptr<ExecutionEnvironment>> environments_;
  std::vector<ExecutionEnvironment*> idle_;  // the most recently used last
  int environment_count_ever_ = 0;
  int running_count_ = 0;
  std::deque<AcceptedInvocation> queued_events_;
  std::map<uint64_t, EventLoop::Subscription> repetitions_;
  uint64_t repetition_count_ever_ = 0;
  bool shut_down_ = false;
  EventLoop::Task shutdown_done_;
};

}  // namespace lambdaml::faas
