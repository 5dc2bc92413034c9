#include "lambdaml/data/byte_source.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>
#include <zlib.h>
#include <zstd.h>

#include "lambdaml/base/file.h"

#include "data_testing.h"

namespace lambdaml::data {
namespace {

std::string Gzip(const std::string& text) {
  std::string out(text.size() + 1000, '\0');
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

std::string Zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::string ReadAll(std::string_view bytes, size_t piece_bytes = 1000) {
  const auto source = OpenMemorySource(base::Blob::Copy(base::AsBytes(bytes)), "t");
  std::string all;
  std::vector<char> piece(piece_bytes);
  while (const size_t got = source->Read(piece)) all.append(piece.data(), got);
  return all;
}

std::string SomeText() {
  base::Random random(1);
  std::string text;
  for (int i = 0; i < 400'000; ++i) text += static_cast<char>('0' + random.Below(10));
  return text;
}

TEST(ByteSource, PlainGzipAndZstdReadTheSame) {
  const std::string text = SomeText();
  for (const size_t piece_bytes : {size_t{1} << 20, size_t{777}}) {
    EXPECT_EQ(ReadAll(text, piece_bytes), text);
    EXPECT_EQ(ReadAll(Gzip(text), piece_bytes), text);
    EXPECT_EQ(ReadAll(Zstd(text), piece_bytes), text);
  }
}

TEST(ByteSource, PartsInARowReadAsOne) {
  EXPECT_EQ(ReadAll(Gzip("ab") + Gzip("") + Gzip("cd")), "abcd");
  EXPECT_EQ(ReadAll(Zstd("ab") + Zstd("") + Zstd("cd")), "abcd");
  const std::string skippable("\x50\x2a\x4d\x18\x03\x00\x00\x00xyz", 11);
  EXPECT_EQ(ReadAll(skippable + Zstd("ab") + skippable), "ab");
}

TEST(ByteSource, EmptyAndVeryShortInputsAreJustShort) {
  EXPECT_EQ(ReadAll(""), "");
  EXPECT_EQ(ReadAll("1"), "1");
  EXPECT_EQ(ReadAll(Gzip("")), "");
  EXPECT_EQ(ReadAll(Zstd("")), "");
}

TEST(ByteSource, TruncatedCompressionIsRefusedWhereverItEnds) {
  const std::string text = SomeText().substr(0, 300);
  for (const std::string& whole : {Gzip(text), Zstd(text)}) {
    for (size_t size = 4; size < whole.size(); ++size) {
      const std::string error = ErrorOf([&] { ReadAll(whole.substr(0, size)); });
      ASSERT_TRUE(error.ends_with(" data is truncated")) << size << error;
      ASSERT_TRUE(error.starts_with("InvalidData: t: ")) << error;
    }
  }
}

TEST(ByteSource, CorruptCompressionIsRefusedOrCaughtByItsChecksum) {
  std::string gzip = Gzip(SomeText());
  gzip[gzip.size() / 2] ^= 4;
  EXPECT_TRUE(ErrorOf([&] { ReadAll(gzip); }).starts_with("InvalidData: t: gzip data is corrupt"));
  std::string zstd = Zstd(SomeText());
  zstd[8] ^= 0x55;
  EXPECT_TRUE(ErrorOf([&] { ReadAll(zstd); }).starts_with("InvalidData: t: zstd data is"));
  EXPECT_TRUE(ErrorOf([&] { ReadAll(Gzip("ab") + "tail"); }).starts_with("InvalidData: t: gzip"));
}

TEST(ByteSource, FilesAreReadAndFailuresNameThem) {
  const base::TemporaryDirectory folder("/tmp", "byte_source_test");
  const std::string path = folder.path() + "/a.gz";
  base::WriteFileAtomic(path, base::AsBytes(Gzip("abc")));
  std::vector<char> target(10);
  EXPECT_EQ(OpenFileSource(path)->Read(target), 3U);
  EXPECT_EQ(OpenFileSource(path)->name(), path);
  EXPECT_EQ(ErrorOf([&] { OpenFileSource(folder.path() + "/b"); }),
            "NotFound: open " + folder.path() + "/b: No such file or directory");
  EXPECT_EQ(ErrorOf([&] { OpenFileSource(folder.path()); }),
            "InvalidArgument: read " + folder.path() + ": Is a directory");
}

}  // namespace
}  // namespace lambdaml::data
