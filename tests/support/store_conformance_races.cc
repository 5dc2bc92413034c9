// What every store must do when several write at once.
#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <thread>

#include "support/processes.h"
#include "support/store_conformance.h"

namespace lambdaml::test {
namespace {

using base::AsBytes;
using Stores = std::vector<std::unique_ptr<store::Store>>;

constexpr int kRivals = 4;

base::Deadline InAMinute() { return base::Deadline::After(std::chrono::seconds(60)); }

Stores OpenStores(StorePlace& place, int count) {
  Stores stores;
  for (int i = 0; i < count; ++i) stores.push_back(place.Open());
  return stores;
}

// Adds one to the number under "counter" with compare-and-swap, until nobody was faster.
void Increment(store::Store& store) {
  while (true) {
    const auto present = store.GetVersioned("counter", InAMinute());
    if (!present) throw std::runtime_error("the counter is gone");
    const std::string next = std::to_string(std::stoi(std::string(present->value.text())) + 1);
    if (store.CompareAndSwap("counter", present->version, AsBytes(next), InAMinute())) return;
  }
}

TEST_P(StoreConformance, PutIfAbsentKeepsTheFirstValue) {
  EXPECT_TRUE(store_->PutIfAbsent("once/key", AsBytes("first"), Soon()));
  EXPECT_FALSE(store_->PutIfAbsent("once/key", AsBytes("second"), Soon()));
  EXPECT_EQ(store_->Get("once/key", Soon())->text(), "first");
}

TEST_P(StoreConformance, OfRacingCreatorsExactlyOneWins) {
  const Stores stores = OpenStores(*place_, kRivals);
  for (int round = 0; round < GetParam().race_rounds; ++round) {
    const std::string key = "race/" + std::to_string(round);
    std::atomic<int> winners{0};
    std::atomic<int> winner{-1};
    RunInThreads(kRivals, [&](int thread) {
      const std::string value = std::to_string(thread);
      if (!stores[static_cast<size_t>(thread)]->PutIfAbsent(key, AsBytes(value), Soon())) return;
      ++winners;
      winner = thread;
    });
    ASSERT_EQ(winners, 1);
    ASSERT_EQ(store_->Get(key, Soon())->text(), std::to_string(winner));
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

TEST_P(StoreConformance, OfRacingSwappersExactlyOneWins) {
  const Stores stores = OpenStores(*place_, kRivals);
  store_->Put("swap/key", AsBytes("start"), Soon());
  for (int round = 0; round < GetParam().race_rounds; ++round) {
    const auto seen = store_->GetVersioned("swap/key", Soon());
    std::atomic<int> winners{0};
    RunInThreads(kRivals, [&](int thread) {
      const std::string value = std::to_string(round) + "." + std::to_string(thread);
      auto& own = *stores[static_cast<size_t>(thread)];
      if (own.CompareAndSwap("swap/key", seen->version, AsBytes(value), Soon())) ++winners;
    });
    ASSERT_EQ(winners, 1);
  }
}

TEST_P(StoreConformance, RacingThreadsLoseNoIncrement) {
  const int rounds = GetParam().race_rounds;
  const Stores stores = OpenStores(*place_, 2);  // two threads share a handle
  store_->Put("counter", AsBytes("0"), Soon());
  RunInThreads(kRivals, [&](int thread) {
    for (int i = 0; i < rounds; ++i) Increment(*stores[static_cast<size_t>(thread / 2)]);
  });
  EXPECT_EQ(store_->Get("counter", Soon())->text(), std::to_string(kRivals * rounds));
}

TEST_P(StoreConformance, RacingProcessesLoseNoIncrementAndCreateOnce) {
  if (!GetParam().is_shared_by_processes) return;
  store_->Put("counter", AsBytes("0"), Soon());
  const int failing = CountFailingProcesses(kRivals, [&](int) {
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
  const int rounds = GetParam().race_rounds;
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
    for (int i = 0; i < rounds; ++i) store_->Put("torn/key", value, Soon());
  });
  done = true;
  reader.join();
}

TEST_P(StoreConformance, WritersOfDifferentKeysDoNotDisturbEachOther) {
  RunInThreads(kRivals, [&](int thread) {
    const std::string key = "of" + std::to_string(thread) + "/key";
    for (int round = 0; round < GetParam().race_rounds; ++round) {
      const std::string value = std::to_string(thread) + "." + std::to_string(round);
      store_->Put(key, AsBytes(value), Soon());
      const auto read = store_->Get(key, Soon());
      if (!read || read->text() != value) throw std::runtime_error("lost " + value);
      store_->Delete(std::vector<std::string>{key}, Soon());
      if (store_->Get(key, Soon())) throw std::runtime_error("not deleted: " + value);
    }
  });
}

}  // namespace
}  // namespace lambdaml::test
