#include "lambdaml/store/s3_reader.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fmt/format.h>
#include <memory>
#include <new>
#include <utility>

#include "lambdaml/base/buffer.h"
#include "lambdaml/base/error.h"

namespace lambdaml::store {
namespace {

using base::Error;
using base::ErrorCode;

constexpr int kPartialContent = 206;

struct ContentRange {
  uint64_t first = 0;
  uint64_t last = 0;
  uint64_t object_size = 0;
};

// "bytes first-last/size" (RFC 9110, section 14.4).
std::optional<ContentRange> ParseContentRange(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  if (!text.starts_with(kUnit)) return std::nullopt;
  const char* at = text.data() + kUnit.size();
  const char* const end = text.data() + text.size();
  ContentRange range;
  const auto number = [&](uint64_t& value, char delimiter) {
    const auto [after, error] = std::from_chars(at, end, value);
    if (error != std::errc()) return false;
    at = after;
    if (delimiter == '\0') return at == end;
    return at < end && *at++ == delimiter;
  };
  if (!number(range.first, '-') || !number(range.last, '/') || !number(range.object_size, '\0') ||
      range.first > range.last || range.last >= range.object_size) {
    return std::nullopt;
  }
  return range;
}

// An object of which the first request has not brought all.
struct Reading {
  size_t place = 0;       // in keys and in the results
  size_t rest_begin = 0;  // its requests among those for the rest
  size_t rest_count = 0;
  // Of one that takes several ranges:
  uint64_t size = 0;
  std::string etag = {};
  std::shared_ptr<std::byte[]> buffer = {};
};

class Reader {
 public:
  Reader(S3Client& client, std::span<const std::string> keys, const S3ReadSizes& sizes,
         const base::Deadline& deadline)
      : client_(client), keys_(keys), sizes_(sizes), deadline_(deadline), objects_(keys.size()) {}

  std::vector<std::optional<S3Object>> Run() {
    std::vector<size_t> places(keys_.size());
    for (size_t i = 0; i < places.size(); ++i) places[i] = i;
    while (!places.empty()) places = ReadOnce(places);
    return std::move(objects_);
  }

 private:
  // Returns the places of those that were replaced while they were read.
  std::vector<size_t> ReadOnce(const std::vector<size_t>& places) {
    std::vector<net::AwsRequest> requests;
    for (const size_t place : places) requests.push_back(FirstRequest(keys_[place]));
    std::vector<net::AwsAnswer> answers = client_.SendAll(requests, deadline_);
    std::vector<Reading> unfinished;
    std::vector<net::AwsRequest> rest;
    for (size_t i = 0; i < places.size(); ++i) {
      Begin(places[i], requests[i], answers[i], unfinished, rest);
    }
    if (rest.empty()) return {};
    answers = client_.SendAll(rest, deadline_);
    std::vector<size_t> replaced;
    for (Reading& reading : unfinished) {
      if (!End(reading, rest, answers)) replaced.push_back(reading.place);
    }
    return replaced;
  }

  net::AwsRequest FirstRequest(const std::string& key) const {
    net::AwsRequest request =
        client_.ObjectRequest("GET", "get", key, {s3_code::kNoSuchKey, s3_code::kInvalidRange});
    request.headers.push_back({"Range", fmt::format("bytes=0-{}", sizes_.range_bytes - 1)});
    request.response_size_max_bytes = sizes_.object_max_bytes;
    return request;
  }

  // Takes the answer to the first request; asks for the rest if there is one.
  void Begin(size_t place, const net::AwsRequest& request, net::AwsAnswer& answer,
             std::vector<Reading>& unfinished, std::vector<net::AwsRequest>& rest) {
    if (answer.error_code == s3_code::kNoSuchKey) return;
    Reading reading = {.place = place, .rest_begin = rest.size()};
    if (answer.error_code == s3_code::kInvalidRange) {  // it is empty: no byte 0
      net::AwsRequest whole =
          client_.ObjectRequest("GET", "get", keys_[place], {s3_code::kNoSuchKey});
      whole.response_size_max_bytes = sizes_.object_max_bytes;
      rest.push_back(std::move(whole));
    } else {
      net::HttpResponse& response = answer.response;
      if (response.status != kPartialContent) {  // a server that takes no ranges
        objects_[place] = S3Object{std::move(response.body), EtagOf(request, response)};
        return;
      }
      const ContentRange range = RangeOf(request, response, 0, sizes_.range_bytes);
      if (range.object_size == response.body.size()) {
        objects_[place] = S3Object{std::move(response.body), EtagOf(request, response)};
        return;
      }
      reading.etag = EtagOf(request, response);
      reading.size = range.object_size;
      AskForRest(request, response.body.span(), reading, rest);
    }
    reading.rest_count = rest.size() - reading.rest_begin;
    unfinished.push_back(std::move(reading));
  }

  void AskForRest(const net::AwsRequest& first, base::ByteSpan begin, Reading& reading,
                  std::vector<net::AwsRequest>& rest) const {
    if (reading.size > sizes_.object_max_bytes) {
      throw Error(ErrorCode::kResourceExhausted,
                  fmt::format("{}: {} bytes exceed the largest value, {} bytes", first.operation,
                              reading.size, sizes_.object_max_bytes));
    }
    try {
      reading.buffer = base::NewBuffer(reading.size);
    } catch (const std::bad_alloc&) {
      throw Error(ErrorCode::kResourceExhausted,
                  fmt::format("{}: no memory for {} bytes", first.operation, reading.size));
    }
    std::memcpy(reading.buffer.get(), begin.data(), begin.size());
    for (uint64_t at = begin.size(); at < reading.size; at += sizes_.range_bytes) {
      const uint64_t size = std::min(sizes_.range_bytes, reading.size - at);
      net::AwsRequest request = client_.ObjectRequest(
          "GET", "get", keys_[reading.place],
          {s3_code::kNoSuchKey, s3_code::kInvalidRange, s3_code::kPreconditionFailed});
      request.headers = {{"Range", fmt::format("bytes={}-{}", at, at + size - 1)},
                         {"If-Match", reading.etag}};
      request.destination = {reading.buffer.get() + at, size};
      rest.push_back(std::move(request));
    }
  }

  // False if the object is no longer the one that was begun.
  bool End(Reading& reading, std::span<const net::AwsRequest> requests,
           std::span<net::AwsAnswer> answers) {
    const size_t begin = reading.rest_begin;
    for (size_t i = begin; i < begin + reading.rest_count; ++i) {
      if (!answers[i].error_code.empty()) return false;
    }
    if (!reading.buffer) {
      net::HttpResponse& response = answers[begin].response;
      objects_[reading.place] =
          S3Object{std::move(response.body), EtagOf(requests[begin], response)};
      return true;
    }
    for (size_t i = begin; i < begin + reading.rest_count; ++i) {
      const auto at = static_cast<uint64_t>(requests[i].destination.data() - reading.buffer.get());
      RangeOf(requests[i], answers[i].response, at, requests[i].destination.size());
    }
    const std::byte* const data = reading.buffer.get();
    objects_[reading.place] = S3Object{base::Blob({data, reading.size}, std::move(reading.buffer)),
                                       std::move(reading.etag)};
    return true;
  }

  // Of an answer that must hold `size` bytes from `first` on, or less at the object's end.
  static ContentRange RangeOf(const net::AwsRequest& request, const net::HttpResponse& response,
                              uint64_t first, uint64_t size) {
    const auto header = response.Header("Content-Range");
    const auto range = header ? ParseContentRange(*header) : std::nullopt;
    if (response.status == kPartialContent && range && range->first == first &&
        range->last == std::min(first + size, range->object_size) - 1 &&
        response.body.size() == range->last - first + 1) {
      return *range;
    }
    throw Error(ErrorCode::kUnavailable,
                fmt::format("{}: bytes {}-{} were asked for, and the answer is something else: is "
                            "the endpoint an S3 server?",
                            request.operation, first, first + size - 1));
  }

  static std::string EtagOf(const net::AwsRequest& request, const net::HttpResponse& response) {
    const auto etag = response.Header("ETag");
    if (etag && !etag->empty()) return std::string(*etag);
    throw Error(ErrorCode::kUnavailable,
                fmt::format("{}: the answer has no ETag: is the endpoint an S3 server?",
                            request.operation));
  }

  S3Client& client_;
  const std::span<const std::string> keys_;
  const S3ReadSizes sizes_;
  const base::Deadline deadline_;
  std::vector<std::optional<S3Object>> objects_;
};

}  // namespace

std::vector<std::optional<S3Object>> ReadS3Objects(S3Client& client,
                                                   std::span<const std::string> keys,
                                                   const S3ReadSizes& sizes,
                                                   const base::Deadline& deadline) {
  return Reader(client, keys, sizes, deadline).Run();
}

}  // namespace lambdaml::store
