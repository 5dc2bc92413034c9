#include "unit/comm/collectives_suite.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "lambdaml/base/random.h"
#include "lambdaml/wire/vector_codec.h"

#include "support/processes.h"

namespace lambdaml::comm {

std::string CollectivesTest::NameOf(const testing::TestParamInfo<ParamType>& info) {
  const bool is_reduce = std::get<1>(info.param) == Pattern::kReduce;
  return std::get<0>(info.param).name + (is_reduce ? "Reduce" : "ReduceScatter");
}

void CollectivesTest::SetUp() {
  if (!backend().skip_reason.empty()) GTEST_SKIP() << backend().skip_reason;
}

void CollectivesTest::RunRanks(int worker_count,
                               const std::function<void(Communicator&)>& body) const {
  const auto place = backend().make_place();
  test::RunInThreads(worker_count, [&](int rank) {
    const auto store = place->Open();
    const Membership membership = {.job = "job", .rank = rank, .worker_count = worker_count};
    body(*MakeCommunicator(std::get<1>(GetParam()), *store, membership));
  });
}

CollectivesTest::Terms CollectivesTest::SumOf(const Terms& terms, wire::Precision precision) const {
  Terms sums = terms;
  RunRanks(static_cast<int>(terms.size()), [&](Communicator& communicator) {
    auto& own = sums[static_cast<size_t>(communicator.rank())];
    communicator.AllReduceSum({}, own, precision);
    own = terms[static_cast<size_t>(communicator.rank())];
    communicator.AllReduceSum({}, own, precision);
  });
  return sums;
}

namespace {

using Terms = std::vector<std::vector<float>>;  // by rank

constexpr int kRankCounts[] = {1, 2, 3, 4, 7, 8};

std::vector<uint32_t> BitsOf(const std::vector<float>& values) {
  std::vector<uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

// The reference: as slow and as plain as the definition.
std::vector<float> SlowSum(const Terms& terms) {
  std::vector<float> sums;
  for (size_t i = 0; i < terms[0].size(); ++i) {
    double sum = 0.0;
    for (const auto& term : terms) sum = sum + static_cast<double>(term[i]);
    sums.push_back(static_cast<float>(sum));
  }
  return sums;
}

// Numbers of very different sizes, so that another order of additions gives other bits; with
// `density` of them not zero, and both zeros among them.
Terms RandomTerms(size_t worker_count, size_t length, double density, uint64_t seed) {
  Terms terms(worker_count, std::vector<float>(length));
  base::Random random(seed);
  for (auto& term : terms) {
    for (float& value : term) {
      if (random.Uniform() >= density) continue;
      const double size = std::exp2(static_cast<double>(random.Below(60)) - 30.0);
      value = random.Below(10) == 0 ? -0.0F : static_cast<float>(random.Normal() * size);
    }
  }
  return terms;
}

TEST_P(CollectivesTest, SumsOfIntegersHaveTheirClosedForm) {
  for (const int ranks : kRankCounts) {
    const auto count = static_cast<size_t>(ranks);
    for (const size_t length : {size_t{0}, size_t{1}, count - 1, size_t{1000}}) {
      RunRanks(ranks, [&](Communicator& communicator) {
        std::vector<double> scalars = {1.0, static_cast<double>(communicator.rank())};
        std::vector<float> vector(length);
        for (size_t i = 0; i < length; ++i) {
          vector[i] = static_cast<float>((i + 1) * static_cast<size_t>(communicator.rank() + 1));
        }
        communicator.AllReduceSum(scalars, vector);
        const int rank_sum = ranks * (ranks - 1) / 2;
        EXPECT_EQ(scalars, (std::vector<double>{1.0 * ranks, 1.0 * rank_sum}));
        for (size_t i = 0; i < length; ++i) {
          const size_t sum = (i + 1) * count * (count + 1) / 2;
          ASSERT_EQ(vector[i], static_cast<float>(sum));
        }
        EXPECT_EQ(communicator.stats().rounds, 1U);
      });
    }
  }
}

TEST_P(CollectivesTest, EveryRankHoldsTheBitsOfTheSumInRankOrder) {
  for (const int ranks : kRankCounts) {
    for (const double density : {1.0, 0.1, 0.0}) {
      const auto count = static_cast<size_t>(ranks);
      const Terms terms = RandomTerms(count, 1001, density, 17);
      const auto expected = BitsOf(ranks == 1 ? terms[0] : SlowSum(terms));
      for (const auto& sum : SumOf(terms)) ASSERT_EQ(BitsOf(sum), expected) << ranks;
    }
  }
}

TEST_P(CollectivesTest, LongVectorsOfMixedDensityHaveTheSameBitsOnEachRank) {
  for (const int ranks : {2, 3, 8}) {
    const auto count = static_cast<size_t>(ranks);
    Terms terms = RandomTerms(count, 1'000'000, 1.0, 5);
    terms[1] = RandomTerms(1, 1'000'000, 0.05, 6)[0];
    const auto expected = BitsOf(SlowSum(terms));
    for (const auto& sum : SumOf(terms)) ASSERT_TRUE(BitsOf(sum) == expected) << ranks;
  }
}

TEST_P(CollectivesTest, SumsOfHalvesAreRoundedOnceAsTermsAndOnceAsSums) {
  for (const int ranks : kRankCounts) {
    for (const double density : {1.0, 0.1}) {
      Terms terms = RandomTerms(static_cast<size_t>(ranks), 5001, density, 23);
      for (auto& term : terms) {  // within float16, its subnormal numbers and below
        for (float& value : term) value = std::ldexp(value, -16);
        for (float& value : term) value = std::clamp(value, -1000.0F, 1000.0F);
      }
      Terms rounded = terms;
      for (auto& term : rounded) wire::RoundToFloat16(term, "term");
      auto sum = SlowSum(rounded);
      wire::RoundToFloat16(sum, "sum");
      const auto expected = BitsOf(ranks == 1 ? terms[0] : sum);
      for (const auto& own : SumOf(terms, wire::Precision::kFloat16)) {
        ASSERT_EQ(BitsOf(own), expected) << ranks;
      }
    }
  }
}

// Whole messages of a vector just below, at and just above one value, and two.
TEST_P(CollectivesTest, MessagesAroundTheLargestValueArriveWhole) {
  const auto place = backend().make_place();
  const uint64_t limit = place->Open()->capabilities().value_size_max_bytes;
  if (limit > 2'000'000) return;  // LongVectors… is all there is to see
  const uint64_t length = (limit - wire::DenseSizeBytes(0, 0)) / sizeof(float);
  for (const uint64_t added :
       {uint64_t{0}, uint64_t{1}, limit / sizeof(float), limit / sizeof(float) + 1}) {
    const Terms terms = RandomTerms(2, length + added, 1.0, added);
    const auto expected = BitsOf(SlowSum(terms));
    for (const auto& sum : SumOf(terms)) ASSERT_TRUE(BitsOf(sum) == expected) << added;
  }
}

TEST_P(CollectivesTest, AllGatherGivesEveryBlobInRankOrder) {
  for (const int ranks : kRankCounts) {
    RunRanks(ranks, [&](Communicator& communicator) {
      // Blobs of different sizes, the first one empty, some of several segments.
      const auto blob_of = [](int rank) {
        return std::string(static_cast<size_t>(rank * 3000), static_cast<char>('a' + rank));
      };
      const auto blobs = communicator.AllGather(base::AsBytes(blob_of(communicator.rank())));
      ASSERT_EQ(blobs.size(), static_cast<size_t>(ranks));
      for (int rank = 0; rank < ranks; ++rank) {
        ASSERT_EQ(blobs[static_cast<size_t>(rank)].text(), blob_of(rank));
      }
    });
  }
}

TEST_P(CollectivesTest, ManyMixedRoundsStayInStep) {
  RunRanks(4, [&](Communicator& communicator) {
    for (int round = 0; round < backend().race_rounds; ++round) {
      std::vector<double> scalars = {static_cast<double>(round)};
      std::vector<float> vector(static_cast<size_t>(round % 7), 1.0F);
      communicator.AllReduceSum(scalars, vector);
      ASSERT_EQ(scalars[0], 4.0 * round);
      for (const float value : vector) ASSERT_EQ(value, 4.0F);
      if (round % 3 == 0) {
        const auto text = std::to_string(communicator.rank() + round);
        ASSERT_EQ(communicator.AllGather(base::AsBytes(text))[2].text(), std::to_string(2 + round));
      }
    }
  });
}

}  // namespace
}  // namespace lambdaml::comm
