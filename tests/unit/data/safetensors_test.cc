#include "lambdaml/data/safetensors.h"

#include <cstring>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <span>
#include <string>

#include "lambdaml/base/random.h"

#include "data_testing.h"

namespace lambdaml::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

std::string File(const std::string& header, const std::string& data) {
  const uint64_t size = header.size();
  std::string text(8, '\0');
  std::memcpy(text.data(), &size, 8);
  return text + header + data;
}

TensorFile Parse(const std::string& text) {
  return ParseSafetensors(base::Blob::Copy(base::AsBytes(text)), "m.safetensors");
}

std::string Refusal(const std::string& text) {
  return ErrorOf([&] { Parse(text); });
}

std::string Entry(const std::string& name, const std::string& type, const std::string& shape,
                  int64_t begin, int64_t end) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", name, type,
                     shape, begin, end);
}

TEST(Safetensors, WhatIsWrittenIsReadAgain) {
  const std::vector<float> weights = {1, -2.5F, 3e-20F, 0, 7, 8};
  const int64_t count = 1234567890123;
  const base::Bytes file =
      FormatSafetensors({{"format", "pt"}, {"note", "a \"b\"\n"}},
                        {{"w", TensorType::kFloat32, {2, 3}, std::as_bytes(std::span(weights))},
                         {"n", TensorType::kInt64, {}, std::as_bytes(std::span(&count, 1))},
                         {"empty", TensorType::kFloat32, {0, 4}, {}}});
  const TensorFile read = ParseSafetensors(base::Blob(file), "f");
  EXPECT_THAT(read.metadata, ElementsAre(Pair("format", "pt"), Pair("note", "a \"b\"\n")));
  ASSERT_EQ(read.tensors.size(), 3U);
  const Tensor& w = *read.Find("w");
  EXPECT_THAT(w.shape, ElementsAre(2, 3));
  EXPECT_EQ(w.type, TensorType::kFloat32);
  EXPECT_EQ(std::memcmp(w.bytes.data(), weights.data(), 24), 0);
  EXPECT_EQ(read.Find("n")->type, TensorType::kInt64);
  EXPECT_EQ(std::memcmp(read.Find("n")->bytes.data(), &count, 8), 0);
  EXPECT_EQ(read.Find("empty")->bytes.size(), 0U);
  EXPECT_EQ(read.Find("other"), nullptr);
  EXPECT_EQ(*read.FindMetadata("format"), "pt");
  EXPECT_EQ(read.FindMetadata("w"), nullptr);
  EXPECT_EQ((read.Find("w")->bytes.data() - read.storage.data()) % 8, 0) << "aligned";
  EXPECT_TRUE(LooksLikeSafetensors(file));
}

TEST(Safetensors, TheExampleOfTheFormatsDescriptionIsRead) {
  const TensorFile file =
      Parse(File("{" + Entry("TENSOR_NAME", "F16", "[1,16,256]", 0, 8192) + "," +
                     Entry("NEXT", "BF16", "[2]", 8192, 8196) + R"(,"__metadata__":{"a":"b"}}  )",
                 std::string(8196, 'x')));
  EXPECT_THAT(file.metadata, ElementsAre(Pair("a", "b")));
  EXPECT_EQ(file.Find("TENSOR_NAME")->type, TensorType::kOther);
  EXPECT_EQ(file.Find("NEXT")->bytes.size(), 4U);
}

TEST(Safetensors, AFileWithoutTensorsIsOne) { EXPECT_TRUE(Parse(File("{}", "")).tensors.empty()); }

TEST(Safetensors, TensorsMayStandInAnyOrder) {
  const TensorFile file = Parse(
      File("{" + Entry("b", "U8", "[2]", 1, 3) + "," + Entry("a", "U8", "[]", 0, 1) + "}", "xyz"));
  EXPECT_EQ(base::AsText(file.Find("a")->bytes), "x");
  EXPECT_EQ(base::AsText(file.Find("b")->bytes), "yz");
}

TEST(Safetensors, FilesThatBreakTheFormatAreRefused) {
  const std::string a = Entry("a", "F32", "[2]", 0, 8);
  const std::string data(8, 'x');
  EXPECT_EQ(Refusal(File("{" + a + "}", data)), "no error");
  struct Case {
    std::string text;
    std::string said;
  };
  for (const Case& c : std::vector<Case>{
           {"", "it has no header"},
           {"1234567", "it has no header"},
           {File("", ""), "no JSON header"},
           {File(" {}", ""), "no JSON header"},
           {File("[]", ""), "no JSON header"},
           {File("{\"a\":", data), "m.safetensors"},
           {"\xff\xff\xff\xff\xff\xff\xff\x7f{}", "a header of"},
           {File("{" + a + "}", data).substr(0, 20), "truncated within its header"},
           {File("{" + a + "}", "xxxx"), "a: bytes 0 to 8 are not in the file's 4"},
           {File("{" + a + "}", data + "y"), "bytes behind the last tensor"},
           {File("{" + a + "," + a + "}", data), "m.safetensors"},
           {File("{" + a + "," + Entry("b", "U8", "[4]", 4, 8) + "}", data), "b: shares"},
           {File("{" + Entry("b", "U8", "[4]", 4, 8) + "}", data), "b: leaves out"},
           {File("{" + Entry("a", "F32", "[3]", 0, 8) + "}", data), "8 bytes instead of the 12"},
           {File("{" + Entry("a", "F31", "[2]", 0, 8) + "}", data), "unknown dtype F31"},
           {File("{" + Entry("a", "F32", "[-2]", 0, 8) + "}", data), "its shape is not one"},
           {File("{" + Entry("a", "F32", "[281474976710656,65536]", 0, 0) + "}", ""),
            "its shape is not one"},
           {File("{" + Entry("a", "U8", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,8]", 0, 8) + "}", data),
            "17 dimensions"},
           {File("{" + Entry("a", "F32", "[2]", -8, 0) + "}", data), "bytes -8 to 0"},
           {File("{" + Entry("a", "F32", "[2]", 8, 0) + "}", data), "bytes 8 to 0"},
           {File(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", data), "two numbers"},
           {File(R"({"a":{"dtype":"F32","shape":[2]}})", data), "must have dtype, shape and"},
           {File(R"({"a":{"dtype":"F32","shape":[2],"offsets":[0,8]}})", data), "data_offsets"},
           {File(R"({"a":{"dtype":"F32","shape":"2","data_offsets":[0,8]}})", data), "a: "},
           {File(R"({"a":7})", data), "a: "},
           {File(R"({"__metadata__":{"a":7}})", ""), "__metadata__: "},
           {File(R"({"__metadata__":[]})", ""), "__metadata__: "}}) {
    EXPECT_THAT(Refusal(c.text), testing::StartsWith("InvalidData: m.safetensors"));
    EXPECT_THAT(Refusal(c.text), HasSubstr(c.said));
  }
}

TEST(Safetensors, NoDamageCrashesTheReader) {
  const std::vector<float> weights(20, 1.5F);
  const base::Bytes file = FormatSafetensors(
      {{"format", "pt"}},
      {{"a.weight", TensorType::kFloat32, {4, 5}, std::as_bytes(std::span(weights))}});
  base::Random random(3);
  for (int i = 0; i < 3000; ++i) {
    base::Bytes damaged = file;
    if (i % 3 == 0) damaged.resize(random.Below(file.size()));
    for (uint64_t k = random.Below(4); k > 0 && !damaged.empty(); --k) {
      damaged[random.Below(damaged.size())] = static_cast<std::byte>(random.Below(256));
    }
    try {
      const TensorFile read = ParseSafetensors(base::Blob(damaged), "f");
      for (const Tensor& tensor : read.tensors) EXPECT_LE(tensor.bytes.size(), damaged.size());
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::kInvalidData);
    }
  }
}

}  // namespace
}  // namespace lambdaml::data
