// A store in front of another that delays and fails calls, as a seed says.
#pragma once

#include <memory>
#include <mutex>

#include "lambdaml/base/random.h"
#include "lambdaml/store/store.h"

namespace lambdaml::test {

struct Faults {
  uint64_t seed = 0;
  double delay_probability = 0;
  base::Duration delay_max = std::chrono::milliseconds(2);
  double error_probability = 0;      // kUnavailable, before the call reaches the store
  double duplicate_probability = 0;  // the write happens a second time later on
  double damage_probability = 0;     // a bit of what is read is flipped
  // A conditional write is made, but its answer is lost: it returns false.
  double lost_answer_probability = 0;
};

// Threads: any, at once. Print the seed with a failing test.
class FaultyStore final : public store::Store {
 public:
  FaultyStore(std::unique_ptr<store::Store> inner, const Faults& faults)
      : inner_(std::move(inner)), faults_(faults), random_(faults.seed) {}

  const store::Capabilities& capabilities() const override { return inner_->capabilities(); }
  const std::string& url() const override { return inner_->url(); }
  store::Counters counters() const override { return inner_->counters(); }

  std::optional<base::Blob> Get(const std::string& key, const base::Deadline& deadline) override;
  void Put(const std::string& key, base::ByteSpan value, const base::Deadline& deadline) override;
  bool PutIfAbsent(const std::string& key, base::ByteSpan value,
                   const base::Deadline& deadline) override;
  std::optional<store::VersionedValue> GetVersioned(const std::string& key,
                                                    const base::Deadline& deadline) override;
  bool CompareAndSwap(const std::string& key, const std::string& version, base::ByteSpan value,
                      const base::Deadline& deadline) override;
  void Delete(std::span<const std::string> keys, const base::Deadline& deadline) override;
  std::vector<std::string> List(std::string_view prefix, const base::Deadline& deadline) override;
  std::optional<base::Blob> Wait(const std::string& key, const base::Deadline& deadline) override;

 private:
  bool Happens(double probability);
  void DelayOrFail(const char* operation, const base::Deadline& deadline);
  std::optional<base::Blob> MaybeDamaged(std::optional<base::Blob> value);

  std::unique_ptr<store::Store> inner_;
  Faults faults_;
  std::mutex mutex_;
  base::Random random_;  // guarded by mutex_
};

}  // namespace lambdaml::test
