#include "lambdaml/data/generate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <memory>
#include <numbers>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/random.h"
#include "lambdaml/data/builder.h"
#include "lambdaml/data/labels.h"
#include "lambdaml/data/libsvm_writer.h"

namespace lambdaml::data {
namespace {

using base::Error;
using base::ErrorCode;
using base::Random;

// Random streams of one seed: blocks count from 0, so what all blocks share comes from above them.
constexpr uint64_t kSharedStream = uint64_t{1} << 63;

class BlockSource {
 public:
  virtual ~BlockSource() = default;
  virtual int64_t n_features() const = 0;
  // The first `rows` rows of block `block`.
  virtual Dataset Block(int64_t block, int64_t rows) const = 0;
};

class HiggsSource final : public BlockSource {
 public:
  explicit HiggsSource(uint64_t seed) : seed_(seed) {}
  int64_t n_features() const override { return kFeatures; }

  Dataset Block(int64_t block, int64_t rows) const override {
    Random random(base::MixSeed(seed_, static_cast<uint64_t>(block)));
    DenseBuilder builder(kFeatures);
    for (int64_t r = 0; r < rows; ++r) {
      const bool signal = random.Uniform() < kSignalShare;
      FillRow(random, signal, builder.AppendRow(signal ? 1 : 0));
    }
    return std::move(builder).Finish();
  }

 private:
  static constexpr int64_t kFeatures = 28;
  static constexpr double kSignalShare = 0.53;

  // exp of a normal number: a momentum or mass in units of its typical value.
  static float Momentum(Random& random, double log_mean, double log_spread) {
    return static_cast<float>(std::exp(log_mean + log_spread * random.Normal()));
  }
  static float Pseudorapidity(Random& random) {
    return static_cast<float>(std::clamp(random.Normal(), -2.9, 2.9));
  }
  static float Azimuth(Random& random) {
    return static_cast<float>(std::numbers::pi * (2 * random.Uniform() - 1));
  }
  // 0 (no tag) or one of two strengths that depend on the jet.
  static float BTag(Random& random, int jet, double tagged_share) {
    constexpr std::array<float, 4> kMedium = {1.086538F, 1.107436F, 1.274412F, 1.550981F};
    constexpr std::array<float, 4> kTight = {2.173076F, 2.214872F, 2.548224F, 3.101961F};
    const auto j = static_cast<size_t>(jet);
    const double u = random.Uniform();
    if (u >= tagged_share) return 0;
    return u < tagged_share / 2 ? kMedium[j] : kTight[j];
  }

  // Lepton, missing energy, four jets with b-tags; then seven masses, as HIGGS orders them.
  static void FillRow(Random& random, bool signal, float* row) {
    const double s = signal ? 1 : 0;
    *row++ = Momentum(random, -0.15 - 0.025 * s, 0.53);
    *row++ = Pseudorapidity(random);
    *row++ = Azimuth(random);
    *row++ = Momentum(random, -0.17 - 0.05 * s, 0.57);
    *row++ = Azimuth(random);
    for (int jet = 0; jet < 4; ++jet) {
      *row++ = Momentum(random, -0.1 + 0.03 * s * (jet - 1), 0.42);
      *row++ = Pseudorapidity(random);
      *row++ = Azimuth(random);
      *row++ = BTag(random, jet, 0.5 + 0.03 * s);
    }
    // Signal comes from the decay of particles of fixed mass, background from a broad continuum.
    constexpr std::array<double, 7> kSignalShift = {0.0, 0.0, 0.0, -0.03, -0.11, -0.08, -0.07};
    constexpr std::array<double, 7> kSpread = {0.45, 0.33, 0.16, 0.34, 0.46, 0.34, 0.3};
    for (size_t mass = 0; mass < kSpread.size(); ++mass) {
      const double narrowing = signal ? 0.75 : 1.0;
      *row++ = Momentum(random, -0.05 + kSignalShift[mass] * s, kSpread[mass] * narrowing);
    }
  }

  uint64_t seed_;
};

class Rcv1Source final : public BlockSource {
 public:
  explicit Rcv1Source(uint64_t seed) : seed_(seed), words_(kFeatures) {
    Random random(base::MixSeed(seed, kSharedStream));
    const std::vector<int64_t> columns = base::Permutation(kFeatures, random.Next());
    double total = 0;
    for (size_t rank = 0; rank < words_.size(); ++rank) {
      Word& word = words_[rank];
      word.column = static_cast<int32_t>(columns[rank]);
      word.frequency = 1 / std::pow(static_cast<double>(rank) + kZipfShift, kZipfExponent);
      word.affinity = kAffinityMax * (2 * random.Uniform() - 1);
      total += word.frequency;
    }
    for (size_t topic = 0; topic < 2; ++topic) {
      double sum = 0;
      for (Word& word : words_) {
        word.frequency /= topic == 0 ? total : 1;
        sum += word.frequency * (1 + (topic == 0 ? -1 : 1) * word.affinity);
        word.cumulative[topic] = sum;
      }
    }
  }
  int64_t n_features() const override { return kFeatures; }

  Dataset Block(int64_t block, int64_t rows) const override {
    Random random(base::MixSeed(seed_, static_cast<uint64_t>(block)));
    SparseBuilder builder;
    std::vector<Term> terms;
    for (int64_t r = 0; r < rows; ++r) {
      const size_t topic = random.Below(2);
      DrawDocument(random, topic, &terms);
      const bool mislabelled = random.Uniform() < kMislabelledShare;
      // The very first row shows the width, if need be by an explicit zero.
      if (block == 0 && r == 0 && terms.back().column != kFeatures - 1) {
        terms.push_back({kFeatures - 1, 0});
      }
      builder.BeginRow((topic == 1) != mislabelled ? 1 : -1);
      builder.ReserveNonzeros(terms.size());
      for (const Term& term : terms) builder.Put(term.column, term.value);
      builder.EndRow();
    }
    return std::move(builder).Finish(kFeatures);
  }

 private:
  static constexpr int32_t kFeatures = 47'236;
  static constexpr double kZipfShift = 20;
  static constexpr double kZipfExponent = 1.05;
  static constexpr double kAffinityMax = 0.66;
  static constexpr double kMislabelledShare = 0.03;
  // Words drawn per document: a log-normal number; repeated ones leave about 75 distinct.
  static constexpr double kLogLengthMean = 4.25;
  static constexpr double kLogLengthSpread = 0.5;
  static constexpr double kLengthMin = 4;
  static constexpr double kLengthMax = 1000;

  struct Word {
    int32_t column = 0;
    double frequency = 0;
    double affinity = 0;  // to topic 1, from -1 to 1
    std::array<double, 2> cumulative = {};
  };
  struct Term {
    int32_t column;
    float value;
  };

  size_t DrawWord(Random& random, size_t topic) const {
    const double u = random.Uniform() * words_.back().cumulative[topic];
    const auto at = std::upper_bound(
        words_.begin(), words_.end(), u,
        [&](double value, const Word& word) { return value < word.cumulative[topic]; });
    return std::min(static_cast<size_t>(at - words_.begin()), words_.size() - 1);
  }

  // (1 + log term count) · log(1 / frequency), scaled to length 1, in order of columns.
  void DrawDocument(Random& random, size_t topic, std::vector<Term>* terms) const {
    const double length = std::clamp(std::exp(kLogLengthMean + kLogLengthSpread * random.Normal()),
                                     kLengthMin, kLengthMax);
    std::vector<size_t> drawn(static_cast<size_t>(length));
    for (size_t& word : drawn) word = DrawWord(random, topic);
    std::sort(drawn.begin(), drawn.end());
    terms->clear();
    double square_sum = 0;
    for (size_t i = 0; i < drawn.size();) {
      const size_t first = i;
      while (i < drawn.size() && drawn[i] == drawn[first]) ++i;
      const Word& word = words_[drawn[first]];
      const double count = static_cast<double>(i - first);
      const double weight = (1 + std::log(count)) * -std::log(word.frequency);
      terms->push_back({word.column, static_cast<float>(weight)});
      square_sum += weight * weight;
    }
    const auto scale = static_cast<float>(1 / std::sqrt(square_sum));
    for (Term& term : *terms) term.value *= scale;
    std::sort(terms->begin(), terms->end(),
              [](const Term& a, const Term& b) { return a.column < b.column; });
  }

  uint64_t seed_;
  std::vector<Word> words_;  // most frequent first
};

class BlobsSource final : public BlockSource {
 public:
  BlobsSource(uint64_t seed, int64_t n_features, int64_t n_classes)
      : seed_(seed), n_features_(n_features), n_classes_(n_classes) {
    Random random(base::MixSeed(seed, kSharedStream));
    centres_.resize(static_cast<size_t>(n_features * n_classes));
    for (double& coordinate : centres_) coordinate = kCentreSpread * random.Normal();
  }
  int64_t n_features() const override { return n_features_; }

  Dataset Block(int64_t block, int64_t rows) const override {
    Random random(base::MixSeed(seed_, static_cast<uint64_t>(block)));
    DenseBuilder builder(n_features_);
    for (int64_t r = 0; r < rows; ++r) {
      const uint64_t label = random.Below(static_cast<uint64_t>(n_classes_));
      const double* const centre = centres_.data() + label * static_cast<uint64_t>(n_features_);
      float* const row = builder.AppendRow(static_cast<double>(label));
      for (int64_t j = 0; j < n_features_; ++j) {
        row[j] = static_cast<float>(centre[j] + random.Normal());
      }
    }
    return std::move(builder).Finish();
  }

 private:
  static constexpr double kCentreSpread = 3;  // in standard deviations of a cloud

  uint64_t seed_;
  int64_t n_features_;
  int64_t n_classes_;
  std::vector<double> centres_;  // n_classes x n_features
};

void CheckRange(std::string_view option, int64_t value, int64_t min, int64_t max) {
  if (value >= min && value <= max) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{} is {}, it must be {} to {}", option, value, min, max));
}

std::unique_ptr<BlockSource> MakeSource(const GenerateOptions& options) {
  CheckRange("--rows", options.rows, 1, int64_t{1} << 40);
  const bool has_shape = options.n_features.has_value() || options.n_classes.has_value();
  if (has_shape && options.kind != GeneratorKind::kBlobs) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--n_features and --n_classes are for blobs; the shape of {} is fixed",
                            GeneratorKindName(options.kind)));
  }
  switch (options.kind) {
    case GeneratorKind::kHiggs:
      return std::make_unique<HiggsSource>(options.seed);
    case GeneratorKind::kRcv1:
      return std::make_unique<Rcv1Source>(options.seed);
    case GeneratorKind::kBlobs:
      break;
  }
  const int64_t n_features = options.n_features.value_or(10);
  const int64_t n_classes = options.n_classes.value_or(3);
  CheckRange("--n_features", n_features, 1, 100'000);
  CheckRange("--n_classes", n_classes, 1, static_cast<int64_t>(kClassesMax));
  return std::make_unique<BlobsSource>(options.seed, n_features, n_classes);
}

// Calls take(block, rows) for each block in turn.
template <typename Take>
void ForEachBlock(const BlockSource& source, int64_t rows, Take take) {
  for (int64_t first = 0; first < rows; first += kBlockRows) {
    const int64_t block = first / kBlockRows;
    take(block, source.Block(block, std::min(kBlockRows, rows - first)));
  }
}

}  // namespace

std::string_view GeneratorKindName(GeneratorKind kind) {
  switch (kind) {
    case GeneratorKind::kRcv1:
      return "rcv1";
    case GeneratorKind::kBlobs:
      return "blobs";
    case GeneratorKind::kHiggs:
      break;
  }
  return "higgs";
}

std::optional<GeneratorKind> GeneratorKindFromName(std::string_view name) {
  for (const GeneratorKind kind :
       {GeneratorKind::kHiggs, GeneratorKind::kRcv1, GeneratorKind::kBlobs}) {
    if (GeneratorKindName(kind) == name) return kind;
  }
  return std::nullopt;
}

Dataset Generate(const GenerateOptions& options) {
  const auto source = MakeSource(options);
  if (options.kind == GeneratorKind::kRcv1) {
    SparseBuilder builder;
    ForEachBlock(*source, options.rows,
                 [&](int64_t, const Dataset& block) { builder.Append(block); });
    return std::move(builder).Finish(source->n_features());
  }
  DenseBuilder builder(source->n_features());
  ForEachBlock(*source, options.rows,
               [&](int64_t, const Dataset& block) { builder.Append(block); });
  return std::move(builder).Finish();
}

void GenerateFile(const GenerateOptions& options, const std::string& path, FileFormat format) {
  if (format == FileFormat::kNpz) return SaveFile(Generate(options), path, format);
  const auto source = MakeSource(options);
  base::AtomicFile file(path);
  ForEachBlock(*source, options.rows, [&](int64_t block, const Dataset& rows) {
    EncodeLibsvm(
        rows, [&](base::ByteSpan piece) { file.Append(piece); }, /*keep_width=*/block == 0);
  });
  file.Commit();
}

}  // namespace lambdaml::data
