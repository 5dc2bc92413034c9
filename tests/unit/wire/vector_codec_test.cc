#include "lambdaml/wire/vector_codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <string>
#include <vector>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"

namespace lambdaml::wire {
namespace {

using base::Blob;
using base::Bytes;
using base::ByteSpan;
using testing::HasSubstr;

constexpr MessageId kId = {MessageKind::kContribution, 17, 3, 5};

template <typename T>
std::vector<uint64_t> BitsOf(std::span<const T> values) {
  using Unsigned = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  std::vector<uint64_t> bits;
  for (const T value : values) bits.push_back(std::bit_cast<Unsigned>(value));
  return bits;
}

Message RoundTrip(std::span<const double> scalars, std::span<const float> vector) {
  MessageEncoder encoder;
  return DecodeMessage(Blob::Copy(encoder.EncodeVector(kId, scalars, vector)), "test");
}

void ExpectRoundTrip(std::span<const double> scalars, std::span<const float> vector) {
  const Message message = RoundTrip(scalars, vector);
  EXPECT_EQ(message.id, kId);
  EXPECT_EQ(BitsOf(message.vector.scalars), BitsOf(scalars));
  ASSERT_EQ(message.vector.element_count, vector.size());
  std::vector<float> expanded(vector.size(), 7.0F);
  ExpandVector(message.vector, expanded);
  EXPECT_EQ(BitsOf(std::span<const float>(expanded)), BitsOf(vector));
}

std::vector<float> SparseVector(size_t length, size_t stored_count) {
  std::vector<float> vector(length);
  for (size_t k = 0; k < stored_count; ++k) vector[k * length / stored_count] = 1.5F;
  return vector;
}

// Sets the checksum right again after a change of the bytes.
void Seal(Bytes& message) {
  const uint64_t checksum = base::Checksum64(ByteSpan(message).subspan(16));
  std::memcpy(message.data() + 8, &checksum, sizeof(checksum));
}

std::string ErrorOf(const Bytes& bytes) {
  try {
    DecodeMessage(Blob::Copy(bytes), "here");
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kCorrupt);
    EXPECT_TRUE(error.message().starts_with("here: ")) << error.message();
    return error.message();
  }
  return "no error";
}

Bytes SampleMessage(bool is_sparse, Precision precision = Precision::kFloat32) {
  MessageEncoder encoder;
  const std::vector<double> scalars = {1.0, 2.0, 3.0};
  const auto span =
      encoder.EncodeVector(kId, scalars, SparseVector(1000, is_sparse ? 20 : 1000), 0, precision);
  return {span.begin(), span.end()};
}

template <typename T>
Bytes With(Bytes message, size_t offset, T value) {
  std::memcpy(message.data() + offset, &value, sizeof(value));
  Seal(message);
  return message;
}

TEST(VectorCodecTest, VectorsOfEveryLengthAndDensityComeBack) {
  const std::vector<double> scalars = {1.0, -0.0, 1e300};
  for (const size_t length : {0U, 1U, 2U, 15U, 16U, 17U, 1000U, 100'003U}) {
    for (const double density : {0.0, 0.01, 0.4, 0.49, 0.5, 0.51, 1.0}) {
      std::vector<float> vector(length);
      base::Random random(length);
      for (float& value : vector) {
        if (random.Uniform() < density) value = static_cast<float>(random.Normal());
      }
      ExpectRoundTrip(scalars, vector);
      ExpectRoundTrip({}, vector);
    }
  }
}

TEST(VectorCodecTest, NegativeZeroNanAndSubnormalsKeepTheirBits) {
  const std::vector<double> scalars = {-0.0, std::numeric_limits<double>::infinity(),
                                       std::bit_cast<double>(uint64_t{0x7FF0000000000123})};
  const std::vector<float> special = {-0.0F,
                                      std::numeric_limits<float>::infinity(),
                                      std::bit_cast<float>(0x7F800123U),
                                      std::bit_cast<float>(0xFFC00001U),
                                      std::numeric_limits<float>::denorm_min(),
                                      0.0F};
  ExpectRoundTrip(scalars, special);
  std::vector<float> sparse(1000);
  std::ranges::copy(special, sparse.begin() + 500);
  ExpectRoundTrip(scalars, sparse);
  EXPECT_TRUE(RoundTrip({}, sparse).vector.is_sparse);
}

TEST(VectorCodecTest, HalvesOfEveryLengthAndDensityComeBackRounded) {
  const std::vector<double> scalars = {1.0, 1e300};
  MessageEncoder encoder;
  for (const size_t length : {0U, 1U, 7U, 8U, 17U, 1000U, 100'003U}) {
    for (const double density : {0.0, 0.01, 0.32, 0.34, 1.0}) {
      std::vector<float> vector(length);
      base::Random random(length);
      for (float& value : vector) {
        if (random.Uniform() < density) value = static_cast<float>(random.Normal());
      }
      const Message message = DecodeMessage(
          Blob::Copy(encoder.EncodeVector(kId, scalars, vector, 3, Precision::kFloat16)), "test");
      EXPECT_EQ(message.note, 3);
      EXPECT_EQ(message.vector.precision, Precision::kFloat16);
      EXPECT_EQ(BitsOf(message.vector.scalars), BitsOf(std::span<const double>(scalars)));
      std::vector<float> expanded(length, 7.0F);
      ExpandVector(message.vector, expanded);
      RoundToFloat16(vector, "test");
      EXPECT_EQ(BitsOf(std::span<const float>(expanded)), BitsOf(std::span<const float>(vector)));
    }
  }
}

TEST(VectorCodecTest, HalvesTakeHalfTheBytes) {
  MessageEncoder encoder;
  const auto size_of = [&](size_t stored_count) {
    return encoder.EncodeVector(kId, {}, SparseVector(1600, stored_count), 0, Precision::kFloat16)
        .size();
  };
  EXPECT_EQ(size_of(1600), 64 + 3200U);
  EXPECT_EQ(DenseSizeBytes(0, 1600, Precision::kFloat16), 64 + 3200U);
  EXPECT_EQ(size_of(528), 64 + 528 * 6U);  // indices fill their 64 bytes
  EXPECT_EQ(size_of(540), 64 + 3200U);
  EXPECT_EQ(size_of(0), 64U);
}

TEST(VectorCodecTest, TheSmallerFormIsChosen) {
  // 1600 elements: 6400 bytes dense; sparse 8 bytes each, the indices padded to 64.
  const auto size_of = [](size_t stored_count) {
    MessageEncoder encoder;
    return encoder.EncodeVector(kId, {}, SparseVector(1600, stored_count)).size();
  };
  EXPECT_EQ(size_of(1600), 64U + 6400U);
  EXPECT_EQ(size_of(800), 64U + 6400U);
  EXPECT_EQ(size_of(784), 64U + 2U * 784U * 4U);
  EXPECT_EQ(size_of(1), 64U + 64U + 4U);
  EXPECT_EQ(size_of(0), 64U);
}

TEST(VectorCodecTest, DecodedViewsPointIntoTheMessage) {
  MessageEncoder encoder;
  const std::vector<float> vector(100, 1.0F);
  const ByteSpan bytes = encoder.EncodeVector(kId, std::vector<double>{1.0}, vector);
  const Message message = DecodeMessage(Blob(bytes, nullptr), "test");
  EXPECT_EQ(static_cast<const void*>(message.vector.values.data()), bytes.data() + 128);
}

TEST(VectorCodecTest, BytesAtAnOddAddressAreDecodedToo) {
  const Bytes message = SampleMessage(false);
  Bytes shifted(message.size() + 1);
  std::ranges::copy(message, shifted.begin() + 1);
  const Message decoded = DecodeMessage(Blob(ByteSpan(shifted).subspan(1), nullptr), "test");
  EXPECT_EQ(decoded.vector.scalars[2], 3.0);
}

TEST(VectorCodecTest, PlainBytesComeBack) {
  MessageEncoder encoder;
  for (const std::string text : {"", "x", "a longer text"}) {
    const MessageId id = {MessageKind::kGathered, 1, 2, 0};
    const Message message =
        DecodeMessage(Blob::Copy(encoder.EncodeBytes(id, base::AsBytes(text))), "test");
    EXPECT_EQ(message.id, id);
    EXPECT_EQ(base::AsText(message.payload), text);
    EXPECT_EQ(message.vector.element_count, 0U);
  }
}

TEST(VectorCodecTest, InPartsOrInPlaceTheBytesAreTheSame) {
  const std::vector<double> scalars = {1, 2, 3};
  for (const Precision precision : {Precision::kFloat32, Precision::kFloat16}) {
    for (const size_t stored_count : {1000U, 20U, 0U}) {
      const std::vector<float> vector = SparseVector(1000, stored_count);
      MessageEncoder encoder;
      const Blob expected = Blob::Copy(encoder.EncodeVector(kId, scalars, vector, 7, precision));

      MessageEncoder of_parts;
      const MessageParts parts = of_parts.EncodeVectorInParts(kId, scalars, vector, 7, precision);
      Bytes joined(parts.head.begin(), parts.head.end());
      joined.insert(joined.end(), parts.payload.begin(), parts.payload.end());
      EXPECT_TRUE(std::ranges::equal(joined, expected.span())) << stored_count;
      const bool needs_no_copy = stored_count == 1000 && precision == Precision::kFloat32;
      EXPECT_EQ(parts.payload.data() == std::as_bytes(std::span(vector)).data(), needs_no_copy);

      MessageEncoder in_place;
      const std::span<float> space = in_place.VectorSpace(scalars.size(), vector.size());
      std::ranges::copy(vector, space.begin());
      const std::byte* const place = std::as_bytes(space).data();
      const ByteSpan actual = in_place.EncodeVector(kId, scalars, space, 7, precision);
      EXPECT_TRUE(std::ranges::equal(actual, expected.span())) << stored_count;
      if (needs_no_copy) {
        EXPECT_EQ(actual.data() + 128, place);
      }
    }
  }
}

TEST(VectorCodecTest, TheChecksumMayBeTakenWhileBytesArriveInAnyPieces) {
  const Bytes message = SampleMessage(false);
  for (const size_t piece : {1U, 3U, 16U, 17U, 1000U}) {
    MessageChecksum checksum;
    for (size_t begin = 0; begin < message.size(); begin += piece) {
      checksum.Add(ByteSpan(message).subspan(begin).first(std::min(piece, message.size() - begin)));
    }
    EXPECT_NO_THROW(DecodeMessage(Blob(Bytes(message)), "test", checksum.value())) << piece;
    EXPECT_THROW(DecodeMessage(Blob(Bytes(message)), "test", checksum.value() + 1), base::Error);
  }
}

TEST(VectorCodecTest, TheElementsOfADenseMessageMayStandApart) {
  const std::vector<double> scalars = {1, 2, 3};
  const std::vector<float> vector(1000, 1.5F);
  MessageEncoder encoder;
  const MessageParts parts = encoder.EncodeVectorInParts(kId, scalars, vector);
  const Message message = DecodeMessage(Blob::Copy(parts.head), "test", std::nullopt, vector);
  EXPECT_EQ(message.vector.values.data(), vector.data());
  EXPECT_EQ(message.vector.scalars[2], 3);
  const std::vector<float> others(1000, 2.5F);
  EXPECT_THROW(DecodeMessage(Blob::Copy(parts.head), "test", std::nullopt, others), base::Error);
  // A message that ends elsewhere, or is not dense.
  const std::span<const float> fewer = std::span(vector).first(999);
  EXPECT_THROW(DecodeMessage(Blob::Copy(parts.head), "test", std::nullopt, fewer), base::Error);
  const Blob sparse = Blob::Copy(encoder.EncodeVector(kId, scalars, SparseVector(1000, 20)));
  EXPECT_THROW(DecodeMessage(sparse, "test", std::nullopt, vector), base::Error);
}

TEST(VectorCodecTest, TheEncoderCanBeUsedAgain) {
  MessageEncoder encoder;
  const std::vector<float> large(1000, 1.0F);
  encoder.EncodeVector(kId, std::vector<double>{1, 2, 3}, large);
  const std::vector<float> small = {1.0F};
  const Message message = DecodeMessage(Blob::Copy(encoder.EncodeVector(kId, {}, small)), "test");
  EXPECT_EQ(message.vector.element_count, 1U);
}

// The bytes of one message, written by hand from the grammar.
TEST(VectorCodecTest, TheFormatIsAsDocumented) {
  MessageEncoder encoder;
  const ByteSpan actual = encoder.EncodeVector({MessageKind::kMerged, 258, 3, 4},
                                               std::vector<double>{1.0}, std::vector<float>{2.0F});
  Bytes expected(132);
  const auto put = [&](size_t offset, std::vector<int> bytes) {
    for (size_t i = 0; i < bytes.size(); ++i)
      expected[offset + i] = static_cast<std::byte>(bytes[i]);
  };
  put(0, {'L', 'M', 'L', 'V', 1, 0, 0, 0});
  put(16, {132});
  put(24, {2, 1});
  put(32, {3, 0, 0, 0, 4});
  put(40, {2, 1, 0, 0, 1});
  put(48, {1});
  put(56, {1});
  put(64, {0, 0, 0, 0, 0, 0, 0xF0, 0x3F});
  put(128, {0, 0, 0, 0x40});
  Seal(expected);
  EXPECT_TRUE(std::ranges::equal(actual, expected));
}

TEST(VectorCodecTest, ANoteTravelsWithTheVector) {
  MessageEncoder encoder;
  const std::vector<float> vector = {1, 2};
  const Message message =
      DecodeMessage(Blob::Copy(encoder.EncodeVector(kId, {}, vector, 513)), "test");
  EXPECT_EQ(message.note, 513);
  EXPECT_EQ(DecodeMessage(Blob::Copy(encoder.EncodeVector(kId, {}, vector)), "test").note, 0);
}

TEST(VectorCodecTest, EveryFieldOfTheHeaderIsChecked) {
  const Bytes dense = SampleMessage(false);
  const Bytes sparse = SampleMessage(true);
  EXPECT_EQ(ErrorOf(dense), "no error");
  EXPECT_EQ(ErrorOf(sparse), "no error");
  EXPECT_THAT(ErrorOf({}), HasSubstr("no message"));
  EXPECT_THAT(ErrorOf(With(dense, 0, 'X')), HasSubstr("LMLV"));
  EXPECT_THAT(ErrorOf(With(dense, 4, uint32_t{2})), HasSubstr("version 2"));
  EXPECT_THAT(ErrorOf(With(dense, 16, uint64_t{1})), HasSubstr("bytes where its header says"));
  EXPECT_THAT(ErrorOf(With(dense, 40, uint8_t{0})), HasSubstr("unknown kind"));
  EXPECT_THAT(ErrorOf(With(dense, 40, uint8_t{5})), HasSubstr("unknown kind"));
  EXPECT_THAT(ErrorOf(With(dense, 41, uint8_t{4})), HasSubstr("counts ask for"));
  EXPECT_THAT(ErrorOf(With(dense, 41, uint8_t{6})), HasSubstr("unknown kind or encoding"));
  EXPECT_THAT(ErrorOf(With(dense, 44, uint32_t{4})), HasSubstr("no error"));  // into the padding
  EXPECT_THAT(ErrorOf(With(dense, 44, ~uint32_t{0})), HasSubstr("counts ask for"));
  EXPECT_THAT(ErrorOf(With(dense, 48, ~uint64_t{0})), HasSubstr("contradict"));
  EXPECT_THAT(ErrorOf(With(dense, 56, uint64_t{999})), HasSubstr("contradict"));
  EXPECT_THAT(ErrorOf(With(sparse, 56, uint64_t{1001})), HasSubstr("contradict"));
  EXPECT_THAT(ErrorOf(With(sparse, 56, uint64_t{19})), HasSubstr("counts ask for"));
  EXPECT_THAT(ErrorOf(With(sparse, 100, uint8_t{1})), HasSubstr("padding"));
  const Bytes halves = SampleMessage(false, Precision::kFloat16);
  const Bytes sparse_halves = SampleMessage(true, Precision::kFloat16);
  EXPECT_EQ(ErrorOf(halves), "no error");
  EXPECT_EQ(ErrorOf(sparse_halves), "no error");
  EXPECT_THAT(ErrorOf(With(halves, 56, uint64_t{999})), HasSubstr("contradict"));
  EXPECT_THAT(ErrorOf(With(halves, 41, uint8_t{1})), HasSubstr("counts ask for"));
  EXPECT_THAT(ErrorOf(With(sparse_halves, 56, uint64_t{19})), HasSubstr("counts ask for"));
  EXPECT_THAT(ErrorOf(With(sparse_halves, 128, uint32_t{50})), HasSubstr("do not ascend"));
}

TEST(VectorCodecTest, IndicesMustAscendWithinTheVector) {
  const Bytes sparse = SampleMessage(true);
  EXPECT_THAT(ErrorOf(With(sparse, 128, uint32_t{50})), HasSubstr("do not ascend"));
  EXPECT_THAT(ErrorOf(With(sparse, 128 + 19 * 4, uint32_t{1000})), HasSubstr("index 1000"));
  EXPECT_EQ(ErrorOf(With(sparse, 128 + 19 * 4, uint32_t{999})), "no error");
}

TEST(VectorCodecTest, EveryFlippedBitAndEveryTruncationIsNoticed) {
  for (const int form : {0, 1, 2, 3}) {
    Bytes message =
        SampleMessage(form % 2 == 1, form < 2 ? Precision::kFloat32 : Precision::kFloat16);
    for (size_t bit = 0; bit < message.size() * 8; ++bit) {
      const auto mask = static_cast<std::byte>(1U << (bit % 8));
      message[bit / 8] ^= mask;
      ASSERT_NE(ErrorOf(message), "no error") << bit;
      message[bit / 8] ^= mask;
    }
    for (size_t size = 0; size < message.size(); ++size) {
      ASSERT_NE(ErrorOf(Bytes(message.begin(), message.begin() + static_cast<ptrdiff_t>(size))),
                "no error");
    }
  }
}

// Damage with a right checksum: the decoder may accept what is a message, and must not read
// elsewhere (which the address sanitizer would notice).
TEST(VectorCodecTest, MutationsWithARightChecksumAreRefusedOrStayInBounds) {
  base::Random random(42);
  for (int i = 0; i < 20'000; ++i) {
    Bytes message =
        SampleMessage(i % 2 == 0, i % 4 < 2 ? Precision::kFloat32 : Precision::kFloat16);
    const uint64_t mutations = 1 + random.Below(4);
    for (uint64_t k = 0; k < mutations; ++k) {
      const size_t offset = 16 + random.Below(random.Below(2) == 0 ? 48 : message.size() - 16);
      message[offset] = static_cast<std::byte>(random.Next() & 0xFF);
    }
    if (random.Below(4) == 0) {
      message.resize(64 + random.Below(message.size()));
      const uint64_t size = message.size();
      if (random.Below(2) == 0) std::memcpy(message.data() + 16, &size, sizeof(size));
    }
    Seal(message);
    try {
      const Message decoded = DecodeMessage(Blob(Bytes(message)), "test");
      if (decoded.vector.element_count > 1'000'000) continue;
      std::vector<float> out(decoded.vector.element_count);
      ExpandVector(decoded.vector, out);
      double sum = 0;
      for (const double scalar : decoded.vector.scalars) sum += scalar;
      for (const float value : out) sum += static_cast<double>(value);
      EXPECT_NE(sum, 0.12345);  // uses what was read
    } catch (const base::Error& error) {
      ASSERT_EQ(error.code(), base::ErrorCode::kCorrupt);
    }
  }
}

TEST(VectorCodecTest, TheSizeIsKnownFromTheHeaderAlone) {
  const Bytes message = SampleMessage(false);
  EXPECT_EQ(MessageSizeBytes(ByteSpan(message).first(64), "test"), message.size());
  EXPECT_THROW(MessageSizeBytes(ByteSpan(message).first(63), "test"), base::Error);
}

}  // namespace
}  // namespace lambdaml::wire
