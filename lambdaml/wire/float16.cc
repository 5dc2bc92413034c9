#include "lambdaml/wire/float16.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <fmt/format.h>
#include <limits>

#include "lambdaml/base/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace lambdaml::wire {
namespace {

static_assert(std::numeric_limits<float>::is_iec559);

constexpr uint32_t kInfinity32 = 0x7F800000;
constexpr uint32_t kTooLarge32 = 0x477FF000;   // 65,520: from here on the nearest is infinity
constexpr uint32_t kNormalMin32 = 0x38800000;  // 2^-14, the smallest that is not subnormal
constexpr uint32_t kBiasDifference = uint32_t{127 - 15} << 23;
constexpr int kShift = 13;  // 23 fraction bits to 10
constexpr uint32_t kInfinity16 = 0x7C00;
constexpr uint32_t kQuiet16 = 0x0200;
constexpr double kMax = 65504;

uint16_t Narrowed(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  uint32_t size = bits & 0x7FFFFFFF;
  uint32_t half = 0;
  if (size > kInfinity32) {
    half = kInfinity16 | kQuiet16 | (size >> kShift & 0x1FF);
  } else if (size >= kTooLarge32) {
    half = kInfinity16;
  } else if (size < kNormalMin32) {
    // The last bit of a float from 1/2 to 1 is worth 2^-24: the addition rounds.
    half =
        std::bit_cast<uint32_t>(std::bit_cast<float>(size) + 0.5F) - std::bit_cast<uint32_t>(0.5F);
  } else {
    size += 0xFFF + (size >> kShift & 1);  // half way goes up from odd numbers only
    half = (size - kBiasDifference) >> kShift;
  }
  return static_cast<uint16_t>(sign | half);
}

void NarrowPortably(std::span<const float> from, std::span<uint16_t> out) {
  std::ranges::transform(from, out.begin(), Narrowed);
}

void WidenPortably(std::span<const uint16_t> from, std::span<float> out) {
  std::ranges::transform(from, out.begin(), Widened);
}

#if defined(__x86_64__)

constexpr size_t kLanes = 8;

__attribute__((target("avx,f16c"))) void NarrowByF16c(std::span<const float> from,
                                                      std::span<uint16_t> out) {
  size_t i = 0;
  for (; i + kLanes <= out.size(); i += kLanes) {
    const __m256 values = _mm256_loadu_ps(from.data() + i);
    const __m128i halves = _mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out.data() + i), halves);
  }
  NarrowPortably(from.subspan(i), out.subspan(i));
}

__attribute__((target("avx,f16c"))) void WidenByF16c(std::span<const uint16_t> from,
                                                     std::span<float> out) {
  size_t i = 0;
  for (; i + kLanes <= out.size(); i += kLanes) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from.data() + i));
    _mm256_storeu_ps(out.data() + i, _mm256_cvtph_ps(halves));
  }
  WidenPortably(from.subspan(i), out.subspan(i));
}

#endif

// Of finite elements that have become infinite.
size_t CountTooLarge(std::span<const float> vector) {
  size_t count = 0;
  for (const float value : vector) {
    const uint32_t size = std::bit_cast<uint32_t>(value) & 0x7FFFFFFF;
    count += size - kTooLarge32 < kInfinity32 - kTooLarge32 ? 1 : 0;
  }
  return count;
}

[[noreturn]] void ThrowTooLarge(std::span<const float> vector, size_t begin,
                                std::string_view origin) {
  size_t at = begin;
  while (CountTooLarge(vector.subspan(at, 1)) == 0) ++at;
  throw base::Error(
      base::ErrorCode::kInvalidArgument,
      fmt::format("{}: element {} is {:.3g}, and float16 ends at {}; give --exchange float32, or a "
                  "smaller --lr if training diverges",
                  origin, at, vector[at], kMax));
}

}  // namespace

float Widened(uint16_t half) {
  const uint32_t sign = uint32_t{half} << 16 & 0x80000000;
  const uint32_t size = half & 0x7FFFU;
  uint32_t bits = 0;
  if (size > kInfinity16) {
    bits = kInfinity32 | (size | kQuiet16) << kShift;
  } else if (size == kInfinity16) {
    bits = kInfinity32;
  } else if (size < 0x0400) {  // subnormal: a multiple of 2^-24
    bits = std::bit_cast<uint32_t>(static_cast<float>(size) * 0x1p-24F);
  } else {
    bits = (size << kShift) + kBiasDifference;
  }
  return std::bit_cast<float>(sign | bits);
}

const Float16Converter& PortableFloat16() {
  static constexpr Float16Converter kPortable = {NarrowPortably, WidenPortably};
  return kPortable;
}

const Float16Converter& Float16() {
#if defined(__x86_64__)
  static constexpr Float16Converter kF16c = {NarrowByF16c, WidenByF16c};
  // Every processor with AVX2 has F16C, for which not all compilers know a test.
  static const bool has_f16c = __builtin_cpu_supports("avx2") != 0;
  if (has_f16c) return kF16c;
#endif
  return PortableFloat16();
}

void RoundToFloat16(std::span<float> vector, std::string_view origin) {
  constexpr size_t kBlock = 4096;
  std::array<uint16_t, kBlock> halves;
  const Float16Converter& convert = Float16();
  for (size_t begin = 0; begin < vector.size(); begin += kBlock) {
    const std::span<float> block = vector.subspan(begin, std::min(kBlock, vector.size() - begin));
    if (CountTooLarge(block) > 0) ThrowTooLarge(vector, begin, origin);
    const auto of_block = std::span(halves).first(block.size());
    convert.narrow(block, of_block);
    convert.widen(of_block, block);
  }
}

}  // namespace lambdaml::wire
