// Collectives among forked processes over the file store, as workers run them.
#include "support/processes.h"

#include <csignal>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/comm/make_communicator.h"

#include "support/store_backend.h"

namespace lambdaml::comm {
namespace {

class ProcessesTest : public testing::TestWithParam<Pattern> {
 protected:
  std::unique_ptr<test::StorePlace> place_ = test::FileBackend().make_place();
};

TEST_P(ProcessesTest, SumsAreRightInEveryProcess) {
  for (const int ranks : {2, 4, 7}) {
    place_ = test::FileBackend().make_place();
    const int failing = test::CountFailingProcesses(ranks, [&](int rank) {
      const auto store = place_->Open();
      const Membership membership = {.job = "job", .rank = rank, .worker_count = ranks};
      const auto communicator = MakeCommunicator(GetParam(), *store, membership);
      for (int round = 0; round < 200; ++round) {
        // Short ones and long ones, which are mapped, take turns.
        std::vector<float> vector(round % 20 == 0 ? 100'000 : 100,
                                  static_cast<float>(rank + round));
        communicator->AllReduceSum({}, vector);
        const int expected = ranks * round + ranks * (ranks - 1) / 2;
        for (const float value : vector) {
          if (value != static_cast<float>(expected)) throw std::runtime_error("wrong sum");
        }
      }
    });
    EXPECT_EQ(failing, 0);
  }
}

TEST_P(ProcessesTest, AKilledProcessIsNamedByTheOthers) {
  const int failing = test::CountFailingProcesses(3, [&](int rank) {
    const auto store = place_->Open();
    const Membership membership = {.job = "job",
                                   .rank = rank,
                                   .worker_count = 3,
                                   .round_timeout = std::chrono::milliseconds(300)};
    const auto communicator = MakeCommunicator(GetParam(), *store, membership);
    std::vector<float> vector(100, 1.0F);
    communicator->AllReduceSum({}, vector);
    if (rank == 1) ::raise(SIGKILL);
    try {
      communicator->AllReduceSum({}, vector);
    } catch (const base::Error& error) {
      if (error.message().find("no contribution of rank 1 to round 2") != std::string::npos) return;
      throw;
    }
    throw std::runtime_error("no error");
  });
  EXPECT_EQ(failing, 1);  // the one that was killed
}

INSTANTIATE_TEST_SUITE_P(Patterns, ProcessesTest,
                         testing::Values(Pattern::kReduce, Pattern::kReduceScatter),
                         [](const testing::TestParamInfo<Pattern>& pattern) {
                           return pattern.param == Pattern::kReduce ? "Reduce" : "ReduceScatter";
                         });

}  // namespace
}  // namespace lambdaml::comm
