// NumPy's .npy format: a header that names element type, order and shape, then the elements.
// Internal to data. Source: numpy.lib.format, versions 1.0 to 3.0.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"

namespace lambdaml::data {

struct NpyArray {
  std::string dtype;           // as NumPy writes it, e.g. "<f4"
  bool fortran_order = false;  // columns first
  std::vector<int64_t> shape;
  base::ByteSpan elements;  // whatever follows the header

  // The product of the shape. Every size was checked against the elements' bytes.
  int64_t element_count() const;
};

// Reads a header and checks that the elements have the bytes it promises; `item_bytes` comes from
// the digits of the type. `origin` names the array in errors: kInvalidData.
NpyArray ParseNpy(base::ByteSpan bytes, std::string_view origin);

// The header for C-ordered elements, padded to a multiple of 64 bytes.
std::string NpyHeader(std::string_view dtype, const std::vector<int64_t>& shape);

}  // namespace lambdaml::data
