#include "support/faulty_store.h"

#include "lambdaml/base/error.h"

namespace lambdaml::test {

std::optional<base::Blob> FaultyStore::Get(const std::string& key, const base::Deadline& deadline) {
  DelayOrFail("get", deadline);
  return MaybeDamaged(inner_->Get(key, deadline));
}

void FaultyStore::Put(const std::string& key, base::ByteSpan value,
                      const base::Deadline& deadline) {
  DelayOrFail("put", deadline);
  inner_->Put(key, value, deadline);
  if (Happens(faults_.duplicate_probability)) inner_->Put(key, value, deadline);
}

bool FaultyStore::PutIfAbsent(const std::string& key, base::ByteSpan value,
                              const base::Deadline& deadline) {
  DelayOrFail("create", deadline);
  return inner_->PutIfAbsent(key, value, deadline) && !Happens(faults_.lost_answer_probability);
}

std::optional<store::VersionedValue> FaultyStore::GetVersioned(const std::string& key,
                                                               const base::Deadline& deadline) {
  DelayOrFail("get", deadline);
  return inner_->GetVersioned(key, deadline);
}

bool FaultyStore::CompareAndSwap(const std::string& key, const std::string& version,
                                 base::ByteSpan value, const base::Deadline& deadline) {
  DelayOrFail("compare-and-swap", deadline);
  return inner_->CompareAndSwap(key, version, value, deadline) &&
         !Happens(faults_.lost_answer_probability);
}

void FaultyStore::Delete(std::span<const std::string> keys, const base::Deadline& deadline) {
  DelayOrFail("delete", deadline);
  inner_->Delete(keys, deadline);
}

std::vector<std::string> FaultyStore::List(std::string_view prefix,
                                           const base::Deadline& deadline) {
  DelayOrFail("list", deadline);
  return inner_->List(prefix, deadline);
}

std::optional<base::Blob> FaultyStore::Wait(const std::string& key,
                                            const base::Deadline& deadline) {
  DelayOrFail("wait", deadline);
  return MaybeDamaged(inner_->Wait(key, deadline));
}

bool FaultyStore::Happens(double probability) {
  const std::lock_guard lock(mutex_);
  return random_.Uniform() < probability;
}

void FaultyStore::DelayOrFail(const char* operation, const base::Deadline& deadline) {
  if (Happens(faults_.delay_probability)) {
    double share = 0;
    {
      const std::lock_guard lock(mutex_);
      share = random_.Uniform();
    }
    deadline.clock().SleepFor(base::FromSeconds(share * base::Seconds(faults_.delay_max)));
  }
  if (Happens(faults_.error_probability)) {
    throw base::Error(base::ErrorCode::kUnavailable, std::string("injected: ") + operation);
  }
}

std::optional<base::Blob> FaultyStore::MaybeDamaged(std::optional<base::Blob> value) {
  if (!value || value->size() == 0 || !Happens(faults_.damage_probability)) return value;
  base::Bytes bytes(value->span().begin(), value->span().end());
  const std::lock_guard lock(mutex_);
  bytes[random_.Below(bytes.size())] ^= static_cast<std::byte>(1U << random_.Below(8));
  return base::Blob(std::move(bytes));
}

}  // namespace lambdaml::test
