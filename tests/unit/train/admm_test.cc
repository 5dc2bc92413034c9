#include <fmt/format.h>
#include <gtest/gtest.h>
#include <numeric>

#include "tests/unit/train/ranks.h"

namespace lambdaml::train {
namespace {

using comm::Pattern;
using optim::RegularizerKind;
using Vector = std::vector<double>;

wire::Job AdmmJob(int64_t rounds) {
  wire::Job job;
  job.optim = wire::Optim::kAdmm;
  job.n_admm_epochs = rounds;
  job.tolerance = 0;
  return job;
}

size_t RowsOf(const std::vector<LeastSquaresData>& shards) {
  return std::accumulate(shards.begin(), shards.end(), size_t{0},
                         [](size_t sum, const auto& shard) { return sum + shard.rows(); });
}

std::vector<ProximalLeastSquares> SolversOf(const std::vector<LeastSquaresData>& shards) {
  std::vector<ProximalLeastSquares> solvers;
  for (const LeastSquaresData& shard : shards) solvers.emplace_back(shard, RowsOf(shards));
  return solvers;
}

std::vector<RankRun> RunAdmm(const Training& training, std::vector<ProximalLeastSquares>& solvers) {
  return RunRanks(training, [&](Rank rank) {
    return MakeAdmm(rank.problem, rank.exchange, rank.job, std::move(rank.initial),
                    solvers[static_cast<size_t>(rank.rank)]);
  });
}

std::vector<RankRun> RunAdmm(const Training& training) {
  std::vector<ProximalLeastSquares> solvers = SolversOf(training.shards);
  return RunAdmm(training, solvers);
}

double Norm(const Vector& a) {
  return std::sqrt(std::inner_product(a.begin(), a.end(), a.begin(), 0.0));
}

double Distance(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

// All ranks as rows of one vector.
Vector Stacked(const std::vector<Vector>& parts) {
  Vector all;
  for (const Vector& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

struct ReferenceRound {
  double rho = 0;
  Vector z;
  double primal = 0;
  double dual = 0;
};

// Boyd et al. 2011 in double: the unscaled method of §7.1 with the multipliers y_i, over-relaxed,
// residuals of §3.3 over the scales of docs/algorithms.md. With y, a change of ρ rescales nothing.
std::vector<ReferenceRound> ReferenceAdmm(const std::vector<LeastSquaresData>& shards,
                                          const optim::Regularizer& regularizer, double rho,
                                          bool adapts, size_t rounds) {
  const size_t d = shards.front().n_features;
  const auto workers = static_cast<double>(shards.size());
  const auto rows = static_cast<double>(RowsOf(shards));
  std::vector<Vector> x(shards.size(), Vector(d, 0.0));
  std::vector<Vector> y = x;
  Vector z(d, 0.0);
  double first_dual = 0;
  std::vector<ReferenceRound> run;
  for (size_t round = 0; round < rounds; ++round) {
    // Residuals of a round are known one round later.
    if (adapts && round >= 2 && round - 1 < 50) {
      const double ratio = run[round - 2].primal / run[round - 2].dual;
      if (ratio > 2 || ratio < 0.5) rho *= std::clamp(std::sqrt(ratio), 0.5, 2.0);
    }
    const Vector previous = z;
    Vector mean(d, 0.0);
    std::vector<Vector> relaxed = x;
    for (size_t i = 0; i < shards.size(); ++i) {
      Vector anchor(d);
      for (size_t j = 0; j < d; ++j) anchor[j] = z[j] - y[i][j] / rho;
      x[i] = ProximalSolution(shards[i], rows, rho, anchor);
      for (size_t j = 0; j < d; ++j) {
        relaxed[i][j] = 1.6 * x[i][j] - 0.6 * z[j];
        mean[j] += (relaxed[i][j] + y[i][j] / rho) / workers;
      }
    }
    const double strength = regularizer.lambda / (workers * rho);
    for (size_t j = 0; j < d; ++j) {
      z[j] = mean[j];
      if (regularizer.kind == RegularizerKind::kL1) z[j] = SoftThreshold(mean[j], strength);
      if (regularizer.kind == RegularizerKind::kL2) z[j] = mean[j] / (1 + strength);
    }
    std::vector<Vector> apart = x;
    for (size_t i = 0; i < shards.size(); ++i) {
      for (size_t j = 0; j < d; ++j) {
        y[i][j] += rho * (relaxed[i][j] - z[j]);
        apart[i][j] -= z[j];
      }
    }
    const double dual = rho * std::sqrt(workers) * Distance(z, previous);
    if (round == 0) first_dual = dual;
    run.push_back({rho, z,
                   Norm(Stacked(apart)) / std::max(Norm(Stacked(x)), std::sqrt(workers) * Norm(z)),
                   dual / std::max(Norm(Stacked(y)), first_dual)});
  }
  return run;
}

double Detail(const report::NamedNumbers& details, std::string_view name) {
  for (const auto& [key, value] : details) {
    if (key == name) return value;
  }
  ADD_FAILURE() << name << " is missing";
  return 0;
}

TEST(Admm, ReachesTheRidgeAndTheLassoSolutionWithAnyNumberOfWorkers) {
  const LeastSquaresData data = MakeLeastSquares(60, 4, 5);
  for (const size_t workers : {1U, 2U, 3U, 4U, 7U}) {
    for (const auto kind : {RegularizerKind::kNone, RegularizerKind::kL1, RegularizerKind::kL2}) {
      SCOPED_TRACE(fmt::format("{} workers, penalty {}", workers, static_cast<int>(kind)));
      const double lambda = kind == RegularizerKind::kNone ? 0 : 0.4;
      Training training = {
          .shards = Deal(data, workers), .job = AdmmJob(200), .regularizer = {kind, lambda}};
      training.job.tolerance = 1e-5;
      const Vector expected =
          kind == RegularizerKind::kL1 ? LassoSolution(data, lambda) : RidgeSolution(data, lambda);
      const std::vector<RankRun> runs = RunAdmm(training);
      EXPECT_EQ(runs[0].result.stopped_by, "convergence");
      for (size_t j = 0; j < 4; ++j) {
        EXPECT_NEAR(runs[0].result.parameters[j], expected[j], 1e-4);
        EXPECT_EQ(runs[0].result.parameters[j] == 0, expected[j] == 0);
      }
      for (const RankRun& run : runs) {
        EXPECT_EQ(run.result.parameters, runs[0].result.parameters);
        EXPECT_EQ(run.result.epochs, runs[0].result.epochs);
      }
    }
  }
}

// Compares a run of `rounds` rounds with the reference, iterate by iterate.
void ExpectReferenceIterates(const Training& training, double rho, bool adapts, size_t rounds) {
  const auto expected = ReferenceAdmm(training.shards, training.regularizer, rho, adapts, rounds);
  std::vector<ProximalLeastSquares> solvers = SolversOf(training.shards);
  const std::vector<RankRun> runs = RunAdmm(training, solvers);
  ASSERT_EQ(runs[0].records.size(), rounds);
  for (size_t rank = 0; rank < runs.size(); ++rank) {
    for (size_t k = 0; k < rounds; ++k) {
      SCOPED_TRACE(fmt::format("rank {}, round {}", rank, k));
      EXPECT_NEAR(solvers[rank].calls()[k].rho, expected[k].rho, 1e-3 * expected[k].rho);
      for (size_t j = 0; j < expected[k].z.size(); ++j) {
        EXPECT_NEAR(runs[rank].path[k][j], expected[k].z[j], 1e-5);
      }
      const report::NamedNumbers& details = runs[rank].records[k].extra;
      EXPECT_NEAR(Detail(details, "primal_residual"), expected[k].primal,
                  1e-3 * expected[k].primal + 1e-6);
      EXPECT_NEAR(Detail(details, "dual_residual"), expected[k].dual,
                  1e-3 * expected[k].dual + 1e-6);
    }
  }
}

TEST(Admm, IteratesAndResidualsAreThoseOfTheBookRoundByRound) {
  const std::vector<LeastSquaresData> shards = Cut(MakeLeastSquares(50, 4, 7), {20, 5, 25});
  for (const auto kind : {RegularizerKind::kNone, RegularizerKind::kL1, RegularizerKind::kL2}) {
    for (const double rho : {0.02, 0.5}) {
      Training training = {.shards = shards, .job = AdmmJob(25), .regularizer = {kind, 0.3}};
      if (kind == RegularizerKind::kNone) training.regularizer.lambda = 0;
      training.job.rho = rho;
      ExpectReferenceIterates(training, rho, false, 25);
    }
  }
}

TEST(Admm, AdaptsThePenaltyByTheResidualsOfTheRoundBefore) {
  const std::vector<LeastSquaresData> shards = Deal(MakeLeastSquares(50, 4, 7), 3);
  const Training training = {
      .shards = shards, .job = AdmmJob(12), .regularizer = {RegularizerKind::kL2, 0.3}};
  double curvature = 0;
  for (const LeastSquaresData& shard : shards) {
    for (const Vector& row : shard.x) curvature += Norm(row) * Norm(row) / 50;
  }
  const double rho = 1e-4 * curvature / 3;
  const auto expected = ReferenceAdmm(shards, training.regularizer, rho, true, 12);
  EXPECT_GT(expected.back().rho, 10 * rho);
  ExpectReferenceIterates(training, rho, true, 12);
}

// The z-update of l2 leaves Σ_i ρ·u_i = λ·z, and only rescaling u with ρ keeps that.
TEST(Admm, RescalesTheDualVariablesWithThePenaltyParameter) {
  const std::vector<LeastSquaresData> shards = Deal(MakeLeastSquares(50, 4, 7), 4);
  const double lambda = 0.3;
  std::vector<ProximalLeastSquares> solvers = SolversOf(shards);
  const Training training = {
      .shards = shards, .job = AdmmJob(15), .regularizer = {RegularizerKind::kL2, lambda}};
  const std::vector<RankRun> runs = RunAdmm(training, solvers);
  int changes = 0;
  for (size_t k = 1; k < 15; ++k) {
    const double rho = solvers[0].calls()[k].rho;
    changes += rho != solvers[0].calls()[k - 1].rho ? 1 : 0;
    const std::vector<float>& z = runs[0].path[k - 1];
    for (size_t j = 0; j < z.size(); ++j) {
      double sum = 0;
      for (const ProximalLeastSquares& solver : solvers) {
        EXPECT_EQ(solver.calls()[k].rho, rho);
        sum += rho * (static_cast<double>(z[j]) - solver.calls()[k].anchor[j]);
      }
      EXPECT_NEAR(sum, lambda * z[j], 1e-5) << "round " << k;
    }
  }
  EXPECT_GT(changes, 3);
}

TEST(Admm, StopsOneRoundAfterBothResidualsAreSmallOnAllRanksAlike) {
  const std::vector<LeastSquaresData> shards = Deal(MakeLeastSquares(50, 4, 7), 3);
  const double tolerance = 1e-3;
  const optim::Regularizer regularizer = {RegularizerKind::kL2, 0.3};
  // A low rho keeps the ranks apart for long, a high one the consensus on its way.
  for (const double rho : {0.1, 3.0}) {
    const auto expected = ReferenceAdmm(shards, regularizer, rho, false, 300);
    size_t met = 0;  // the first round whose residuals are small
    while (expected[met].primal > tolerance || expected[met].dual > tolerance) ++met;
    ASSERT_GT(met, 3U);
    EXPECT_EQ(expected[met - 1].dual <= tolerance, rho == 0.1);
    EXPECT_EQ(expected[met - 1].primal <= tolerance, rho == 3.0);
    Training training = {.shards = shards, .job = AdmmJob(300), .regularizer = regularizer};
    training.job.rho = rho;
    training.job.tolerance = tolerance;
    for (const RankRun& run : RunAdmm(training)) {
      EXPECT_EQ(run.result.stopped_by, "convergence");
      EXPECT_EQ(run.result.epochs, static_cast<int64_t>(met) + 2);
      EXPECT_EQ(run.records.size(), met + 2);
      EXPECT_LE(Detail(run.result.details, "primal_residual"), tolerance);
      EXPECT_NEAR(run.result.parameters[2], expected[met + 1].z[2], 1e-5);
    }
  }
}

TEST(Admm, ConvergenceInTheLastRoundAllowedIsSeen) {
  Training training = {.shards = Deal(MakeLeastSquares(50, 4, 7), 2), .job = AdmmJob(1)};
  training.job.tolerance = 1;  // the first round's relative residuals are at most that
  const std::vector<RankRun> runs = RunAdmm(training);
  EXPECT_EQ(runs[1].result.stopped_by, "convergence");
  EXPECT_EQ(runs[1].result.epochs, 1);
}

TEST(Admm, StartsFromTheGivenModel) {
  const LeastSquaresData data = MakeLeastSquares(50, 4, 7);
  Training training = {.shards = Deal(data, 2), .job = AdmmJob(50)};
  training.job.tolerance = 1e-3;
  const Vector solution = RidgeSolution(data, 0);
  training.initial.assign(solution.begin(), solution.end());
  const std::vector<RankRun> warm = RunAdmm(training);
  for (size_t j = 0; j < 4; ++j) EXPECT_NEAR(warm[0].result.parameters[j], solution[j], 1e-2);
}

TEST(Admm, BitsAreEqualOverPatternsAndRuns) {
  Training training = {.shards = Cut(MakeLeastSquares(50, 5, 7), {20, 1, 29}),
                       .job = AdmmJob(20),
                       .regularizer = {RegularizerKind::kL1, 0.1}};
  const std::vector<float> first = RunAdmm(training)[0].result.parameters;
  for (const Pattern pattern : {Pattern::kReduceScatter, Pattern::kReduce}) {
    training.pattern = pattern;
    for (const RankRun& run : RunAdmm(training)) EXPECT_EQ(run.result.parameters, first);
  }
}

TEST(Admm, ARoundIsAnEpoch) {
  Training training = {.shards = Deal(MakeLeastSquares(20, 2, 4), 2), .job = AdmmJob(6)};
  training.job.rho = 0.1;
  EXPECT_EQ(RunAdmm(training)[0].rounds, 8U);  // and the last sums, and the evaluation
  training.job.rho.reset();
  EXPECT_EQ(RunAdmm(training)[0].rounds, 9U);  // and the curvature
}

}  // namespace
}  // namespace lambdaml::train
