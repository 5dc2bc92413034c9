// The certificates that TLS trusts.
#pragma once

#include <string>

#include "lambdaml/net/environment.h"

namespace lambdaml::net {

// The PEM file of trusted certificates: AWS_CA_BUNDLE, SSL_CERT_FILE, else the first of the places
// where distributions keep theirs; "" if there is none.
std::string CaBundle(const Environment& environment = ProcessEnvironment());

}  // namespace lambdaml::net
