#include "support/store_backend.h"

#include "lambdaml/base/file.h"
#include "lambdaml/store/file_store.h"
#include "lambdaml/store/memory_store.h"

namespace lambdaml::test {
namespace {

class MemoryPlace final : public StorePlace {
 public:
  explicit MemoryPlace(uint64_t value_size_max_bytes)
      : value_size_max_bytes_(value_size_max_bytes) {}

  std::unique_ptr<store::Store> Open() override {
    return std::make_unique<store::MemoryStore>(contents_, value_size_max_bytes_);
  }

 private:
  std::shared_ptr<store::MemoryContents> contents_ = std::make_shared<store::MemoryContents>();
  uint64_t value_size_max_bytes_;
};

class FilePlace final : public StorePlace {
 public:
  std::unique_ptr<store::Store> Open() override {
    return std::make_unique<store::FileStore>(folder_.path());
  }

 private:
  // In memory, as users have it, where the machine offers that.
  base::TemporaryDirectory folder_{base::FileExists("/dev/shm") ? "/dev/shm" : "/tmp",
                                   "lambdaml_test_"};
};

}  // namespace

StoreBackend MemoryBackend() {
  return {"Memory", false, [] { return std::make_unique<MemoryPlace>(uint64_t{1} << 40); }};
}

StoreBackend FileBackend() {
  return {"File", true, [] { return std::make_unique<FilePlace>(); }};
}

StoreBackend SmallValuesBackend() {
  return {"SmallValues", false, [] { return std::make_unique<MemoryPlace>(4096); }};
}

}  // namespace lambdaml::test
