#include "lambdaml/train/kmeans_init.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <unordered_set>
#include <utility>
#include <vector>

#include "lambdaml/base/random.h"
#include "lambdaml/model/kmeans_seeding.h"

namespace lambdaml::train {
namespace {

// Independent draws from one seed.
enum class Purpose : uint64_t { kRandomRows = 1, kFirstRow, kRace, kSample, kRecluster };

uint64_t SeedOf(uint64_t seed, Purpose purpose, int64_t step = 0) {
  return base::MixSeed(base::MixSeed(seed, static_cast<uint64_t>(purpose)),
                       static_cast<uint64_t>(step));
}

// Uniform over (0, 1), by the row's number.
double Draw(uint64_t seed, int64_t number) {
  const uint64_t bits = base::MixSeed(seed, static_cast<uint64_t>(number)) >> 11;
  return (static_cast<double>(bits) + 0.5) * 0x1p-53;
}

// When a row finishes a race that it wins with a probability proportional to its weight.
double FinishingTime(double draw, double weight) {
  return weight > 0 ? -std::log(draw) / weight : std::numeric_limits<double>::infinity();
}

std::vector<int64_t> FirstNumbers(int64_t k) {
  std::vector<int64_t> numbers(static_cast<size_t>(k));
  std::iota(numbers.begin(), numbers.end(), int64_t{0});
  return numbers;
}

// `count` different numbers below `total` that are not among `taken`, all sets equally likely.
// `taken` must leave enough.
std::vector<int64_t> RandomNumbers(int64_t count, int64_t total, uint64_t seed,
                                   std::span<const int64_t> taken) {
  base::Random random(seed);
  std::unordered_set<int64_t> used(taken.begin(), taken.end());
  std::vector<int64_t> numbers;
  // Where nearly all are wanted, drawing until a new one comes would take long.
  const bool is_dense = 2 * (count + static_cast<int64_t>(taken.size())) > total;
  if (is_dense) {
    for (const int64_t number : base::Permutation(total, random.Next())) {
      if (static_cast<int64_t>(numbers.size()) == count) break;
      if (!used.contains(number)) numbers.push_back(number);
    }
    return numbers;
  }
  while (static_cast<int64_t>(numbers.size()) < count) {
    const auto number = static_cast<int64_t>(random.Below(static_cast<uint64_t>(total)));
    if (used.insert(number).second) numbers.push_back(number);
  }
  return numbers;
}

void Append(const model::Centroids& more, model::Centroids& to) {
  to.k += more.k;
  to.n_features = more.n_features;
  to.values.insert(to.values.end(), more.values.begin(), more.values.end());
}

model::Centroids RowOf(const model::Centroids& rows, int64_t r) {
  return {.k = 1,
          .n_features = rows.n_features,
          .values = {rows.row(r), rows.row(r) + rows.n_features}};
}

// This rank's row that finishes the race first, if it has any row.
std::vector<OfferedRow> FastestRow(const RowExchange& rows, std::span<const double> squared,
                                   uint64_t seed) {
  std::vector<OfferedRow> fastest;
  for (int64_t r = 0; r < rows.numbers().count(); ++r) {
    const double key =
        FinishingTime(Draw(seed, rows.numbers().NumberOf(r)), squared[static_cast<size_t>(r)]);
    if (fastest.empty()) {
      fastest.push_back({r, key});
    } else if (key < fastest.front().key) {
      fastest.front() = {r, key};
    }
  }
  return fastest;
}

int64_t FirstRow(const RowExchange& rows, uint64_t seed) {
  const auto total = static_cast<uint64_t>(rows.numbers().total());
  return static_cast<int64_t>(base::Random(SeedOf(seed, Purpose::kFirstRow)).Below(total));
}

model::Centroids PlusPlus(const RowExchange& rows, int64_t k, uint64_t seed,
                          base::ThreadPool& pool) {
  model::NearestCentres nearest(rows.rows(), pool);
  const int64_t first = FirstRow(rows, seed);
  model::Centroids centroids = rows.Fetch(std::span(&first, 1));
  nearest.Add(centroids);
  while (centroids.k < k) {
    const GatheredRows fastest =
        rows.Gather(FastestRow(rows, nearest.squared(), SeedOf(seed, Purpose::kRace, centroids.k)));
    const auto winner = std::min_element(fastest.keys.begin(), fastest.keys.end());
    const model::Centroids chosen = RowOf(fastest.rows, winner - fastest.keys.begin());
    nearest.Add(chosen);
    Append(chosen, centroids);
  }
  return centroids;
}

struct Candidates {
  std::vector<int64_t> numbers;
  model::Centroids rows;
  std::vector<double> weights;  // rows of all ranks nearest to each
};

// The rows of this rank that are sampled, each with probability wanted·D²/total.
std::vector<OfferedRow> SampledRows(const RowExchange& rows, std::span<const double> squared,
                                    double wanted, double total, uint64_t seed) {
  std::vector<OfferedRow> sampled;
  for (int64_t r = 0; r < rows.numbers().count(); ++r) {
    const double probability = wanted * squared[static_cast<size_t>(r)] / total;
    if (Draw(seed, rows.numbers().NumberOf(r)) < probability) sampled.push_back({r, 0});
  }
  return sampled;
}

Candidates SampleCandidates(const RowExchange& rows, int64_t k, uint64_t seed,
                            base::ThreadPool& pool) {
  Candidates candidates;
  model::NearestCentres nearest(rows.rows(), pool);
  candidates.numbers = {FirstRow(rows, seed)};
  candidates.rows = rows.Fetch(candidates.numbers);
  nearest.Add(candidates.rows);
  for (int64_t round = 0; round < kParallelRounds; ++round) {
    const std::span<const double> squared = nearest.squared();
    double total = std::accumulate(squared.begin(), squared.end(), 0.0);
    rows.peers().AllReduceSum(std::span(&total, 1), {});
    if (total == 0) break;  // every row is a candidate, or like one
    const GatheredRows sampled =
        rows.Gather(SampledRows(rows, squared, static_cast<double>(kOversampling * k), total,
                                SeedOf(seed, Purpose::kSample, round)));
    if (sampled.rows.k == 0) continue;
    nearest.Add(sampled.rows);
    candidates.numbers.insert(candidates.numbers.end(), sampled.numbers.begin(),
                              sampled.numbers.end());
    Append(sampled.rows, candidates.rows);
  }
  candidates.weights.assign(candidates.numbers.size(), 0.0);
  for (const int32_t centre : nearest.nearest()) ++candidates.weights[static_cast<size_t>(centre)];
  rows.peers().AllReduceSum(candidates.weights, {});
  return candidates;
}

// k of at least k candidates by weighted k-means++; the same on every rank, without a round.
model::Centroids Recluster(const Candidates& candidates, int64_t k, uint64_t seed,
                           base::ThreadPool& pool) {
  const auto storage = std::make_shared<const std::vector<float>>(candidates.rows.values);
  const data::Dataset points = {
      .features = data::DenseRows{candidates.rows.k, candidates.rows.n_features, *storage},
      .labels = {},
      .storage = storage};
  model::NearestCentres nearest(points, pool);
  model::Centroids centroids;
  while (centroids.k < k) {
    const uint64_t race = SeedOf(seed, Purpose::kRecluster, centroids.k);
    int64_t winner = 0;
    double best = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < candidates.weights.size(); ++i) {
      const double squared = centroids.k == 0 ? 1 : nearest.squared()[i];
      const double time =
          FinishingTime(Draw(race, candidates.numbers[i]), candidates.weights[i] * squared);
      if (time >= best) continue;
      best = time;
      winner = static_cast<int64_t>(i);
    }
    const model::Centroids chosen = RowOf(candidates.rows, winner);
    nearest.Add(chosen);
    Append(chosen, centroids);
  }
  return centroids;
}

model::Centroids Parallel(const RowExchange& rows, int64_t k, uint64_t seed,
                          base::ThreadPool& pool) {
  const Candidates candidates = SampleCandidates(rows, k, seed, pool);
  if (candidates.rows.k >= k) return Recluster(candidates, k, seed, pool);
  // So few different rows that all are candidates: any others do.
  model::Centroids centroids = candidates.rows;
  Append(rows.Fetch(RandomNumbers(k - centroids.k, rows.numbers().total(),
                                  SeedOf(seed, Purpose::kRandomRows), candidates.numbers)),
         centroids);
  return centroids;
}

}  // namespace

model::Centroids InitialCentroids(const RowExchange& rows, wire::KmeansInit init, int64_t k,
                                  uint64_t seed, base::ThreadPool& pool) {
  switch (init) {
    case wire::KmeansInit::kFirst:
      break;
    case wire::KmeansInit::kRandom:
      return rows.Fetch(
          RandomNumbers(k, rows.numbers().total(), SeedOf(seed, Purpose::kRandomRows), {}));
    case wire::KmeansInit::kPlusPlus:
      return PlusPlus(rows, k, seed, pool);
    case wire::KmeansInit::kParallel:
      return Parallel(rows, k, seed, pool);
  }
  return rows.Fetch(FirstNumbers(k));
}

}  // namespace lambdaml::train
