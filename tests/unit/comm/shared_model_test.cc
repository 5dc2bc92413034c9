#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/comm/job_keys.h"
#include "lambdaml/comm/make_communicator.h"

#include "support/faulty_store.h"
#include "support/forgetful_store.h"
#include "support/processes.h"
#include "support/store_backend.h"

namespace lambdaml::comm {
namespace {

constexpr int kWorkers = 4;
constexpr int kMerges = 50;

Membership MemberOf(int rank) { return {.job = "job", .rank = rank, .worker_count = kWorkers}; }

class SharedModelTest : public testing::TestWithParam<test::StoreBackend> {
 protected:
  // Adds small integers, which float32 adds exactly in any order, to every element; element i gets
  // i more each time.
  void Work(int rank, size_t length) {
    const auto store = place_->Open();
    const auto shared = MakeSharedModel(*store, MemberOf(rank), length);
    std::vector<float> model(length, 100.0F);
    shared->Join(model);
    std::vector<float> change(length);
    for (size_t i = 0; i < length; ++i) change[i] = static_cast<float>(i % 100 + 1);
    for (int merge = 0; merge < kMerges; ++merge) {
      const std::vector<float> before = model;
      shared->Merge(change, model);
      for (size_t i = 0; i < length; ++i) {
        if (model[i] < before[i] + change[i]) throw std::runtime_error("a change was lost");
      }
    }
  }

  std::vector<float> Present(size_t length) {
    const auto store = place_->Open();
    std::vector<float> model(length, -1.0F);
    MakeSharedModel(*store, MemberOf(0), length)->Join(model);
    return model;
  }

  void ExpectAllMerged(size_t length) {
    const std::vector<float> model = Present(length);
    for (size_t i = 0; i < length; ++i) {
      ASSERT_EQ(model[i], 100.0F + static_cast<float>(kWorkers * kMerges * (i % 100 + 1)));
    }
  }

  std::unique_ptr<test::StorePlace> place_ = GetParam().make_place();
};

TEST_P(SharedModelTest, ThreadsLoseNoChange) {
  for (const size_t length : {1U, 1000U, 5000U}) {
    place_ = GetParam().make_place();
    test::RunInThreads(kWorkers, [&](int rank) { Work(rank, length); });
    ExpectAllMerged(length);
  }
}

TEST_P(SharedModelTest, ProcessesLoseNoChange) {
  if (!GetParam().is_shared_by_processes) return;
  constexpr size_t kLength = 20'000;  // beyond the size from which values are mapped
  EXPECT_EQ(test::CountFailingProcesses(kWorkers, [&](int rank) { Work(rank, kLength); }), 0);
  ExpectAllMerged(kLength);
}

TEST_P(SharedModelTest, WhoJoinsFirstSetsTheStart) {
  const auto store = place_->Open();
  std::vector<float> first = {1.0F, 2.0F};
  std::vector<float> second = {3.0F, 4.0F};
  MakeSharedModel(*store, MemberOf(0), 2)->Join(first);
  MakeSharedModel(*store, MemberOf(1), 2)->Join(second);
  EXPECT_EQ(second, (std::vector<float>{1.0F, 2.0F}));
}

TEST_P(SharedModelTest, AModelWithoutElementsIsAModel) {
  const auto store = place_->Open();
  const auto shared = MakeSharedModel(*store, MemberOf(0), 0);
  shared->Join({});
  shared->Merge({}, {});
  EXPECT_EQ(shared->stats().rounds, 2U);
}

TEST_P(SharedModelTest, AMergeWithoutRivalsIsOneGetAndOnePut) {
  const auto store = place_->Open();
  const auto shared = MakeSharedModel(*store, MemberOf(0), 10);
  std::vector<float> model(10);
  shared->Join(model);
  const store::Counters before = store->counters();
  shared->Merge(std::vector<float>(10, 1.0F), model);
  EXPECT_EQ(store->counters().get_requests - before.get_requests, 1U);
  EXPECT_EQ(store->counters().put_requests - before.put_requests, 1U);
}

TEST_P(SharedModelTest, AModelOfAnotherLengthOrGoneIsAnError) {
  const auto store = place_->Open();
  std::vector<float> model(10);
  const auto shared = MakeSharedModel(*store, MemberOf(0), 10);
  shared->Join(model);
  std::vector<float> longer(11);
  EXPECT_THROW(MakeSharedModel(*store, MemberOf(1), 11)->Join(longer), base::Error);
  DeleteJob(*store, "job", base::Deadline::After(std::chrono::seconds(9)));
  try {
    shared->Merge(model, model);
    FAIL() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kUnavailable);
    EXPECT_THAT(error.message(), testing::HasSubstr("job/model/0 is gone"));
    EXPECT_THAT(error.message(), testing::HasSubstr("dropped it, or somebody deleted it"));
  }
}

TEST_P(SharedModelTest, LostAnswersAddNothingTwice) {
  constexpr int kMergesPerWorker = 1000;
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    place_ = GetParam().make_place();
    test::RunInThreads(kWorkers, [&](int rank) {
      const test::Faults faults = {.seed = base::MixSeed(seed, static_cast<uint64_t>(rank)),
                                   .lost_answer_probability = 0.3};
      test::FaultyStore store(place_->Open(), faults);
      const auto shared = MakeSharedModel(store, MemberOf(rank), 3);
      std::vector<float> model(3, 100.0F);
      shared->Join(model);
      const auto own = static_cast<float>(rank + 1);
      const std::vector<float> change = {1.0F, own, own * own};
      for (int merge = 0; merge < kMergesPerWorker; ++merge) shared->Merge(change, model);
    });
    const std::vector<float> expected = {100.0F + 4 * kMergesPerWorker,
                                         100.0F + 10 * kMergesPerWorker,
                                         100.0F + 30 * kMergesPerWorker};
    EXPECT_EQ(Present(3), expected);
  }
}

TEST_P(SharedModelTest, AWorkerStartedTwiceIsNoticed) {
  const auto store = place_->Open();
  std::vector<float> model(10);
  const auto first = MakeSharedModel(*store, MemberOf(1), 10);
  const auto second = MakeSharedModel(*store, MemberOf(1), 10);
  first->Join(model);
  second->Join(model);
  first->Merge(model, model);
  try {
    second->Merge(model, model);
    FAIL() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kAlreadyExists);
    EXPECT_THAT(error.message(), testing::HasSubstr("another worker has merged into job/model/0"));
  }
}

TEST_P(SharedModelTest, AWorkerThatStartsAgainGoesOnFromItsMerges) {
  const auto store = place_->Open();
  std::vector<float> model(1, 0.0F);
  const std::vector<float> change(1, 1.0F);
  for (int start = 0; start < 3; ++start) {
    const auto shared = MakeSharedModel(*store, MemberOf(1), 1);
    shared->Join(model);
    for (int merge = 0; merge < 5; ++merge) shared->Merge(change, model);
  }
  EXPECT_EQ(model[0], 15.0F);
}

// Of a service that has lost the model, nobody goes on as if nothing had been: neither those who
// find it missing nor those who find one that a late worker has made.
TEST(LostModelTest, AServiceThatStartedAnewIsNamed) {
  for (const bool is_made_anew : {false, true}) {
    test::ForgetfulServer server;
    const auto store = server.Open();
    const auto shared = MakeSharedModel(*store, MemberOf(0), 10);
    std::vector<float> model(10);
    shared->Join(model);
    shared->Merge(model, model);
    server.Restart();
    const auto late_store = server.Open();
    if (is_made_anew) MakeSharedModel(*late_store, MemberOf(1), 10)->Join(model);
    try {
      shared->Merge(model, model);
      FAIL() << "no error";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::kUnavailable);
      EXPECT_THAT(error.message(), testing::HasSubstr("started anew and lost it"));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Stores, SharedModelTest,
                         testing::Values(test::MemoryBackend(), test::FileBackend(),
                                         test::SmallValuesBackend()),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace lambdaml::comm
