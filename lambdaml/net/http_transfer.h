// One request on its way through libcurl: how it is put, and its answer as it arrives. A part of
// HttpClient.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "lambdaml/base/error.h"
#include "lambdaml/net/http_client.h"
#include "lambdaml/net/url.h"

namespace lambdaml::net {

// A curl "easy" handle, which is used for one request after the other. Threads: one.
class HttpTransfer {
 public:
  HttpTransfer();
  HttpTransfer(const HttpTransfer&) = delete;
  HttpTransfer& operator=(const HttpTransfer&) = delete;
  ~HttpTransfer();

  // Sets the handle up. Errors: kInvalidArgument for a URL, method or header that cannot be sent.
  void Begin(const HttpRequest& request, size_t index, const std::string& ca_bundle,
             base::Duration connect_time_max);

  void* handle() const { return easy_.get(); }
  size_t index() const { return index_; }  // as given to Begin

  // The outcome, when curl has ended the transfer with that CURLcode, or when the time is over.
  HttpOutcome End(int curl_code);
  HttpOutcome EndAtDeadline() const;
  // The outcome, if the request is cancelled, or no byte has moved for its silence_max. To be asked
  // about once a second.
  std::optional<HttpOutcome> EndIfHopeless(base::TimePoint now);

 private:
  struct HandleDeleter {
    void operator()(void* easy) const;
  };

  // curl's callback: the request is about to be sent. Refuses the second time.
  static int OnSend(void* self, char* peer_ip, char* own_ip, int peer_port, int own_port) noexcept;
  // curl's callbacks: what arrives. They must not throw: Guarded keeps what a step has thrown.
  static size_t OnHeaderLine(const char* data, size_t size, size_t count, void* self) noexcept;
  static size_t OnBodyPart(const char* data, size_t size, size_t count, void* self) noexcept;

  bool IsSilent(base::TimePoint now);
  bool Guarded(const std::function<void()>& step) noexcept;
  void SetOptions(const std::string& ca_bundle, base::Duration connect_time_max);
  void SetMethodAndBody();
  void SetHeaders();
  void AddHeaderLine(std::string_view line);
  void AddBodyPart(std::span<const std::byte> part);
  void BeginBody();
  void CheckBodySize(uint64_t size) const;
  void GrowBody(uint64_t capacity);
  base::Error Explain(int curl_code) const;

  std::unique_ptr<void, HandleDeleter> easy_;
  std::array<char, 256> curl_message_ = {};  // CURL_ERROR_SIZE
  std::shared_ptr<void> header_list_;        // what curl sends
  const HttpRequest* request_ = nullptr;
  HttpUrl url_;
  size_t index_ = 0;

  bool is_sent_ = false;
  int64_t moved_ = 0;         // bytes, both ways
  base::TimePoint moved_at_;  // when the last of them did

  HttpResponse response_;
  bool has_all_headers_ = false;
  size_t header_bytes_ = 0;
  bool has_body_ = false;
  std::span<std::byte> body_;              // room for the body
  std::shared_ptr<std::byte[]> own_body_;  // keeps body_, unless it is the request's destination
  uint64_t body_size_ = 0;                 // of body_, what has arrived
  uint64_t body_size_max_ = 0;
  std::optional<base::Error> failure_;  // why a callback made curl stop
};

}  // namespace lambdaml::net
