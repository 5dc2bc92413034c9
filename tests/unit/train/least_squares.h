// An objective with known minima, least squares on a few rows, and its references in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "lambdaml/base/random.h"
#include "lambdaml/model/objective.h"
#include "lambdaml/optim/proximal_solver.h"

namespace lambdaml::train {

struct LeastSquaresData {
  size_t n_features = 0;
  std::vector<std::vector<double>> x;
  std::vector<double> y;

  size_t rows() const { return y.size(); }
};

inline LeastSquaresData MakeLeastSquares(size_t rows, size_t n_features, uint64_t seed) {
  base::Random random(seed);
  LeastSquaresData data{n_features, {}, {}};
  for (size_t r = 0; r < rows; ++r) {
    std::vector<double> x(n_features);
    double y = 0.5 * random.Normal();
    for (size_t j = 0; j < n_features; ++j) {
      x[j] = random.Normal();
      y += (static_cast<double>(j) - 1) * x[j];
    }
    data.x.push_back(x);
    data.y.push_back(y);
  }
  return data;
}

// The rows r with r % parts == part: how the trigger deals them.
inline LeastSquaresData Shard(const LeastSquaresData& all, size_t part, size_t parts) {
  LeastSquaresData shard{all.n_features, {}, {}};
  for (size_t r = part; r < all.rows(); r += parts) {
    shard.x.push_back(all.x[r]);
    shard.y.push_back(all.y[r]);
  }
  return shard;
}

inline std::vector<LeastSquaresData> Deal(const LeastSquaresData& all, size_t parts) {
  std::vector<LeastSquaresData> shards;
  for (size_t part = 0; part < parts; ++part) shards.push_back(Shard(all, part, parts));
  return shards;
}

// The first counts[0] rows, the next counts[1], …
inline std::vector<LeastSquaresData> Cut(const LeastSquaresData& all,
                                         const std::vector<size_t>& counts) {
  std::vector<LeastSquaresData> shards;
  size_t r = 0;
  for (const size_t count : counts) {
    LeastSquaresData shard{all.n_features, {}, {}};
    for (const size_t end = r + count; r < end; ++r) {
      shard.x.push_back(all.x[r]);
      shard.y.push_back(all.y[r]);
    }
    shards.push_back(std::move(shard));
  }
  return shards;
}

inline double Residual(const LeastSquaresData& data, size_t r, const std::vector<double>& w) {
  double residual = -data.y[r];
  for (size_t j = 0; j < w.size(); ++j) residual += w[j] * data.x[r][j];
  return residual;
}

//   f(w) = Σ_r ½(w·x_r − y_r)²        "correct": the residual is below 1
class LeastSquares final : public model::Objective {
 public:
  explicit LeastSquares(LeastSquaresData data)
      : data_(std::move(data)), penalised_(data_.n_features, 1.0F) {}

  int64_t rows() const override { return static_cast<int64_t>(data_.rows()); }
  int64_t parameter_count() const override { return static_cast<int64_t>(data_.n_features); }
  std::span<const float> penalised() const override { return penalised_; }

  model::LossStats Gradient(model::RowRange rows, std::span<const float> w,
                            std::span<float> gradient) override {
    std::vector<double> sum(w.size(), 0.0);
    const model::LossStats stats = ForEach(rows, w, [&](size_t r, double residual) {
      for (size_t j = 0; j < w.size(); ++j) sum[j] += residual * data_.x[r][j];
    });
    for (size_t j = 0; j < w.size(); ++j) gradient[j] = static_cast<float>(sum[j]);
    return stats;
  }

  model::LossStats Evaluate(model::RowRange rows, std::span<const float> w) override {
    return ForEach(rows, w, [](size_t, double) {});
  }

  // Σ_r ‖x_r‖².
  double CurvatureBound(model::RowRange rows) override {
    double sum = 0;
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      for (const double x : data_.x[static_cast<size_t>(r)]) sum += x * x;
    }
    return sum;
  }

  model::LossStats Descend(model::RowRange rows, float step, std::span<float> w) override {
    std::vector<float> gradient(w.size());
    const model::LossStats stats = Gradient(rows, w, gradient);
    for (size_t j = 0; j < w.size(); ++j) w[j] -= step * gradient[j];
    return stats;
  }

 private:
  template <typename Use>
  model::LossStats ForEach(model::RowRange rows, std::span<const float> w, const Use& use) const {
    const std::vector<double> exact(w.begin(), w.end());
    model::LossStats stats;
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      const auto r = static_cast<size_t>(i);
      const double residual = Residual(data_, r, exact);
      stats.loss_sum += 0.5 * residual * residual;
      stats.correct += std::abs(residual) < 1 ? 1 : 0;
      ++stats.rows;
      use(r, residual);
    }
    return stats;
  }

  LeastSquaresData data_;
  std::vector<float> penalised_;
};

// The solution of (weight·XᵀX + diagonal·I) w = weight·Xᵀy + right, by Gaussian elimination.
inline std::vector<double> SolveNormalEquations(const LeastSquaresData& data, double weight,
                                                double diagonal, const std::vector<double>& right) {
  const size_t d = data.n_features;
  std::vector<std::vector<double>> a(d, std::vector<double>(d + 1, 0.0));
  for (size_t r = 0; r < data.rows(); ++r) {
    for (size_t i = 0; i < d; ++i) {
      for (size_t j = 0; j < d; ++j) a[i][j] += weight * data.x[r][i] * data.x[r][j];
      a[i][d] += weight * data.x[r][i] * data.y[r];
    }
  }
  for (size_t i = 0; i < d; ++i) {
    a[i][i] += diagonal;
    a[i][d] += right[i];
  }
  for (size_t pivot = 0; pivot < d; ++pivot) {
    for (size_t i = 0; i < d; ++i) {
      if (i == pivot) continue;
      const double factor = a[i][pivot] / a[pivot][pivot];
      for (size_t j = pivot; j <= d; ++j) a[i][j] -= factor * a[pivot][j];
    }
  }
  std::vector<double> solution(d);
  for (size_t i = 0; i < d; ++i) solution[i] = a[i][d] / a[i][i];
  return solution;
}

// The minimiser of (1/n)·f(w) + (λ/2)‖w‖².
inline std::vector<double> RidgeSolution(const LeastSquaresData& data, double lambda) {
  return SolveNormalEquations(data, 1 / static_cast<double>(data.rows()), lambda,
                              std::vector<double>(data.n_features, 0.0));
}

inline double SoftThreshold(double value, double threshold) {
  return std::copysign(std::max(0.0, std::abs(value) - threshold), value);
}

// The minimiser of (1/n)·f(w) + λ‖w‖₁, by cyclic coordinate descent.
inline std::vector<double> LassoSolution(const LeastSquaresData& data, double lambda) {
  const auto n = static_cast<double>(data.rows());
  std::vector<double> w(data.n_features, 0.0);
  for (int pass = 0; pass < 500; ++pass) {
    for (size_t j = 0; j < w.size(); ++j) {
      double square = 0;
      double correlation = 0;
      for (size_t r = 0; r < data.rows(); ++r) {
        const double x = data.x[r][j];
        square += x * x / n;
        correlation += x * (w[j] * x - Residual(data, r, w)) / n;
      }
      w[j] = SoftThreshold(correlation, lambda) / square;
    }
  }
  return w;
}

//   argmin_x  (1/rows_total)·f(x) + (ρ/2)‖x − a‖²
inline std::vector<double> ProximalSolution(const LeastSquaresData& data, double rows_total,
                                            double rho, std::vector<double> anchor) {
  for (double& value : anchor) value *= rho;
  return SolveNormalEquations(data, 1 / rows_total, rho, anchor);
}

// What a solver was asked.
struct ProximalCall {
  double rho = 0;
  std::vector<float> anchor;
};

// ADMM's local step in closed form, with a record of the calls.
class ProximalLeastSquares final : public optim::ProximalSolver {
 public:
  ProximalLeastSquares(LeastSquaresData data, size_t rows_total)
      : data_(std::move(data)), rows_total_(static_cast<double>(rows_total)) {}

  optim::ProximalResult Solve(double rho, std::span<const float> anchor,
                              std::span<float> x) override {
    calls_.push_back({rho, {anchor.begin(), anchor.end()}});
    const std::vector<double> solution =
        ProximalSolution(data_, rows_total_, rho, {anchor.begin(), anchor.end()});
    std::transform(solution.begin(), solution.end(), x.begin(),
                   [](double value) { return static_cast<float>(value); });
    return {};
  }

  void VisitState(wire::State& /*state*/) override {}

  const std::vector<ProximalCall>& calls() const { return calls_; }

 private:
  LeastSquaresData data_;
  double rows_total_;
  std::vector<ProximalCall> calls_;
};

}  // namespace lambdaml::train
