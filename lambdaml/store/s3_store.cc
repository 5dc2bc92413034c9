#include "lambdaml/store/s3_store.h"

#include <algorithm>
#include <fmt/format.h>
#include <random>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/net/base64.h"
#include "lambdaml/net/md5.h"
#include "lambdaml/net/retry.h"
#include "lambdaml/store/key.h"
#include "lambdaml/store/polling.h"
#include "lambdaml/store/s3_reader.h"
#include "lambdaml/store/s3_writer.h"
#include "lambdaml/store/s3_xml.h"

namespace lambdaml::store {
namespace {

// The largest body of one PUT, and so of a conditional write.
constexpr uint64_t kValueSizeMaxBytes = uint64_t{5} << 30;
constexpr size_t kDeletePageKeys = 1000;
// Servers may delete the keys of a request one after the other before they answer.
constexpr base::Duration kDeleteSilenceMax = std::chrono::minutes(1);
constexpr uint64_t kListPageSizeMaxBytes = 16 << 20;  // 1000 keys of 1024 bytes, all encoded, fit
// A GET takes 10 to 30 ms at Amazon. At the longest pause, a worker that waits an hour for one key
// has spent a third of a cent.
constexpr PollIntervals kPollIntervals = {.first = std::chrono::milliseconds(10),
                                          .longest = std::chrono::milliseconds(500)};

constexpr Capabilities kCapabilities = {.service = "s3",
                                        .value_size_max_bytes = kValueSizeMaxBytes,
                                        .can_put_if_absent = true,
                                        .can_compare_and_swap = true,
                                        .can_list = true};

// In an If-Match of a PUT, Ceph takes an ETag without its quotes only; Amazon takes either.
std::string WithoutQuotes(std::string_view etag) {
  const bool is_quoted = etag.size() >= 2 && etag.front() == '"' && etag.back() == '"';
  return std::string(is_quoted ? etag.substr(1, etag.size() - 2) : etag);
}

// Failures of single keys that may pass.
bool MayPass(std::string_view code) {
  return code == "InternalError" || code == "SlowDown" || code == "ServiceUnavailable" ||
         code == "OperationAborted";
}

std::optional<base::Blob> ValueOf(std::optional<S3Object> object) {
  if (!object) return std::nullopt;
  return std::move(object->value);
}

}  // namespace

S3Store::S3Store(const std::string& url, base::Duration first_contact_max)
    : S3Store(LocateS3(StoreUrl::Parse(url)), net::CredentialsChain(), {}, first_contact_max) {}

S3Store::S3Store(const S3Location& location, std::shared_ptr<net::CredentialsProvider> credentials,
                 const S3Sizes& sizes, base::Duration first_contact_max)
    : client_(location, std::move(credentials), meter_, first_contact_max), sizes_(sizes) {}

const Capabilities& S3Store::capabilities() const { return kCapabilities; }

std::optional<base::Blob> S3Store::Get(const std::string& key, const base::Deadline& deadline) {
  auto object = GetVersioned(key, deadline);
  if (!object) return std::nullopt;
  return std::move(object->value);
}

std::optional<VersionedValue> S3Store::GetVersioned(const std::string& key,
                                                    const base::Deadline& deadline) {
  CheckKey(key);
  CheckDeadline("get", key, deadline);
  const S3ReadSizes sizes = {sizes_.range_bytes, kValueSizeMaxBytes};
  auto object = std::move(ReadS3Objects(client_, {&key, 1}, sizes, deadline).front());
  if (!object) return std::nullopt;
  return VersionedValue{std::move(object->value), WithoutQuotes(object->etag)};
}

void S3Store::Put(const std::string& key, base::ByteSpan value, const base::Deadline& deadline) {
  const KeyValue entry = {key, value};
  PutAll({&entry, 1}, deadline);
}

void S3Store::PutAll(std::span<const KeyValue> entries, const base::Deadline& deadline) {
  for (const auto& [key, value] : entries) CheckWrite("put", key, value, deadline);
  WriteS3Objects(client_, entries, {sizes_.multipart_min_bytes, sizes_.part_bytes}, deadline);
}

bool S3Store::PutIfAbsent(const std::string& key, base::ByteSpan value,
                          const base::Deadline& deadline) {
  CheckWrite("create", key, value, deadline);
  return WriteS3ObjectIf(client_, "create", {key, value}, {"If-None-Match", "*"}, deadline);
}

bool S3Store::CompareAndSwap(const std::string& key, const std::string& version,
                             base::ByteSpan value, const base::Deadline& deadline) {
  CheckWrite("swap", key, value, deadline);
  return WriteS3ObjectIf(client_, "swap", {key, value}, {"If-Match", version}, deadline);
}

void S3Store::Delete(std::span<const std::string> keys, const base::Deadline& deadline) {
  for (const std::string& key : keys) CheckKey(key);
  net::Retry retry(deadline, std::random_device{}());
  std::vector<std::string> left(keys.begin(), keys.end());
  while (!left.empty()) {
    CheckDeadline("delete", left.front(), deadline);
    const size_t count = std::min(left.size(), kDeletePageKeys);
    const std::vector<std::string> failed = DeletePage({left.data(), count}, deadline);
    left.erase(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(count));
    if (failed.empty()) continue;
    left.insert(left.end(), failed.begin(), failed.end());
    if (!retry.Again()) {
      throw base::Error(base::ErrorCode::kUnavailable,
                        fmt::format("delete {} in {}: the service fails at it again and again",
                                    failed.front(), url()));
    }
    meter_.CountRetry();
  }
}

std::vector<std::string> S3Store::DeletePage(std::span<const std::string> keys,
                                             const base::Deadline& deadline) {
  std::vector<std::string> object_keys;
  for (const std::string& key : keys) object_keys.push_back(client_.ObjectKey(key));
  const std::string body = WriteS3Delete(object_keys);
  net::AwsRequest request = client_.BucketRequest("POST", "delete keys in");
  request.query = {{"delete", ""}};
  request.body = base::AsBytes(body);
  // Mandatory here, TLS or not. MD5 is the one checksum that every server of S3's kind takes.
  request.headers = {{"Content-MD5", net::Base64Encode(net::Md5(request.body))},
                     {"Content-Type", "application/xml"}};
  request.silence_max = kDeleteSilenceMax;
  const net::AwsAnswer answer = client_.Send(request, deadline);

  std::vector<std::string> failed;
  for (const S3DeleteFailure& failure : ParseS3DeleteResult(answer.response.body.text())) {
    if (failure.error.code == s3_code::kNoSuchKey) continue;
    const auto found = std::ranges::find(object_keys, failure.key);
    if (found == object_keys.end() || !MayPass(failure.error.code)) {
      client_.Fail(request, failure.error.code, failure.key);
    }
    failed.push_back(keys[static_cast<size_t>(found - object_keys.begin())]);
  }
  return failed;
}

std::vector<std::string> S3Store::List(std::string_view prefix, const base::Deadline& deadline) {
  const std::string& key_prefix = client_.location().key_prefix;
  std::vector<std::string> keys;
  std::string token;
  do {
    CheckDeadline("list", prefix, deadline);
    net::AwsRequest request = client_.BucketRequest("GET", "list keys in");
    request.query = {
        {"list-type", "2"}, {"encoding-type", "url"}, {"prefix", client_.ObjectKey(prefix)}};
    if (!token.empty()) request.query.push_back({"continuation-token", token});
    request.response_size_max_bytes = kListPageSizeMaxBytes;
    const net::AwsAnswer answer = client_.Send(request, deadline);
    S3ListPage page = ParseS3ListPage(answer.response.body.text());
    for (const std::string& object_key : page.keys) {
      if (!object_key.starts_with(key_prefix)) continue;  // of a server that ignores the prefix
      std::string key = object_key.substr(key_prefix.size());
      if (IsKey(key) && key.starts_with(prefix)) keys.push_back(std::move(key));
    }
    token = std::move(page.next_token);
  } while (!token.empty());
  std::ranges::sort(keys);
  return keys;
}

std::optional<base::Blob> S3Store::Wait(const std::string& key, const base::Deadline& deadline) {
  return std::move(WaitAll({&key, 1}, deadline).front());
}

std::vector<std::optional<base::Blob>> S3Store::WaitAll(std::span<const std::string> keys,
                                                        const base::Deadline& deadline) {
  for (const std::string& key : keys) CheckKey(key);
  const S3ReadSizes sizes = {sizes_.range_bytes, kValueSizeMaxBytes};
  const auto look = [&](std::span<const std::string> missing, const base::Deadline& look_deadline) {
    std::vector<std::optional<base::Blob>> values;
    for (auto& object : ReadS3Objects(client_, missing, sizes, look_deadline)) {
      values.push_back(ValueOf(std::move(object)));
    }
    return values;
  };
  return PollForAll(keys, kPollIntervals, deadline, meter_, usual_wait_, look);
}

void S3Store::CheckWrite(std::string_view operation, const std::string& key, base::ByteSpan value,
                         const base::Deadline& deadline) const {
  CheckKey(key);
  CheckValueSize(key, value);
  CheckDeadline(operation, key, deadline);
}

}  // namespace lambdaml::store
