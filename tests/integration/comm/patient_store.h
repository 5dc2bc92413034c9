// A store that waits only for keys that have been written: each wait is then one read, and requests
// can be counted exactly, on services that poll too.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lambdaml/store/store.h"

namespace lambdaml::test {

// The keys that the stores of one test have written. Threads: any, at once.
class WrittenKeys {
 public:
  void Add(const std::string& key) {
    {
      const std::lock_guard lock(mutex_);
      keys_.insert(key);
    }
    added_.notify_all();
  }
  void Await(std::span<const std::string> keys, const base::Deadline& deadline) {
    std::unique_lock lock(mutex_);
    for (const std::string& key : keys) {
      added_.wait_for(lock, deadline.Remaining(), [&] { return keys_.contains(key); });
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable added_;
  std::set<std::string> keys_;  // guarded by mutex_
};

class PatientStore final : public store::Store {
 public:
  PatientStore(std::unique_ptr<store::Store> inner, WrittenKeys& written)
      : inner_(std::move(inner)), written_(written) {}

  const store::Capabilities& capabilities() const override { return inner_->capabilities(); }
  const std::string& url() const override { return inner_->url(); }
  store::Counters counters() const override { return inner_->counters(); }
  uint64_t restarts() const override { return inner_->restarts(); }

  std::optional<base::Blob> Get(const std::string& key, const base::Deadline& deadline) override {
    return inner_->Get(key, deadline);
  }
  void Put(const std::string& key, base::ByteSpan value, const base::Deadline& deadline) override {
    inner_->Put(key, value, deadline);
    written_.Add(key);
  }
  bool PutIfAbsent(const std::string& key, base::ByteSpan value,
                   const base::Deadline& deadline) override {
    const bool is_first = inner_->PutIfAbsent(key, value, deadline);
    written_.Add(key);
    return is_first;
  }
  std::optional<store::VersionedValue> GetVersioned(const std::string& key,
                                                    const base::Deadline& deadline) override {
    return inner_->GetVersioned(key, deadline);
  }
  bool CompareAndSwap(const std::string& key, const std::string& version, base::ByteSpan value,
                      const base::Deadline& deadline) override {
    return inner_->CompareAndSwap(key, version, value, deadline);
  }
  void Delete(std::span<const std::string> keys, const base::Deadline& deadline) override {
    inner_->Delete(keys, deadline);
  }
  std::vector<std::string> List(std::string_view prefix, const base::Deadline& deadline) override {
    return inner_->List(prefix, deadline);
  }
  std::optional<base::Blob> Wait(const std::string& key, const base::Deadline& deadline) override {
    written_.Await(std::span(&key, 1), deadline);
    return inner_->Wait(key, deadline);
  }
  std::vector<std::optional<base::Blob>> WaitAll(std::span<const std::string> keys,
                                                 const base::Deadline& deadline) override {
    written_.Await(keys, deadline);
    return inner_->WaitAll(keys, deadline);
  }
  void PutAll(std::span<const store::KeyValue> entries, const base::Deadline& deadline) override {
    inner_->PutAll(entries, deadline);
    for (const store::KeyValue& entry : entries) written_.Add(entry.key);
  }

 private:
  std::unique_ptr<store::Store> inner_;
  WrittenKeys& written_;
};

}  // namespace lambdaml::test
