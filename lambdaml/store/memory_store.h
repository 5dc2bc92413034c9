// The store in a process's memory: for tests, and the shortest example of what a store must do
// (docs/adding-a-store.md). Values are copied in on Put and shared on Get.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "lambdaml/store/meter.h"
#include "lambdaml/store/store.h"

namespace lambdaml::store {

// What is stored, and who waits for it. Several MemoryStores may share one, as several connections
// share a server.
struct MemoryContents {
  struct Entry {
    base::Blob value;
    uint64_t version = 0;
  };

  std::mutex mutex;
  std::condition_variable changed;  // notified after each write
  // Guarded by mutex.
  std::map<std::string, Entry, std::less<>> entries;
  uint64_t last_version = 0;
};

class MemoryStore final : public Store {
 public:
  explicit MemoryStore(
      std::shared_ptr<MemoryContents> contents = std::make_shared<MemoryContents>(),
      uint64_t value_size_max_bytes = uint64_t{1} << 40);

  const Capabilities& capabilities() const override { return capabilities_; }
  const std::string& url() const override { return url_; }
  Counters counters() const override { return meter_.Read(); }

  std::optional<base::Blob> Get(const std::string& key, const base::Deadline& deadline) override;
  void Put(const std::string& key, base::ByteSpan value, const base::Deadline& deadline) override;
  bool PutIfAbsent(const std::string& key, base::ByteSpan value,
                   const base::Deadline& deadline) override;
  std::optional<VersionedValue> GetVersioned(const std::string& key,
                                             const base::Deadline& deadline) override;
  bool CompareAndSwap(const std::string& key, const std::string& version, base::ByteSpan value,
                      const base::Deadline& deadline) override;
  void Delete(std::span<const std::string> keys, const base::Deadline& deadline) override;
  std::vector<std::string> List(std::string_view prefix, const base::Deadline& deadline) override;
  std::optional<base::Blob> Wait(const std::string& key, const base::Deadline& deadline) override;

 private:
  void CheckWrite(std::string_view operation, const std::string& key, base::ByteSpan value,
                  const base::Deadline& deadline) const;

  std::shared_ptr<MemoryContents> contents_;
  Capabilities capabilities_;
  std::string url_ = "memory:";
  Meter meter_;
};

}  // namespace lambdaml::store
