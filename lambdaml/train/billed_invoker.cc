#include "lambdaml/train/billed_invoker.h"

#include <charconv>
#include <utility>

#include "lambdaml/base/clock.h"

namespace lambdaml::train {
namespace {

// The whole number between `before` and `after`; nothing if it is not there.
std::optional<int64_t> NumberBetween(std::string_view text, std::string_view before,
                                     std::string_view after) {
  const size_t begin = text.find(before);
  if (begin == text.npos) return std::nullopt;
  const std::string_view rest = text.substr(begin + before.size());
  int64_t number = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  const bool is_whole = error == std::errc() &&
                        rest.substr(static_cast<size_t>(end - rest.data())).starts_with(after);
  return is_whole ? std::optional(number) : std::nullopt;
}

}  // namespace

std::optional<report::Invocation> BilledIn(std::string_view log_tail) {
  const size_t line = log_tail.rfind("REPORT RequestId:");
  if (line == log_tail.npos) return std::nullopt;
  const std::string_view report = log_tail.substr(line);
  const auto billed_ms = NumberBetween(report, "Billed Duration: ", " ms");
  const auto memory_mb = NumberBetween(report, "Memory Size: ", " MB");
  if (!billed_ms || !memory_mb) return std::nullopt;
  return report::Invocation{*memory_mb, *billed_ms};
}

BilledInvoker::BilledInvoker(std::unique_ptr<faas::Invoker> invoker, int64_t memory_mb)
    : invoker_(std::move(invoker)), memory_mb_(memory_mb) {}

faas::InvokeResult BilledInvoker::Invoke(const std::string& function_name,
                                         const std::string& payload,
                                         const base::Deadline& deadline) {
  const base::TimePoint start = base::SystemClock().Now();
  faas::InvokeResult result = invoker_->Invoke(function_name, payload, deadline);
  const report::Invocation measured = {memory_mb_,
                                       report::BilledMs(base::SystemClock().Now() - start)};
  const std::lock_guard lock(mutex_);
  invocations_.push_back(BilledIn(result.log_tail).value_or(measured));
  return result;
}

void BilledInvoker::InvokeAsync(const std::string& function_name, const std::string& payload,
                                const base::Deadline& deadline) {
  invoker_->InvokeAsync(function_name, payload, deadline);
}

std::vector<report::Invocation> BilledInvoker::Take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(invocations_, {});
}

}  // namespace lambdaml::train
