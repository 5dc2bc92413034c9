// Batch normalisation with the residual sum and the ReLU that follow it, in as few passes over
// memory as there can be: forward reads the input twice and writes once, backward reads three
// tensors, writes the masked gradient where one of them lay, and reads two again.
//
// With M = rows · pixels values per channel, mean m, inverse deviation r = 1/√(variance + ε):
//
//   y = max(0, γ (x − m) r + β + residual)
//
//   g = (Σ gradients by y) where y > 0, else 0          also the gradient by the residual
//   ∂β = Σ g     ∂γ = r Σ g (x − m)
//   ∂x = γ r (g − ∂β / M − (x − m) r ∂γ / M)
//
// Ioffe and Szegedy 2015, "Batch normalization". Sums are taken per image in float32, about the
// image's own mean, and over the images in their order in double: nothing cancels, and the bits do
// not depend on the thread count.
#include <algorithm>
#include <cmath>
#include <functional>

#include "lambdaml/nn/lanes.h"
#include "lambdaml/nn/layer.h"

namespace lambdaml::nn {
namespace {

constexpr double kEpsilon = 1e-5;
constexpr double kMomentum = 0.1;  // weight of the newest batch in the running statistics

// Sums of one plane: the pixels of one image's block of channels, a lane for each channel. Two
// pixels in turn, so that additions do not wait for each other.
template <int kBlock>
struct PlaneSums {
  static constexpr int kWays = 2;
  using Lanes = BlockLanes<kBlock>;

  Lanes ways[kWays];

  void Add(int way, int v, F8 value) { ways[way].v[v] += value; }
  Lanes Total() const {
    Lanes total;
    for (int v = 0; v < Lanes::kVectors; ++v) total.v[v] = ways[0].v[v] + ways[1].v[v];
    return total;
  }
};

// Calls f(way, vector, offset) for every vector of a plane. pixels is even: images are 2 x 2 and
// more.
template <int kBlock, typename F>
inline void ForEachVector(int64_t pixels, const F& f) {
  for (int64_t p = 0; p < pixels; p += 2) {
    for (int way = 0; way < 2; ++way) {
      for (int v = 0; v < BlockLanes<kBlock>::kVectors; ++v) {
        f(way, v, (p + way) * kBlock + v * kLanes);
      }
    }
  }
}

F8 Broadcast(float value) { return F8{} + value; }

template <int kBlock>
class BatchNorm final : public Layer {
 public:
  BatchNorm(const LayerPlace& place, MemoryPlan& plan)
      : place_(place),
        blocks_(place.in.channels / kBlock),
        pixels_(place.in.side * place.in.side),
        plane_(pixels_ * kBlock) {
    const int64_t channels = place_.in.channels;
    partials_ = plan.AddFloats(2 * place_.rows * channels, place_.forward_moment);
    mean_ = plan.AddFloats(channels, place_.forward_moment);
    inverse_deviation_ = plan.AddFloats(channels, place_.forward_moment);
    coefficients_ = plan.AddFloats(2 * channels, place_.forward_moment);
    plan.Use(place_.residual, place_.forward_moment);
  }

  InputGradients PlanBackward(const std::vector<MemoryPlan::Buffer>& output_gradients,
                              MemoryPlan& plan) override {
    const int moment = place_.backward_moment;
    first_gradient_ = output_gradients.front();
    if (output_gradients.size() > 1) second_gradient_ = output_gradients[1];
    for (const MemoryPlan::Buffer buffer :
         {first_gradient_, second_gradient_, place_.input, mean_, inverse_deviation_}) {
      plan.Use(buffer, moment);
    }
    if (place_.spec.has_relu) plan.Use(place_.output, moment);
    backward_partials_ = plan.AddFloats(2 * place_.rows * place_.in.channels, moment);
    backward_coefficients_ = plan.AddFloats(3 * place_.in.channels, moment);
    // The masked gradient lies where the first one lay. Unless it is also the residual's, the
    // gradient by the input may replace it.
    if (place_.residual == MemoryPlan::kNone) {
      input_gradient_ = first_gradient_;
      return {.input = input_gradient_};
    }
    input_gradient_ = plan.AddFloats(place_.rows * place_.in.size(), moment);
    return {.input = input_gradient_, .residual = first_gradient_};
  }

  void Forward(const Pass& pass) const override {
    if (pass.is_training) {
      SumForward(pass);
      FinishStatistics(pass);
    } else {
      UseRunningStatistics(pass);
    }
    Normalise(pass);
  }

  void Backward(const Pass& pass) const override {
    SumBackward(pass);
    FinishGradients(pass);
    InputGradient(pass);
  }

 private:
  using Lanes = BlockLanes<kBlock>;
  static constexpr int kVectors = Lanes::kVectors;

  // work(plane's index, its channel block), over all planes.
  template <typename Work>
  void ForEachPlane(const Work& work) const {
    const int64_t planes = place_.rows * blocks_;
#pragma omp parallel for num_threads(place_.thread_count) schedule(static)
    for (int64_t i = 0; i < planes; ++i) work(i, i % blocks_);
  }

  // work(channel), over all channels.
  template <typename Work>
  void ForEachChannel(const Work& work) const {
#pragma omp parallel for num_threads(place_.thread_count) schedule(static)
    for (int64_t c = 0; c < place_.in.channels; ++c) work(c);
  }

  float* Partial(float* partials, int64_t plane) const { return partials + 2 * plane * kBlock; }

  // Mean, and sum of squares about it, of each plane.
  void SumForward(const Pass& pass) const {
    const float* const x = pass.At(place_.input);
    float* const partials = pass.At(partials_);
    const F8 scale = Broadcast(1 / static_cast<float>(pixels_));
    ForEachPlane([&](int64_t plane, int64_t) {
      const float* const from = x + plane * plane_;
      PlaneSums<kBlock> sums;
      ForEachVector<kBlock>(pixels_,
                            [&](int way, int v, int64_t i) { sums.Add(way, v, Load(from + i)); });
      Lanes mean = sums.Total();
      for (int v = 0; v < kVectors; ++v) mean.v[v] *= scale;
      PlaneSums<kBlock> squares;
      ForEachVector<kBlock>(pixels_, [&](int way, int v, int64_t i) {
        const F8 d = Load(from + i) - mean.v[v];
        squares.Add(way, v, d * d);
      });
      mean.To(Partial(partials, plane));
      squares.Total().To(Partial(partials, plane) + kBlock);
    });
  }

  // Statistics of the batch from those of its planes, which all have as many values; and the
  // running statistics.
  void FinishStatistics(const Pass& pass) const {
    const float* const partials = pass.At(partials_);
    const auto rows = static_cast<double>(place_.rows);
    const double count = rows * static_cast<double>(pixels_);
    float* const running_mean = pass.statistics + place_.statistic_offset;
    float* const running_variance = running_mean + place_.in.channels;
    ForEachChannel([&](int64_t c) {
      const int64_t stride = 2 * blocks_ * kBlock;
      const float* const means = partials + 2 * (c / kBlock) * kBlock + c % kBlock;
      const float* const squares = means + kBlock;
      double mean = 0;
      for (int64_t n = 0; n < place_.rows; ++n) mean += static_cast<double>(means[n * stride]);
      mean /= rows;
      double square = 0;
      for (int64_t n = 0; n < place_.rows; ++n) {
        const double d = static_cast<double>(means[n * stride]) - mean;
        square += static_cast<double>(squares[n * stride]) + static_cast<double>(pixels_) * d * d;
      }
      SetStatistics(pass, c, mean, square / count);
      Move(running_mean[c], mean);
      Move(running_variance[c], square / (count - 1));
    });
  }

  static void Move(float& running, double newest) {
    running =
        static_cast<float>((1 - kMomentum) * static_cast<double>(running) + kMomentum * newest);
  }

  void UseRunningStatistics(const Pass& pass) const {
    const float* const mean = pass.statistics + place_.statistic_offset;
    const float* const variance = mean + place_.in.channels;
    ForEachChannel([&](int64_t c) {
      SetStatistics(pass, c, static_cast<double>(mean[c]), static_cast<double>(variance[c]));
    });
  }

  // Keeps what backward needs, and γ r and β − m γ r for Normalise.
  void SetStatistics(const Pass& pass, int64_t c, double mean, double variance) const {
    const float* const gamma = pass.parameters + place_.parameter_offset;
    const float* const beta = gamma + place_.in.channels;
    const double inverse_deviation = 1 / std::sqrt(variance + kEpsilon);
    const double scale = static_cast<double>(gamma[c]) * inverse_deviation;
    pass.At(mean_)[c] = static_cast<float>(mean);
    pass.At(inverse_deviation_)[c] = static_cast<float>(inverse_deviation);
    pass.At(coefficients_)[c] = static_cast<float>(scale);
    pass.At(coefficients_)[place_.in.channels + c] =
        static_cast<float>(static_cast<double>(beta[c]) - mean * scale);
  }

  void Normalise(const Pass& pass) const {
    if (place_.residual != MemoryPlan::kNone) {
      NormaliseAs<true, true>(pass, pass.At(place_.residual));
    } else if (place_.spec.has_relu) {
      NormaliseAs<false, true>(pass, nullptr);
    } else {
      NormaliseAs<false, false>(pass, nullptr);
    }
  }

  template <bool kHasResidual, bool kHasRelu>
  void NormaliseAs(const Pass& pass, const float* residual) const {
    const float* const x = pass.At(place_.input);
    float* const y = pass.At(place_.output);
    const float* const coefficients = pass.At(coefficients_);
    ForEachPlane([&](int64_t plane, int64_t block) {
      const auto scale = Lanes::From(coefficients + block * kBlock);
      const auto shift = Lanes::From(coefficients + place_.in.channels + block * kBlock);
      const float* const from = x + plane * plane_;
      float* const to = y + plane * plane_;
      ForEachVector<kBlock>(pixels_, [&](int, int v, int64_t i) {
        F8 value = Load(from + i) * scale.v[v] + shift.v[v];
        if constexpr (kHasResidual) value += Load(residual + plane * plane_ + i);
        if constexpr (kHasRelu) value = value < 0.0F ? F8{} : value;  // NaN stays NaN
        Store(to + i, value);
      });
    });
  }

  void SumBackward(const Pass& pass) const {
    if (second_gradient_ != MemoryPlan::kNone) {
      SumBackwardAs<true, true>(pass, pass.At(second_gradient_));
    } else if (place_.spec.has_relu) {
      SumBackwardAs<false, true>(pass, nullptr);
    } else {
      SumBackwardAs<false, false>(pass, nullptr);
    }
  }

  // Masks the gradients in place, and Σ g and Σ g (x − m) of each plane.
  template <bool kHasSecond, bool kHasRelu>
  void SumBackwardAs(const Pass& pass, const float* second) const {
    const float* const x = pass.At(place_.input);
    const float* const y = pass.At(place_.output);
    float* const gradient = pass.At(first_gradient_);
    float* const partials = pass.At(backward_partials_);
    const float* const means = pass.At(mean_);
    ForEachPlane([&](int64_t plane, int64_t block) {
      const int64_t at = plane * plane_;
      const auto mean = Lanes::From(means + block * kBlock);
      PlaneSums<kBlock> sums;
      PlaneSums<kBlock> products;
      ForEachVector<kBlock>(pixels_, [&](int way, int v, int64_t i) {
        F8 g = Load(gradient + at + i);
        if constexpr (kHasSecond) g += Load(second + at + i);
        if constexpr (kHasRelu) {
          g = Load(y + at + i) > 0.0F ? g : F8{};
          Store(gradient + at + i, g);
        }
        sums.Add(way, v, g);
        products.Add(way, v, g * (Load(x + at + i) - mean.v[v]));
      });
      sums.Total().To(Partial(partials, plane));
      products.Total().To(Partial(partials, plane) + kBlock);
    });
  }

  // ∂γ and ∂β, and the coefficients of ∂x = a (g − b − (x − m) c).
  void FinishGradients(const Pass& pass) const {
    const float* const partials = pass.At(backward_partials_);
    const float* const gamma = pass.parameters + place_.parameter_offset;
    float* const gamma_gradient = pass.gradients + place_.parameter_offset;
    float* const beta_gradient = gamma_gradient + place_.in.channels;
    float* const coefficients = pass.At(backward_coefficients_);
    const double count = static_cast<double>(place_.rows) * static_cast<double>(pixels_);
    ForEachChannel([&](int64_t c) {
      const int64_t channels = place_.in.channels;
      const float* const at = partials + 2 * (c / kBlock) * kBlock + c % kBlock;
      double sum = 0;
      double product = 0;
      for (int64_t n = 0; n < place_.rows; ++n) {
        sum += static_cast<double>(at[2 * n * channels]);
        product += static_cast<double>(at[2 * n * channels + kBlock]);
      }
      const auto r = static_cast<double>(pass.At(inverse_deviation_)[c]);
      gamma_gradient[c] = static_cast<float>(r * product);
      beta_gradient[c] = static_cast<float>(sum);
      coefficients[c] = static_cast<float>(static_cast<double>(gamma[c]) * r);
      coefficients[channels + c] = static_cast<float>(sum / count);
      coefficients[2 * channels + c] = static_cast<float>(r * r * product / count);
    });
  }

  void InputGradient(const Pass& pass) const {
    const float* const x = pass.At(place_.input);
    const float* const gradient = pass.At(first_gradient_);
    const float* const means = pass.At(mean_);
    const float* const coefficients = pass.At(backward_coefficients_);
    float* const to = pass.At(input_gradient_);
    ForEachPlane([&](int64_t plane, int64_t block) {
      const int64_t channels = place_.in.channels;
      const int64_t at = plane * plane_;
      const auto mean = Lanes::From(means + block * kBlock);
      const auto a = Lanes::From(coefficients + block * kBlock);
      const auto b = Lanes::From(coefficients + channels + block * kBlock);
      const auto c = Lanes::From(coefficients + 2 * channels + block * kBlock);
      ForEachVector<kBlock>(pixels_, [&](int, int v, int64_t i) {
        const F8 d = Load(x + at + i) - mean.v[v];
        Store(to + at + i, a.v[v] * (Load(gradient + at + i) - b.v[v] - d * c.v[v]));
      });
    });
  }

  LayerPlace place_;
  int64_t blocks_;  // channel blocks of an image
  int64_t pixels_;
  int64_t plane_;  // floats of a plane

  MemoryPlan::Buffer partials_ = MemoryPlan::kNone;  // [plane][2][block]
  MemoryPlan::Buffer mean_ = MemoryPlan::kNone;
  MemoryPlan::Buffer inverse_deviation_ = MemoryPlan::kNone;
  MemoryPlan::Buffer coefficients_ = MemoryPlan::kNone;
  MemoryPlan::Buffer backward_partials_ = MemoryPlan::kNone;
  MemoryPlan::Buffer backward_coefficients_ = MemoryPlan::kNone;
  MemoryPlan::Buffer first_gradient_ = MemoryPlan::kNone;
  MemoryPlan::Buffer second_gradient_ = MemoryPlan::kNone;
  MemoryPlan::Buffer input_gradient_ = MemoryPlan::kNone;
};

}  // namespace

std::unique_ptr<Layer> MakeBatchNorm(const LayerPlace& place, MemoryPlan& plan) {
  if (place.block == 16) return std::make_unique<BatchNorm<16>>(place, plan);
  return std::make_unique<BatchNorm<8>>(place, plan);
}

}  // namespace lambdaml::nn
