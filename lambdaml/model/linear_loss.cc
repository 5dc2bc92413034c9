#include "lambdaml/model/linear_loss.h"

#include <algorithm>

#include "lambdaml/model/simd.h"

namespace lambdaml::model {
namespace {

using simd::Broadcast;
using simd::F8;
using simd::I8;
using simd::kLanes;

// Sums of a tile, one per lane, so that adding takes no shuffles.
struct LaneSums {
  double loss[kLanes] = {};
  I8 correct = {};

  void Add(F8 losses, I8 correct_mask, I8 valid) {
    simd::AddTo(loss, simd::Keep(valid, losses));
    correct -= correct_mask & valid;
  }

  LossStats Total(int rows) const {
    LossStats stats{.rows = rows};
    for (int i = 0; i < kLanes; ++i) {
      stats.loss_sum += loss[i];
      stats.correct += correct[i];
    }
    return stats;
  }
};

I8 LoadClasses(const int32_t* classes, int count) {
  I8 v = {};
  if (count >= kLanes) {
    std::memcpy(&v, classes, sizeof v);
  } else {
    std::memcpy(&v, classes, static_cast<size_t>(count) * sizeof(int32_t));
  }
  return v;
}

I8 ValidLanes(int count) { return simd::kLaneIndex < count; }

// Calls step(first_row, valid, classes) for each group of eight rows.
template <typename Step>
void ForEachGroup(const int32_t* classes, int rows, const Step& step) {
  for (int r = 0; r < rows; r += kLanes) {
    step(r, ValidLanes(rows - r), LoadClasses(classes + r, rows - r));
  }
}

LossStats BinaryLogistic(const int32_t* classes, int rows, float* scores) {
  LaneSums sums;
  ForEachGroup(classes, rows, [&](int r, I8 valid, I8 y) {
    const F8 s = simd::Load(scores + r);
    const F8 t = y > 0 ? Broadcast(1.0F) : Broadcast(-1.0F);
    const F8 m = t * s;
    const F8 e = simd::ExpNonPositive(m < 0.0F ? m : -m);
    const F8 loss = simd::Log1p(e) - (m < 0.0F ? m : F8{});
    const F8 q = 1.0F / (e + 1.0F);
    const F8 sigma = m < 0.0F ? q : e * q;  // σ(-m)
    simd::Store(scores + r, simd::Keep(valid, -t * sigma));
    sums.Add(loss, (s > 0.0F) == (y > 0), valid);
  });
  return sums.Total(rows);
}

LossStats BinaryHinge(const int32_t* classes, int rows, float* scores) {
  LaneSums sums;
  ForEachGroup(classes, rows, [&](int r, I8 valid, I8 y) {
    const F8 s = simd::Load(scores + r);
    const F8 t = y > 0 ? Broadcast(1.0F) : Broadcast(-1.0F);
    const F8 slack = 1.0F - t * s;
    const I8 inside = slack > 0.0F;
    simd::Store(scores + r, simd::Keep(inside & valid, -t));
    // Not Keep(inside, slack): a NaN score must show in the loss.
    sums.Add(slack <= 0.0F ? F8{} : slack, (s > 0.0F) == (y > 0), valid);
  });
  return sums.Total(rows);
}

struct LargestScore {
  F8 value;
  I8 output;  // the lowest with that value
};

LargestScore Largest(const float* scores, int r, int n_outputs) {
  LargestScore largest{simd::Load(scores + r), I8{}};
  for (int k = 1; k < n_outputs; ++k) {
    const F8 s = simd::Load(scores + k * kTileRows + r);
    const I8 larger = s > largest.value;
    largest.value = larger ? s : largest.value;
    largest.output = larger ? I8{} + k : largest.output;
  }
  return largest;
}

LossStats Softmax(int n_outputs, const int32_t* classes, int rows, float* scores) {
  LaneSums sums;
  ForEachGroup(classes, rows, [&](int r, I8 valid, I8 y) {
    const LargestScore largest = Largest(scores, r, n_outputs);
    F8 total = {};
    F8 own = {};  // s_y - max
    for (int k = 0; k < n_outputs; ++k) {
      float* plane = scores + k * kTileRows + r;
      const F8 shifted = simd::Load(plane) - largest.value;
      own = y == k ? shifted : own;
      const F8 e = simd::ExpNonPositive(shifted);
      simd::Store(plane, e);
      total += e;
    }
    const F8 scale = 1.0F / total;
    for (int k = 0; k < n_outputs; ++k) {
      float* plane = scores + k * kTileRows + r;
      const F8 is_own = y == k ? Broadcast(1.0F) : F8{};
      simd::Store(plane, simd::Keep(valid, simd::Load(plane) * scale - is_own));
    }
    sums.Add(simd::LogAtLeastOne(total) - own, largest.output == y, valid);
  });
  return sums.Total(rows);
}

LossStats OneVsRestHinge(int n_outputs, const int32_t* classes, int rows, float* scores) {
  LaneSums sums;
  ForEachGroup(classes, rows, [&](int r, I8 valid, I8 y) {
    const LargestScore largest = Largest(scores, r, n_outputs);
    F8 loss = {};
    for (int k = 0; k < n_outputs; ++k) {
      float* plane = scores + k * kTileRows + r;
      const F8 t = y == k ? Broadcast(1.0F) : Broadcast(-1.0F);
      const F8 slack = 1.0F - t * simd::Load(plane);
      loss += slack <= 0.0F ? F8{} : slack;
      simd::Store(plane, simd::Keep((slack > 0.0F) & valid, -t));
    }
    sums.Add(loss, largest.output == y, valid);
  });
  return sums.Total(rows);
}

}  // namespace

LossStats ResidualsOfTile(LinearLoss loss, int n_classes, const int32_t* classes, int rows,
                          float* scores) {
  const bool binary = n_classes == 2;
  switch (loss) {
    case LinearLoss::kLogistic:
      return binary ? BinaryLogistic(classes, rows, scores)
                    : Softmax(n_classes, classes, rows, scores);
    case LinearLoss::kHinge:
      return binary ? BinaryHinge(classes, rows, scores)
                    : OneVsRestHinge(n_classes, classes, rows, scores);
  }
  return {};
}

}  // namespace lambdaml::model
