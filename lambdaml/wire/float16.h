// Vectors in half the bytes: float16, IEEE 754's binary16 (11 significant bits, 5 of exponent).
//
// A number between two of the format becomes the nearer one, and half way the even one; so it
// changes by at most a 2048th of itself from 2^-14 = 6.1e-5 on. Below stand the subnormal ones,
// which are kept, 2^-24 = 6.0e-8 apart; half of that and less becomes a zero of the same sign.
// Infinities stay; NaN stays, quiet, with the upper bits of its payload. Finite numbers from 65,520
// on have no neighbour but infinity.
//
// Every float16 is a float32, so the way back is exact.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace lambdaml::wire {

// In what form the elements of a vector travel.
enum class Precision : uint8_t { kFloat32, kFloat16 };

// Conversions of out.size() elements; the other span is as long. Threads: any.
struct Float16Converter {
  void (*narrow)(std::span<const float> from, std::span<uint16_t> out);
  void (*widen)(std::span<const uint16_t> from, std::span<float> out);
};

// The F16C instructions where the processor has them, else the portable one. Both give the same
// bits for every number.
const Float16Converter& Float16();
const Float16Converter& PortableFloat16();

// One number, portably.
float Widened(uint16_t half);

// Replaces each element by its float16. Errors: kInvalidArgument, starting with `origin`, if a
// finite element is too large; the vector is of no further use then.
void RoundToFloat16(std::span<float> vector, std::string_view origin);

}  // namespace lambdaml::wire
