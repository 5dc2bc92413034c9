#include "lambdaml/comm/segments.h"

#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/wire/vector_codec.h"

#include "support/store_backend.h"

namespace lambdaml::comm {
namespace {

base::Deadline Soon() { return base::Deadline::After(std::chrono::seconds(20)); }

// Over a store that writes values to the places it is given, as Memcached's does, or does not.
class SegmentsTest : public testing::TestWithParam<bool> {
 protected:
  class PlacingStore;

  void SetUp() override;

  uint64_t segment_size() const { return store_->capabilities().value_size_max_bytes; }

  base::ByteSpan Encode(size_t length) {
    std::vector<float> vector(length, 1.5F);
    if (length > 0) vector.back() = 2.5F;
    return encoder_.EncodeVector({}, {}, vector);
  }
  void Put(const std::string& key, base::ByteSpan message) {
    const KeyedMessage keyed = {key, message};
    PutMessages(*store_, std::span(&keyed, 1), Soon());
  }

  std::unique_ptr<test::StorePlace> place_;
  std::unique_ptr<store::Store> store_;
  wire::MessageEncoder encoder_;
};

class SegmentsTest::PlacingStore : public store::Store {
 public:
  explicit PlacingStore(std::unique_ptr<store::Store> store) : store_(std::move(store)) {}

  const store::Capabilities& capabilities() const override { return store_->capabilities(); }
  const std::string& url() const override { return store_->url(); }
  store::Counters counters() const override { return store_->counters(); }
  std::optional<base::Blob> Get(const std::string& key, const base::Deadline& deadline) override {
    return store_->Get(key, deadline);
  }
  void Put(const std::string& key, base::ByteSpan value, const base::Deadline& deadline) override {
    store_->Put(key, value, deadline);
  }
  bool PutIfAbsent(const std::string& key, base::ByteSpan value,
                   const base::Deadline& deadline) override {
    return store_->PutIfAbsent(key, value, deadline);
  }
  std::optional<store::VersionedValue> GetVersioned(const std::string& key,
                                                    const base::Deadline& deadline) override {
    return store_->GetVersioned(key, deadline);
  }
  bool CompareAndSwap(const std::string& key, const std::string& version, base::ByteSpan value,
                      const base::Deadline& deadline) override {
    return store_->CompareAndSwap(key, version, value, deadline);
  }
  void Delete(std::span<const std::string> keys, const base::Deadline& deadline) override {
    store_->Delete(keys, deadline);
  }
  std::vector<std::string> List(std::string_view prefix, const base::Deadline& deadline) override {
    return store_->List(prefix, deadline);
  }
  std::optional<base::Blob> Wait(const std::string& key, const base::Deadline& deadline) override {
    return store_->Wait(key, deadline);
  }
  std::vector<std::optional<base::Blob>> WaitAllInto(std::span<const std::string> keys,
                                                     std::span<const std::span<std::byte>> places,
                                                     const base::Deadline& deadline) override {
    auto values = store_->WaitAll(keys, deadline);
    for (size_t i = 0; i < values.size(); ++i) {
      if (!values[i] || places[i].size() < values[i]->size()) continue;
      std::ranges::copy(values[i]->span(), places[i].begin());
      values[i] = base::Blob(places[i].first(values[i]->size()), nullptr);
    }
    return values;
  }

 private:
  std::unique_ptr<store::Store> store_;
};

void SegmentsTest::SetUp() {
  place_ = test::SmallValuesBackend().make_place();
  store_ = place_->Open();
  if (GetParam()) store_ = std::make_unique<PlacingStore>(std::move(store_));
}

INSTANTIATE_TEST_SUITE_P(Stores, SegmentsTest, testing::Values(false, true),
                         [](const auto& kind) { return kind.param ? "Placing" : "Plain"; });

TEST_P(SegmentsTest, ReadsMessagesOfEveryLengthWhateverLengthWasExpected) {
  for (const size_t length : {size_t{0}, size_t{100}, size_t{992}, size_t{993}, size_t{5000}}) {
    const base::ByteSpan message = Encode(length);
    Put("key", message);
    for (const uint64_t expected :
         {uint64_t{0}, uint64_t{100}, uint64_t{message.size() - 1}, uint64_t{message.size()},
          uint64_t{message.size() + 1}, 2 * segment_size(), uint64_t{100'000}}) {
      SCOPED_TRACE(testing::Message() << length << " elements, expected " << expected << " bytes");
      MessageReader reader(*store_, {{"key", expected}});
      ASSERT_TRUE(reader.Wait(Soon()));
      const auto taken = reader.Take();
      ASSERT_TRUE(taken.front());
      EXPECT_EQ(taken.front()->text(), base::AsText(message));
    }
  }
}

TEST_P(SegmentsTest, GoesOnWithTheSegmentsThatWereMissing) {
  const base::ByteSpan message = Encode(5000);
  Put("key", message);
  const std::string last = "key.s4";
  const base::Blob segment = *store_->Get(last, Soon());
  store_->Delete(std::span(&last, 1), Soon());
  MessageReader reader(*store_, {{"key", message.size()}, {"never"}});
  EXPECT_FALSE(reader.Wait(base::Deadline::After({})));
  EXPECT_FALSE(reader.Wait(base::Deadline::After({})));
  store_->Put(last, segment.span(), Soon());
  EXPECT_FALSE(reader.Wait(base::Deadline::After({})));
  EXPECT_FALSE(reader.Wait(base::Deadline::After({})));
  const auto taken = reader.Take();
  EXPECT_EQ(taken[0]->text(), base::AsText(message));
  EXPECT_FALSE(taken[1]);
}

TEST_P(SegmentsTest, RefusesASegmentOfAnotherLength) {
  Put("key", Encode(5000));
  for (const uint64_t size : {uint64_t{0}, uint64_t{10}, segment_size()}) {
    store_->Put("key.s4", base::Bytes(size), Soon());
    MessageReader reader(*store_, {{"key", 0}});
    try {
      reader.Wait(Soon());
      ADD_FAILURE() << size;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::kCorrupt);
      EXPECT_NE(error.message().find("segment 4 has " + std::to_string(size)), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace lambdaml::comm
