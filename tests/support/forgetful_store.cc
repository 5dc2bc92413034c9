#include "support/forgetful_store.h"

#include <type_traits>
#include <utility>

namespace lambdaml::test {
namespace {

constexpr int kSpeed = 100;

}  // namespace

// One connection. It notices a restart in its next call, as a dropped connection would tell it.
class ForgetfulStore final : public store::Store {
 public:
  ForgetfulStore(ForgetfulServer& server, std::function<void(const std::string& key)> before_wait)
      : server_(server),
        before_wait_(std::move(before_wait)),
        inner_(server.contents_),
        capabilities_(inner_.capabilities()),
        restarts_before_(server.restarts()),
        restarts_seen_(restarts_before_) {
    capabilities_.is_durable = false;
    capabilities_.has_native_wait = false;
  }

  const store::Capabilities& capabilities() const override { return capabilities_; }
  const std::string& url() const override { return inner_.url(); }
  store::Counters counters() const override { return inner_.counters(); }
  uint64_t restarts() const override { return restarts_seen_ - restarts_before_; }

  std::optional<base::Blob> Get(const std::string& key, const base::Deadline& deadline) override {
    return Ask([&] { return inner_.Get(key, deadline); });
  }
  void Put(const std::string& key, base::ByteSpan value, const base::Deadline& deadline) override {
    Ask([&] { return inner_.Put(key, value, deadline), true; });
  }
  bool PutIfAbsent(const std::string& key, base::ByteSpan value,
                   const base::Deadline& deadline) override {
    return Ask([&] { return inner_.PutIfAbsent(key, value, deadline); });
  }
  std::optional<store::VersionedValue> GetVersioned(const std::string& key,
                                                    const base::Deadline& deadline) override {
    return Ask([&] { return inner_.GetVersioned(key, deadline); });
  }
  bool CompareAndSwap(const std::string& key, const std::string& version, base::ByteSpan value,
                      const base::Deadline& deadline) override {
    return Ask([&] { return inner_.CompareAndSwap(key, version, value, deadline); });
  }
  void Delete(std::span<const std::string> keys, const base::Deadline& deadline) override {
    Ask([&] { return inner_.Delete(keys, deadline), true; });
  }
  std::vector<std::string> List(std::string_view prefix, const base::Deadline& deadline) override {
    return Ask([&] { return inner_.List(prefix, deadline); });
  }
  std::optional<base::Blob> Wait(const std::string& key, const base::Deadline& deadline) override {
    if (before_wait_) before_wait_(key);
    const base::Deadline past = base::Deadline::After(base::Duration::zero(), deadline.clock());
    auto value = Ask([&] { return inner_.Wait(key, past); });
    while (!value && !deadline.Expired()) {
      deadline.clock().SleepFor(std::chrono::milliseconds(20));
      value = Ask([&] { return inner_.Wait(key, past); });
    }
    return value;
  }

 private:
  template <typename Call>
  std::invoke_result_t<Call> Ask(Call call) {
    server_.MaybeRestart();
    auto answer = call();
    server_.MaybeRestart();
    restarts_seen_ = server_.restarts();
    return answer;
  }

  ForgetfulServer& server_;
  const std::function<void(const std::string& key)> before_wait_;
  store::MemoryStore inner_;
  store::Capabilities capabilities_;
  const uint64_t restarts_before_;
  std::atomic<uint64_t> restarts_seen_;
};

std::unique_ptr<store::Store> ForgetfulServer::Open(
    std::function<void(const std::string& key)> before_wait) {
  return std::make_unique<ForgetfulStore>(*this, std::move(before_wait));
}

void ForgetfulServer::Restart() {
  const std::lock_guard lock(contents_->mutex);
  contents_->entries.clear();
  ++restarts_;
}

void ForgetfulServer::MaybeRestart() {
  if (restart_probability_ == 0) return;
  {
    const std::lock_guard lock(mutex_);
    if (random_.Uniform() >= restart_probability_) return;
  }
  Restart();
}

base::TimePoint FastClock::Now() const {
  return start_ + (base::SystemClock().Now() - start_) * kSpeed;
}

void FastClock::SleepFor(base::Duration duration) const {
  base::SystemClock().SleepFor(duration / kSpeed);
}

}  // namespace lambdaml::test
