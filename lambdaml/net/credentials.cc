#include "lambdaml/net/credentials.h"

#include <condition_variable>
#include <exception>
#include <fmt/format.h>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/net/credentials_sources.h"
#include "lambdaml/net/http_client.h"

namespace lambdaml::net {
namespace {

using base::Error;
using base::ErrorCode;

// Endpoints have new credentials at least five minutes before the old ones expire.
constexpr auto kRenewBefore = std::chrono::minutes(4);
// How often a source is asked while the old ones still last.
constexpr base::Duration kRenewEvery = std::chrono::seconds(20);

class FixedProvider final : public CredentialsProvider {
 public:
  explicit FixedProvider(Credentials credentials) : credentials_(std::move(credentials)) {}

  Credentials Get(const base::Deadline& /*deadline*/) override { return credentials_; }
  bool Renew(const Credentials& /*rejected*/) override { return false; }

 private:
  const Credentials credentials_;
};

class ChainProvider final : public CredentialsProvider {
 public:
  explicit ChainProvider(CredentialsChainOptions options) : options_(std::move(options)) {}

  Credentials Get(const base::Deadline& deadline) override {
    std::unique_lock lock(mutex_);
    while (true) {
      if (IsUsable(kRenewBefore)) return *kept_;
      const bool may_fetch = !is_fetching_ && next_renewal_ <= base::SystemClock().Now();
      if (IsUsable() && !may_fetch) return *kept_;
      if (!is_fetching_) return Fetch(lock, deadline);
      if (deadline.Expired()) {
        throw Error(ErrorCode::kDeadlineExceeded, "no AWS credentials before the deadline");
      }
      has_fetched_.wait_for(lock, std::min<base::Duration>(deadline.Remaining(), kWaitMax));
    }
  }

  bool Renew(const Credentials& rejected) override {
    const std::lock_guard lock(mutex_);
    if (kept_ && *kept_ == rejected) kept_.reset();
    return true;
  }

 private:
  static constexpr base::Duration kWaitMax = std::chrono::seconds(1);

  bool IsUsable(WallTime::duration margin = {}) const {
    return kept_ &&
           (!kept_->expiration || std::chrono::system_clock::now() + margin < *kept_->expiration);
  }

  // Asks the sources, without holding the lock meanwhile.
  Credentials Fetch(std::unique_lock<std::mutex>& lock, const base::Deadline& deadline) {
    is_fetching_ = true;
    lock.unlock();
    std::optional<Credentials> found;
    std::exception_ptr failure;
    try {
      found = Find(deadline);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    is_fetching_ = false;
    next_renewal_ = base::SystemClock().Now() + kRenewEvery;
    has_fetched_.notify_all();
    if (found) return *(kept_ = std::move(found));
    if (IsUsable()) return *kept_;
    std::rethrow_exception(failure);
  }

  Credentials Find(const base::Deadline& deadline) {
    const Environment& environment = options_.environment;
    std::vector<std::string> tried(4);
    std::optional<Credentials> found;
    if (!options_.profile) found = CredentialsOfEnvironment(environment, &tried[0]);
    if (!found) found = CredentialsOfProfile(options_.profile, environment, &tried[1]);
    if (!found) found = CredentialsOfContainer(environment, http_, deadline, &tried[2]);
    if (!found) found = CredentialsOfInstance(environment, http_, deadline, &tried[3]);
    if (found) return *std::move(found);
    std::erase(tried, "");
    throw Error(ErrorCode::kPermissionDenied,
                fmt::format("no AWS credentials; tried: {}. Set AWS_ACCESS_KEY_ID and "
                            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run `aws configure`",
                            fmt::join(tried, "; ")));
  }

  const CredentialsChainOptions options_;
  HttpClient http_;
  std::mutex mutex_;
  std::condition_variable has_fetched_;
  // Guarded by mutex_.
  bool is_fetching_ = false;
  base::TimePoint next_renewal_;
  std::optional<Credentials> kept_;
};

}  // namespace

std::shared_ptr<CredentialsProvider> FixedCredentials(Credentials credentials) {
  return std::make_shared<FixedProvider>(std::move(credentials));
}

std::shared_ptr<CredentialsProvider> CredentialsChain(CredentialsChainOptions options) {
  return std::make_shared<ChainProvider>(std::move(options));
}

}  // namespace lambdaml::net
