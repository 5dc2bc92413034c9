#include "lambdaml/store/store.h"

#include <fmt/format.h>

#include "lambdaml/base/error.h"
#include "lambdaml/store/key.h"

namespace lambdaml::store {

void Store::DeletePrefix(std::string_view prefix, const base::Deadline& deadline) {
  const std::vector<std::string> keys = List(prefix, deadline);
  Delete(keys, deadline);
}

void Store::Prepare(const base::Deadline&) {}

void Store::TearDown(std::string_view prefix, const base::Deadline& deadline) {
  DeletePrefix(prefix, deadline);
}

std::vector<std::optional<base::Blob>> Store::WaitAll(std::span<const std::string> keys,
                                                      const base::Deadline& deadline) {
  for (const std::string& key : keys) CheckKey(key);  // a wrong one must not wait for its turn
  std::vector<std::optional<base::Blob>> values;
  values.reserve(keys.size());
  for (const std::string& key : keys) values.push_back(Wait(key, deadline));
  return values;
}

std::vector<std::optional<base::Blob>> Store::WaitAllInto(std::span<const std::string> keys,
                                                          std::span<const std::span<std::byte>>,
                                                          const base::Deadline& deadline) {
  return WaitAll(keys, deadline);
}

void Store::PutAll(std::span<const KeyValue> entries, const base::Deadline& deadline) {
  for (const KeyValue& entry : entries) CheckKey(entry.key);
  for (const KeyValue& entry : entries) Put(entry.key, entry.value, deadline);
}

void Store::CheckValueSize(std::string_view key, base::ByteSpan value) const {
  if (value.size() <= capabilities().value_size_max_bytes) return;
  throw base::Error(base::ErrorCode::kResourceExhausted,
                    fmt::format("put {} to {}: {} bytes exceed the largest value, {} bytes", key,
                                url(), value.size(), capabilities().value_size_max_bytes));
}

void Store::CheckDeadline(std::string_view operation, std::string_view key,
                          const base::Deadline& deadline) const {
  if (!deadline.Expired()) return;
  throw base::Error(base::ErrorCode::kDeadlineExceeded,
                    fmt::format("{} {} in {}: the deadline has passed", operation, key, url()));
}

}  // namespace lambdaml::store
