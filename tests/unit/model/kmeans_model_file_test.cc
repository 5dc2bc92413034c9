#include "lambdaml/model/kmeans_model_file.h"

#include <gtest/gtest.h>
#include <limits>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"

#include "tests/unit/model/kmeans_testing.h"

namespace lambdaml::model {
namespace {

Centroids Parse(std::string_view text) { return ParseCentroids(base::AsBytes(text), "c"); }

std::string MessageOf(std::string_view text) {
  try {
    Parse(text);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidData);
    return error.message();
  }
  return "none";
}

std::string Npy(std::string_view dictionary, std::string_view elements) {
  std::string header(dictionary);
  header.append(118 - header.size() - 1, ' ').append("\n");
  return std::string("\x93NUMPY\x01\x00\x76\x00", 10) + header + std::string(elements);
}

// Numbers whose shortest form needs up to nine digits.
Centroids Sample() {
  Centroids centroids{30, 7, NormalNumbers(210, 3)};
  centroids.values[0] = std::numeric_limits<float>::max();
  centroids.values[1] = std::numeric_limits<float>::denorm_min();
  centroids.values[2] = -0.1F;
  centroids.values[3] = 0;
  return centroids;
}

TEST(KMeansModelFileTest, BothFormatsReadBackBitForBit) {
  const Centroids centroids = Sample();
  const base::TemporaryDirectory folder(testing::TempDir(), "kmeans");
  for (const char* const name : {"/model.npy", "/model.txt"}) {
    SaveCentroids(centroids, folder.path() + name);
    const Centroids loaded = LoadCentroids(folder.path() + name);
    EXPECT_EQ(loaded.k, 30);
    EXPECT_EQ(loaded.n_features, 7);
    EXPECT_EQ(loaded.values, centroids.values);
  }
}

TEST(KMeansModelFileTest, TheNpyHeaderIsNumpys) {
  const std::string bytes = FormatCentroidsNpy({2, 3, {1, 2, 3, 4, 5, 6}});
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  EXPECT_NE(bytes.find("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"),
            std::string::npos);
  EXPECT_EQ((bytes.size() - 24) % 64, 0U);
}

TEST(KMeansModelFileTest, TheTextHasTheShortestNumbers) {
  EXPECT_EQ(FormatCentroidsText({2, 3, {1, 0.1F, -2.5F, 1e20F, 0, 16777217.0F}}),
            "1 0.1 -2.5\n1e+20 0 16777216\n");
}

TEST(KMeansModelFileTest, OtherToolsTextsAreRead) {
  const Centroids centroids = Parse("1.000000000000000000e+00\t2 \r\n  -3e0   4");
  EXPECT_EQ(centroids.k, 2);
  EXPECT_EQ(centroids.values, (std::vector<float>{1, 2, -3, 4}));
}

TEST(KMeansModelFileTest, Float64ArraysAreRounded) {
  const double values[] = {0.1, -2, 1e-60, 3};
  const std::string bytes = Npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }",
                                base::AsText(std::as_bytes(std::span(values))));
  EXPECT_EQ(Parse(bytes).values, (std::vector<float>{0.1F, -2, 0, 3}));
}

TEST(KMeansModelFileTest, SaysWhatIsWrongWithAText) {
  EXPECT_EQ(MessageOf(""), "c: the file is empty; centroids were expected");
  EXPECT_EQ(MessageOf("1 2\n\n3 4\n"), "c:2: a centroid was expected, the line is empty");
  EXPECT_EQ(MessageOf("1 2\n3\n"), "c:2: 1 numbers, but 2 in the first line");
  EXPECT_EQ(MessageOf("1 2\n3 x\n"), "c:2: \"x\" is not a number that float32 holds");
  EXPECT_EQ(MessageOf("nan"), "c:1: \"nan\" is not a number that float32 holds");
  EXPECT_EQ(MessageOf("1e39"), "c:1: \"1e39\" is not a number that float32 holds");
  EXPECT_EQ(MessageOf("1,2"), "c:1: \"1,2\" is not a number that float32 holds");
}

TEST(KMeansModelFileTest, SaysWhatIsWrongWithAnArray) {
  const auto array = [](const std::string& type, const std::string& order, const std::string& shape,
                        size_t bytes) {
    return Npy(
        "{'descr': '" + type + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }",
        std::string(bytes, '\0'));
  };
  EXPECT_EQ(MessageOf(array("<f4", "False", "(4,)", 16)),
            "c: centroids are a table of clusters by features; this array is none");
  EXPECT_EQ(MessageOf(array("<f4", "False", "(0, 4)", 0)),
            "c: centroids are a table of clusters by features; this array is none");
  EXPECT_EQ(MessageOf(array("<f4", "True", "(2, 2)", 16)),
            "c: the array lies in Fortran order; save numpy.ascontiguousarray(…) of it");
  EXPECT_EQ(MessageOf(array("<i4", "False", "(2, 2)", 16)),
            "c: centroids are of type <f4 or <f8, this array is of <i4");
  EXPECT_EQ(MessageOf(array("<f4", "False", "(2, 2)", 15)),
            "c: shape (2, 2) of <f4 takes 16 bytes, there are 15");
  const double huge[] = {1, 2, 1e300, 4};
  EXPECT_EQ(MessageOf(Npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }",
                          base::AsText(std::as_bytes(std::span(huge))))),
            "c: coordinate 0 of centroid 1 is inf; every number must be finite");
}

TEST(KMeansModelFileTest, RefusesToSaveWhatCouldNotBeLoaded) {
  const auto code_of = [](const Centroids& centroids) {
    try {
      FormatCentroidsText(centroids);
    } catch (const base::Error& error) {
      return error.code();
    }
    return base::ErrorCode::kInternal;
  };
  EXPECT_EQ(code_of({1, 2, {1, std::numeric_limits<float>::quiet_NaN()}}),
            base::ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of({1, 0, {}}), base::ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of({0, 2, {}}), base::ErrorCode::kInvalidArgument);
}

TEST(KMeansModelFileTest, CentroidsAreToldFromOtherModels) {
  const auto looks = [](std::string_view text) { return LooksLikeCentroids(base::AsBytes(text)); };
  EXPECT_TRUE(looks(FormatCentroidsNpy(Sample())));
  EXPECT_TRUE(looks(FormatCentroidsText(Sample())));
  EXPECT_FALSE(looks("solver_type L2R_LR\nnr_class 2\n"));
  EXPECT_FALSE(looks(""));
  EXPECT_FALSE(looks("PK\x03\x04"));
}

}  // namespace
}  // namespace lambdaml::model
