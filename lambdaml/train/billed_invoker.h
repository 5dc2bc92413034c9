// Invocations with what Lambda bills for them.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/faas/invoker.h"
#include "lambdaml/report/cost.h"

namespace lambdaml::train {

// Keeps what each invocation was billed: what the REPORT line in the end of its log says, or, where
// there is none, its time as it was seen here.
class BilledInvoker final : public faas::Invoker {
 public:
  BilledInvoker(std::unique_ptr<faas::Invoker> invoker, int64_t memory_mb);

  faas::InvokeResult Invoke(const std::string& function_name, const std::string& payload,
                            const base::Deadline& deadline) override;
  // Of these nothing is known.
  void InvokeAsync(const std::string& function_name, const std::string& payload,
                   const base::Deadline& deadline) override;

  // Those that have ended since the last call.
  std::vector<report::Invocation> Take();

 private:
  const std::unique_ptr<faas::Invoker> invoker_;
  const int64_t memory_mb_;
  std::mutex mutex_;
  std::vector<report::Invocation> invocations_;  // guarded by mutex_
};

// What a REPORT line in the end of a function's log says was billed; nothing if there is none.
std::optional<report::Invocation> BilledIn(std::string_view log_tail);

}  // namespace lambdaml::train
