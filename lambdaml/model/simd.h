// Eight floats at a time: the few vector operations the kernels of this module are made of.
//
// F8 is a vector type of GCC and Clang, so + - * / and comparisons are the language's own and the
// code compiles for every target; where AVX2 or FMA have an instruction the language cannot spell,
// it is named here and nowhere else. All operations give the same bits on every target.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#endif

namespace lambdaml::model::simd {

inline constexpr int kLanes = 8;

using F8 = float __attribute__((vector_size(32)));
using I8 = int32_t __attribute__((vector_size(32)));

inline F8 Broadcast(float value) {
  return F8{value, value, value, value, value, value, value, value};
}

inline F8 Load(const float* from) {
  F8 v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

// Keeps a loaded vector in its register. GCC otherwise loads it anew for each use as an operand
// from memory, and the kernels then wait for the load ports.
inline void Pin([[maybe_unused]] F8& v) {
#if defined(__AVX2__) && defined(__FMA__)
  asm("" : "+x"(v));
#endif
}

inline void Store(float* to, F8 v) { std::memcpy(to, &v, sizeof v); }

// 0, 1, … 7.
inline constexpr I8 kLaneIndex = {0, 1, 2, 3, 4, 5, 6, 7};

// The first `count` lanes from memory, zeros after; nothing beyond them is read. count in [0, 8].
inline F8 LoadPartial(const float* from, int count) {
#if defined(__AVX2__) && defined(__FMA__)
  const I8 mask = kLaneIndex < count;
  return _mm256_maskload_ps(from, reinterpret_cast<__m256i>(mask));
#else
  F8 v = {};
  for (int i = 0; i < count; ++i) v[i] = from[i];
  return v;
#endif
}

// a·b + c, rounded once.
inline F8 MulAdd(F8 a, F8 b, F8 c) {
#if defined(__AVX2__) && defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#else
  F8 v;
  for (int i = 0; i < kLanes; ++i) v[i] = std::fma(a[i], b[i], c[i]);
  return v;
#endif
}

// Bits of a mask's lanes: x where the mask is set, 0 elsewhere.
inline F8 Keep(I8 mask, F8 x) { return reinterpret_cast<F8>(reinterpret_cast<I8>(x) & mask); }

// to[0..7] += v, in double.
inline void AddTo(double* to, F8 v) {
  using F4 = float __attribute__((vector_size(16)));
  using D4 = double __attribute__((vector_size(32)));
  const F4 halves[2] = {__builtin_shufflevector(v, v, 0, 1, 2, 3),
                        __builtin_shufflevector(v, v, 4, 5, 6, 7)};
  for (int h = 0; h < 2; ++h) {
    D4 sum;
    std::memcpy(&sum, to + 4 * h, sizeof sum);
    sum += __builtin_convertvector(halves[h], D4);
    std::memcpy(to + 4 * h, &sum, sizeof sum);
  }
}

// Lane i of the result is the sum of the lanes of v[i], in the same order for every i.
inline F8 SumEach(const F8 (&v)[kLanes]) {
  F8 pairs[4];
  for (int i = 0; i < 4; ++i) {
    pairs[i] = __builtin_shufflevector(v[2 * i], v[2 * i + 1], 0, 8, 2, 10, 4, 12, 6, 14) +
               __builtin_shufflevector(v[2 * i], v[2 * i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  }
  F8 fours[2];
  for (int i = 0; i < 2; ++i) {
    fours[i] = __builtin_shufflevector(pairs[2 * i], pairs[2 * i + 1], 0, 1, 8, 9, 4, 5, 12, 13) +
               __builtin_shufflevector(pairs[2 * i], pairs[2 * i + 1], 2, 3, 10, 11, 6, 7, 14, 15);
  }
  return __builtin_shufflevector(fours[0], fours[1], 0, 1, 2, 3, 8, 9, 10, 11) +
         __builtin_shufflevector(fours[0], fours[1], 4, 5, 6, 7, 12, 13, 14, 15);
}

// The square root of each lane, rounded once; NaN below 0.
inline F8 Sqrt(F8 x) {
#if defined(__AVX2__) && defined(__FMA__)
  return _mm256_sqrt_ps(x);
#else
  F8 v;
  for (int i = 0; i < kLanes; ++i) v[i] = std::sqrt(x[i]);
  return v;
#endif
}

// Bit i is set where lane i of the mask is.
inline uint32_t Bits(I8 mask) {
#if defined(__AVX2__) && defined(__FMA__)
  return static_cast<uint32_t>(_mm256_movemask_ps(reinterpret_cast<F8>(mask)));
#else
  uint32_t bits = 0;
  for (int i = 0; i < kLanes; ++i) bits |= (mask[i] != 0 ? 1U : 0U) << i;
  return bits;
#endif
}

// Lane j of v[i] and lane i of v[j] change places.
inline void Transpose(F8 (&v)[kLanes]) {
  F8 pairs[kLanes];
#pragma GCC unroll 4
  for (int i = 0; i < kLanes; i += 2) {
    pairs[i] = __builtin_shufflevector(v[i], v[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    pairs[i + 1] = __builtin_shufflevector(v[i], v[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  F8 fours[kLanes];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const F8 a = pairs[(i & 2) * 2 + (i & 1)];
    const F8 b = pairs[(i & 2) * 2 + (i & 1) + 2];
    fours[(i & 2) * 2 + 2 * (i & 1)] = __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
    fours[(i & 2) * 2 + 2 * (i & 1) + 1] =
        __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    v[i] = __builtin_shufflevector(fours[i], fours[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    v[i + 4] = __builtin_shufflevector(fours[i], fours[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

// exp(x) for x <= 0, within 1.5 ulp; 0 below -87, where the result would leave the normal range.
// NaN gives NaN. x = n·ln 2 + r; exp(r) = 1 + r + r²·q(r), q of degree 4 (minimax on |r| <= ln 2/2,
// relative error 3e-9).
inline F8 ExpNonPositive(F8 x) {
  const I8 in_range = !(x < -87.0F);
  const F8 bounded = x < -87.0F ? Broadcast(-87.0F) : x;
  constexpr float kMagic = 12582912.0F;  // 1.5 · 2^23: adding it rounds to an integer
  const F8 shifted = MulAdd(bounded, Broadcast(1.44269504F), Broadcast(kMagic));
  const F8 n = shifted - kMagic;
  // ln 2 in two parts, the first with few enough bits for n·ln2 to be exact.
  F8 r = MulAdd(n, Broadcast(-0.693359375F), bounded);
  r = MulAdd(n, Broadcast(2.12194440e-4F), r);
  F8 q = Broadcast(0.00138145988F);
  q = MulAdd(q, r, Broadcast(0.00836871658F));
  q = MulAdd(q, r, Broadcast(0.041668389F));
  q = MulAdd(q, r, Broadcast(0.166665211F));
  q = MulAdd(q, r, Broadcast(0.49999994F));
  const F8 exp_r = MulAdd(r * r, q, r) + 1.0F;
  const I8 exponent = (reinterpret_cast<I8>(shifted) - 0x4B400000 + 127) << 23;
  return Keep(in_range, exp_r * reinterpret_cast<F8>(exponent));
}

// 2·atanh(s) = log((1 + s) / (1 - s)) for |s| <= 1/3: s + s·s²·q(s²), q of degree 3 (minimax,
// relative error 5e-9).
inline F8 TwiceAtanh(F8 s) {
  const F8 u = s * s;
  F8 q = Broadcast(0.140125707F);
  q = MulAdd(q, u, Broadcast(0.139995068F));
  q = MulAdd(q, u, Broadcast(0.200108528F));
  q = MulAdd(q, u, Broadcast(0.333332062F));
  const F8 half = MulAdd(s * u, q, s);
  return half + half;
}

// log(1 + e) for e in [0, 1], within 3 ulp: no digits are lost for small e.
inline F8 Log1p(F8 e) { return TwiceAtanh(e / (e + 2.0F)); }

// log(x) for normal x >= 1, within 3 ulp or 1e-7, whichever is larger. x = 2^n·f with f in
// [√½, √2).
inline F8 LogAtLeastOne(F8 x) {
  const I8 bits = reinterpret_cast<I8>(x);
  // Moves the boundary of the exponent from 1 to √½.
  const I8 n = (bits - 0x3F3504F3) >> 23;
  const F8 f = reinterpret_cast<F8>(bits - (n << 23));
  const F8 n_float = __builtin_convertvector(n, F8);
  return MulAdd(n_float, Broadcast(0.693147181F), TwiceAtanh((f - 1.0F) / (f + 1.0F)));
}

}  // namespace lambdaml::model::simd
