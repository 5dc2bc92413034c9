#include "lambdaml/data/npz.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

#include "lambdaml/data/libsvm_writer.h"
#include "lambdaml/data/npy.h"
#include "lambdaml/data/zip.h"

#include "data_testing.h"

namespace lambdaml::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Dataset Decode(base::Bytes bytes) { return DecodeNpz(base::Blob(std::move(bytes)), "s"); }

// An archive of any arrays, as numpy.savez would make it.
class Archive {
 public:
  template <typename T>
  Archive& Add(const std::string& name, std::string_view dtype, const std::vector<int64_t>& shape,
               const std::vector<T>& elements) {
    const std::string header = NpyHeader(dtype, shape);
    const auto body = std::as_bytes(std::span(elements));
    const uint32_t crc32 = Crc32(Crc32(0, base::AsBytes(header)), body);
    out_ += zip_.BeginMember(name + ".npy", header.size() + body.size(), crc32);
    out_.append(header).append(base::AsText(body));
    return *this;
  }
  base::Bytes Bytes() const {
    const std::string whole = out_ + zip_.Finish();
    const auto bytes = base::AsBytes(whole);
    return {bytes.begin(), bytes.end()};
  }
  std::string Refusal() const {
    return ErrorOf([&] { Decode(Bytes()); });
  }

 private:
  ZipWriter zip_;
  std::string out_;
};

Archive Csr() { return Archive().Add<char>("format", "|S3", {}, {'c', 's', 'r'}); }

TEST(Npz, RandomDataSetsComeBackBitForBit) {
  base::Random random(1);
  for (int i = 0; i < 500; ++i) {
    const Dataset dataset = RandomDataset(random, i % 2 == 0);
    ASSERT_EQ(ToPlain(Decode(EncodeNpz(dataset))), ToPlain(dataset));
  }
}

TEST(Npz, ArraysAreUsedWhereTheyLieAndAligned) {
  const base::Blob bytes(EncodeNpz(FromText("1 1:1 2:2\n0 1:3\n", {.layout = Layout::kDense})));
  const Dataset dataset = DecodeNpz(bytes, "s");
  const auto* const start = reinterpret_cast<const char*>(bytes.data());
  for (const void* array : {static_cast<const void*>(dataset.dense().values.data()),
                            static_cast<const void*>(dataset.labels.data())}) {
    const auto offset = static_cast<const char*>(array) - start;
    EXPECT_GT(offset, 0);
    EXPECT_LT(offset, static_cast<ptrdiff_t>(bytes.size()));
    EXPECT_EQ(offset % 64, 0);
  }
}

TEST(Npz, OtherElementTypesAreConverted) {
  const Dataset dense = Decode(Archive()
                                   .Add<double>("X", "<f8", {2, 2}, {1, 2, 3, 4})
                                   .Add<int64_t>("y", "<i8", {2}, {-1, 1})
                                   .Bytes());
  EXPECT_THAT(dense.dense().values, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(dense.labels, ElementsAre(-1, 1));
  const Dataset sparse = Decode(Csr()
                                    .Add<int32_t>("shape", "<i4", {2}, {2, 5})
                                    .Add<int32_t>("indptr", "<i4", {3}, {0, 1, 3})
                                    .Add<int64_t>("indices", "<i8", {3}, {4, 0, 2})
                                    .Add<int32_t>("data", "<i4", {3}, {7, 8, 9})
                                    .Bytes());
  EXPECT_THAT(sparse.sparse().row_offsets, ElementsAre(0, 1, 3));
  EXPECT_THAT(sparse.sparse().columns, ElementsAre(4, 0, 2));
  EXPECT_THAT(sparse.sparse().values, ElementsAre(7, 8, 9));
  EXPECT_THAT(sparse.labels, ElementsAre(0, 0));
}

TEST(Npz, RefusalsNameFileAndMember) {
  const auto sparse = [](std::vector<int64_t> indptr, std::vector<int32_t> indices,
                         std::vector<float> data) {
    return Csr()
        .Add<int64_t>("shape", "<i8", {2}, {2, 5})
        .Add("indptr", "<i8", {static_cast<int64_t>(indptr.size())}, indptr)
        .Add("indices", "<i4", {static_cast<int64_t>(indices.size())}, indices)
        .Add("data", "<f4", {static_cast<int64_t>(data.size())}, data)
        .Refusal();
  };
  EXPECT_EQ(sparse({0, 1}, {0}, {1}), "InvalidData: s: indptr: 2 elements for 2 rows");
  EXPECT_EQ(sparse({0, 2, 1}, {0}, {1}), "InvalidData: s: indptr: decreases at row 1");
  EXPECT_EQ(sparse({0, 1, 2}, {0}, {1}),
            "InvalidData: s: indptr: does not run from 0 to the number of non-zeros");
  EXPECT_EQ(sparse({0, 0, 1}, {0, 1}, {1}), "InvalidData: s: indices: 2 elements, but 1 in data");
  EXPECT_EQ(sparse({0, 0, 1}, {5}, {1}),
            "InvalidData: s: indices: row 1 has a column beyond the 5 features");
  EXPECT_EQ(sparse({0, 1, 1}, {-1}, {1}),
            "InvalidData: s: indices: row 0 has a column beyond the 5 features");
  EXPECT_THAT(sparse({0, 2, 2}, {1, 1}, {1, 1}),
              HasSubstr("indices: row 0 has unsorted or repeated columns"));
  EXPECT_EQ(sparse({0, 0, 1}, {0}, {INFINITY}),
            "InvalidData: s: data: an element is not a finite 32-bit float");
  EXPECT_EQ(Archive().Add<double>("X", "<f8", {1, 1}, {1e300}).Refusal(),
            "InvalidData: s: X: an element is not a finite 32-bit float");
  EXPECT_EQ(Archive().Add<float>("X", "<f4", {0, 1}, {}).Refusal(), "InvalidData: s: X: no rows");
  EXPECT_EQ(Archive().Add<float>("X", "<f4", {1}, {1}).Refusal(),
            "InvalidData: s: X: has 1 dimensions, not 2");
  EXPECT_EQ(Archive().Add<float>("X", "<f4", {1, 2}, {1}).Refusal(),
            "InvalidData: s: X: shape (1, 2) of <f4 takes 8 bytes, there are 4");
  EXPECT_EQ(Archive().Add<float>("X", "<f4", {int64_t{1} << 62, 1 << 10}, {1}).Refusal(),
            "InvalidData: s: X: the shape is too large");
  EXPECT_EQ(Archive().Add<char>("X", "|u1", {1, 1}, {1}).Refusal(),
            "InvalidData: s: X: elements of type |u1 are not supported, only <f4, <f8, <i4, <i8");
  EXPECT_EQ(Archive().Add<float>("Z", "<f4", {1}, {1}).Refusal(),
            "InvalidData: s: holds neither X nor a CSR matrix (data, indices, indptr, shape, "
            "format)");
  EXPECT_EQ(
      Archive().Add<float>("X", "<f4", {1, 1}, {1}).Add<float>("y", "<f4", {2}, {1, 1}).Refusal(),
      "InvalidData: s: y: 2 labels for 1 rows");
  EXPECT_EQ(Archive()
                .Add<char>("format", "|S3", {}, {'c', 's', 'c'})
                .Add<char>("indptr", "|S3", {}, {'c', 's', 'c'})
                .Refusal(),
            "InvalidData: s: format: the matrix is 'csc', it must be 'csr'");
}

TEST(Npz, ADamagedByteOfTheNumbersIsFoundByTheChecksum) {
  base::Bytes bytes = EncodeNpz(FromText("1 1:1 2:2\n0 1:3\n", {.layout = Layout::kDense}));
  const Dataset dataset = Decode(bytes);
  bytes[200] ^= std::byte{1};
  EXPECT_EQ(ErrorOf([&] { Decode(bytes); }),
            "Corrupt: s: X.npy: the checksum is wrong, the file is damaged");
}

TEST(Npz, EveryTruncationIsRefused) {
  const base::Bytes bytes = EncodeNpz(FromText("1 1:1\n0 5:3\n", {.layout = Layout::kSparse}));
  for (size_t size = 0; size < bytes.size(); ++size) {
    const std::string error = ErrorOf([&] { Decode({bytes.begin(), bytes.begin() + size}); });
    ASSERT_TRUE(error.starts_with("InvalidData: s: ")) << size << error;
  }
}

TEST(Npz, DamagedBytesNeverCrash) {
  base::Random random(7);
  for (const Layout layout : {Layout::kDense, Layout::kSparse}) {
    const base::Bytes valid = EncodeNpz(FromText("1 1:1 2:2\n0 1:3 4:1\n", {.layout = layout}));
    for (int i = 0; i < 30000; ++i) {
      base::Bytes bytes = valid;
      const uint64_t changes = 1 + random.Below(3);
      for (uint64_t c = 0; c < changes; ++c) {
        bytes[random.Below(bytes.size())] = static_cast<std::byte>(random.Next());
      }
      const std::string error = ErrorOf([&] { Decode(bytes); });
      ASSERT_TRUE(error == "no error" || error.starts_with("InvalidData: s: ") ||
                  error.starts_with("Corrupt: s: "))
          << error;
    }
  }
}

TEST(LibsvmWriter, RandomDataSetsSurviveTextAndBinary) {
  base::Random random(2);
  for (int i = 0; i < 500; ++i) {
    const Dataset dataset = RandomDataset(random, i % 2 == 0);
    std::string text;
    EncodeLibsvm(dataset, [&](base::ByteSpan piece) { text += base::AsText(piece); });
    const auto layout = dataset.is_dense() ? Layout::kDense : Layout::kSparse;
    const Dataset again = FromText(text, {.layout = layout});
    if (dataset.is_dense()) {
      ASSERT_EQ(ToPlain(again), ToPlain(dataset)) << text;
    } else {
      ASSERT_EQ(ToPlain(ToDense(again)), ToPlain(ToDense(dataset))) << text;
    }
    std::string text_again;
    EncodeLibsvm(Decode(EncodeNpz(again)),
                 [&](base::ByteSpan piece) { text_again += base::AsText(piece); });
    ASSERT_EQ(text_again, text);
  }
}

}  // namespace
}  // namespace lambdaml::data
