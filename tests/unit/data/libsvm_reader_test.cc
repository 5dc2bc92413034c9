#include "lambdaml/data/libsvm_reader.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <iterator>
#include <string>

#include "data_testing.h"

namespace lambdaml::data {
namespace {

using testing::ElementsAre;

constexpr LibsvmOptions kDense = {.layout = Layout::kDense};
constexpr LibsvmOptions kSparse = {.layout = Layout::kSparse};

std::string Refusal(std::string_view text, const LibsvmOptions& options = {}) {
  return ErrorOf([&] { FromText(text, options); });
}

TEST(LibsvmReader, ReadsSparseRows) {
  const Dataset dataset = FromText("1 1:0.5 3:-2\n-1 2:1e2\n", kSparse);
  EXPECT_EQ(dataset.rows(), 2);
  EXPECT_EQ(dataset.n_features(), 3);
  EXPECT_THAT(dataset.labels, ElementsAre(1, -1));
  EXPECT_THAT(dataset.sparse().row_offsets, ElementsAre(0, 2, 3));
  EXPECT_THAT(dataset.sparse().columns, ElementsAre(0, 2, 1));
  EXPECT_THAT(dataset.sparse().values, ElementsAre(0.5F, -2.0F, 100.0F));
}

TEST(LibsvmReader, ReadsDenseRows) {
  const Dataset dataset = FromText("1 1:0.5 3:-2\n-1 2:1e2\n", kDense);
  EXPECT_EQ(dataset.n_features(), 3);
  EXPECT_THAT(dataset.dense().values, ElementsAre(0.5F, 0, -2.0F, 0, 100.0F, 0));
}

TEST(LibsvmReader, AcceptsTheDialectsOfRealFiles) {
  const Dataset dataset = FromText(
      "# a comment of its own\n"
      "\n"
      "+1 qid:3 1:1 2:2 # trailing\r\n"
      "   \t \n"
      "\t-1.5e0\t1:.5  2:3.\t\r\n"
      "7#no feature\n"
      "\r\n"
      "0 00000000002:4 \n"
      "2 1:+1",
      kDense);
  EXPECT_THAT(dataset.labels, ElementsAre(1, -1.5, 7, 0, 2));
  EXPECT_THAT(dataset.dense().values, ElementsAre(1, 2, .5F, 3, 0, 0, 0, 4, 1, 0));
}

TEST(LibsvmReader, IndexBaseZeroStartsAtColumnZero) {
  const Dataset dataset = FromText("1 0:5 1:6\n", {.index_base = 0, .layout = Layout::kSparse});
  EXPECT_THAT(dataset.sparse().columns, ElementsAre(0, 1));
  EXPECT_EQ(dataset.n_features(), 2);
}

TEST(LibsvmReader, DeclaredWidthHoldsForBothLayouts) {
  EXPECT_EQ(FromText("1 1:5\n", {.n_features = 9, .layout = Layout::kDense}).n_features(), 9);
  EXPECT_EQ(FromText("1 1:5\n", {.n_features = 9, .layout = Layout::kSparse}).n_features(), 9);
  EXPECT_EQ(FromText("1\n2\n", {.n_features = 2}).n_features(), 2);
}

TEST(LibsvmReader, AutoIsDenseFromAQuarterOfTheCellsOn) {
  EXPECT_TRUE(FromText("1 1:1\n1 4:1\n").is_dense());
  EXPECT_FALSE(FromText("1 1:1\n1 5:1\n").is_dense());
  EXPECT_FALSE(FromText("1 1:1\n", {.n_features = 5}).is_dense());
}

TEST(LibsvmReader, RefusalsNameFileAndLine) {
  const auto expect = [](std::string_view text, std::string_view message,
                         const LibsvmOptions& options = {}) {
    EXPECT_EQ(Refusal(text, options), "InvalidData: " + std::string(message)) << text;
  };
  expect("", "t: no rows");
  expect("# only\n\n", "t: no rows");
  expect("1\n", "t: no row has a feature; --n_features would say how many there are");
  expect("1 1:1\n0 0:2\n",
         "t:2: feature index 0, but indices start at 1 (if this data set's start at 0, say "
         "--index_base 0)");
  expect("1 29:1\n", "t:1: feature index 29 exceeds --n_features 28", {.n_features = 28});
  expect("1 28:1\n", "t:1: feature index 28 exceeds --n_features 28 (indices start at 0)",
         {.index_base = 0, .n_features = 28});
  expect("1 2147483648:1\n", "t:1: feature index 2147483648 exceeds the limit of 2147483647");
  expect("1 99999999999999999999999:1\n",
         "t:1: feature index 99999999999999999999999 exceeds the limit of 2147483647");
  expect("1 18446744073709551617:1\n",
         "t:1: feature index 18446744073709551617 exceeds the limit of 2147483647");
  expect("\n1 3:1 3:2\n", "t:2: feature index 3 is repeated");
  expect("1 3:1 2:2\n", "t:1: feature index 2 follows 3: indices must increase");
  expect("1 3:1 2:2\n", "t:1: feature index 2 follows 3: indices must increase", {.index_base = 0});
  expect("1 1:nan\n", "t:1: value nan is not finite");
  expect("1 1:-Infinity\n", "t:1: value -Infinity is not finite");
  expect("nan 1:1\n", "t:1: label nan is not finite");
  expect("1 1:1e39\n", "t:1: value 1e39 is too large for a 32-bit float");
  expect("1e309 1:1\n", "t:1: label '1e309' is not a number in range");
  expect("1 1:1e999\n", "t:1: value '1e999' is not a number in range");
  expect("1 1:x\n", "t:1: value 'x' is not a number in range");
  expect("1 1:0x1\n", "t:1: 'x1' found where index:value should stand");
  expect("1 1:\n", "t:1: the value is missing");
  expect("1 1: 2\n", "t:1: the value is missing");
  expect("1 1\n", "t:1: '1' lacks its ':value'");
  expect("1 :1\n", "t:1: ':1' found where index:value should stand");
  expect("1 -1:1\n", "t:1: '-1:1' found where index:value should stand");
  expect("1 1:1:1\n", "t:1: ':1' found where index:value should stand");
  expect("1 1:1,2:1\n", "t:1: ',2:1' found where index:value should stand");
  expect("1:1 2:1\n", "t:1: the label is missing, the line starts with a feature");
  expect("a 1:1\n", "t:1: label 'a' is not a number in range");
  expect("1,2 1:1\n", "t:1: label '1,2' is not a number in range");
  expect("1 qid:x 1:1\n", "t:1: 'qid:x' is neither qid:number nor index:value");
  expect("1 1:1 qid:1\n", "t:1: 'qid:1' found where index:value should stand");
  expect("1 1:1\r2 1:1\n", "t:1: carriage return inside the line");
  using namespace std::string_view_literals;
  expect("1 1:1\0 2:1\n"sv, "t:1: zero byte in the text");
  expect("\0 1:1\n"sv, "t:1: label '\\x00' is not a number in range");
  expect("1 1:1 # a\0b\n"sv, "t:1: zero byte in comment");
  expect("1 1:\xff\n", "t:1: value '\\xff' is not a number in range");
}

TEST(LibsvmReader, OptionsOutOfRangeAreRefused) {
  EXPECT_EQ(Refusal("1 1:1\n", {.index_base = 2}),
            "InvalidArgument: --index_base is 2, it must be 0 or 1");
  EXPECT_EQ(Refusal("1 1:1\n", {.n_features = 0}),
            "InvalidArgument: --n_features is 0, it must be 1 to 2147483647");
}

TEST(LibsvmReader, AMatrixBeyondTheMachinesMemoryIsRefusedBeforeItIsBuilt) {
  EXPECT_THAT(Refusal("1 2000000000:1\n1 1:1\n2 1:1\n3 1:1\n1 1:1\n2 1:1\n3 1:1\n1 1:1\n2 1:1\n"
                      "3 1:1\n1 1:1\n2 1:1\n3 1:1\n1 1:1\n2 1:1\n3 1:1\n1 1:1\n2 1:1\n3 1:1\n"
                      "1 1:1\n2 1:1\n3 1:1\n1 1:1\n2 1:1\n3 1:1\n1 1:1\n2 1:1\n3 1:1\n3 1:1\n",
                      {.n_features = 2147483647, .layout = Layout::kDense}),
              testing::StartsWith("ResourceExhausted: t: the matrix needs "));
}

// Rows over several windows, and lines that straddle them.
std::string ManyRows(int rows, int features) {
  std::string text;
  for (int r = 0; r < rows; ++r) {
    text += std::to_string(r);
    for (int j = 1; j <= features; ++j) {
      fmt::format_to(std::back_inserter(text), " {}:{}.{}", j, r % 100, j);
    }
    text += "\n";
  }
  return text;
}

TEST(LibsvmReader, FilesOfManyWindowsKeepEveryRow) {
  const std::string text = ManyRows(20000, 9);
  for (const Layout layout : {Layout::kDense, Layout::kSparse}) {
    const Dataset dataset = FromText(text, {.layout = layout});
    ASSERT_EQ(dataset.rows(), 20000);
    const auto values = dataset.is_dense() ? dataset.dense().values : dataset.sparse().values;
    ASSERT_EQ(values.size(), 180000U);
    for (size_t r = 0; r < 20000; ++r) {
      ASSERT_EQ(dataset.labels[r], static_cast<double>(r));
      ASSERT_EQ(values[r * 9 + 8], static_cast<float>(r % 100) + 0.9F);
    }
  }
}

TEST(LibsvmReader, ErrorsInLaterWindowsNameTheirLine) {
  const std::string text = ManyRows(20000, 9);
  EXPECT_EQ(Refusal(text + "1 x:1\n"),
            "InvalidData: t:20001: 'x:1' found where index:value should stand");
  EXPECT_EQ(Refusal(text + "1 x:1\n", kSparse),
            "InvalidData: t:20001: 'x:1' found where index:value should stand");
}

TEST(LibsvmReader, DenseRowsWidenWhenALaterWindowNeedsIt) {
  const std::string narrow = ManyRows(20000, 3);
  const std::string wide = ManyRows(20000, 5);
  const Dataset dataset = FromText(narrow + wide + narrow, kDense);
  const Dataset reference = FromText(narrow + wide + narrow, kSparse);
  ASSERT_EQ(dataset.n_features(), 5);
  EXPECT_EQ(ToPlain(dataset), ToPlain(ToDense(reference)));
}

TEST(LibsvmReader, AutoPutsAWrongFirstGuessRight) {
  const std::string narrow = ManyRows(20000, 3);
  const std::string text = narrow + "5 100:1\n" + narrow;
  const Dataset sparse = FromText(text);
  EXPECT_FALSE(sparse.is_dense());
  EXPECT_EQ(ToPlain(sparse), ToPlain(FromText(text, kSparse)));
  std::string late_dense = "5 100:1\n";
  for (int r = 0; r < 60000; ++r) late_dense += "1 1:1\n";
  late_dense += ManyRows(20000, 100);
  const Dataset dense = FromText(late_dense);
  EXPECT_TRUE(dense.is_dense());
  EXPECT_EQ(ToPlain(dense), ToPlain(FromText(late_dense, kDense)));
}

TEST(LibsvmReader, ALineLongerThanTheWindowIsRead) {
  std::string text = "1 1:1\n2";
  for (int j = 1; j <= 200000; ++j) {
    fmt::format_to(std::back_inserter(text), " {}:1", j);
  }
  const Dataset dataset = FromText(text + "\n3 7:1", kSparse);
  EXPECT_EQ(dataset.rows(), 3);
  EXPECT_EQ(dataset.sparse().nonzeros(), 200002);
}

TEST(LibsvmReader, AnEndlessLineIsRefused) {
  std::string text = "1 1:1\n2 ";
  text.resize(kLineBytesMax + 300000, ' ');
  EXPECT_EQ(Refusal(text), "InvalidData: t:2: line is longer than 67.1 MB");
}

TEST(LibsvmReader, DamagedTextNeverCrashes) {
  base::Random random(5);
  const std::string valid = "+1 qid:7 1:0.5 3:-2e-3 17:123456.789 # c\r\n-1 2:1e2\n\n0 1:.5 9:1\n";
  using namespace std::string_view_literals;
  const std::string_view alphabet = "0123456789+-.:eE# \t\r\nqidnaf\xff\0"sv;
  for (int i = 0; i < 60000; ++i) {
    std::string text = valid;
    const uint64_t changes = 1 + random.Below(4);
    for (uint64_t c = 0; c < changes && !text.empty(); ++c) {
      const size_t at = random.Below(text.size());
      const char replacement = alphabet[random.Below(alphabet.size())];
      switch (random.Below(3)) {
        case 0:
          text[at] = replacement;
          break;
        case 1:
          text.insert(at, 1, replacement);
          break;
        default:
          text.erase(at, 1 + random.Below(5));
      }
    }
    const auto layout = static_cast<Layout>(random.Below(3));
    const std::string error = Refusal(text, {.layout = layout});
    if (error != "no error") {
      ASSERT_TRUE(error.starts_with("InvalidData: t") || error.starts_with("ResourceExhausted: t"))
          << error;
    }
  }
}

}  // namespace
}  // namespace lambdaml::data
