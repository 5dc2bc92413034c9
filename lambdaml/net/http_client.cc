#include "lambdaml/net/http_client.h"

#include <algorithm>
#include <curl/curl.h>
#include <new>

#include "lambdaml/base/check.h"
#include "lambdaml/net/ca_bundle.h"
#include "lambdaml/net/http_transfer.h"
#include "lambdaml/net/load_curl.h"

namespace lambdaml::net {
namespace {

constexpr int kPollMsMax = 1000;  // how often clocks and silent peers are looked at, at least

struct MultiDeleter {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};

void CheckMulti(CURLMcode code) {
  if (code == CURLM_OUT_OF_MEMORY) throw std::bad_alloc();
  LAMBDAML_CHECK(code == CURLM_OK);
}

void InitializeCurl() {
  delayed::LoadCurl();
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  LAMBDAML_CHECK(code == CURLE_OK);
}

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : +c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

std::optional<std::string_view> FindHeader(std::span<const HttpHeader> headers,
                                           std::string_view name) {
  for (const HttpHeader& header : headers) {
    if (EqualsIgnoringCase(header.name, name)) return header.value;
  }
  return std::nullopt;
}

// A curl "multi" handle, which owns connections, with the transfers that it drives.
class HttpClient::Lane {
 public:
  explicit Lane(const HttpClientOptions& options)
      : options_(options), ca_bundle_(CaBundle()), multi_(curl_multi_init()) {
    if (multi_ == nullptr) throw std::bad_alloc();
    CheckMulti(curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS,
                                 static_cast<long>(options.connection_count_max)));
  }
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  ~Lane() {
    for (const auto& transfer : busy_) curl_multi_remove_handle(multi_.get(), transfer->handle());
  }

  std::vector<HttpOutcome> Run(std::span<const HttpRequest> requests,
                               const base::Deadline& deadline) {
    std::vector<std::optional<HttpOutcome>> outcomes(requests.size());
    size_t next = 0;
    while (next < requests.size() || !busy_.empty()) {
      const bool is_late = deadline.Expired();  // then not even a connection is begun
      const auto connection_count_max = static_cast<size_t>(options_.connection_count_max);
      for (; next < requests.size() && busy_.size() < connection_count_max; ++next) {
        outcomes[next] = Begin(requests[next], next);
      }
      int running = 0;
      if (!is_late) CheckMulti(curl_multi_perform(multi_.get(), &running));
      const bool has_ended = TakeEnded(outcomes) || TakeHopeless(outcomes);
      if (is_late) EndAllAtDeadline(outcomes);
      if (!has_ended && !busy_.empty()) {
        const int poll_ms = std::min(deadline.RemainingPollMs(), kPollMsMax);
        CheckMulti(curl_multi_poll(multi_.get(), nullptr, 0, poll_ms, nullptr));
      }
    }
    std::vector<HttpOutcome> results;
    results.reserve(outcomes.size());
    for (auto& outcome : outcomes) results.push_back(std::move(outcome).value());
    return results;
  }

 private:
  // The outcome, if the request cannot even be sent.
  std::optional<HttpOutcome> Begin(const HttpRequest& request, size_t index) {
    if (spare_.empty()) spare_.push_back(std::make_unique<HttpTransfer>());
    try {
      spare_.back()->Begin(request, index, ca_bundle_, options_.connect_time_max);
    } catch (const base::Error& error) {
      return error;
    }
    busy_.reserve(busy_.size() + 1);
    CheckMulti(curl_multi_add_handle(multi_.get(), spare_.back()->handle()));
    busy_.push_back(std::move(spare_.back()));
    spare_.pop_back();
    return std::nullopt;
  }

  bool TakeEnded(std::vector<std::optional<HttpOutcome>>& outcomes) {
    bool has_ended = false;
    int queued = 0;
    while (CURLMsg* const message = curl_multi_info_read(multi_.get(), &queued)) {
      if (message->msg != CURLMSG_DONE) continue;
      const auto ended = std::find_if(busy_.begin(), busy_.end(), [&](const auto& transfer) {
        return transfer->handle() == message->easy_handle;
      });
      LAMBDAML_CHECK(ended != busy_.end());
      HttpTransfer& transfer = **ended;
      outcomes[transfer.index()] = transfer.End(message->data.result);
      Retire(ended);
      has_ended = true;
    }
    return has_ended;
  }

  // One that is cancelled, or on which nothing has moved for too long.
  bool TakeHopeless(std::vector<std::optional<HttpOutcome>>& outcomes) {
    const base::TimePoint now = base::SystemClock().Now();
    for (auto transfer = busy_.begin(); transfer != busy_.end(); ++transfer) {
      std::optional<HttpOutcome> end = (*transfer)->EndIfHopeless(now);
      if (!end) continue;
      outcomes[(*transfer)->index()] = *std::move(end);
      Retire(transfer);
      return true;
    }
    return false;
  }

  void EndAllAtDeadline(std::vector<std::optional<HttpOutcome>>& outcomes) {
    while (!busy_.empty()) {
      outcomes[busy_.back()->index()] = busy_.back()->EndAtDeadline();
      Retire(busy_.end() - 1);
    }
  }

  void Retire(std::vector<std::unique_ptr<HttpTransfer>>::iterator ended) {
    CheckMulti(curl_multi_remove_handle(multi_.get(), (*ended)->handle()));
    spare_.push_back(std::move(*ended));
    busy_.erase(ended);
  }

  const HttpClientOptions options_;
  const std::string ca_bundle_;
  std::vector<std::unique_ptr<HttpTransfer>> busy_;
  std::vector<std::unique_ptr<HttpTransfer>> spare_;
  std::unique_ptr<CURLM, MultiDeleter> multi_;  // goes before the transfers it may hold
};

HttpClient::HttpClient(const HttpClientOptions& options) : options_(options) {
  LAMBDAML_CHECK(options.connection_count_max >= 1);
  InitializeCurl();
}

HttpClient::~HttpClient() = default;

HttpOutcome HttpClient::Send(const HttpRequest& request, const base::Deadline& deadline) {
  return std::move(SendAll(std::span(&request, 1), deadline).front());
}

std::vector<HttpOutcome> HttpClient::SendAll(std::span<const HttpRequest> requests,
                                             const base::Deadline& deadline) {
  std::unique_ptr<Lane> lane = TakeLane();
  std::vector<HttpOutcome> outcomes = lane->Run(requests, deadline);
  // After an exception the lane is gone, and with it what its transfers were doing.
  ReturnLane(std::move(lane));
  return outcomes;
}

std::unique_ptr<HttpClient::Lane> HttpClient::TakeLane() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_lanes_.empty()) {
      std::unique_ptr<Lane> lane = std::move(idle_lanes_.back());
      idle_lanes_.pop_back();
      return lane;
    }
  }
  return std::make_unique<Lane>(options_);
}

void HttpClient::ReturnLane(std::unique_ptr<Lane> lane) {
  const std::lock_guard lock(mutex_);
  idle_lanes_.push_back(std::move(lane));
}

}  // namespace lambdaml::net
