// Ranks that are missing, slow or double, and stores that fail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/comm/job_keys.h"
#include "lambdaml/comm/make_communicator.h"

#include "support/faulty_store.h"
#include "support/processes.h"
#include "support/store_backend.h"

namespace lambdaml::comm {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class FaultTest : public testing::TestWithParam<Pattern> {
 protected:
  static Membership MemberOf(int rank, int worker_count) {
    return {.job = "job",
            .rank = rank,
            .worker_count = worker_count,
            .round_timeout = std::chrono::milliseconds(200)};
  }

  // Runs ranks 0..worker_count-1 except `missing_rank` through `rounds` sums; returns each one's
  // error message.
  std::vector<std::string> ErrorsWithout(int missing_rank, int worker_count, int rounds) {
    std::vector<std::string> errors(static_cast<size_t>(worker_count));
    test::RunInThreads(worker_count, [&](int rank) {
      const auto store = place_->Open();
      const auto communicator = MakeCommunicator(GetParam(), *store, MemberOf(rank, worker_count));
      std::vector<float> vector(10, 1.0F);
      try {
        for (int round = 1; round <= rounds; ++round) {
          if (rank == missing_rank && round == rounds) return;
          communicator->AllReduceSum({}, vector);
        }
      } catch (const base::Error& error) {
        EXPECT_EQ(error.code(), base::ErrorCode::kDeadlineExceeded);
        errors[static_cast<size_t>(rank)] = error.message();
      }
    });
    return errors;
  }

  test::StoreBackend backend_ = test::MemoryBackend();
  std::unique_ptr<test::StorePlace> place_ = backend_.make_place();
};

TEST_P(FaultTest, WhatDoesNotFitFloat16IsNamed) {
  const auto errors_of = [&](float first, float second) {
    place_ = backend_.make_place();
    std::vector<std::string> errors(2);
    test::RunInThreads(2, [&](int rank) {
      const auto store = place_->Open();
      const auto communicator = MakeCommunicator(GetParam(), *store, MemberOf(rank, 2));
      std::vector<float> vector(10, 1.0F);
      vector[2] = rank == 0 ? first : second;
      try {
        communicator->AllReduceSum({}, vector, wire::Precision::kFloat16);
      } catch (const base::Error& error) {
        errors[static_cast<size_t>(rank)] = error.message();
      }
    });
    return errors;
  };
  EXPECT_THAT(errors_of(1, 1), testing::Each(""));
  EXPECT_THAT(errors_of(1, 1e5F)[1], StartsWith("rank 1: what it contributes to round 1: element "
                                                "2 is 1e+05, and float16 ends at 65504"));
  EXPECT_THAT(errors_of(4e4F, 4e4F)[0],
              StartsWith("rank 0: the sum of round 1: element 2 is 8e+04"));
}

TEST_P(FaultTest, RanksThatExchangeInDifferentPrecisionsSaySo) {
  std::vector<std::string> errors(2);
  test::RunInThreads(2, [&](int rank) {
    const auto store = place_->Open();
    const auto communicator = MakeCommunicator(GetParam(), *store, MemberOf(rank, 2));
    std::vector<float> vector(10, 1.0F);
    try {
      communicator->AllReduceSum({}, vector,
                                 rank == 0 ? wire::Precision::kFloat16 : wire::Precision::kFloat32);
    } catch (const base::Error& error) {
      errors[static_cast<size_t>(rank)] = error.message();
    }
  });
  EXPECT_THAT(errors[0], HasSubstr("contribution of rank 1 to round 1 is not of this rank's "
                                   "--exchange: the ranks run different jobs"));
}

TEST_P(FaultTest, EveryRankNamesTheMissingOneAndTheRound) {
  for (const int missing : {1, 3}) {
    place_ = backend_.make_place();
    const auto errors = ErrorsWithout(missing, 4, 3);
    for (int rank = 0; rank < 4; ++rank) {
      if (rank == missing) continue;
      const std::string& error = errors[static_cast<size_t>(rank)];
      EXPECT_THAT(error, StartsWith("rank " + std::to_string(rank) + ": no contribution of rank " +
                                    std::to_string(missing) + " to round 3 within "));
    }
  }
}

TEST_P(FaultTest, AMissingMergerIsNamed) {
  const auto errors = ErrorsWithout(0, 3, 1);
  for (const int rank : {1, 2}) {
    EXPECT_THAT(errors[static_cast<size_t>(rank)], HasSubstr("of rank 0"));
    EXPECT_THAT(errors[static_cast<size_t>(rank)], HasSubstr("round 1 within"));
  }
}

TEST_P(FaultTest, TheEndOfTheInvocationEndsTheWait) {
  const auto store = place_->Open();
  Membership membership = MemberOf(1, 2);
  membership.round_timeout = std::chrono::hours(1);
  membership.end = base::Deadline::After(std::chrono::milliseconds(20));
  const auto communicator = MakeCommunicator(GetParam(), *store, membership);
  EXPECT_THROW(communicator->AllReduceSum({}, {}), base::Error);
}

TEST_P(FaultTest, ARankThatRunsTwiceIsHarmless) {
  std::vector<std::vector<float>> sums(4, std::vector<float>(10));
  // Members 1 and 3 are both rank 1.
  const std::vector<int> ranks = {0, 1, 2, 1};
  test::RunInThreads(4, [&](int member) {
    const auto store = place_->Open();
    const int rank = ranks[static_cast<size_t>(member)];
    const auto communicator = MakeCommunicator(GetParam(), *store, MemberOf(rank, 3));
    auto& sum = sums[static_cast<size_t>(member)];
    sum.assign(10, static_cast<float>(rank + 1));
    communicator->AllReduceSum({}, sum);
  });
  for (const auto& sum : sums) EXPECT_EQ(sum, std::vector<float>(10, 6.0F));
}

TEST_P(FaultTest, DelaysAndDuplicateWritesChangeNoBit) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    place_ = backend_.make_place();
    test::RunInThreads(4, [&](int rank) {
      const test::Faults faults = {.seed = base::MixSeed(seed, static_cast<uint64_t>(rank)),
                                   .delay_probability = 0.3,
                                   .duplicate_probability = 0.3};
      test::FaultyStore store(place_->Open(), faults);
      Membership membership = MemberOf(rank, 4);
      membership.round_timeout = std::chrono::seconds(60);
      const auto communicator = MakeCommunicator(GetParam(), store, membership);
      for (int round = 1; round <= 10; ++round) {
        std::vector<double> scalars = {static_cast<double>(rank * round)};
        std::vector<float> vector(50, static_cast<float>(round));
        communicator->AllReduceSum(scalars, vector);
        ASSERT_EQ(scalars[0], 6.0 * round);
        ASSERT_EQ(vector, std::vector<float>(50, 4.0F * static_cast<float>(round)));
      }
    });
  }
}

TEST_P(FaultTest, DamagedValuesAreNoticedNotAdded) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    place_ = backend_.make_place();
    test::RunInThreads(2, [&](int rank) {
      const test::Faults faults = {.seed = seed, .damage_probability = rank == 0 ? 1.0 : 0.0};
      test::FaultyStore store(place_->Open(), faults);
      const auto communicator = MakeCommunicator(GetParam(), store, MemberOf(rank, 2));
      std::vector<float> vector(50, 1.0F);
      try {
        communicator->AllReduceSum({}, vector);
        EXPECT_NE(rank, 0) << "seed " << seed;
      } catch (const base::Error& error) {
        EXPECT_EQ(error.code(),
                  rank == 0 ? base::ErrorCode::kCorrupt : base::ErrorCode::kDeadlineExceeded)
            << error.message();
      }
    });
  }
}

TEST_P(FaultTest, AnErrorOfTheStoreComesThrough) {
  test::FaultyStore store(place_->Open(), {.error_probability = 1.0});
  const auto communicator = MakeCommunicator(GetParam(), store, MemberOf(1, 2));
  try {
    communicator->AllReduceSum({}, {});
    FAIL() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kUnavailable);
  }
}

TEST_P(FaultTest, VectorsOfDifferentLengthsAreRefused) {
  test::RunInThreads(2, [&](int rank) {
    const auto store = place_->Open();
    const auto communicator = MakeCommunicator(GetParam(), *store, MemberOf(rank, 2));
    std::vector<float> vector(rank == 0 ? 10 : 14);
    try {
      communicator->AllReduceSum({}, vector);
      FAIL() << "no error";
    } catch (const base::Error& error) {
      if (error.code() == base::ErrorCode::kDeadlineExceeded) return;  // the other one gave up
      EXPECT_EQ(error.code(), base::ErrorCode::kCorrupt);
      EXPECT_THAT(error.message(), HasSubstr("elements, expected"));
    }
  });
}

TEST_P(FaultTest, MembershipsThatMakeNoSenseAreRefused) {
  const auto store = place_->Open();
  for (const Membership& membership :
       {MemberOf(-1, 2), MemberOf(2, 2), MemberOf(0, 0), Membership{.job = ""},
        Membership{.job = "a/b"}, Membership{.job = "../a"},
        Membership{.job = std::string(121, 'j')}}) {
    EXPECT_THROW(MakeCommunicator(GetParam(), *store, membership), base::Error);
    EXPECT_THROW(MakeSharedModel(*store, membership, 1), base::Error);
  }
}

INSTANTIATE_TEST_SUITE_P(Patterns, FaultTest,
                         testing::Values(Pattern::kReduce, Pattern::kReduceScatter),
                         [](const testing::TestParamInfo<Pattern>& pattern) {
                           return pattern.param == Pattern::kReduce ? "Reduce" : "ReduceScatter";
                         });

}  // namespace
}  // namespace lambdaml::comm
