#include "lambdaml/model/kmeans_kernels.h"

#include "lambdaml/model/kmeans_kernels_impl.h"
#include "lambdaml/model/simd.h"

namespace lambdaml::model::kmeans {

#ifdef LAMBDAML_KMEANS_AVX512
const Kernels& Avx512Kernels();
#endif

namespace {

struct Baseline {
  using F = simd::F8;
  using I = simd::I8;
  using Mask = simd::I8;
  static constexpr int kLanes = simd::kLanes;
  // Eight sums of 8 rows and 4 centroids, and room for the operands, in sixteen registers.
  static constexpr int kBlocksMax = 1;
  static constexpr int kCountMax = 4;

  static F Load(const float* from) { return simd::Load(from); }
  static F LoadPartial(const float* from, int count) { return simd::LoadPartial(from, count); }
  static void Store(float* to, F v) { simd::Store(to, v); }
  static F Set(float value) { return simd::Broadcast(value); }
  static F FMA(F a, F b, F c) { return simd::MulAdd(a, b, c); }
  static F Add(F a, F b) { return a + b; }
  static F Sub(F a, F b) { return a - b; }
  static F Min(F a, F b) { return a < b ? a : b; }
  static F Max(F a, F b) { return a > b ? a : b; }
  static Mask Less(F a, F b) { return a < b; }
  static Mask NotGreater(F a, F b) { return a <= b; }
  static I SetI(int32_t value) { return I{value, value, value, value, value, value, value, value}; }
  static I LoadI(const int32_t* from) {
    I v;
    __builtin_memcpy(&v, from, sizeof v);
    return v;
  }
  static void StoreI(int32_t* to, I v) { __builtin_memcpy(to, &v, sizeof v); }
  static I Select(Mask mask, I a, I b) { return mask ? a : b; }
  static uint32_t Bits(Mask mask) { return simd::Bits(mask); }
  static void Transpose(F (&v)[kLanes]) { simd::Transpose(v); }
};

constexpr Kernels kBaseline = KernelsOf<Baseline>::Table("baseline");

}  // namespace

const Kernels& BaselineKernels() { return kBaseline; }

const Kernels& BestKernels() {
#ifdef LAMBDAML_KMEANS_AVX512
  static const bool has_avx512 = __builtin_cpu_supports("avx512f") != 0;
  if (has_avx512) return Avx512Kernels();
#endif
  return kBaseline;
}

}  // namespace lambdaml::model::kmeans
