#include "lambdaml/data/idx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <zlib.h>

#include "lambdaml/base/file.h"
#include "lambdaml/data/select.h"

#include "data_testing.h"

namespace lambdaml::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string Idx(const std::vector<uint32_t>& sizes, const std::vector<int>& bytes, char type = 8) {
  std::string text = {0, 0, type, static_cast<char>(sizes.size())};
  for (const uint32_t size : sizes) {
    for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(size >> shift & 255);
  }
  for (const int byte : bytes) text += static_cast<char>(byte);
  return text;
}

base::Blob BlobOf(const std::string& text) { return base::Blob::Copy(base::AsBytes(text)); }

Dataset Load(const std::string& text, const LoadOptions& options = {}) {
  return LoadBytes(BlobOf(text), "images", options);
}

std::string Refusal(const std::string& text, const LoadOptions& options = {}) {
  return ErrorOf([&] { Load(text, options); });
}

std::string LabelRefusal(const std::string& text) {
  return ErrorOf([&] { LoadIdxLabels(BlobOf(text), "labels"); });
}

const std::string kImages = Idx({2, 2, 3}, {0, 51, 255, 0, 0, 1, 2, 0, 0, 0, 254, 0});

TEST(Idx, ImagesAreDenseRowsOfPixelsFromZeroToOne) {
  const Dataset images = Load(kImages);
  ASSERT_TRUE(images.is_dense());
  EXPECT_EQ(images.rows(), 2);
  EXPECT_EQ(images.n_features(), 6);
  EXPECT_THAT(images.dense().values,
              ElementsAre(0, 0.2F, 1, 0, 0, 1 / 255.0F, 2 / 255.0F, 0, 0, 0, 254 / 255.0F, 0));
  EXPECT_THAT(images.labels, ElementsAre(0, 0));
}

TEST(Idx, LayoutAndWidthAreThoseAskedFor) {
  const Dataset sparse = Load(kImages, {.layout = Layout::kSparse});
  ASSERT_FALSE(sparse.is_dense());
  EXPECT_THAT(sparse.sparse().columns, ElementsAre(1, 2, 5, 0, 4));
  EXPECT_EQ(Load(kImages, {.n_features = 9}).n_features(), 9);
  EXPECT_THAT(Refusal(kImages, {.n_features = 5}),
              HasSubstr("InvalidData: images: 6 features exceed --n_features 5"));
}

TEST(Idx, CompressedFilesAreReadToo) {
  const base::TemporaryDirectory folder(testing::TempDir(), "idx-");
  const std::string path = folder.path() + "/images.gz";
  const gzFile file = gzopen(path.c_str(), "wb");
  ASSERT_EQ(gzwrite(file, kImages.data(), static_cast<unsigned>(kImages.size())),
            static_cast<int>(kImages.size()));
  ASSERT_EQ(gzclose(file), Z_OK);
  EXPECT_EQ(ToPlain(LoadFile(path, {})), ToPlain(Load(kImages)));
}

TEST(Idx, ManyRowsCrossTheBlocksOfTheReader) {
  std::vector<int> bytes;
  for (int i = 0; i < 3'000'000; ++i) bytes.push_back(i * 7 % 256);
  const Dataset images = Load(Idx({3000, 1000}, bytes));
  ASSERT_EQ(images.rows(), 3000);
  for (size_t i = 0; i < bytes.size(); i += 997) {
    ASSERT_EQ(images.dense().values[i], static_cast<float>(bytes[i]) / 255.0F) << i;
  }
}

TEST(Idx, LabelsAreTheBytesAsTheyAre) {
  EXPECT_THAT(LoadIdxLabels(BlobOf(Idx({4}, {7, 0, 255, 9})), "l"), ElementsAre(7, 0, 255, 9));
  const Dataset labelled = WithLabels(Load(kImages), {4, 5}, "labels");
  EXPECT_THAT(labelled.labels, ElementsAre(4, 5));
  EXPECT_EQ(labelled.dense().values[1], 0.2F);
  EXPECT_EQ(ErrorOf([] {
              WithLabels(Load(kImages), {4, 5, 6}, "labels");
            }),
            "InvalidData: labels: 3 labels for 2 rows");
}

TEST(Idx, FilesThatBreakTheFormatAreRefused) {
  for (size_t size = 4; size < kImages.size(); ++size) {
    EXPECT_EQ(Refusal(kImages.substr(0, size)), "InvalidData: images: the idx file is truncated");
  }
  EXPECT_THAT(Refusal(kImages + '\0'), HasSubstr("more bytes than its header says"));
  EXPECT_THAT(Refusal(Idx({2, 3}, {}, 13)), HasSubstr("idx elements of type 13, only unsigned"));
  EXPECT_THAT(Refusal(Idx({}, {})), HasSubstr("no rows"));
  EXPECT_THAT(Refusal(Idx({0, 3}, {})), HasSubstr("no rows"));
  EXPECT_THAT(Refusal(Idx({3, 0}, {})), HasSubstr("rows without features"));
  EXPECT_THAT(Refusal(Idx({3}, {1, 2, 3})), HasSubstr("labels, not of rows"));
  EXPECT_THAT(Refusal(Idx({1, 65536, 65536}, {})), HasSubstr("too many features"));
  EXPECT_THAT(Refusal(Idx({4294967295, 2}, {1, 2})), HasSubstr("truncated"));
}

TEST(Idx, LabelsThatBreakTheFormatAreRefused) {
  EXPECT_THAT(LabelRefusal(kImages), HasSubstr("labels: an idx file of rows, not of labels"));
  EXPECT_THAT(LabelRefusal("1 1:2\n"), HasSubstr("not an idx file"));
  EXPECT_THAT(LabelRefusal(Idx({3}, {1, 2})), HasSubstr("truncated"));
  EXPECT_THAT(LabelRefusal(Idx({1}, {1, 2})), HasSubstr("more bytes"));
  EXPECT_THAT(LabelRefusal(""), HasSubstr("truncated"));
}

}  // namespace
}  // namespace lambdaml::data
