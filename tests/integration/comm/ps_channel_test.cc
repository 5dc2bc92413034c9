// Collectives and the shared model over a parameter server, beside those over a store.
#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"
#include "lambdaml/comm/channel.h"
#include "lambdaml/comm/store_channel.h"
#include "lambdaml/ps/client.h"
#include "lambdaml/store/memory_store.h"

#include "support/processes.h"
#include "support/servers/ps_server.h"

namespace lambdaml::comm {
namespace {

using test::PsServer;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Announce = std::function<Announcement()>;

struct Result {
  std::vector<double> scalars;
  std::vector<float> vector;
  std::vector<float> halves = {};
  std::vector<std::string> gathered = {};

  bool operator==(const Result&) const = default;
};

std::string FreshJob() {
  static int count = 0;
  return fmt::format("job-{}", ++count);
}

// Numbers that float64 cannot add without rounding, most of them zero.
std::vector<float> VectorOf(int rank, size_t length) {
  base::Random random(static_cast<uint64_t>(rank) + 5);
  std::vector<float> vector(length);
  for (float& value : vector) {
    if (random.Uniform() < 0.4) value = static_cast<float>(random.Normal() * 1e10);
    if (random.Uniform() < 0.2) value = static_cast<float>(random.Normal() * 1e-10);
  }
  return vector;
}

// One round of each kind, and one in halves.
Result TakePart(Communicator& communicator, size_t length) {
  const int rank = communicator.rank();
  Result result = {.scalars = {1.0 / (rank + 3), 1e300}, .vector = VectorOf(rank, length)};
  communicator.AllReduceSum(result.scalars, result.vector);
  result.halves = VectorOf(rank, length);
  for (float& value : result.halves) value = std::clamp(value, -1e3F, 1e3F);
  communicator.AllReduceSum({}, result.halves, wire::Precision::kFloat16);
  const std::string own(static_cast<size_t>(rank) * 10, static_cast<char>('a' + rank));
  for (const base::Blob& blob : communicator.AllGather(base::AsBytes(own))) {
    result.gathered.emplace_back(blob.text());
  }
  return result;
}

class PsChannelTest : public ::testing::Test {
 protected:
  // The server ends with the thread that starts it: not one of the ranks'.
  static void SetUpTestSuite() { PsServer::Shared(); }

  static std::unique_ptr<Channel> Open() { return OpenChannel(PsServer::Shared().url()); }

  Membership MemberOf(int rank, int worker_count) const {
    return {.job = job_,
            .rank = rank,
            .worker_count = worker_count,
            .round_timeout = std::chrono::seconds(60)};
  }
  void TearDown() override {
    Open()->CleanUp(job_, base::Deadline::After(std::chrono::seconds(10)));
  }

  const std::string job_ = FreshJob();
};

TEST_F(PsChannelTest, SumsAndBlobsHaveTheBitsOfAStoresForAnyNumberOfRanks) {
  for (const int worker_count : {1, 2, 3, 4, 7, 8}) {
    const auto ranks = static_cast<size_t>(worker_count);
    const std::vector<size_t> lengths = {0, 1, ranks - 1, 1000, 2 * ps::kSliceLength + 17};
    std::vector<std::vector<Result>> over_store(ranks);
    std::vector<std::vector<Result>> over_ps(ranks);
    store::MemoryStore store;
    const std::string job = FreshJob();
    test::RunInThreads(worker_count, [&](int rank) {
      StoreChannel store_channel(store);
      const auto ps_channel = Open();
      Membership membership = MemberOf(rank, worker_count);
      membership.job = job;
      const auto reference = store_channel.MakeCommunicator(Pattern::kReduce, membership);
      const auto communicator = ps_channel->MakeCommunicator(Pattern::kReduce, membership);
      for (const size_t length : lengths) {
        over_store[static_cast<size_t>(rank)].push_back(TakePart(*reference, length));
        over_ps[static_cast<size_t>(rank)].push_back(TakePart(*communicator, length));
      }
      reference->Leave();
      communicator->Leave();
    });
    for (size_t rank = 0; rank < ranks; ++rank) {
      EXPECT_EQ(over_ps[rank], over_store[0]) << "rank " << rank << " of " << worker_count;
    }
    Open()->CleanUp(job, base::Deadline::After(std::chrono::seconds(10)));
  }
}

TEST_F(PsChannelTest, HalvesTakeHalfTheBytesAndMustFit) {
  constexpr size_t kLength = ps::kSliceLength + 100;
  test::RunInThreads(2, [&](int rank) {
    const auto channel = Open();
    const auto communicator = channel->MakeCommunicator(Pattern::kReduce, MemberOf(rank, 2));
    std::vector<float> vector(kLength, 1.0F);
    communicator->AllReduceSum({}, vector, wire::Precision::kFloat16);
    EXPECT_THAT(vector, Each(2.0F));
    EXPECT_LT(channel->counters().bytes_written, 2 * kLength + 2000);
    EXPECT_LT(channel->counters().bytes_read, 2 * kLength + 2000);
  });
  const std::string job = FreshJob();
  std::vector<std::string> errors(2);
  test::RunInThreads(2, [&](int rank) {
    const auto channel = Open();
    Membership membership = MemberOf(rank, 2);
    membership.job = job;
    membership.round_timeout = std::chrono::seconds(2);
    const auto communicator = channel->MakeCommunicator(Pattern::kReduce, membership);
    std::vector<float> vector(10, 4e4F);
    try {
      communicator->AllReduceSum({}, vector, wire::Precision::kFloat16);
    } catch (const base::Error& error) {
      errors[static_cast<size_t>(rank)] = error.message();
    }
  });
  EXPECT_THAT(errors, testing::Contains(HasSubstr("the sum of slice 0 of round 1: element 0 is "
                                                  "8e+04, and float16 ends at 65504")));
  Open()->CleanUp(job, base::Deadline::After(std::chrono::seconds(10)));
}

TEST_F(PsChannelTest, ARankThatIsInvokedAgainGetsTheSameResultsAndAnnouncements) {
  std::vector<std::vector<float>> results(2);
  const auto run = [&](int rank, Membership membership, int rounds, float value) {
    membership.keeps_results = true;
    const auto channel = Open();
    const auto communicator = channel->MakeCommunicator(Pattern::kReduce, membership);
    for (int round = 0; round < rounds; ++round) {
      std::vector<float> vector(10, value + static_cast<float>(round));
      communicator->AllReduceSum({}, vector);
      results[static_cast<size_t>(rank)].push_back(vector[0]);
      results[static_cast<size_t>(rank)].push_back(static_cast<float>(communicator->announced()));
    }
    return communicator->rounds();
  };
  test::RunInThreads(2, [&](int rank) {
    Membership membership = MemberOf(rank, 2);
    membership.announcement = [] { return Announcement{7}; };
    EXPECT_EQ(run(rank, membership, 3, 1.0F), 3U);
  });
  EXPECT_THAT(results[0], ElementsAre(2, 7, 4, 7, 6, 7));
  // Alone, with another vector and another announcement: its peer has gone.
  results[0].clear();
  Membership again = MemberOf(0, 2);
  again.was_here = true;
  again.announcement = [] { return Announcement{8}; };
  run(0, again, 3, 100.0F);
  EXPECT_EQ(results[0], results[1]);
  // From the middle on, and without knowing that it was here.
  results[0].clear();
  again.was_here = false;
  again.rounds_before = 1;
  run(0, again, 2, 100.0F);
  EXPECT_THAT(results[0], ElementsAre(4, 7, 6, 7));
}

TEST_F(PsChannelTest, ReleasedResultsAreGoneOnceEveryRankHasGoneOn) {
  const auto rounds_kept = [] {
    return PsServer::Shared().Status().At("jobs").AsArray().front().At("rounds_kept").AsInteger();
  };
  const auto run = [&](uint64_t generation, int rounds, int release_after) {
    test::RunInThreads(3, [&](int rank) {
      Membership membership = MemberOf(rank, 3);
      membership.keeps_results = true;
      membership.generation = generation;
      const auto channel = Open();
      const auto communicator = channel->MakeCommunicator(Pattern::kReduce, membership);
      for (int round = 1; round <= rounds; ++round) {
        std::vector<float> vector(10);
        communicator->AllReduceSum({}, vector);
        if (round == release_after) communicator->ReleaseResults();
      }
    });
  };
  run(0, 6, 4);
  EXPECT_EQ(rounds_kept(), 2) << "5 and 6";
  run(1, 2, 0);
  EXPECT_EQ(rounds_kept(), 2) << "of the new generation";
}

TEST_F(PsChannelTest, MissingRanksAreNamed) {
  const auto channel = Open();
  Membership membership = MemberOf(1, 4);
  membership.round_timeout = std::chrono::milliseconds(200);
  const auto communicator = channel->MakeCommunicator(Pattern::kReduce, membership);
  std::vector<float> vector(10);
  try {
    communicator->AllReduceSum({}, vector);
    ADD_FAILURE() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kDeadlineExceeded);
    EXPECT_THAT(error.message(), HasSubstr("no contribution of ranks 0, 2, 3 to round 1"));
  }
}

TEST_F(PsChannelTest, TheSharedModelHasEveryMergeOnce) {
  constexpr size_t kLength = ps::kSliceLength + 3;
  const auto make = [&](Channel& channel, int rank) {
    return channel.MakeSharedModel(MemberOf(rank, 3), kLength);
  };
  test::RunInThreads(3, [&](int rank) {
    const auto channel = Open();
    const auto shared = make(*channel, rank);
    std::vector<float> model(kLength, 1.0F);
    shared->Join(model);
    const std::vector<float> change(kLength, 2.0F);
    for (int i = 0; i < 10; ++i) shared->Merge(change, model);
    EXPECT_EQ(shared->own_merges(), 10U);
  });
  const auto channel = Open();
  const auto again = make(*channel, 1);
  std::vector<float> model(kLength);
  again->Join(model);
  EXPECT_EQ(again->own_merges(), 10U) << "those of the earlier invocation";
  EXPECT_THAT(model, Each(61));
  // Two invocations of one rank: the slower one notices.
  const auto twin = make(*channel, 1);
  twin->Join(model);
  const std::vector<float> change(kLength, 1.0F);
  again->Merge(change, model);
  again->Merge(change, model);
  EXPECT_THROW(twin->Merge(change, model), base::Error);
  EXPECT_THROW(channel->MakeSharedModel(MemberOf(3, 3), 1), base::Error) << "there is no rank 3";
}

TEST_F(PsChannelTest, CountsWhatItAsks) {
  const auto channel = Open();
  const auto communicator = channel->MakeCommunicator(Pattern::kReduce, MemberOf(0, 1));
  std::vector<float> vector(1000, 1.0F);
  communicator->AllReduceSum({}, vector);
  EXPECT_EQ(channel->counters().put_requests, 0U) << "one worker needs no server";
  const auto shared = channel->MakeSharedModel(MemberOf(0, 1), 1000);
  shared->Join(vector);
  shared->Merge(vector, vector);
  const store::Counters counters = channel->counters();
  EXPECT_EQ(counters.put_requests, 2U);
  EXPECT_EQ(counters.get_requests, 2U) << "hello and open_job";
  EXPECT_GT(counters.bytes_written, 8000U);
  EXPECT_GT(counters.bytes_read, 8000U);
  EXPECT_EQ(channel->service(), "ps");
}

TEST(ChannelTest, UrlsOfOtherSchemesAreStores) {
  EXPECT_EQ(OpenChannel("file:///tmp")->service(), "file");
  EXPECT_EQ(OpenChannel("pss://host?ca=/ca.pem")->url(), "pss://host?ca=/ca.pem");
  EXPECT_THROW(OpenChannel("ps://host:0"), base::Error);
  EXPECT_THROW(OpenChannel("psx://host"), base::Error);
}

}  // namespace
}  // namespace lambdaml::comm
