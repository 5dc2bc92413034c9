#include "lambdaml/data/images.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <zlib.h>

#include "lambdaml/base/file.h"
#include "lambdaml/data/load.h"

#include "data_testing.h"
#include "images_testing.h"

namespace lambdaml::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

base::Blob BlobOf(const std::string& text) { return base::Blob::Copy(base::AsBytes(text)); }

std::string Refusal(const std::string& text, int64_t n_classes = kCifarClasses,
                    const std::string& name = "images.bin") {
  return ErrorOf([&] { DecodeImages(BlobOf(text), name, n_classes); });
}

TEST(Images, ARecordIsALabelAndThreePlanes) {
  const ImageSet images = DecodeImages(BlobOf(RecordText(3, 10) + RecordText(9, 20)), "f", 10);
  ASSERT_EQ(images.rows(), 2);
  EXPECT_EQ(images.label(0), 3);
  EXPECT_EQ(images.label(1), 9);
  for (const int64_t plane : {0, 1, 2}) {
    EXPECT_EQ(images.pixels(0)[static_cast<size_t>(plane * kImagePlane)], 10 + plane);
    EXPECT_EQ(images.pixels(1)[static_cast<size_t>(plane * kImagePlane + 1023)], 20 + plane);
  }
}

TEST(Images, SizesThatAreNoWholeNumberOfRecordsAreRefused) {
  const std::string text = RecordText(3, 10) + RecordText(9, 20);
  EXPECT_EQ(Refusal(""), "InvalidData: images.bin: the file is empty, it has no images");
  for (const size_t size : {size_t{1}, size_t{3072}, size_t{3074}, text.size() - 1}) {
    EXPECT_THAT(Refusal(text.substr(0, size)), HasSubstr("InvalidData: images.bin: ")) << size;
    EXPECT_THAT(Refusal(text.substr(0, size)), HasSubstr("records of 3073 bytes")) << size;
  }
}

TEST(Images, LabelsBeyondTheClassesAreRefusedWithTheirRecord) {
  const std::string text = RecordText(9, 1) + RecordText(10, 1);
  EXPECT_EQ(Refusal(text),
            "InvalidData: images.bin: record 2: label 10 is not below --n_classes 10");
  EXPECT_EQ(Refusal(text, 11), "no error");
  EXPECT_THAT(Refusal(text, 9), HasSubstr("record 1: label 9"));
  EXPECT_EQ(Refusal(RecordText(255, 1), 256), "no error");
}

TEST(Images, AFileIsKnownByItsName) {
  for (const char* name : {"a.bin", "x/data_batch_1.bin", "s3://b/a.bin.zst", "a.bin.gz"}) {
    EXPECT_TRUE(IsImageName(name)) << name;
  }
  for (const char* name : {"a", "bin", "a.bin.txt", "a.binary", "a.zst", ""}) {
    EXPECT_FALSE(IsImageName(name)) << name;
  }
}

TEST(Images, CompressedFilesAreReadAndBadOnesRefused) {
  const base::TemporaryDirectory folder(testing::TempDir(), "images-");
  const std::string path = folder.path() + "/images.bin.gz";
  std::string text;
  for (int i = 0; i < 700; ++i) text += RecordText(i % 10, i);
  const gzFile file = gzopen(path.c_str(), "wb");
  ASSERT_EQ(gzwrite(file, text.data(), static_cast<unsigned>(text.size())),
            static_cast<int>(text.size()));
  ASSERT_EQ(gzclose(file), Z_OK);
  const base::Blob bytes = base::MapFile(path);
  EXPECT_EQ(TextOf(DecodeImages(bytes, path, 10)), text);
  EXPECT_THAT(Refusal(std::string(bytes.text().substr(0, bytes.size() / 2)), 10, "a.bin.gz"),
              HasSubstr("InvalidData: a.bin.gz"));
}

TEST(Images, RowsAreTakenAndSetsJoinedInOrder) {
  const ImageSet images = ImagesOf({RecordText(1, 1), RecordText(2, 2), RecordText(3, 3)});
  const std::vector<int64_t> rows = {2, 0, 2};
  const ImageSet taken = TakeImages(images, rows);
  EXPECT_EQ(TextOf(taken), RecordText(3, 3) + RecordText(1, 1) + RecordText(3, 3));
  EXPECT_EQ(TakeImages(images, {}).rows(), 0);
  const std::vector<ImageSet> parts = {images, taken, ImageSet()};
  EXPECT_EQ(TextOf(ConcatenateImages(parts)), TextOf(images) + TextOf(taken));
  EXPECT_EQ(ConcatenateImages({}).rows(), 0);
}

TEST(Images, LabelsAreCounted) {
  const ImageSet images = ImagesOf({RecordText(7, 1), RecordText(2, 2), RecordText(7, 3)});
  EXPECT_THAT(CountImageLabels(images), ElementsAre(LabelCount{2, 1}, LabelCount{7, 2}));
}

TEST(Images, ModelsOfRowsReadThemAsPixelsFromZeroToOne) {
  const Dataset rows = LoadBytes(BlobOf(RecordText(12, 255)), "x.bin", {});
  ASSERT_TRUE(rows.is_dense());
  EXPECT_EQ(rows.n_features(), 3072);
  EXPECT_THAT(rows.labels, ElementsAre(12));
  EXPECT_EQ(rows.dense().row(0)[0], 1);
  EXPECT_EQ(rows.dense().row(0)[1024], 0) << "256 wraps around";
  EXPECT_EQ(rows.dense().row(0)[2048], 1 / 255.0F);
}

}  // namespace
}  // namespace lambdaml::data
