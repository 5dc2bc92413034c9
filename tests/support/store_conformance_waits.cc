// What every store must do when a key is waited for, when a deadline passes, and what it counts.
#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "support/processes.h"
#include "support/store_conformance.h"

namespace lambdaml::test {
namespace {

using base::AsBytes;
using base::Deadline;
using base::ErrorCode;
using std::chrono::milliseconds;

TEST_P(StoreConformance, WaitReturnsWhatIsThereAlready) {
  store_->Put("wait/key", AsBytes("here"), Soon());
  EXPECT_EQ(store_->Wait("wait/key", Soon())->text(), "here");
  const Deadline past = Deadline::After(milliseconds(-1));
  EXPECT_EQ(store_->Wait("wait/key", past)->text(), "here");
}

TEST_P(StoreConformance, WaitIsWokenByAnotherHandlesWrite) {
  const auto own = place_->Open();
  for (int round = 0; round < 20; ++round) {
    const std::string key = "woken" + std::to_string(round % 3) + "/" + std::to_string(round);
    std::thread writer([&] {
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
  if (!store_->capabilities().can_list) return;
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

TEST_P(StoreConformance, WaitAllGathersKeysAsTheyComeInAnyOrder) {
  const std::vector<std::string> keys = {"in/1", "in/2", "in/3", "elsewhere/4", "in/5"};
  store_->Put(keys[2], AsBytes(keys[2]), Soon());
  std::thread writer([&] {
    const auto own = place_->Open();
    for (const size_t i : {4U, 0U, 3U, 1U}) {
      std::this_thread::sleep_for(milliseconds(3));
      own->Put(keys[i], AsBytes(keys[i]), Soon());
    }
  });
  const auto values = store_->WaitAll(keys, Soon());
  writer.join();
  for (size_t i = 0; i < keys.size(); ++i) {
    ASSERT_TRUE(values[i]) << keys[i];
    EXPECT_EQ(values[i]->text(), keys[i]);
  }
}

TEST_P(StoreConformance, WaitAllIntoWritesValuesToTheirPlacesOrElsewhere) {
  const std::vector<std::string> keys = {"into/1", "into/2", "into/3", "into/4"};
  const std::string large(3'000, 'x');
  for (size_t i = 0; i < 3; ++i) store_->Put(keys[i], AsBytes(large), Soon());
  base::Bytes exact(large.size());
  base::Bytes longer(large.size() + 5);
  base::Bytes too_short(large.size() - 1);
  const std::vector<std::span<std::byte>> places = {exact, longer, too_short, exact};
  const auto values = store_->WaitAllInto(keys, places, Deadline::After(milliseconds(30)));
  ASSERT_EQ(values.size(), 4U);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(values[i]->text(), large);
  EXPECT_NE(values[2]->data(), too_short.data());
  EXPECT_FALSE(values[3]);
}

TEST_P(StoreConformance, ThreadsOfOneStoreWaitForDifferentKeys) {
  RunInThreads(6, [&](int thread) {
    for (int round = 0; round < GetParam().race_rounds / 2; ++round) {
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

TEST_P(StoreConformance, OneThreadsWaitDelaysNoOtherThread) {
  std::thread waiter([&] { EXPECT_TRUE(store_->Wait("late/key", Soon())); });
  for (int i = 0; i < 5; ++i) {
    store_->Put("busy/key", AsBytes(std::to_string(i)), Soon());
    EXPECT_EQ(store_->Get("busy/key", Soon())->text(), std::to_string(i));
  }
  store_->Put("late/key", {}, Soon());  // would never come if the waiter held the store
  waiter.join();
}

TEST_P(StoreConformance, CallsAfterTheDeadlineSaySo) {
  const Deadline past = Deadline::After(milliseconds(-1));
  const auto late = ErrorCode::kDeadlineExceeded;
  EXPECT_EQ(ErrorOf([&] { store_->Get("key", past); }), late);
  EXPECT_EQ(ErrorOf([&] { store_->Put("key", {}, past); }), late);
  EXPECT_EQ(ErrorOf([&] { store_->PutIfAbsent("key", {}, past); }), late);
  EXPECT_EQ(ErrorOf([&] { store_->CompareAndSwap("key", "v", {}, past); }), late);
  EXPECT_EQ(ErrorOf([&] { store_->Delete(std::vector<std::string>{"key"}, past); }), late);
  if (!store_->capabilities().can_list) return;
  EXPECT_EQ(ErrorOf([&] { store_->List("key", past); }), late);
}

TEST_P(StoreConformance, AWaitPastItsDeadlineFindsNothingAndIsNoError) {
  const Deadline past = Deadline::After(milliseconds(-1));
  EXPECT_FALSE(store_->Wait("never", past));
  const auto values = store_->WaitAll(std::vector<std::string>{"never/1", "never/2"}, past);
  EXPECT_EQ(values.size(), 2U);
  EXPECT_FALSE(values[0] || values[1]);
}

TEST_P(StoreConformance, CountersCountByKind) {
  const store::Counters before = store_->counters();
  store_->Put("c/1", AsBytes("12345"), Soon());
  store_->PutIfAbsent("c/2", AsBytes("123"), Soon());
  store_->PutIfAbsent("c/2", AsBytes("1234"), Soon());  // loses, and is asked all the same
  store_->Get("c/1", Soon());
  store_->Get("c/missing", Soon());
  store_->Wait("c/2", Soon());
  const auto seen = store_->GetVersioned("c/1", Soon());
  const store::Counters read = store_->counters();
  EXPECT_EQ(read.get_requests - before.get_requests, 4U);
  EXPECT_EQ(read.put_requests - before.put_requests, 3U);
  EXPECT_EQ(read.bytes_read - before.bytes_read, 13U);
  EXPECT_EQ(read.bytes_written - before.bytes_written, 12U);

  store_->CompareAndSwap("c/1", seen->version, AsBytes("1"), Soon());
  store_->CompareAndSwap("c/1", seen->version, AsBytes("2"), Soon());
  store_->Delete(std::vector<std::string>{"c/1", "c/2"}, Soon());
  const store::Counters after = store_->counters();
  EXPECT_EQ(after.put_requests - before.put_requests, 5U);
  EXPECT_EQ(after.get_requests - before.get_requests, 4U);
  EXPECT_EQ(after.bytes_read - before.bytes_read, 13U);
  EXPECT_GE(after.delete_requests, 1U);
  EXPECT_EQ(after.list_requests, before.list_requests);
  EXPECT_EQ(after.retries, 0U);
  if (!store_->capabilities().can_list) return;
  store_->List("", Soon());
  EXPECT_GE(store_->counters().list_requests, before.list_requests + 1);  // or one for each table
}

TEST_P(StoreConformance, WaitingTimeIsCounted) {
  store_->Wait("never/key", Deadline::After(milliseconds(20)));
  EXPECT_GE(store_->counters().waiting, milliseconds(20));
}

}  // namespace
}  // namespace lambdaml::test
