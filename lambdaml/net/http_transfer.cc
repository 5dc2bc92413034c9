#include "lambdaml/net/http_transfer.h"

#include <algorithm>
#include <curl/curl.h>
#include <fmt/format.h>
#include <new>
#include <system_error>

#include "lambdaml/base/buffer.h"
#include "lambdaml/base/check.h"
#include "lambdaml/base/units.h"

namespace lambdaml::net {
namespace {

using base::Error;
using base::ErrorCode;

constexpr size_t kHeaderBytesMax = 256 * 1024;
constexpr uint64_t kFirstBodyBytes = 16 * 1024;  // of a body whose size the peer does not say
// How much curl reads and sends in one go; its own bounds are 512 KB and 2 MB.
constexpr long kReadBytes = 512 * 1024;
constexpr long kSendBytes = 512 * 1024;

template <typename Value>
void SetOption(CURL* easy, CURLoption option, Value value) {
  const CURLcode code = curl_easy_setopt(easy, option, value);
  if (code == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
  LAMBDAML_CHECK(code == CURLE_OK);
}

// A token of RFC 9110, section 5.6.2: what methods and header names are.
bool IsToken(std::string_view text) {
  static constexpr std::string_view kCharacters =
      "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  return !text.empty() && text.find_first_not_of(kCharacters) == std::string_view::npos;
}

bool HasControlCharacter(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7F;
  });
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

void HttpTransfer::HandleDeleter::operator()(void* easy) const { curl_easy_cleanup(easy); }

HttpTransfer::HttpTransfer() : easy_(curl_easy_init()) {
  static_assert(std::tuple_size_v<decltype(curl_message_)> == CURL_ERROR_SIZE);
  if (easy_ == nullptr) throw std::bad_alloc();
}

HttpTransfer::~HttpTransfer() = default;

void HttpTransfer::Begin(const HttpRequest& request, size_t index, const std::string& ca_bundle,
                         base::Duration connect_time_max) {
  request_ = &request;
  index_ = index;
  is_sent_ = false;
  response_ = {};
  moved_ = 0;
  moved_at_ = base::SystemClock().Now();
  has_all_headers_ = false;
  header_bytes_ = 0;
  has_body_ = false;
  body_ = {};
  own_body_.reset();
  body_size_ = 0;
  failure_.reset();
  curl_message_[0] = '\0';
  url_ = ParseHttpUrl(request.url);
  curl_easy_reset(easy_.get());
  SetOptions(ca_bundle, connect_time_max);
  SetMethodAndBody();
  SetHeaders();
}

void HttpTransfer::SetOptions(const std::string& ca_bundle, base::Duration connect_time_max) {
  CURL* const easy = easy_.get();
  SetOption(easy, CURLOPT_URL, request_->url.c_str());
  SetOption(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  SetOption(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  SetOption(easy, CURLOPT_PATH_AS_IS, 1L);  // S3 keys may hold "/../"
  SetOption(easy, CURLOPT_NOSIGNAL, 1L);
  SetOption(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  SetOption(easy, CURLOPT_USERAGENT, "lambdaml");
  SetOption(easy, CURLOPT_BUFFERSIZE, kReadBytes);
  SetOption(easy, CURLOPT_UPLOAD_BUFFERSIZE, kSendBytes);
  SetOption(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  if (!ca_bundle.empty()) SetOption(easy, CURLOPT_CAINFO, ca_bundle.c_str());
  if (IsLocalHost(url_)) SetOption(easy, CURLOPT_NOPROXY, "*");
  const auto connect_ms = std::chrono::ceil<std::chrono::milliseconds>(connect_time_max).count();
  SetOption(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::max<int64_t>(1, connect_ms)));
  SetOption(easy, CURLOPT_ERRORBUFFER, curl_message_.data());
  SetOption(easy, CURLOPT_PREREQFUNCTION, &HttpTransfer::OnSend);
  SetOption(easy, CURLOPT_PREREQDATA, this);
  SetOption(easy, CURLOPT_HEADERFUNCTION, &HttpTransfer::OnHeaderLine);
  SetOption(easy, CURLOPT_HEADERDATA, this);
  SetOption(easy, CURLOPT_WRITEFUNCTION, &HttpTransfer::OnBodyPart);
  SetOption(easy, CURLOPT_WRITEDATA, this);
}

void HttpTransfer::SetMethodAndBody() {
  CURL* const easy = easy_.get();
  const std::string& method = request_->method;
  if (!IsToken(method)) {
    throw Error(ErrorCode::kInvalidArgument, "not an HTTP method: \"" + method + '"');
  }
  if (!request_->body.empty() || method == "PUT" || method == "POST" || method == "PATCH") {
    // POSTFIELDS sends from the caller's memory, small bodies in one packet with the headers.
    // A null pointer would have it ask a callback.
    static constexpr std::byte kNothing{};
    const std::byte* const body = request_->body.empty() ? &kNothing : request_->body.data();
    SetOption(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_->body.size()));
    SetOption(easy, CURLOPT_POSTFIELDS, static_cast<const void*>(body));
  } else if (method == "HEAD") {
    SetOption(easy, CURLOPT_NOBODY, 1L);
  }
  SetOption(easy, CURLOPT_CUSTOMREQUEST, method.c_str());
}

void HttpTransfer::SetHeaders() {
  curl_slist* list = nullptr;
  const auto append = [&](const std::string& line) {
    curl_slist* const longer = curl_slist_append(list, line.c_str());
    if (longer == nullptr) {
      curl_slist_free_all(list);
      throw std::bad_alloc();
    }
    list = longer;
  };
  for (const HttpHeader& header : request_->headers) {
    if (!IsToken(header.name) || HasControlCharacter(header.value)) {
      throw Error(ErrorCode::kInvalidArgument,
                  "header \"" + header.name + "\" holds a character that HTTP does not allow");
    }
  }
  // Headers that curl would add of its own.
  append("Expect:");
  if (!FindHeader(request_->headers, "Content-Type")) append("Content-Type:");
  for (const HttpHeader& header : request_->headers) {
    append(header.value.empty() ? header.name + ';' : header.name + ": " + header.value);
  }
  header_list_ = std::shared_ptr<void>(
      list, [](void* owned) { curl_slist_free_all(static_cast<curl_slist*>(owned)); });
  SetOption(easy_.get(), CURLOPT_HTTPHEADER, list);
}

// When a kept connection dies before a byte of the answer, curl sends the request once more by
// itself. But the peer may have done what was asked: trying again is the caller's decision, who
// counts it, and knows what it means for a conditional write.
int HttpTransfer::OnSend(void* self, char* /*peer_ip*/, char* /*own_ip*/, int /*peer_port*/,
                         int /*own_port*/) noexcept {
  auto* const transfer = static_cast<HttpTransfer*>(self);
  if (transfer->is_sent_) return CURL_PREREQFUNC_ABORT;
  transfer->is_sent_ = true;
  return CURL_PREREQFUNC_OK;
}

size_t HttpTransfer::OnHeaderLine(const char* data, size_t size, size_t count,
                                  void* self) noexcept {
  auto* const transfer = static_cast<HttpTransfer*>(self);
  return transfer->Guarded([&] {
    transfer->AddHeaderLine({data, size * count});
  })
             ? size * count
             : 0;
}

size_t HttpTransfer::OnBodyPart(const char* data, size_t size, size_t count, void* self) noexcept {
  auto* const transfer = static_cast<HttpTransfer*>(self);
  const auto part = std::as_bytes(std::span(data, size * count));
  return transfer->Guarded([&] { transfer->AddBodyPart(part); }) ? size * count : 0;
}

bool HttpTransfer::Guarded(const std::function<void()>& step) noexcept {
  try {
    step();
    return true;
  } catch (const Error& error) {
    failure_ = error;
  } catch (const std::bad_alloc&) {
    failure_ = Error(ErrorCode::kResourceExhausted,
                     "no memory left for the answer of " + url_.authority());
  }
  return false;
}

void HttpTransfer::AddHeaderLine(std::string_view line) {
  header_bytes_ += line.size();
  if (header_bytes_ > kHeaderBytesMax) {
    throw Error(ErrorCode::kResourceExhausted,
                fmt::format("{} answers with headers of more than {}", url_.authority(),
                            base::FormatBytes(kHeaderBytesMax)));
  }
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {
    response_.headers.clear();  // those of an interim answer (1xx)
    has_all_headers_ = false;
    return;
  }
  if (line.empty()) has_all_headers_ = true;
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  response_.headers.push_back(
      {std::string(Trimmed(line.substr(0, colon))), std::string(Trimmed(line.substr(colon + 1)))});
}

void HttpTransfer::AddBodyPart(std::span<const std::byte> part) {
  if (!has_body_) BeginBody();
  const uint64_t size = body_size_ + part.size();
  CheckBodySize(size);
  if (size > body_.size()) {
    GrowBody(std::min(body_size_max_, std::max({size, 2 * body_.size(), kFirstBodyBytes})));
  }
  std::copy(part.begin(), part.end(), body_.begin() + static_cast<std::ptrdiff_t>(body_size_));
  body_size_ = size;
}

// Finds room for the body: the destination, or a buffer of the size that the peer announces.
void HttpTransfer::BeginBody() {
  has_body_ = true;
  long status = 0;
  curl_off_t announced = -1;  // stays so if the peer does not say
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(easy_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
  const bool has_destination = !request_->destination.empty() && status / 100 == 2;
  if (has_destination) body_ = request_->destination;
  body_size_max_ = has_destination ? body_.size() : request_->response_size_max_bytes;
  if (announced <= 0) return;
  CheckBodySize(static_cast<uint64_t>(announced));
  if (!has_destination) GrowBody(static_cast<uint64_t>(announced));
}

void HttpTransfer::CheckBodySize(uint64_t size) const {
  if (size <= body_size_max_) return;
  throw Error(ErrorCode::kResourceExhausted,
              fmt::format("{} answers with {} bytes or more, where at most {} were to be expected",
                          url_.authority(), size, body_size_max_));
}

void HttpTransfer::GrowBody(uint64_t capacity) {
  auto larger = base::NewBuffer(capacity);
  std::copy_n(body_.begin(), body_size_, larger.get());
  own_body_ = std::move(larger);
  body_ = {own_body_.get(), capacity};
}

HttpOutcome HttpTransfer::End(int curl_code) {
  if (failure_) return *failure_;
  if (curl_code != CURLE_OK) return Explain(curl_code);
  if (!has_all_headers_) {  // which curl takes for an answer
    return Error(ErrorCode::kUnavailable,
                 url_.authority() + " closed the connection in the middle of an answer");
  }
  long status = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  response_.status = static_cast<int>(status);
  response_.body = base::Blob(body_.first(body_size_), std::move(own_body_));
  return std::move(response_);
}

bool HttpTransfer::IsSilent(base::TimePoint now) {
  curl_off_t sent = 0;
  curl_off_t received = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_SIZE_UPLOAD_T, &sent);
  curl_easy_getinfo(easy_.get(), CURLINFO_SIZE_DOWNLOAD_T, &received);
  const int64_t moved = sent + received + static_cast<int64_t>(header_bytes_);
  if (moved != moved_) {
    moved_ = moved;
    moved_at_ = now;
  }
  return now - moved_at_ > request_->silence_max;
}

std::optional<HttpOutcome> HttpTransfer::EndIfHopeless(base::TimePoint now) {
  if (request_->cancelled != nullptr && request_->cancelled->load()) {
    return Error(ErrorCode::kCancelled,
                 fmt::format("the request to {} was cancelled", url_.authority()));
  }
  if (!IsSilent(now)) return std::nullopt;
  return Error(ErrorCode::kUnavailable,
               fmt::format("no answer from {}: not a byte for {}", url_.authority(),
                           base::FormatSeconds(base::Seconds(request_->silence_max))));
}

HttpOutcome HttpTransfer::EndAtDeadline() const {
  return Error(ErrorCode::kDeadlineExceeded,
               fmt::format("no answer from {} before the deadline", url_.authority()));
}

base::Error HttpTransfer::Explain(int curl_code) const {
  const std::string authority = url_.authority();
  const char* const reason = curl_message_[0] != '\0'
                                 ? curl_message_.data()
                                 : curl_easy_strerror(static_cast<CURLcode>(curl_code));
  long system_error = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_OS_ERRNO, &system_error);
  switch (curl_code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return {ErrorCode::kPermissionDenied,
              fmt::format("the certificate of {} cannot be trusted: {}; if its authority is your "
                          "own, name the authority's PEM file in AWS_CA_BUNDLE",
                          authority, reason)};
    case CURLE_OUT_OF_MEMORY:
      return {ErrorCode::kResourceExhausted, "no memory left to speak with " + authority};
    case CURLE_COULDNT_CONNECT:
      return {ErrorCode::kUnavailable,
              fmt::format("cannot connect to {}: {}", authority,
                          system_error != 0
                              ? std::generic_category().message(static_cast<int>(system_error))
                              : std::string(reason))};
    case CURLE_GOT_NOTHING:
    case CURLE_ABORTED_BY_CALLBACK:  // see OnSend
      return {ErrorCode::kUnavailable, authority + " closed the connection without an answer"};
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
      return {ErrorCode::kUnavailable,
              fmt::format("{} does not answer in HTTP: {}", authority, reason)};
    default:
      return {ErrorCode::kUnavailable, fmt::format("no answer from {}: {}", authority, reason)};
  }
}

}  // namespace lambdaml::net
