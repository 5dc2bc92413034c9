#include "lambdaml/train/follower.h"

#include <future>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/store/memory_store.h"
#include "lambdaml/train/worker.h"

namespace lambdaml::train {
namespace {

void Publish(store::Store& store, int64_t epoch) {
  const std::string text =
      report::ToJson(report::EpochRecord{.epoch = epoch, .loss = 1.0 / static_cast<double>(epoch)})
          .Dump();
  store.Put(ProgressKey("job", epoch), base::AsBytes(text),
            base::Deadline::After(std::chrono::seconds(60)));
}

TEST(ProgressKey, IsBelowTheJob) { EXPECT_EQ(ProgressKey("job", 12), "job/progress/12"); }

TEST(Follower, ReportsEpochsAsTheyAppear) {
  store::MemoryStore store;
  std::promise<void> second_seen;
  std::vector<report::EpochRecord> records;
  Follower follower(store, "job", [&](const report::EpochRecord& record) {
    records.push_back(record);
    if (record.epoch == 2) second_seen.set_value();
  });
  Publish(store, 2);  // out of order: it must wait for the first
  Publish(store, 1);
  second_seen.get_future().wait();
  Publish(store, 3);
  follower.Finish(3);
  ASSERT_EQ(records.size(), 3U);
  for (int64_t epoch = 1; epoch <= 3; ++epoch) {
    const report::EpochRecord& record = records[static_cast<size_t>(epoch - 1)];
    EXPECT_EQ(record.epoch, epoch);
    EXPECT_EQ(record.loss, 1.0 / static_cast<double>(epoch));
  }
}

TEST(Follower, FinishReadsTheRestAndNoMore) {
  store::MemoryStore store;
  for (int64_t epoch = 1; epoch <= 50; ++epoch) Publish(store, epoch);
  int64_t seen = 0;
  Follower follower(store, "job",
                    [&](const report::EpochRecord& record) { EXPECT_EQ(record.epoch, ++seen); });
  follower.Finish(40);
  EXPECT_GE(seen, 40);
  store::MemoryStore empty;
  Follower of_none(empty, "job", [](const report::EpochRecord&) { ADD_FAILURE(); });
  of_none.Finish(0);
}

TEST(Follower, ARecordThatShouldBeThereAndIsNotIsAnErrorAndNoEndlessWait) {
  store::MemoryStore store;
  Publish(store, 1);
  Follower follower(store, "job", [](const report::EpochRecord&) {});
  try {
    follower.Finish(2);
    ADD_FAILURE() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kNotFound);
    EXPECT_THAT(error.message(), testing::HasSubstr("job/progress/2"));
  }
}

TEST(Follower, FailuresOfItsThreadComeHomeWithFinish) {
  store::MemoryStore store;
  Publish(store, 1);
  Follower follower(store, "job", [](const report::EpochRecord&) {
    throw base::Error(base::ErrorCode::kResourceExhausted, "the log's disk is full");
  });
  EXPECT_THROW(follower.Finish(1), base::Error);
  const std::string text = "{\"epoch\":";
  store.Put(ProgressKey("other", 1), base::AsBytes(text),
            base::Deadline::After(std::chrono::seconds(60)));
  Follower of_garbage(store, "other", [](const report::EpochRecord&) { ADD_FAILURE(); });
  EXPECT_THROW(of_garbage.Finish(1), base::Error);
}

TEST(Follower, FailuresAreSeenBeforeTheRunEnds) {
  store::MemoryStore store;
  std::promise<void> thrown;
  Follower follower(store, "job", [&](const report::EpochRecord&) {
    thrown.set_value();
    throw base::Error(base::ErrorCode::kResourceExhausted, "the log's disk is full");
  });
  EXPECT_NO_THROW(follower.ThrowIfFailed());
  Publish(store, 1);
  thrown.get_future().wait();
  const base::Deadline deadline = base::Deadline::After(std::chrono::seconds(60));
  const auto has_failed = [&] {
    try {
      follower.ThrowIfFailed();
      return false;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::kResourceExhausted);
      return true;
    }
  };
  while (!has_failed() && !deadline.Expired()) std::this_thread::yield();
  EXPECT_FALSE(deadline.Expired());
}

TEST(Follower, EndsWithARunThatFailed) {
  store::MemoryStore store;
  const Follower follower(store, "job", [](const report::EpochRecord&) { ADD_FAILURE(); });
}

}  // namespace
}  // namespace lambdaml::train
