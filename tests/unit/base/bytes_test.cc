#include "lambdaml/base/bytes.h"

#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <string>

#include "lambdaml/base/checksum.h"

namespace lambdaml::base {
namespace {

TEST(BlobTest, ADefaultBlobIsEmpty) {
  const Blob blob;
  EXPECT_EQ(blob.size(), 0U);
  EXPECT_EQ(blob.text(), "");
}

TEST(BlobTest, CopiesOfABlobShareItsBytes) {
  const Blob blob = Blob::Copy(AsBytes("four"));
  const Blob copy = blob;  // NOLINT(performance-unnecessary-copy-initialization): what is tested
  EXPECT_EQ(copy.data(), blob.data());
  EXPECT_EQ(copy.text(), "four");
}

TEST(BlobTest, ABlobKeepsWhatHoldsItsBytesAlive) {
  auto text = std::make_shared<const std::string>("held elsewhere, and long enough for the heap");
  const std::weak_ptr<const std::string> watch = text;
  auto blob = std::make_unique<Blob>(AsBytes(*text).subspan(0, 4), text);
  text.reset();
  EXPECT_EQ(blob->text(), "held");
  blob.reset();
  EXPECT_TRUE(watch.expired());
}

// The values of XXH3-64 with seed 0 as the xxhsum program prints them.
TEST(ChecksumTest, IsXxh3WithSeedZero) {
  EXPECT_EQ(ChecksumHex(Checksum64({})), "2d06800538d394c2");
  EXPECT_EQ(ChecksumHex(Checksum64(AsBytes("abc"))), "78af5f94892f3950");
}

TEST(ChecksumTest, ChangesWithEveryBit) {
  std::string text(257, 'x');
  const uint64_t before = Checksum64(AsBytes(text));
  for (size_t i = 0; i < text.size(); ++i) {
    text[i] = static_cast<char>(text[i] ^ 1);
    EXPECT_NE(Checksum64(AsBytes(text)), before) << "byte " << i;
    text[i] = static_cast<char>(text[i] ^ 1);
  }
}

TEST(ChecksumTest, HexKeepsLeadingZeros) { EXPECT_EQ(ChecksumHex(0xab), "00000000000000ab"); }

}  // namespace
}  // namespace lambdaml::base
