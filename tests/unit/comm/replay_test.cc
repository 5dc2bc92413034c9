// Ranks that are invoked again, after their end or beside themselves, and what stays for them.
#include <array>
#include <atomic>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "lambdaml/comm/make_communicator.h"
#include "lambdaml/store/memory_store.h"

#include "support/processes.h"
#include "support/store_backend.h"

namespace lambdaml::comm {
namespace {

constexpr int kRanks = 3;

base::Deadline Soon() { return base::Deadline::After(std::chrono::seconds(30)); }

class ReplayTest : public testing::TestWithParam<Pattern> {
 protected:
  static Membership MemberOf(int rank) {
    return {.job = "job",
            .rank = rank,
            .worker_count = kRanks,
            .round_timeout = std::chrono::seconds(30),
            .keeps_results = true};
  }

  std::unique_ptr<Communicator> Join(store::Store& store, Membership membership) const {
    return MakeCommunicator(GetParam(), store, membership);
  }

  // What rounds first..last come to, as this rank sees it; every fourth is a gathering. The last
  // term differs from life to life, as a clock's would.
  static std::vector<double> Work(Communicator& communicator, int first, int last,
                                  float own_clock = 0) {
    std::vector<double> results;
    for (int round = first; round <= last; ++round) {
      if (round % 4 == 0) {
        const std::string own = std::to_string(round * 10 + communicator.rank());
        double sum = 0;
        for (const base::Blob& blob : communicator.AllGather(base::AsBytes(own))) {
          sum += std::stod(std::string(blob.text()));
        }
        results.push_back(sum);
        continue;
      }
      std::vector<double> scalars = {static_cast<double>(round), own_clock};
      std::vector<float> vector(40, static_cast<float>(communicator.rank() + round));
      communicator.AllReduceSum(scalars, vector);
      results.push_back(scalars[0] + vector[39] + 1000 * communicator.announced());
    }
    return results;
  }
};

TEST_P(ReplayTest, WhoComesBackGetsTheResultsThatStandAndGoesOn) {
  for (int lost = 0; lost < kRanks; ++lost) {
    for (const int lost_after : {0, 1, 3, 4, 7}) {
      SCOPED_TRACE(testing::Message() << "rank " << lost << " after round " << lost_after);
      store::MemoryStore store;
      std::array<std::vector<double>, kRanks> results;
      test::RunInThreads(kRanks, [&](int rank) {
        Membership membership = MemberOf(rank);
        if (rank == lost) Work(*Join(store, membership), 1, lost_after, 1);
        membership.was_here = rank == lost;
        results[static_cast<size_t>(rank)] = Work(*Join(store, membership), 1, 9);
      });
      EXPECT_EQ(results[0], results[1]);
      EXPECT_EQ(results[0], results[2]);
    }
  }
}

// A rank that died in the middle of a round leaves some of its messages behind, or all of them.
TEST_P(ReplayTest, ARoundCutInHalfIsMadeWhole) {
  store::MemoryStore store;
  std::array<std::vector<double>, kRanks> results;
  test::RunInThreads(kRanks, [&](int rank) {
    Membership membership = MemberOf(rank);
    if (rank == 1) {
      Work(*Join(store, membership), 1, 2);
      Membership impatient = membership;
      impatient.round_timeout = std::chrono::milliseconds(0);
      impatient.rounds_before = 2;
      EXPECT_ANY_THROW(Work(*Join(store, impatient), 3, 3));
    }
    membership.was_here = rank == 1;
    results[static_cast<size_t>(rank)] = Work(*Join(store, membership), 1, 6);
  });
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST_P(ReplayTest, InvocationsOfOneRankAtTheSameTimeDoNoHarm) {
  for (int twin = 0; twin < kRanks; ++twin) {
    SCOPED_TRACE(twin);
    store::MemoryStore store;
    std::array<std::vector<double>, kRanks + 1> results;
    test::RunInThreads(kRanks + 1, [&](int thread) {
      const int rank = thread == kRanks ? twin : thread;
      const auto communicator = Join(store, MemberOf(rank));
      communicator->AllGather(base::AsBytes("here"));  // by which the later one learns of the other
      results[static_cast<size_t>(thread)] = Work(*communicator, 2, 40, static_cast<float>(thread));
    });
    for (const auto& result : results) EXPECT_EQ(result, results[0]);
  }
}

TEST_P(ReplayTest, AnAnnouncementStandsAsItWasFirstMade) {
  store::MemoryStore store;
  std::atomic<Announcement> word = 1;
  const auto work = [&](int rank, bool was_here) {
    Membership membership = MemberOf(rank);
    membership.was_here = was_here;
    membership.announcement = [&] { return word.fetch_add(1); };
    const auto communicator = Join(store, membership);
    std::vector<Announcement> heard;
    for (int round = 0; round < 3; ++round) {
      std::vector<float> vector(10, 1.0F);
      communicator->AllReduceSum({}, vector);
      heard.push_back(communicator->announced());
    }
    return heard;
  };
  std::array<std::vector<Announcement>, kRanks> heard;
  test::RunInThreads(kRanks,
                     [&](int rank) { heard[static_cast<size_t>(rank)] = work(rank, false); });
  EXPECT_THAT(heard, testing::Each(std::vector<Announcement>{1, 2, 3}));
  for (int rank = 0; rank < kRanks; ++rank) EXPECT_EQ(work(rank, true), heard[0]);
  EXPECT_EQ(word, 4);
}

TEST_P(ReplayTest, RanksGoOnFromTheRoundOfACheckpoint) {
  store::MemoryStore store;
  std::array<std::vector<double>, kRanks> results;
  test::RunInThreads(kRanks, [&](int rank) {
    Membership membership = MemberOf(rank);
    Work(*Join(store, membership), 1, 5);
    membership.rounds_before = 3;
    membership.was_here = true;
    const auto communicator = Join(store, membership);
    EXPECT_EQ(communicator->rounds(), 3U);
    results[static_cast<size_t>(rank)] = Work(*communicator, 4, 9);
  });
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST_P(ReplayTest, ResultsAreKeptUntilTheyAreReleased) {
  store::MemoryStore store;
  const auto standing = [&] { return store.List("job/0/all/", Soon()).size(); };
  test::RunInThreads(kRanks, [&](int rank) {
    const auto communicator = Join(store, MemberOf(rank));
    Work(*communicator, 1, 100);
    const size_t results_each_round = GetParam() == Pattern::kReduce ? 1 : kRanks;
    EXPECT_GE(standing(), 75 * results_each_round + 25 * kRanks);
    communicator->AllGather({});
    communicator->ReleaseResults();
    Work(*communicator, 101, 140);
  });
  EXPECT_LE(standing(), 41U * kRanks);
}

TEST_P(ReplayTest, OfAnEndedGenerationOnlyItsLastRoundIsLeftToTheNext) {
  store::MemoryStore store;
  test::RunInThreads(kRanks, [&](int rank) {
    const auto communicator = Join(store, MemberOf(rank));
    Work(*communicator, 1, 30);
    communicator->AllGather({});
    communicator->ReleaseResults();
    communicator->DeleteReleased();
  });
  const std::vector<std::string> left = store.List("job/", Soon());
  EXPECT_EQ(left, (std::vector<std::string>{"job/0/all/31.0", "job/0/all/31.1", "job/0/all/31.2"}));
  test::RunInThreads(kRanks, [&](int rank) {
    Membership membership = MemberOf(rank);
    membership.generation = 1;
    membership.leftover_keys = {left[static_cast<size_t>(rank)]};
    const auto communicator = Join(store, membership);
    Work(*communicator, 1, 6);
    communicator->AllGather({});
    communicator->ReleaseResults();
    communicator->DeleteReleased();
  });
  EXPECT_THAT(store.List("job/0/", Soon()), testing::IsEmpty());
}

// One of an old generation writes where nobody of a newer one reads.
TEST_P(ReplayTest, GenerationsDoNotMeet) {
  store::MemoryStore store;
  test::RunInThreads(kRanks + 1, [&](int thread) {
    Membership membership = MemberOf(thread % kRanks);
    membership.generation = thread < kRanks ? 1 : 0;
    if (thread < kRanks) {
      Work(*Join(store, membership), 1, 5);
      return;
    }
    membership.round_timeout = std::chrono::milliseconds(50);
    EXPECT_ANY_THROW(Work(*Join(store, membership), 1, 5, 7));
  });
}

INSTANTIATE_TEST_SUITE_P(Patterns, ReplayTest,
                         testing::Values(Pattern::kReduce, Pattern::kReduceScatter),
                         [](const auto& param) {
                           return param.param == Pattern::kReduce ? "Reduce" : "ReduceScatter";
                         });

}  // namespace
}  // namespace lambdaml::comm
