// A store whose service restarts, and loses what it holds, as a seed says: what Memcached and Redis
// may do, without their delays.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "lambdaml/base/random.h"
#include "lambdaml/store/memory_store.h"
#include "lambdaml/store/store.h"

namespace lambdaml::test {

// The service. Threads: any, at once. Print the seed with a failing test.
class ForgetfulServer {
 public:
  // Restarts before a request with that probability, and after it (acknowledged, but lost) too.
  explicit ForgetfulServer(double restart_probability = 0, uint64_t seed = 0)
      : restart_probability_(restart_probability), random_(seed) {}

  // A connection that calls `before_wait` whenever it begins to wait for a key.
  std::unique_ptr<store::Store> Open(
      std::function<void(const std::string& key)> before_wait = nullptr);
  void Restart();
  uint64_t restarts() const { return restarts_; }

 private:
  friend class ForgetfulStore;
  void MaybeRestart();

  std::shared_ptr<store::MemoryContents> contents_ = std::make_shared<store::MemoryContents>();
  std::atomic<uint64_t> restarts_{0};  // changed while contents_->mutex is held
  const double restart_probability_;
  std::mutex mutex_;
  base::Random random_;  // guarded by mutex_
};

// A clock that runs a hundred times as fast as the machine's, so that tests need not wait long.
class FastClock final : public base::Clock {
 public:
  base::TimePoint Now() const override;
  void SleepFor(base::Duration duration) const override;

 private:
  base::TimePoint start_ = base::SystemClock().Now();
};

}  // namespace lambdaml::test
