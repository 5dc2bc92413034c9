#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/comm/job_keys.h"
#include "lambdaml/comm/make_communicator.h"

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
    EXPECT_EQ(error.code(), base::ErrorCode::kNotFound);
    EXPECT_THAT(error.message(), testing::HasSubstr("job/model/0 is gone"));
  }
}

INSTANTIATE_TEST_SUITE_P(Stores, SharedModelTest,
                         testing::Values(test::MemoryBackend(), test::FileBackend(),
                                         test::SmallValuesBackend()),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace lambdaml::comm
