// What every store must do with values and keys.
#include "support/store_conformance.h"

#include <algorithm>
#include <chrono>
#include <string_view>

#include "lambdaml/base/random.h"
#include "lambdaml/store/key.h"

namespace lambdaml::test {

using base::AsBytes;
using base::Deadline;
using base::ErrorCode;
using Keys = std::vector<std::string>;

void StoreConformance::SetUp() {
  if (!GetParam().skip_reason.empty()) GTEST_SKIP() << GetParam().skip_reason;
  place_ = GetParam().make_place();
  store_ = place_->Open();
}

Deadline StoreConformance::Soon() { return Deadline::After(std::chrono::seconds(60)); }

base::Bytes StoreConformance::RandomBytes(size_t size, uint64_t seed) {
  base::Bytes bytes(size);
  base::Random random(seed);
  for (size_t begin = 0; begin < size; begin += sizeof(uint64_t)) {
    const uint64_t word = random.Next();
    std::memcpy(bytes.data() + begin, &word, std::min(sizeof word, size - begin));
  }
  return bytes;
}

std::optional<ErrorCode> StoreConformance::ErrorOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const base::Error& error) {
    return error.code();
  }
  return std::nullopt;
}

namespace {

constexpr uint64_t kValueSizeMaxBytes = 100'000'000;  // the largest value tried

TEST_P(StoreConformance, AMissingKeyIsAValueNotAnError) {
  EXPECT_FALSE(store_->Get("nothing", Soon()));
  EXPECT_FALSE(store_->Get("no/such/folder/nothing", Soon()));
  EXPECT_FALSE(store_->GetVersioned("nothing", Soon()));
  EXPECT_FALSE(store_->CompareAndSwap("nothing", "version", AsBytes("x"), Soon()));
  EXPECT_FALSE(store_->Get("nothing", Soon()));
}

TEST_P(StoreConformance, ValuesOfEverySizeComeBackAsTheyWere) {
  const uint64_t limit = store_->capabilities().value_size_max_bytes;
  std::vector<uint64_t> sizes = {0, 1, 63, 4096, 65535, 65536, 1'000'000, kValueSizeMaxBytes};
  sizes.insert(sizes.end(), {limit - 1, limit});
  for (const uint64_t size : sizes) {
    if (size > limit || size > kValueSizeMaxBytes) continue;
    const base::Bytes value = RandomBytes(size, size);
    store_->Put("sizes/value", value, Soon());
    const auto read = store_->Get("sizes/value", Soon());
    ASSERT_TRUE(read);
    ASSERT_TRUE(std::ranges::equal(read->span(), value)) << size;
  }
}

TEST_P(StoreConformance, ValuesOfTheLargestSizeMayBeCreatedAndSwapped) {
  const uint64_t limit = store_->capabilities().value_size_max_bytes;
  const base::Bytes first = RandomBytes(std::min<uint64_t>(limit, 20'000'000), 1);
  const base::Bytes second = RandomBytes(first.size(), 2);
  ASSERT_TRUE(store_->PutIfAbsent("large", first, Soon()));
  const auto seen = store_->GetVersioned("large", Soon());
  ASSERT_TRUE(std::ranges::equal(seen->value.span(), first));
  ASSERT_TRUE(store_->CompareAndSwap("large", seen->version, second, Soon()));
  ASSERT_TRUE(std::ranges::equal(store_->Wait("large", Soon())->span(), second));
}

TEST_P(StoreConformance, AValueAboveTheLimitIsRefused) {
  const uint64_t limit = store_->capabilities().value_size_max_bytes;
  if (limit > kValueSizeMaxBytes) return;  // too large to try
  const base::Bytes value(limit + 1);
  const std::vector<store::KeyValue> entries = {{"other", AsBytes("x")}, {"key", value}};
  const auto refused = ErrorCode::kResourceExhausted;
  EXPECT_EQ(ErrorOf([&] { store_->Put("key", value, Soon()); }), refused);
  EXPECT_EQ(ErrorOf([&] { store_->PutIfAbsent("key", value, Soon()); }), refused);
  EXPECT_EQ(ErrorOf([&] { store_->CompareAndSwap("key", "v", value, Soon()); }), refused);
  EXPECT_EQ(ErrorOf([&] { store_->PutAll(entries, Soon()); }), refused);
  EXPECT_FALSE(store_->Get("key", Soon()));
}

TEST_P(StoreConformance, AnEmptyValueIsAValue) {
  store_->Put("empty", {}, Soon());
  ASSERT_TRUE(store_->Get("empty", Soon()));
  EXPECT_EQ(store_->Get("empty", Soon())->size(), 0U);
  EXPECT_EQ(store_->Wait("empty", Soon())->size(), 0U);
  EXPECT_FALSE(store_->PutIfAbsent("empty", AsBytes("late"), Soon()));
  const auto seen = store_->GetVersioned("empty", Soon());
  ASSERT_TRUE(seen);
  EXPECT_TRUE(store_->CompareAndSwap("empty", seen->version, AsBytes("full"), Soon()));
  EXPECT_EQ(store_->Get("empty", Soon())->text(), "full");
  EXPECT_TRUE(store_->PutIfAbsent("created", {}, Soon()));
  EXPECT_EQ(store_->Get("created", Soon())->size(), 0U);
}

TEST_P(StoreConformance, BytesThatLookLikeAProtocolAreBytes) {
  using namespace std::string_view_literals;
  const std::vector<std::string_view> values = {"\r\n"sv,
                                                "END\r\n"sv,
                                                "VALUE x 0 1\r\n1\r\nEND\r\n"sv,
                                                "$-1\r\n"sv,
                                                "+OK\r\n"sv,
                                                "-ERR no\r\n"sv,
                                                "0\r\n\r\n"sv,
                                                "\0"sv,
                                                "<Error><Code>SlowDown</Code></Error>"sv,
                                                "{\"a\": 1}"sv,
                                                "%s%n%b \xFF\xFE"sv,
                                                "12345"sv};
  for (const std::string_view value : values) {
    store_->Put("bytes", AsBytes(value), Soon());
    EXPECT_EQ(store_->Get("bytes", Soon())->text(), value);
    EXPECT_EQ(store_->GetVersioned("bytes", Soon())->value.text(), value);
  }
}

TEST_P(StoreConformance, PutReplacesAndOldReadersKeepWhatTheyRead) {
  const base::Bytes first = RandomBytes(100'000, 1);
  const base::Bytes second = RandomBytes(50'000, 2);
  if (store_->capabilities().value_size_max_bytes < first.size()) return;
  store_->Put("key", first, Soon());
  const auto before = store_->Get("key", Soon());
  store_->Put("key", second, Soon());
  const auto after = store_->Get("key", Soon());
  EXPECT_TRUE(std::ranges::equal(before->span(), first));
  EXPECT_TRUE(std::ranges::equal(after->span(), second));
}

TEST_P(StoreConformance, AnotherHandleSeesAWriteThatHasReturned) {
  const auto other = place_->Open();
  store_->Put("a/b/c", AsBytes("hello"), Soon());
  const auto value = other->Get("a/b/c", Soon());
  ASSERT_TRUE(value);
  EXPECT_EQ(value->text(), "hello");
}

TEST_P(StoreConformance, KeysThatAreNoneAreRefusedByEveryCall) {
  const std::vector<std::string> bad = {"",
                                        "/",
                                        "/a",
                                        "a/",
                                        "a//b",
                                        "..",
                                        "a/../b",
                                        ".",
                                        "./a",
                                        "a b",
                                        "a\n",
                                        "a*",
                                        std::string(1, '\0'),
                                        "~a",
                                        "k\xC3\xA4se",
                                        "a\\b",
                                        "a/b/.",
                                        "a:b",
                                        "%2e",
                                        std::string(201, 'k')};
  for (const std::string& key : bad) {
    const std::vector<std::string> keys = {"good", key};
    const auto refused = ErrorCode::kInvalidArgument;
    EXPECT_EQ(ErrorOf([&] { store_->Get(key, Soon()); }), refused) << key;
    EXPECT_EQ(ErrorOf([&] { store_->Put(key, {}, Soon()); }), refused) << key;
    EXPECT_EQ(ErrorOf([&] { store_->PutIfAbsent(key, {}, Soon()); }), refused) << key;
    EXPECT_EQ(ErrorOf([&] { store_->GetVersioned(key, Soon()); }), refused) << key;
    EXPECT_EQ(ErrorOf([&] { store_->CompareAndSwap(key, "v", {}, Soon()); }), refused) << key;
    EXPECT_EQ(ErrorOf([&] { store_->Delete(keys, Soon()); }), refused) << key;
    EXPECT_EQ(ErrorOf([&] { store_->Wait(key, Soon()); }), refused) << key;
    EXPECT_EQ(ErrorOf([&] { store_->WaitAll(keys, Soon()); }), refused) << key;
  }
  if (!store_->capabilities().can_list) return;
  EXPECT_EQ(store_->List("", Soon()), Keys{});
}

TEST_P(StoreConformance, KeysOfAllAllowedFormsWork) {
  const std::string longest = "a/" + std::string(store::kKeySizeMaxBytes - 2, 'z');
  const std::vector<std::string> keys = {"...", ".hidden",      "-",    "A.b_c-9/..x/0", "a/...",
                                         "a/b", "job/to3/17.2", longest};
  for (const std::string& key : keys) {
    store_->Put(key, AsBytes(key), Soon());
  }
  for (const std::string& key : keys) EXPECT_EQ(store_->Get(key, Soon())->text(), key);
}

TEST_P(StoreConformance, KeysThatDifferALittleAreDifferentKeys) {
  const Keys keys = {"k/a",  "k/A", "k/a.", "k/a-", "k/a_", "k/.a",
                     "k/aa", "k-a", "K/a",  "k/01", "k/1"};
  for (const std::string& key : keys) store_->Put(key, AsBytes(key), Soon());
  for (const std::string& key : keys) EXPECT_EQ(store_->Get(key, Soon())->text(), key);
}

TEST_P(StoreConformance, PutAllPutsAll) {
  const std::vector<store::KeyValue> entries = {
      {"many/1", AsBytes("one")}, {"many/2", AsBytes("two")}, {"few/3", AsBytes("three")}};
  store_->PutAll(entries, Soon());
  for (const auto& entry : entries) {
    EXPECT_TRUE(std::ranges::equal(store_->Get(entry.key, Soon())->span(), entry.value));
  }
}

TEST_P(StoreConformance, DeleteRemovesAndIgnoresMissingKeys) {
  store_->Put("gone/1", AsBytes("x"), Soon());
  store_->Put("gone/2", AsBytes("x"), Soon());
  store_->Put("kept/3", AsBytes("x"), Soon());
  store_->Delete(
      std::vector<std::string>{"gone/1", "never", "other/folder/never", "gone/2", "gone"}, Soon());
  store_->Delete({}, Soon());
  EXPECT_FALSE(store_->Get("gone/1", Soon()));
  EXPECT_FALSE(store_->Get("gone/2", Soon()));
  EXPECT_TRUE(store_->Get("kept/3", Soon()));
}

TEST_P(StoreConformance, ListGivesTheKeysOfAPrefixSorted) {
  if (!store_->capabilities().can_list) return;
  for (const std::string key : {"b/2", "b/1", "a", "b/sub/3", "bb/4", "c/5"}) {
    store_->Put(key, AsBytes("x"), Soon());
  }
  EXPECT_EQ(store_->List("", Soon()), (Keys{"a", "b/1", "b/2", "b/sub/3", "bb/4", "c/5"}));
  EXPECT_EQ(store_->List("b/", Soon()), (Keys{"b/1", "b/2", "b/sub/3"}));
  EXPECT_EQ(store_->List("b", Soon()), (Keys{"b/1", "b/2", "b/sub/3", "bb/4"}));
  EXPECT_EQ(store_->List("b/s", Soon()), (Keys{"b/sub/3"}));
  EXPECT_EQ(store_->List("nothing/", Soon()), Keys{});
  EXPECT_EQ(store_->List("b/2/", Soon()), Keys{});
}

TEST_P(StoreConformance, DeletePrefixLeavesTheRestAlone) {
  if (!store_->capabilities().can_list) return;
  for (const std::string key : {"job1/to0/1.1", "job1/all/1.0", "job10/all/1.0", "job2/x"}) {
    store_->Put(key, AsBytes("x"), Soon());
  }
  store_->DeletePrefix("job1/", Soon());
  store_->DeletePrefix("never/", Soon());
  EXPECT_EQ(store_->List("", Soon()), (std::vector<std::string>{"job10/all/1.0", "job2/x"}));
}

TEST_P(StoreConformance, ManyKeysArePutReadListedAndDeletedAsOne) {
  const auto count = static_cast<size_t>(GetParam().key_count);
  Keys keys;
  std::vector<store::KeyValue> entries;
  for (size_t i = 0; i < count; ++i) keys.push_back("many/" + std::to_string(i));
  for (const std::string& key : keys) entries.push_back({key, AsBytes(key)});
  store_->PutAll(entries, Soon());
  store_->Put("one", AsBytes("x"), Soon());
  const auto values = store_->WaitAll(keys, Soon());
  for (size_t i = 0; i < count; ++i) {
    ASSERT_TRUE(values[i]) << keys[i];
    ASSERT_EQ(values[i]->text(), keys[i]);
  }
  if (store_->capabilities().can_list) {
    Keys sorted = keys;
    std::ranges::sort(sorted);
    EXPECT_EQ(store_->List("many/", Soon()), sorted);
  }
  store_->Delete(std::span(keys).first(count / 2), Soon());
  EXPECT_FALSE(store_->Get(keys[count / 2 - 1], Soon()));
  EXPECT_TRUE(store_->Get(keys[count / 2], Soon()));
  if (!store_->capabilities().can_list) return;
  store_->DeletePrefix("many/", Soon());
  EXPECT_EQ(store_->List("", Soon()), Keys{"one"});
}

TEST_P(StoreConformance, ManyLargeValuesArePutAndReadTogether) {
  // 24 MB: more than a batch of any service may hold.
  const uint64_t limit = store_->capabilities().value_size_max_bytes;
  const base::Bytes value = RandomBytes(std::min<uint64_t>(limit, 400'000), 3);
  Keys keys;
  std::vector<store::KeyValue> entries;
  for (int i = 0; i < 60; ++i) keys.push_back("large/" + std::to_string(i));
  for (const std::string& key : keys) {
    entries.push_back({key, std::span(value).first(value.size() - entries.size())});
  }
  store_->PutAll(entries, Soon());
  const auto values = store_->WaitAll(keys, Soon());
  for (size_t i = 0; i < keys.size(); ++i) {
    ASSERT_TRUE(values[i]);
    ASSERT_TRUE(std::ranges::equal(values[i]->span(), entries[i].value)) << keys[i];
  }
}

TEST_P(StoreConformance, PlacesNeverSeeEachOthersKeys) {
  const auto other_place = GetParam().make_place();
  const auto other = other_place->Open();
  store_->Put("job/key", AsBytes("mine"), Soon());
  EXPECT_FALSE(other->Get("job/key", Soon()));
  EXPECT_TRUE(other->PutIfAbsent("job/key", AsBytes("theirs"), Soon()));
  EXPECT_EQ(store_->Get("job/key", Soon())->text(), "mine");
  if (store_->capabilities().can_list) {
    other->Put("job/more", AsBytes("theirs"), Soon());
    EXPECT_EQ(store_->List("", Soon()), Keys{"job/key"});
    store_->DeletePrefix("job/", Soon());
    EXPECT_EQ(other->List("", Soon()), (Keys{"job/key", "job/more"}));
  }
  store_->Delete(Keys{"job/key"}, Soon());
  EXPECT_EQ(other->Get("job/key", Soon())->text(), "theirs");
}

}  // namespace
}  // namespace lambdaml::test
