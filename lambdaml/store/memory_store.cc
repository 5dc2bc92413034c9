#include "lambdaml/store/memory_store.h"

#include <algorithm>
#include <utility>

#include "lambdaml/store/key.h"

namespace lambdaml::store {

MemoryStore::MemoryStore(std::shared_ptr<MemoryContents> contents, uint64_t value_size_max_bytes)
    : contents_(std::move(contents)),
      capabilities_{.service = "memory",
                    .value_size_max_bytes = value_size_max_bytes,
                    .can_put_if_absent = true,
                    .can_compare_and_swap = true,
                    .can_list = true,
                    .has_native_wait = true} {}

std::optional<base::Blob> MemoryStore::Get(const std::string& key, const base::Deadline& deadline) {
  auto found = GetVersioned(key, deadline);
  if (!found) return std::nullopt;
  return std::move(found->value);
}

void MemoryStore::Put(const std::string& key, base::ByteSpan value,
                      const base::Deadline& deadline) {
  CheckWrite("put", key, value, deadline);
  base::Blob copy = base::Blob::Copy(value);
  {
    const std::lock_guard lock(contents_->mutex);
    contents_->entries[key] = {std::move(copy), ++contents_->last_version};
  }
  contents_->changed.notify_all();
  meter_.CountPut(value.size());
}

bool MemoryStore::PutIfAbsent(const std::string& key, base::ByteSpan value,
                              const base::Deadline& deadline) {
  CheckWrite("create", key, value, deadline);
  meter_.CountPut(value.size());
  base::Blob copy = base::Blob::Copy(value);
  {
    const std::lock_guard lock(contents_->mutex);
    auto [position, is_new] = contents_->entries.try_emplace(key);
    if (!is_new) return false;
    position->second = {std::move(copy), ++contents_->last_version};
  }
  contents_->changed.notify_all();
  return true;
}

std::optional<VersionedValue> MemoryStore::GetVersioned(const std::string& key,
                                                        const base::Deadline& deadline) {
  CheckKey(key);
  CheckDeadline("get", key, deadline);
  meter_.CountGet();
  const std::lock_guard lock(contents_->mutex);
  const auto found = contents_->entries.find(key);
  if (found == contents_->entries.end()) return std::nullopt;
  meter_.CountBytesRead(found->second.value.size());
  return VersionedValue{found->second.value, std::to_string(found->second.version)};
}

bool MemoryStore::CompareAndSwap(const std::string& key, const std::string& version,
                                 base::ByteSpan value, const base::Deadline& deadline) {
  CheckWrite("compare-and-swap", key, value, deadline);
  meter_.CountPut(value.size());
  base::Blob copy = base::Blob::Copy(value);
  {
    const std::lock_guard lock(contents_->mutex);
    const auto found = contents_->entries.find(key);
    if (found == contents_->entries.end()) return false;
    if (std::to_string(found->second.version) != version) return false;
    found->second = {std::move(copy), ++contents_->last_version};
  }
  contents_->changed.notify_all();
  return true;
}

void MemoryStore::Delete(std::span<const std::string> keys, const base::Deadline& deadline) {
  for (const std::string& key : keys) CheckKey(key);
  if (!keys.empty()) CheckDeadline("delete", keys.front(), deadline);
  meter_.CountDelete(keys.size());
  const std::lock_guard lock(contents_->mutex);
  for (const std::string& key : keys) contents_->entries.erase(key);
}

std::vector<std::string> MemoryStore::List(std::string_view prefix,
                                           const base::Deadline& deadline) {
  CheckDeadline("list", prefix, deadline);
  meter_.CountList();
  std::vector<std::string> keys;
  const std::lock_guard lock(contents_->mutex);
  auto entry = contents_->entries.lower_bound(prefix);
  for (; entry != contents_->entries.end() && entry->first.starts_with(prefix); ++entry) {
    keys.push_back(entry->first);
  }
  return keys;
}

std::optional<base::Blob> MemoryStore::Wait(const std::string& key,
                                            const base::Deadline& deadline) {
  CheckKey(key);
  meter_.CountGet();
  const base::TimePoint start = deadline.clock().Now();
  std::unique_lock lock(contents_->mutex);
  auto found = contents_->entries.find(key);
  while (found == contents_->entries.end()) {
    // An hour at most, because the sum of now and a far deadline overflows.
    const base::Duration remaining =
        std::min<base::Duration>(deadline.Remaining(), std::chrono::hours(1));
    if (remaining <= base::Duration::zero()) break;
    contents_->changed.wait_for(lock, remaining);
    found = contents_->entries.find(key);
  }
  meter_.CountWaiting(deadline.clock().Now() - start);
  if (found == contents_->entries.end()) return std::nullopt;
  meter_.CountBytesRead(found->second.value.size());
  return found->second.value;
}

void MemoryStore::CheckWrite(std::string_view operation, const std::string& key,
                             base::ByteSpan value, const base::Deadline& deadline) const {
  CheckKey(key);
  CheckValueSize(key, value);
  CheckDeadline(operation, key, deadline);
}

}  // namespace lambdaml::store
