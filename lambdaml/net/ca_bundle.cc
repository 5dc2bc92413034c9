#include "lambdaml/net/ca_bundle.h"

#include "lambdaml/base/file.h"

namespace lambdaml::net {

std::string CaBundle(const Environment& environment) {
  for (const char* const variable : {"AWS_CA_BUNDLE", "SSL_CERT_FILE"}) {
    if (const auto path = environment(variable)) return *path;
  }
  for (const char* const path : {
           "/etc/ssl/certs/ca-certificates.crt",  // Debian, Ubuntu, Alpine
           "/etc/pki/tls/certs/ca-bundle.crt",    // Amazon Linux, Fedora
           "/etc/ssl/ca-bundle.pem",              // openSUSE
           "/etc/ssl/cert.pem",                   // Alpine without its package, BSD
       }) {
    if (base::FileExists(path)) return path;
  }
  return "";
}

}  // namespace lambdaml::net
