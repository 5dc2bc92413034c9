// Compiled for AVX-512 whatever the build's instruction set, and run only where the processor has
// it. Nothing from a header that could be merged with another file's copy is called here.
#include <immintrin.h>

#include "lambdaml/model/kmeans_kernels.h"
#include "lambdaml/model/kmeans_kernels_impl.h"

namespace lambdaml::model::kmeans {
namespace {

struct Avx512 {
  using F = __m512;
  using I = __m512i;
  using Mask = __mmask16;
  static constexpr int kLanes = 16;
  // 24 sums of 48 rows and 8 centroids, and room for the operands, in 32 registers.
  static constexpr int kBlocksMax = 3;
  static constexpr int kCountMax = 8;

  static F Load(const float* from) { return _mm512_loadu_ps(from); }
  static F LoadPartial(const float* from, int count) {
    return _mm512_maskz_loadu_ps(static_cast<Mask>((1U << count) - 1), from);
  }
  static void Store(float* to, F v) { _mm512_storeu_ps(to, v); }
  static F Set(float value) { return _mm512_set1_ps(value); }
  static F FMA(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F Add(F a, F b) { return _mm512_add_ps(a, b); }
  static F Sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F Min(F a, F b) { return _mm512_min_ps(a, b); }
  static F Max(F a, F b) { return _mm512_max_ps(a, b); }
  static Mask Less(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  static Mask NotGreater(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
  static I SetI(int32_t value) { return _mm512_set1_epi32(value); }
  static I LoadI(const int32_t* from) { return _mm512_loadu_si512(from); }
  static void StoreI(int32_t* to, I v) { _mm512_storeu_si512(to, v); }
  static I Select(Mask mask, I a, I b) { return _mm512_mask_mov_epi32(b, mask, a); }
  static uint32_t Bits(Mask mask) { return mask; }

  // Four rounds, each of which swaps blocks of 1, 2, 4 and 8 lanes between rows that far apart.
  static void Transpose(F (&v)[kLanes]) {
    F t[kLanes];
#pragma GCC unroll 8
    for (int i = 0; i < kLanes; i += 2) {
      t[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
      t[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kLanes; i += 4) {
      v[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
      v[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xEE);
      v[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
      v[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
    }
#pragma GCC unroll 2
    for (int i = 0; i < kLanes; i += 8) {
#pragma GCC unroll 4
      for (int l = 0; l < 4; ++l) {
        t[i + l] = _mm512_shuffle_f32x4(v[i + l], v[i + l + 4], 0x88);
        t[i + l + 4] = _mm512_shuffle_f32x4(v[i + l], v[i + l + 4], 0xDD);
      }
    }
#pragma GCC unroll 8
    for (int l = 0; l < 8; ++l) {
      v[l] = _mm512_shuffle_f32x4(t[l], t[l + 8], 0x88);
      v[l + 8] = _mm512_shuffle_f32x4(t[l], t[l + 8], 0xDD);
    }
  }
};

constexpr Kernels kAvx512 = KernelsOf<Avx512>::Table("avx512");

}  // namespace

const Kernels& Avx512Kernels();
const Kernels& Avx512Kernels() { return kAvx512; }

}  // namespace lambdaml::model::kmeans
