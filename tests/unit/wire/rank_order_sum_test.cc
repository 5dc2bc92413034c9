#include "lambdaml/wire/rank_order_sum.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <gtest/gtest.h>
#include <vector>

#include "lambdaml/base/random.h"

namespace lambdaml::wire {
namespace {

// A vector of a rank in both forms: elements of every size and sign, most of them +0.
struct Term {
  std::vector<double> scalars;
  std::vector<float> values;
  std::vector<uint32_t> stored_indices;
  std::vector<float> stored_values;

  VectorView Dense() const { return VectorView::Dense(scalars, values); }
  VectorView Sparse() const {
    return {scalars, values.size(), true, stored_indices, stored_values};
  }
};

Term RandomTerm(size_t length, uint64_t seed) {
  base::Random random(seed);
  Term term;
  term.scalars = {random.Normal(), 1e300 * random.Normal()};
  while (term.scalars.size() < length) {
    term.scalars.push_back(std::ldexp(random.Normal(), static_cast<int>(random.Below(60))));
  }
  term.values.assign(length, 0.0F);
  for (size_t i = 0; i < length; ++i) {
    if (random.Uniform() < 0.7) continue;
    const bool is_minus_zero = random.Uniform() < 0.1;
    term.values[i] =
        is_minus_zero
            ? -0.0F
            : static_cast<float>(std::ldexp(random.Normal(), static_cast<int>(random.Below(60))));
    term.stored_indices.push_back(static_cast<uint32_t>(i));
    term.stored_values.push_back(term.values[i]);
  }
  return term;
}

template <typename T>
bool HaveSameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

TEST(RankOrderSumTest, HasTheBitsOfAFloat64LoopInAnyMixOfDenseAndSparse) {
  for (const size_t length : {size_t{0}, size_t{1}, size_t{2047}, size_t{2048}, size_t{5000}}) {
    std::vector<Term> terms;
    for (uint64_t rank = 0; rank < 5; ++rank)
      terms.push_back(RandomTerm(length, 17 * rank + length));
    std::vector<float> expected(length);
    std::vector<double> expected_scalars(terms.front().scalars.size());
    for (size_t i = 0; i < length; ++i) {
      double sum = 0;
      for (const Term& term : terms) sum += static_cast<double>(term.values[i]);
      expected[i] = static_cast<float>(sum);
    }
    for (size_t i = 0; i < expected_scalars.size(); ++i) {
      for (const Term& term : terms) expected_scalars[i] += term.scalars[i];
    }
    for (unsigned mix = 0; mix < 32; ++mix) {
      std::vector<VectorView> views;
      for (size_t rank = 0; rank < terms.size(); ++rank) {
        views.push_back((mix >> rank & 1U) == 0 ? terms[rank].Dense() : terms[rank].Sparse());
      }
      std::vector<float> sums(length, NAN);
      std::vector<double> scalars(expected_scalars.size(), NAN);
      SumInRankOrder(views, scalars, sums);
      EXPECT_TRUE(HaveSameBits(sums, expected)) << length << " elements, mix " << mix;
      EXPECT_TRUE(HaveSameBits(scalars, expected_scalars));
    }
  }
}

TEST(RankOrderSumTest, OfOneTermIsTheTermWithoutMinusZeros) {
  const std::vector<float> term = {-0.0F, 1.5F, -2.0F};
  std::vector<float> sum(3);
  const VectorView view = VectorView::Dense({}, term);
  SumInRankOrder({&view, 1}, {}, sum);
  EXPECT_TRUE(HaveSameBits(sum, {0.0F, 1.5F, -2.0F}));
}

TEST(RankOrderSumTest, HalvesCountAsTheNumbersThatTheyAre) {
  for (const size_t length : {size_t{1}, size_t{2048}, size_t{5000}}) {
    std::vector<Message> messages;
    std::vector<VectorView> views;
    std::vector<double> sums(length);
    for (uint64_t rank = 0; rank < 4; ++rank) {
      base::Random random(rank);
      const double density = rank % 2 == 0 ? 1.0 : 0.1;
      std::vector<float> term(length);
      for (float& value : term) {
        if (random.Uniform() < density) value = static_cast<float>(random.Normal());
      }
      MessageEncoder encoder;
      messages.push_back(DecodeMessage(
          base::Blob::Copy(encoder.EncodeVector({}, {}, term, 0, Precision::kFloat16)), "test"));
      RoundToFloat16(term, "test");
      for (size_t i = 0; i < length; ++i) sums[i] += static_cast<double>(term[i]);
    }
    for (const Message& message : messages) views.push_back(message.vector);
    std::vector<float> actual(length);
    SumInRankOrder(views, {}, actual);
    for (size_t i = 0; i < length; ++i) ASSERT_EQ(actual[i], static_cast<float>(sums[i]));
  }
}

}  // namespace
}  // namespace lambdaml::wire
