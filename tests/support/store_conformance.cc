// What every store must do. Compiled into each test program that has stores to check; that program
// names them: INSTANTIATE_TEST_SUITE_P(Stores, StoreConformance, testing::Values(FileBackend())).
#include "support/store_conformance.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"
#include "lambdaml/store/key.h"

#include "support/processes.h"

namespace lambdaml::test {
namespace {

using base::AsBytes;
using base::Deadline;
using base::ErrorCode;
using std::chrono::milliseconds;

Deadline Soon() { return Deadline::After(std::chrono::seconds(60)); }

base::Bytes RandomBytes(size_t size, uint64_t seed) {
  base::Bytes bytes(size);
  base::Random random(seed);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.Next() & 0xFF);
  return bytes;
}

template <typename Call>
std::optional<ErrorCode> ErrorOf(Call call) {
  try {
    call();
  } catch (const base::Error& error) {
    return error.code();
  }
  return std::nullopt;
}

// Adds one to the number under "counter" with compare-and-swap, until nobody was faster.
void Increment(store::Store& store) {
  while (true) {
    const auto present = store.GetVersioned("counter", Soon());
    if (!present) throw std::runtime_error("the counter is gone");
    const std::string next = std::to_string(std::stoi(std::string(present->value.text())) + 1);
    if (store.CompareAndSwap("counter", present->version, AsBytes(next), Soon())) return;
  }
}

TEST_P(StoreConformance, AMissingKeyIsAValueNotAnError) {
  EXPECT_FALSE(store_->Get("nothing", Soon()));
  EXPECT_FALSE(store_->Get("no/such/folder/nothing", Soon()));
  EXPECT_FALSE(store_->GetVersioned("nothing", Soon()));
  EXPECT_FALSE(store_->CompareAndSwap("nothing", "version", AsBytes("x"), Soon()));
  EXPECT_FALSE(store_->Get("nothing", Soon()));
}

TEST_P(StoreConformance, ValuesOfEverySizeComeBackAsTheyWere) {
  const uint64_t limit = store_->capabilities().value_size_max_bytes;
  for (const size_t size : {0U, 1U, 63U, 4096U, 65535U, 65536U, 1'000'000U, 100'000'000U}) {
    if (size > limit) break;
    const base::Bytes value = RandomBytes(size, size);
    store_->Put("sizes/value", value, Soon());
    const auto read = store_->Get("sizes/value", Soon());
    ASSERT_TRUE(read);
    ASSERT_TRUE(std::ranges::equal(read->span(), value)) << size;
  }
}

TEST_P(StoreConformance, AValueAboveTheLimitIsRefused) {
  const uint64_t limit = store_->capabilities().value_size_max_bytes;
  if (limit > 100'000'000) return;  // too large to try
  const base::Bytes value(limit + 1);
  EXPECT_EQ(ErrorOf([&] { store_->Put("key", value, Soon()); }), ErrorCode::kResourceExhausted);
  EXPECT_FALSE(store_->Get("key", Soon()));
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

TEST_P(StoreConformance, PutIfAbsentKeepsTheFirstValue) {
  EXPECT_TRUE(store_->PutIfAbsent("once/key", AsBytes("first"), Soon()));
  EXPECT_FALSE(store_->PutIfAbsent("once/key", AsBytes("second"), Soon()));
  EXPECT_EQ(store_->Get("once/key", Soon())->text(), "first");
}

TEST_P(StoreConformance, OfRacingCreatorsExactlyOneWins) {
  for (int round = 0; round < 50; ++round) {
    const std::string key = "race/" + std::to_string(round);
    std::atomic<int> winners{0};
    RunInThreads(4, [&](int thread) {
      const auto own = place_->Open();
      if (own->PutIfAbsent(key, AsBytes(std::to_string(thread)), Soon())) ++winners;
    });
    ASSERT_EQ(winners, 1);
  }
}

TEST_P(StoreConformance, CompareAndSwapAsksForThePresentVersion) {
  store_->Put("key", AsBytes("one"), Soon());
  const auto seen = store_->GetVersioned("key", Soon());
  EXPECT_TRUE(store_->CompareAndSwap("key", seen->version, AsBytes("two"), Soon()));
  EXPECT_FALSE(store_->CompareAndSwap("key", seen->version, AsBytes("three"), Soon()));
  EXPECT_EQ(store_->Get("key", Soon())->text(), "two");

  const auto now = store_->GetVersioned("key", Soon());
  store_->Put("key", AsBytes("four"), Soon());
  EXPECT_FALSE(store_->CompareAndSwap("key", now->version, AsBytes("five"), Soon()));
  store_->Delete(std::vector<std::string>{"key"}, Soon());
  EXPECT_FALSE(store_->CompareAndSwap("key", now->version, AsBytes("six"), Soon()));
}

TEST_P(StoreConformance, RacingThreadsLoseNoIncrement) {
  store_->Put("counter", AsBytes("0"), Soon());
  RunInThreads(4, [&](int) {
    for (int i = 0; i < 100; ++i) Increment(*store_);
  });
  EXPECT_EQ(store_->Get("counter", Soon())->text(), "400");
}

TEST_P(StoreConformance, RacingProcessesLoseNoIncrementAndCreateOnce) {
  if (!GetParam().is_shared_by_processes) return;
  store_->Put("counter", AsBytes("0"), Soon());
  const int failing = CountFailingProcesses(4, [&](int) {
    const auto own = place_->Open();
    for (int i = 0; i < 100; ++i) {
      // Who creates the key increments for all.
      if (own->PutIfAbsent("made/" + std::to_string(i), AsBytes("x"), Soon())) Increment(*own);
      Increment(*own);
    }
  });
  EXPECT_EQ(failing, 0);
  EXPECT_EQ(store_->Get("counter", Soon())->text(), "500");
}

TEST_P(StoreConformance, ConcurrentWritersNeverShowATornValue) {
  const size_t size = std::min<uint64_t>(200'000, store_->capabilities().value_size_max_bytes);
  const auto value_of = [&](int writer) {
    return base::Bytes(size - static_cast<size_t>(writer), static_cast<std::byte>(writer));
  };
  store_->Put("torn/key", value_of(1), Soon());
  std::atomic<bool> done{false};
  std::thread reader([&] {
    const auto own = place_->Open();
    while (!done) {
      const auto value = own->Get("torn/key", Soon());
      ASSERT_TRUE(value);
      const std::byte writer = value->span()[0];
      ASSERT_EQ(value->size(), size - static_cast<size_t>(writer));
      ASSERT_TRUE(std::ranges::all_of(value->span(), [&](auto byte) { return byte == writer; }));
    }
  });
  RunInThreads(3, [&](int writer) {
    const base::Bytes value = value_of(writer + 1);
    for (int i = 0; i < 100; ++i) store_->Put("torn/key", value, Soon());
  });
  done = true;
  reader.join();
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
  EXPECT_EQ(store_->List("", Soon()), std::vector<std::string>{});
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

TEST_P(StoreConformance, WaitReturnsWhatIsThereAlready) {
  store_->Put("wait/key", AsBytes("here"), Soon());
  EXPECT_EQ(store_->Wait("wait/key", Soon())->text(), "here");
  const Deadline past = Deadline::After(milliseconds(-1));
  EXPECT_EQ(store_->Wait("wait/key", past)->text(), "here");
}

TEST_P(StoreConformance, WaitIsWokenByAnotherHandlesWrite) {
  for (int round = 0; round < 20; ++round) {
    const std::string key = "woken" + std::to_string(round % 3) + "/" + std::to_string(round);
    std::thread writer([&] {
      const auto own = place_->Open();
      std::this_thread::sleep_for(std::chrono::microseconds(137 * round));
      if (round % 2 == 0) {
        own->Put(key, AsBytes("value"), Soon());
      } else {
        own->PutIfAbsent(key, AsBytes("value"), Soon());
      }
    });
    const auto value = store_->Wait(key, Soon());
    writer.join();
    ASSERT_TRUE(value);
    ASSERT_EQ(value->text(), "value");
  }
}

TEST_P(StoreConformance, WaitGivesUpAtItsDeadline) {
  const Deadline deadline = Deadline::After(milliseconds(30));
  EXPECT_FALSE(store_->Wait("never/key", deadline));
  EXPECT_TRUE(deadline.Expired());
}

TEST_P(StoreConformance, WaitSurvivesTheDeletionOfItsFolder) {
  store_->Put("folder/first", AsBytes("1"), Soon());
  EXPECT_TRUE(store_->Wait("folder/first", Soon()));
  std::thread other([&] {
    const auto own = place_->Open();
    std::this_thread::sleep_for(milliseconds(10));
    own->DeletePrefix("folder/", Soon());
    std::this_thread::sleep_for(milliseconds(10));
    own->Put("folder/second", AsBytes("2"), Soon());
  });
  const auto value = store_->Wait("folder/second", Deadline::After(std::chrono::seconds(20)));
  other.join();
  EXPECT_TRUE(value);
}

TEST_P(StoreConformance, WaitAllTellsWhichKeysNeverCame) {
  store_->Put("all/1", AsBytes("one"), Soon());
  store_->Put("all/3", AsBytes("three"), Soon());
  const std::vector<std::string> keys = {"all/1", "all/2", "all/3"};
  const auto values = store_->WaitAll(keys, Deadline::After(milliseconds(30)));
  ASSERT_EQ(values.size(), 3U);
  EXPECT_EQ(values[0]->text(), "one");
  EXPECT_FALSE(values[1]);
  EXPECT_EQ(values[2]->text(), "three");
}

TEST_P(StoreConformance, ThreadsOfOneStoreWaitForDifferentKeys) {
  RunInThreads(6, [&](int thread) {
    for (int round = 0; round < 50; ++round) {
      const std::string own = std::to_string(round) + "." + std::to_string(thread);
      const std::string peer = std::to_string(round) + "." + std::to_string((thread + 1) % 6);
      // Half of them in one folder, half in a folder each.
      const auto key = [&](const std::string& name, int of) {
        return of % 2 == 0 ? "shared/" + name : "own" + std::to_string(of) + "/" + name;
      };
      store_->Put(key(own, thread), AsBytes(own), Soon());
      const auto value = store_->Wait(key(peer, (thread + 1) % 6), Soon());
      if (!value || value->text() != peer) throw std::runtime_error("missed " + peer);
    }
  });
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
  using Keys = std::vector<std::string>;
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

TEST_P(StoreConformance, CallsAfterTheDeadlineSaySo) {
  const Deadline past = Deadline::After(milliseconds(-1));
  const auto late = ErrorCode::kDeadlineExceeded;
  EXPECT_EQ(ErrorOf([&] { store_->Get("key", past); }), late);
  EXPECT_EQ(ErrorOf([&] { store_->Put("key", {}, past); }), late);
  EXPECT_EQ(ErrorOf([&] { store_->PutIfAbsent("key", {}, past); }), late);
  EXPECT_EQ(ErrorOf([&] { store_->CompareAndSwap("key", "v", {}, past); }), late);
  EXPECT_EQ(ErrorOf([&] { store_->Delete(std::vector<std::string>{"key"}, past); }), late);
  EXPECT_EQ(ErrorOf([&] { store_->List("key", past); }), late);
}

TEST_P(StoreConformance, CountersCountByKind) {
  const store::Counters before = store_->counters();
  EXPECT_EQ(before.get_requests + before.put_requests + before.delete_requests, 0U);
  store_->Put("c/1", AsBytes("12345"), Soon());
  store_->PutIfAbsent("c/2", AsBytes("123"), Soon());
  store_->PutIfAbsent("c/2", AsBytes("1234"), Soon());  // loses, and is asked all the same
  store_->Get("c/1", Soon());
  store_->Get("c/missing", Soon());
  store_->Wait("c/2", Soon());
  const auto seen = store_->GetVersioned("c/1", Soon());
  const store::Counters read = store_->counters();
  EXPECT_EQ(read.get_requests, 4U);
  EXPECT_EQ(read.put_requests, 3U);
  EXPECT_EQ(read.bytes_read, 13U);
  EXPECT_EQ(read.bytes_written, 12U);

  store_->CompareAndSwap("c/1", seen->version, AsBytes("1"), Soon());
  store_->CompareAndSwap("c/1", seen->version, AsBytes("2"), Soon());
  store_->Delete(std::vector<std::string>{"c/1", "c/2"}, Soon());
  const store::Counters after = store_->counters();
  EXPECT_EQ(after.put_requests, 5U);
  EXPECT_EQ(after.get_requests, 4U);
  EXPECT_EQ(after.bytes_read, 13U);
  EXPECT_GE(after.delete_requests, 1U);
  EXPECT_EQ(after.list_requests, 0U);
  if (!store_->capabilities().can_list) return;
  store_->List("", Soon());
  EXPECT_EQ(store_->counters().list_requests, 1U);
}

TEST_P(StoreConformance, WaitingTimeIsCounted) {
  store_->Wait("never/key", Deadline::After(milliseconds(20)));
  EXPECT_GE(store_->counters().waiting, milliseconds(20));
}

}  // namespace
}  // namespace lambdaml::test
