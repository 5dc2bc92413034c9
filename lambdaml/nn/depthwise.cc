#include "lambdaml/nn/depthwise.h"

#include <algorithm>

#include "lambdaml/nn/lanes.h"

namespace lambdaml::nn {
namespace {

constexpr int kTaps = 9;
constexpr int64_t kRowGroupsMax = 8;

int64_t RowGroups(const LayerPlace& place) { return std::min(place.rows, kRowGroupsMax); }

// One line of the output against one line of the input: sums[j] += Σ_x g[x]·in[x·s + j − 1].
template <int kBlock, int kStride>
class LineTaps {
 public:
  LineTaps(const float* gradient, const float* input) : gradient_(gradient), input_(input) {}

  void AddTo(BlockLanes<kBlock>* sums, int64_t width, int64_t input_width) const {
    BlockLanes<kBlock> taps[3] = {sums[0], sums[1], sums[2]};
    Add<1, 2>(0, taps);
    const int64_t inner_end = (input_width - 2) / kStride + 1;  // x·s + 1 < input_width
    for (int64_t x = 1; x < std::min(width, inner_end); ++x) Add<0, 2>(x, taps);
    for (int64_t x = std::max<int64_t>(inner_end, 1); x < width; ++x) Add<0, 1>(x, taps);
    for (int j = 0; j < 3; ++j) sums[j] = taps[j];
  }

 private:
  template <int kFirst, int kLast>
  void Add(int64_t x, BlockLanes<kBlock> (&taps)[3]) const {
    const auto g = BlockLanes<kBlock>::From(gradient_ + x * kBlock);
    for (int j = kFirst; j <= kLast; ++j) {
      const auto in = BlockLanes<kBlock>::From(input_ + (x * kStride + j - 1) * kBlock);
      for (int v = 0; v < BlockLanes<kBlock>::kVectors; ++v) taps[j].v[v] += g.v[v] * in.v[v];
    }
  }

  const float* gradient_;
  const float* input_;
};

// The taps of one block of channels over some rows: partial[tap][lane].
template <int kBlock, int kStride>
void SumRows(const LayerPlace& place, int64_t channel_block, int64_t first_row, int64_t last_row,
             const float* input, const float* output_gradient, float* partial) {
  const int64_t blocks = place.in.channels / kBlock;
  const int64_t in_side = place.in.side;
  const int64_t side = place.out.side;
  BlockLanes<kBlock> sums[kTaps];
  for (int64_t n = first_row; n < last_row; ++n) {
    const float* const in = input + (n * blocks + channel_block) * in_side * in_side * kBlock;
    const float* const g = output_gradient + (n * blocks + channel_block) * side * side * kBlock;
    for (int64_t y = 0; y < side; ++y) {
      for (int64_t i = 0; i < 3; ++i) {
        const int64_t in_y = y * kStride + i - 1;
        if (in_y < 0 || in_y >= in_side) continue;
        LineTaps<kBlock, kStride>(g + y * side * kBlock, in + in_y * in_side * kBlock)
            .AddTo(sums + 3 * i, side, in_side);
      }
    }
  }
  for (int t = 0; t < kTaps; ++t) sums[t].To(partial + t * kBlock);
}

template <int kBlock, int kStride>
void Compute(const LayerPlace& place, const float* input, const float* output_gradient,
             float* partials, float* gradient) {
  const int64_t blocks = place.in.channels / kBlock;
  const int64_t groups = RowGroups(place);
#pragma omp parallel for collapse(2) num_threads(place.thread_count) schedule(static)
  for (int64_t group = 0; group < groups; ++group) {
    for (int64_t block = 0; block < blocks; ++block) {
      SumRows<kBlock, kStride>(place, block, group * place.rows / groups,
                               (group + 1) * place.rows / groups, input, output_gradient,
                               partials + (group * blocks + block) * kTaps * kBlock);
    }
  }
  for (int64_t c = 0; c < place.in.channels; ++c) {
    for (int64_t t = 0; t < kTaps; ++t) {
      float sum = 0;
      for (int64_t group = 0; group < groups; ++group) {
        sum += partials[((group * blocks + c / kBlock) * kTaps + t) * kBlock + c % kBlock];
      }
      gradient[c * kTaps + t] = sum;
    }
  }
}

}  // namespace

int64_t DepthwisePartialCount(const LayerPlace& place) {
  return RowGroups(place) * place.in.channels * kTaps;
}

void DepthwiseWeightGradient(const LayerPlace& place, const float* input,
                             const float* output_gradient, float* partials, float* gradient) {
  const auto compute = [&]<int kBlock>() {
    if (place.spec.stride == 1) {
      Compute<kBlock, 1>(place, input, output_gradient, partials, gradient);
    } else {
      Compute<kBlock, 2>(place, input, output_gradient, partials, gradient);
    }
  };
  if (place.block == 16) {
    compute.template operator()<16>();
  } else {
    compute.template operator()<8>();
  }
}

}  // namespace lambdaml::nn
