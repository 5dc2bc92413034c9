#include "lambdaml/data/generate.h"

#include <cmath>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <string>

#include "lambdaml/base/file.h"
#include "lambdaml/data/describe.h"
#include "lambdaml/data/load.h"

#include "data_testing.h"

namespace lambdaml::data {
namespace {

using testing::HasSubstr;

constexpr GeneratorKind kKinds[] = {GeneratorKind::kHiggs, GeneratorKind::kRcv1,
                                    GeneratorKind::kBlobs};

TEST(Generate, TheFirstRowsAreTheSameInEverySize) {
  for (const GeneratorKind kind : kKinds) {
    const Dataset small = Generate({.kind = kind, .rows = 4100, .seed = 5});
    const Dataset large = Generate({.kind = kind, .rows = 9000, .seed = 5});
    std::vector<float> head;
    if (small.is_dense()) {
      const auto values = large.dense().values.first(small.dense().values.size());
      EXPECT_TRUE(std::equal(values.begin(), values.end(), small.dense().values.begin()));
    } else {
      const auto values = large.sparse().values.first(small.sparse().values.size());
      EXPECT_TRUE(std::equal(values.begin(), values.end(), small.sparse().values.begin()));
      EXPECT_TRUE(std::equal(small.sparse().columns.begin(), small.sparse().columns.end(),
                             large.sparse().columns.begin()));
    }
    EXPECT_TRUE(std::equal(small.labels.begin(), small.labels.end(), large.labels.begin()));
    const Dataset other = Generate({.kind = kind, .rows = 4100, .seed = 6});
    EXPECT_NE(ToPlain(other), ToPlain(small));
  }
}

TEST(Generate, HiggsHasItsShape) {
  const Dataset dataset = Generate({.kind = GeneratorKind::kHiggs, .rows = 20000});
  const Description description = Describe(dataset);
  EXPECT_EQ(description.n_features, 28);
  EXPECT_THAT(description.labels,
              testing::Optional(testing::ElementsAre(testing::Field(&LabelCount::label, 0),
                                                     testing::Field(&LabelCount::label, 1))));
  EXPECT_NEAR(static_cast<double>((*description.labels)[1].rows) / 20000, 0.53, 0.02);
  std::set<float> tags;
  for (int64_t r = 0; r < dataset.rows(); ++r) {
    const float* row = dataset.dense().row(r);
    ASSERT_GT(row[0], 0);                 // a momentum
    ASSERT_LE(std::abs(row[2]), 3.1416);  // an azimuth
    ASSERT_GT(row[22], 0);                // a mass
    tags.insert(row[8]);
  }
  EXPECT_EQ(tags.size(), 3U);
}

TEST(Generate, Rcv1HasItsShape) {
  const Dataset dataset = Generate({.kind = GeneratorKind::kRcv1, .rows = 5000});
  const SparseRows& sparse = dataset.sparse();
  EXPECT_EQ(sparse.n_features, 47236);
  EXPECT_NEAR(static_cast<double>(sparse.nonzeros()) / 5000, 75, 5);
  for (size_t r = 0; r < 5000; ++r) {
    double square_sum = 0;
    for (auto i = static_cast<size_t>(sparse.row_offsets[r]);
         i < static_cast<size_t>(sparse.row_offsets[r + 1]); ++i) {
      square_sum += static_cast<double>(sparse.values[i]) * static_cast<double>(sparse.values[i]);
    }
    ASSERT_NEAR(square_sum, 1, 1e-5);
  }
}

TEST(Generate, BlobsAreCloudsAroundTheirCentres) {
  const Dataset dataset =
      Generate({.kind = GeneratorKind::kBlobs, .rows = 6000, .n_features = 2, .n_classes = 4});
  const Description description = Describe(dataset);
  EXPECT_EQ(description.n_features, 2);
  ASSERT_EQ(description.labels->size(), 4U);
  for (const LabelCount& count : *description.labels) {
    double sum = 0;
    double square_sum = 0;
    for (int64_t r = 0; r < dataset.rows(); ++r) {
      if (dataset.labels[static_cast<size_t>(r)] != count.label) continue;
      const double x = static_cast<double>(dataset.dense().row(r)[0]);
      sum += x;
      square_sum += x * x;
    }
    const double rows = static_cast<double>(count.rows);
    EXPECT_NEAR(square_sum / rows - (sum / rows) * (sum / rows), 1, 0.15);
  }
}

TEST(Generate, FilesHoldTheSameRowsInBothFormats) {
  const base::TemporaryDirectory folder("/tmp", "generate_test");
  for (const GeneratorKind kind : kKinds) {
    const GenerateOptions options = {.kind = kind, .rows = 5000, .seed = 9};
    const Dataset expected = Generate(options);
    for (const std::string name : {"a.npz", "a.libsvm"}) {
      const std::string path = folder.path() + "/" + name;
      GenerateFile(options, path, FormatOfName(name));
      EXPECT_EQ(ToPlain(LoadFile(path, {})), ToPlain(expected)) << name;
    }
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 2);
}

TEST(Generate, OptionsOutOfRangeAreRefused) {
  EXPECT_THAT(ErrorOf([] { Generate({.rows = 0}); }), HasSubstr("InvalidArgument: --rows is 0"));
  EXPECT_EQ(ErrorOf([] { Generate({.kind = GeneratorKind::kRcv1, .n_features = 3}); }),
            "InvalidArgument: --n_features and --n_classes are for blobs; the shape of rcv1 is "
            "fixed");
  EXPECT_THAT(ErrorOf([] { Generate({.kind = GeneratorKind::kBlobs, .n_classes = 0}); }),
              HasSubstr("--n_classes is 0"));
}

TEST(Generate, AFailureLeavesNoFile) {
  const base::TemporaryDirectory folder("/tmp", "generate_test");
  EXPECT_THAT(ErrorOf([&] { GenerateFile({}, folder.path() + "/no/a", FileFormat::kLibsvm); }),
              HasSubstr("NotFound: "));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Generate, NamesOfKindsComeBack) {
  for (const GeneratorKind kind : kKinds) {
    EXPECT_EQ(GeneratorKindFromName(GeneratorKindName(kind)), kind);
  }
  EXPECT_EQ(GeneratorKindFromName("x"), std::nullopt);
}

}  // namespace
}  // namespace lambdaml::data
