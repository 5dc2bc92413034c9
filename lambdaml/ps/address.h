// The URL of a parameter server:
//
//   ps://host[:port]                                    in the clear
//   pss://host[:port][?ca=FILE][&cert=FILE][&key=FILE]  TLS; files are PEM
//
// The port is 27000 unless given; an IPv6 address stands in brackets. Without a scheme it is ps://.
// The token is never part of it: it is the environment variable LAMBDAML_PS_TOKEN.
#pragma once

#include <string>
#include <string_view>

#include "lambdaml/net/environment.h"
#include "lambdaml/ps/connection.h"

namespace lambdaml::ps {

inline constexpr int kDefaultPort = 27000;  // LambdaML's
inline constexpr const char* kTokenVariable = "LAMBDAML_PS_TOKEN";

// Whether the URL has one of the two schemes.
bool IsPsUrl(std::string_view url);

// Errors: kInvalidArgument, naming what is wrong.
ServerAddress AddressFromUrl(std::string_view url,
                             const net::Environment& environment = net::ProcessEnvironment());

}  // namespace lambdaml::ps
