#include "lambdaml/net/md5.h"

#include <openssl/evp.h>

#include "lambdaml/base/check.h"

namespace lambdaml::net {

std::array<std::byte, 16> Md5(base::ByteSpan bytes) {
  std::array<std::byte, 16> digest;
  const int done =
      EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()),
                 nullptr, EVP_md5(), nullptr);
  LAMBDAML_CHECK(done == 1);
  return digest;
}

}  // namespace lambdaml::net
